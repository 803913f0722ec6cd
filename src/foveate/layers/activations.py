"""Activation functions: elementwise, without parameters."""

from dataclasses import dataclass
from typing import ClassVar

from foveate.layers.base import ElementwiseLayer


@dataclass(frozen=True)
class ReLU(ElementwiseLayer):
    """Rectified linear unit: y = max(0, x). Any shape.

    Nair, Hinton: Rectified linear units improve restricted Boltzmann machines, 2010.
    """

    label: ClassVar[str] = "relu"
    rectifies: ClassVar[bool] = True


@dataclass(frozen=True)
class LeakyReLU(ElementwiseLayer):
    """Rectifier with a slope below zero: y = max(slope * x, x). Any shape.

    Args:
        slope: 0.1 unless given, as in the lecture (PyTorch's default is 0.01); at least 0 and below 1.

    Maas, Hannun, Ng: Rectifier nonlinearities improve neural network acoustic models, 2013.
    """

    label: ClassVar[str] = "leaky_relu"
    rectifies: ClassVar[bool] = True

    slope: float = 0.1

    def __post_init__(self) -> None:
        if not 0 <= self.slope < 1:
            raise self.refuse(f"slope is {self.slope}; it must be at least 0 and below 1 (0 is ReLU)")

    def describe(self) -> str:
        """For example 'LeakyReLU 0.1'."""
        return f"LeakyReLU {self.slope:g}"


@dataclass(frozen=True)
class ELU(ElementwiseLayer):
    """Exponential linear unit: y = x for x >= 0, alpha * (exp(x) - 1) below. Any shape.

    Args:
        alpha: minus the limit for very negative x; positive.

    Clevert, Unterthiner, Hochreiter: Fast and accurate deep network learning by exponential linear units, 2015.
    """

    label: ClassVar[str] = "elu"
    rectifies: ClassVar[bool] = True

    alpha: float = 1.0

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise self.refuse(f"alpha is {self.alpha}; it must be positive (1 is usual)")

    def describe(self) -> str:
        """For example 'ELU 1'."""
        return f"ELU {self.alpha:g}"


@dataclass(frozen=True)
class Sigmoid(ElementwiseLayer):
    """Logistic function: y = 1 / (1 + exp(-x)). Any shape."""

    label: ClassVar[str] = "sigmoid"


@dataclass(frozen=True)
class Tanh(ElementwiseLayer):
    """Hyperbolic tangent: y = tanh(x). Any shape."""

    label: ClassVar[str] = "tanh"
