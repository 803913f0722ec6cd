"""Loss types by name, for files: a type is found here or not at all; no file can name code to import."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from foveate.errors import CallError, FoveateError, LayerError
from foveate.graph.losses import classes, numbers
from foveate.graph.losses.base import Loss
from foveate.layers.registry import check_free_name

_BUILT_IN: tuple[type[Loss], ...] = (
    classes.CrossEntropy,
    classes.Dice,
    numbers.BinaryCrossEntropy,
    numbers.Focal,
    numbers.MeanSquaredError,
    numbers.L1,
    numbers.Huber,
)

LOSS_TYPES: dict[str, type[Loss]] = {loss.__name__: loss for loss in _BUILT_IN}


def built_in_losses() -> tuple[type[Loss], ...]:
    """Every loss that comes with foveate."""
    return _BUILT_IN


def register_loss_type(loss_type: type[Loss]) -> None:
    """Make a custom loss loadable by its name; a name that another loss has is refused.

    Defining the same class again replaces it, as happens in notebooks.

    Raises:
        LayerError: it is not a frozen dataclass derived from foveate.Loss, or its name is taken.
    """
    name = loss_type.__name__
    parameters = getattr(loss_type, "__dataclass_params__", None)
    if not issubclass(loss_type, Loss) or not is_dataclass(loss_type) or not parameters.frozen:
        raise LayerError(f"{name} must be a frozen dataclass derived from foveate.Loss: @dataclass(frozen=True)")
    check_free_name(loss_type, ("loss", "losses"), _BUILT_IN, LOSS_TYPES)
    LOSS_TYPES[name] = loss_type


def loss_from_json(data: Mapping[str, Any]) -> Loss:
    """The loss that `Loss.to_json` described, its options checked as if written by hand.

    >>> loss_from_json({"type": "CrossEntropy", "class_weights": [1, 2]})
    CrossEntropy(label_smoothing=0.0, class_weights=(1.0, 2.0), ignore_index=None)

    Raises:
        LayerError: the type is unknown, or an option is wrong; the message says which.
    """
    if not isinstance(data, Mapping) or not isinstance(data.get("type"), str):
        raise LayerError("a loss is described by its type and options, but the type is missing")
    name = data["type"]
    if name not in LOSS_TYPES:
        raise LayerError(
            f"there is no loss type {name!r}. If it is your own, import the module that registers it first"
        )
    options = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items() if key != "type"}
    try:
        return LOSS_TYPES[name](**options)
    except FoveateError as error:
        if isinstance(error, CallError):
            raise LayerError(str(error)) from None
        raise
    except (TypeError, ValueError) as error:
        raise LayerError(f"{name}: {error}") from None
