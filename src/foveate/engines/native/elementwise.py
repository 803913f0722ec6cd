"""Activations as oneDNN knows them: a name, two numbers, and whether the derivative needs the output alone."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from foveate.layers import (
    ELU,
    GELU,
    Hardsigmoid,
    Hardswish,
    Layer,
    LeakyReLU,
    Mish,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)


@dataclass(frozen=True)
class Elementwise:
    """A function of one number. `from_output`: y is enough for the derivative, so x need not be kept."""

    kind: str
    alpha: float = 0.0
    beta: float = 0.0
    from_output: bool = True


_FUNCTIONS: dict[type[Layer], Callable[[Any], Elementwise]] = {
    ReLU: lambda _: Elementwise("relu"),
    LeakyReLU: lambda layer: Elementwise("relu", layer.slope),
    ELU: lambda layer: Elementwise("elu", layer.alpha),
    Sigmoid: lambda _: Elementwise("sigmoid"),
    Tanh: lambda _: Elementwise("tanh"),
    ReLU6: lambda _: Elementwise("relu6", 0.0, 6.0),
    SiLU: lambda _: Elementwise("silu", 1.0, from_output=False),
    Hardswish: lambda _: Elementwise("hardswish", 1 / 6, 0.5, from_output=False),
    Hardsigmoid: lambda _: Elementwise("hardsigmoid", 1 / 6, 0.5, from_output=False),
    GELU: lambda layer: Elementwise("gelu_tanh" if layer.approximate == "tanh" else "gelu", from_output=False),
    Mish: lambda _: Elementwise("mish", from_output=False),
    Softplus: lambda layer: Elementwise("softplus", layer.beta, from_output=False),
}

ACTIVATIONS = tuple(_FUNCTIONS)
"""The layer types that are elementwise functions of oneDNN's."""


def elementwise(layer: Layer) -> Elementwise:
    """The function of an activation layer."""
    return _FUNCTIONS[type(layer)](layer)
