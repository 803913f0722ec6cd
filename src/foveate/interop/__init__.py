"""Networks from other libraries: PyTorch modules as models. PyTorch is imported only when one is asked for."""

from foveate.interop.pytorch import from_torch

__all__ = ["from_torch"]
