"""What every layer is: frozen hyper-parameters that know a shape rule, parameters and a cost. No arrays here."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from math import prod
from typing import Any, ClassVar, TypeAlias

from foveate.errors import LayerError, ShapeError
from foveate.geometry import Window, format_sizes

Shape: TypeAlias = tuple[int, ...]
"""Axis lengths of one sample, channels first, without the batch axis: (C, H, W), or (features,)."""


@dataclass(frozen=True)
class Parameter:
    """A trainable array: its shape, how it starts, and whether weight decay applies to it.

    `initializer` is a name of `foveate.layers.options.INITIALIZERS`; "auto" means He where a rectifier follows, else
    Xavier; "constant 0.25" starts every element at that number. `fan_in` and `fan_out` count the inputs of one output
    and the outputs of one input.
    """

    shape: Shape
    initializer: str
    decay: bool
    fan_in: int = 1
    fan_out: int = 1
    trainable: bool = True


@dataclass(frozen=True)
class Statistic:
    """An array that training measures rather than learns, such as BatchNorm's running mean."""

    shape: Shape
    initial: float


@dataclass(frozen=True)
class Cost:
    """Arithmetic for one sample: multiply-accumulates of products with weights, and all floating-point operations."""

    macs: int = 0
    flops: int = 0


class Layer(ABC):
    """Base of every layer: a frozen dataclass of hyper-parameters."""

    label: ClassVar[str]
    """How an unnamed layer of this type is called in a network: `label` and a number."""

    inputs_expected: ClassVar[tuple[int, int | None]] = (1, 1)
    """Fewest and most inputs; None for any number."""

    rectifies: ClassVar[bool] = False
    """Whether it belongs to ReLU's family, so that the weights before it start by He's rule."""

    keeps_signal: ClassVar[bool] = False
    """Whether the search for that rectifier looks past this layer (normalisation, pooling, dropout)."""

    pads_less_than_window: ClassVar[bool] = False
    """Whether padding as long as the window is refused, because some window would see nothing else."""

    @abstractmethod
    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """Shape of the output of one sample, or a ShapeError that says what would fit."""

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """The trainable arrays by name; none unless a layer says otherwise."""
        return {}

    def statistics(self, input_shapes: Sequence[Shape]) -> Mapping[str, Statistic]:
        """The measured arrays by name; none unless a layer says otherwise."""
        return {}

    def windows(self, input_shapes: Sequence[Shape]) -> tuple[Window, ...] | None:
        """The sliding window of each spatial axis with its padding resolved, or None where nothing slides."""
        return None

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """Arithmetic for one sample; nothing unless a layer says otherwise."""
        return Cost()

    def describe(self) -> str:
        """The type and its hyper-parameters in a few words, for summaries and errors."""
        return type(self).__name__

    def options(self) -> dict[str, Any]:
        """Hyper-parameters by name, as plain values from which the layer can be made again."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.init}  # type: ignore[arg-type]

    def check_inputs(self, input_shapes: Sequence[Shape]) -> None:
        """Raise a ShapeError when the number of inputs is not one this layer takes."""
        least, most = self.inputs_expected
        if len(input_shapes) < least or (most is not None and len(input_shapes) > most):
            wanted = f"exactly {least}" if least == most else f"at least {least}"
            plural = "" if least == 1 else "s"
            raise ShapeError(f"takes {wanted} input{plural}, but {len(input_shapes)} are joined to it")

    def refuse(self, sentence: str) -> LayerError:
        """A LayerError that begins with this layer's type."""
        return LayerError(f"{type(self).__name__}: {sentence}")


class SpatialLayer(Layer):
    """A layer over 1, 2 or 3 spatial axes, for inputs C x L, C x H x W or C x D x H x W."""

    spatial_axes: ClassVar[int]

    def spatial_input(self, input_shapes: Sequence[Shape]) -> tuple[int, Shape]:
        """Channels and spatial sizes of the only input, or a ShapeError that says what it should look like."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if len(shape) != self.spatial_axes + 1:
            letters = SPATIAL_LETTERS[self.spatial_axes]
            raise ShapeError(
                f"needs an input of C x {letters}, but gets {format_sizes(shape)} ({len(shape)} axes). "
                f"{_other_rank(shape, type(self).__name__)}"
            )
        return shape[0], shape[1:]


class ElementwiseLayer(Layer):
    """A layer that keeps the shape of its only input, whatever that is."""

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        self.check_inputs(input_shapes)
        return input_shapes[0]

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One operation for each element."""
        return Cost(flops=prod(input_shapes[0]))


SPATIAL_LETTERS = {1: "L", 2: "H x W", 3: "D x H x W"}


def _other_rank(shape: Shape, type_name: str) -> str:
    axes = len(shape) - 1
    if type_name[-2:-1].isdigit() and axes in SPATIAL_LETTERS:
        letters = SPATIAL_LETTERS[int(type_name[-2])]
        return f"Use {type_name[:-2]}{axes}d, or give the input {letters} after its channels."
    if axes == 0:
        return "Put it before Flatten and the linear layers."
    return "A sample has 1 to 3 spatial axes after its channels."
