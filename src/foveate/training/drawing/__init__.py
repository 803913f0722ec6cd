"""Figures of what training and evaluation measured: each is drawn from finished numbers, without a model."""
