"""PyTorch users' weights: read as data, and matched to a network's names."""

from foveate.files.weights.fitting import Fitted, fit_weights
from foveate.files.weights.reading import Weights, named_arrays, read_weights

__all__ = ["Fitted", "Weights", "fit_weights", "named_arrays", "read_weights"]
