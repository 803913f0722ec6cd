"""A trained graph as a PyTorch model. PyTorch is imported when this is asked for, and by nothing before."""

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
        frozen: names of those that do not learn.
        about: plain data, each of which becomes an attribute of the module's `about`.

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
    """Raise an EngineError that says how to install PyTorch where it is not there."""
    try:
        import torch  # noqa: F401 (whether it is there is the question)
    except ImportError as error:
        raise EngineError(
            f"PyTorch is not there ({error}). Install it: pip install 'foveate[torch]', or in a clone of foveate "
            "pip install '.[torch]'"
        ) from None
