"""Queries of a model: its layers, activations and gradients, and what is computed from them. Nothing is drawn here."""
