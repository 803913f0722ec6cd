"""Networks from other libraries and for them: PyTorch's modules and ONNX files as models, and models as ONNX files.

PyTorch is imported only when a module is given; ONNX files are read and written without any other library.
"""

from foveate.interop.onnx import from_onnx, to_onnx
from foveate.interop.pytorch import from_torch

__all__ = ["from_onnx", "from_torch", "to_onnx"]
