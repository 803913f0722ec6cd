"""Graphs in PyTorch, run or written out; importing this imports PyTorch, so all else imports it only when needed."""

from foveate.engines.torch.engine import TorchEngine, distributed_engine
from foveate.engines.torch.losses import register_loss
from foveate.engines.torch.modules import Parts, parts, register
from foveate.engines.torch.network import load_arrays, torch_names, torch_network

__all__ = [
    "Parts",
    "TorchEngine",
    "distributed_engine",
    "load_arrays",
    "parts",
    "register",
    "register_loss",
    "torch_names",
    "torch_network",
]
