"""A trained graph as a PyTorch model. PyTorch is imported only when one is asked for."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from foveate.engines.base import State
from foveate.errors import EngineError
from foveate.graph import Graph

if TYPE_CHECKING:
    from torch import nn


def as_torch(graph: Graph, state: State, frozen: frozenset[str], about: Mapping[str, Any]) -> "nn.Module":
    """The module of `torch_network` with the arrays of `state`, in inference mode.

    Args:
        graph: the network.
        state: its parameters and statistics.
        frozen: names of the frozen ones.
        about: plain data by name; each becomes an attribute of the module's `about`.

    Raises:
        EngineError: PyTorch is not installed, or has no counterpart of a layer.
    """
    check_torch()
    from torch import nn

    from foveate.engines.torch import load_arrays, torch_network

    module = torch_network(graph, frozen)
    load_arrays(module, graph, {name: state.read(name) for name in state.names()})
    told = nn.Module()  # a class that is there wherever the model is unpickled, and that every copy keeps
    for name, value in about.items():
        setattr(told, name, value)
    if isinstance(module, nn.Sequential):  # whose modules are its layers
        object.__setattr__(module, "about", told)
    else:
        module.about = told
    return module.eval()


def check_torch() -> None:
    """Raise an EngineError that says how to install PyTorch if it is missing."""
    try:
        import torch  # noqa: F401 (whether it is there is the question)
    except ImportError as error:
        raise EngineError(
            f"PyTorch is not installed ({error}). Install it: pip install 'foveate[torch]', or in a clone of foveate "
            "pip install '.[torch]'"
        ) from None
