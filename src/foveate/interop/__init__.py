"""Networks from elsewhere: PyTorch's modules as models. PyTorch is imported when one is asked for, not before."""

from foveate.interop.pytorch import from_torch

__all__ = ["from_torch"]
