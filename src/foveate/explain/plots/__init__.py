"""Figures of a model: each queries it through `probe` and hands the results to `draw`."""
