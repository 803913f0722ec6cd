"""Layer types by name, for files: a type is found here or not at all; no file can name code to import."""

from collections.abc import Mapping
from typing import Any

from foveate.errors import LayerError
from foveate.layers import (
    activations,
    adaptive,
    convolution,
    linear,
    normalization,
    pooling,
    sample_normalization,
    structure,
    transposed,
)
from foveate.layers.base import Layer

_MODULES = (
    convolution, pooling, adaptive, linear, activations, normalization, sample_normalization, structure, transposed
)  # fmt: skip

_BUILT_IN: tuple[type[Layer], ...] = tuple(
    member
    for module in _MODULES
    for member in vars(module).values()
    if "__final__" in getattr(member, "__dict__", {}) and member.__module__ == module.__name__
)
"""Every layer marked with `final` where it is defined."""

_TYPES: dict[str, type[Layer]] = {layer.__name__: layer for layer in _BUILT_IN}


def built_in_layers() -> tuple[type[Layer], ...]:
    """Every layer type that comes with foveate."""
    return _BUILT_IN


def register_layer_type(layer_type: type[Layer]) -> None:
    """Make a layer type of one's own loadable by its name; a name that another layer has is refused.

    The same class, defined again, replaces itself: notebooks do that.
    """
    name = layer_type.__name__
    if name in {built_in.__name__ for built_in in _BUILT_IN}:
        raise LayerError(f"foveate has a layer called {name} already; choose another class name")
    before = _TYPES.get(name)
    if before is not None and (before.__module__, before.__qualname__) != (
        layer_type.__module__,
        layer_type.__qualname__,
    ):
        raise LayerError(
            f"{before.__module__} has registered a layer called {name} already, and files know layers by that name; "
            "choose another class name"
        )
    _TYPES[name] = layer_type


def make_layer(type_name: str, options: Mapping[str, Any]) -> Layer:
    """The layer that a file describes, or a LayerError that names what is unknown."""
    if type_name not in _TYPES:
        raise LayerError(
            f"there is no layer type {type_name!r}. If it is your own, import the module that registers it first"
        )
    try:
        return _TYPES[type_name](**options)
    except TypeError as error:
        raise LayerError(f"{type_name}: {str(error).split('__init__() ')[-1]}") from None
