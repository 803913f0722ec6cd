"""Layer types by name, for files: a type is found here or not at all; no file can name code to import."""

from collections.abc import Mapping, Sequence
from typing import Any

from foveate.errors import CallError, LayerError
from foveate.layers import (
    activations,
    adaptive,
    arithmetic,
    convolution,
    linear,
    movement,
    normalization,
    pixels,
    pooling,
    reduction,
    resize,
    sample_normalization,
    softmax,
    structure,
    transposed,
)
from foveate.layers.base import Layer

_MODULES = (
    convolution, pooling, adaptive, linear, activations, normalization, sample_normalization, structure, pixels,
    arithmetic, movement, reduction, resize, softmax, transposed
)  # fmt: skip

_BUILT_IN: tuple[type[Layer], ...] = tuple(
    member
    for module in _MODULES
    for member in vars(module).values()
    if "__final__" in getattr(member, "__dict__", {}) and member.__module__ == module.__name__
)
"""Every layer marked with `final` where it is defined."""

LAYER_TYPES: dict[str, type[Layer]] = {layer.__name__: layer for layer in _BUILT_IN}


def built_in_layers() -> tuple[type[Layer], ...]:
    """Every layer type that comes with foveate."""
    return _BUILT_IN


def register_layer_type(layer_type: type[Layer]) -> None:
    """Make a custom layer type loadable by its name; a name that another layer has is refused.

    Defining the same class again replaces it, as happens in notebooks.
    """
    check_free_name(layer_type, ("layer", "layers"), _BUILT_IN, LAYER_TYPES)
    LAYER_TYPES[layer_type.__name__] = layer_type


def check_free_name(new: type, nouns: tuple[str, str], built_in: Sequence[type], known: Mapping[str, type]) -> None:
    """Refuse a class whose name in files is taken by another; `nouns` say what it is, singular and plural."""
    name, (one, many) = new.__name__, nouns
    if name in {each.__name__ for each in built_in}:
        raise LayerError(f"foveate already has a {one} called {name}; choose another class name")
    before = known.get(name)
    if before is not None and not same_origin(before, new):
        raise LayerError(
            f"{before.__module__} has already registered a {one} called {name}, and files know {many} by name; "
            "choose another class name"
        )


def same_origin(one: type, other: type) -> bool:
    """Whether two classes are the same in the source; a notebook defines one each time its cell runs."""
    return (one.__module__, one.__qualname__) == (other.__module__, other.__qualname__)


def make_layer(type_name: str, options: Mapping[str, Any]) -> Layer:
    """The layer that a file describes, or a LayerError that names what is unknown."""
    if type_name not in LAYER_TYPES:
        raise LayerError(
            f"there is no layer type {type_name!r}. If it is your own, import the module that registers it first"
        )
    try:
        return LAYER_TYPES[type_name](**options)
    except TypeError as error:
        named = isinstance(error, CallError)
        raise LayerError(str(error) if named else f"{type_name}: {error}") from None
