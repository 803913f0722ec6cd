"""A PyTorch module as a model: exported by PyTorch, its operations mapped to layers one by one."""

from typing import TYPE_CHECKING, Any

from foveate.calls import called
from foveate.engines import Engine
from foveate.engines.pytorch import check_torch
from foveate.model import Model

if TYPE_CHECKING:
    from torch import nn


@called()
def from_torch(module: "nn.Module", example_input: Any, *, engine: str | Engine | None = None) -> Model:
    """The model that computes what a PyTorch module does in inference.

    The module is exported by torch.export. Every operation becomes a layer, named after the module it stands in;
    parameters and statistics keep PyTorch's names where they are a layer's own (`names` has them all). What does not
    learn there (`requires_grad=False`) is frozen here. A task and a preprocessing that `Model.to_torch` told come back.
    The result is compared with the module on `example_input` before it is given back.

    Args:
        module: what to take; it is left as it is. It gives back a tensor, or several in a tuple, a list or a dict.
        example_input: a tensor as the module takes it, batch first, or a tuple of several.
        engine: as for `Model`.

    Raises:
        CallError: it is not a module.
        GraphError: PyTorch cannot export the module, or it has operations that no layer computes; the message lists
            all of them, each with its module's path.
        EngineError: PyTorch is not installed.
    """
    check_torch()
    from foveate.interop.pytorch.importing import imported

    return imported(module, example_input, engine)
