"""Data larger than memory: samples in plain tar files with an index, read piece by piece while a network trains."""
