"""Graphs as PyTorch modules; importing this imports PyTorch, so everything else imports it only when it is needed."""

from foveate.engines.torch.modules import Parts, parts, register
from foveate.engines.torch.network import load_arrays, torch_names, torch_network

__all__ = ["Parts", "load_arrays", "parts", "register", "torch_names", "torch_network"]
