"""Files that foveate 0.1 wrote, and what they must give."""
