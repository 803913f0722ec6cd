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
    """The model that computes what a PyTorch module computes in inference.

    The module is exported with torch.export. Every operation becomes a layer, named after the module it is in;
    parameters and statistics keep PyTorch's names if they belong to one layer (`names` has them all). Parameters with
    `requires_grad=False` are frozen. A task and a preprocessing recorded by `Model.to_torch` are restored.
    The result is compared with the module on `example_input` before it is returned.

    Args:
        module: the module, which is left unchanged. It returns a tensor, or several in a tuple, a list or a dict.
        example_input: a tensor that the module takes, batch first, or a tuple of several.
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
