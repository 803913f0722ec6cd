"""Normalisations within one sample: the same in training and inference, and at any batch size."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from math import inf, prod
from typing import Any, ClassVar, Never, Self, final

from foveate.errors import LayerError, ShapeError
from foveate.geometry import format_sizes, input_of
from foveate.layers.base import (
    OTHER_NAMES,
    SPATIAL_LETTERS,
    Cost,
    ElementwiseLayer,
    Parameter,
    Shape,
    SpatialLayer,
    axis_letters,
)
from foveate.layers.normalization import Normalization
from foveate.layers.options import no_surplus, positive_int
from foveate.layers.sliding import divisors


@dataclass(frozen=True, kw_only=True)
class SampleNormalization(Normalization):
    """What the normalisations by a sample's own mean and variance share."""

    label: ClassVar[str] = "norm"

    centred: ClassVar[bool] = True
    """Whether the mean is subtracted."""

    eps: float = 1e-5
    affine: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.eps < inf:
            raise self.refuse(f"eps is {self.eps}; it must be positive and finite (1e-5 is usual)")

    @abstractmethod
    def values_per_mean(self, shape: Shape) -> int:
        """How many values of a sample of `shape` each mean is taken over; they are contiguous."""

    def affine_shape(self, shape: Shape) -> Shape:
        """Shape of gamma and beta for an input of `shape`."""
        return (shape[0],)

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """weight (gamma) and bias (beta), unless `affine` is False."""
        if not self.affine:
            return {}
        shape = self.affine_shape(input_shapes[0])
        return {"weight": Parameter(shape, "ones", decay=False), "bias": Parameter(shape, "zeros", decay=False)}

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """Two sums, centring and scaling for each element, and gamma and beta if there are any."""
        return Cost(flops=(7 if self.affine else 5) * prod(input_shapes[0]))

    def refuse_single_value(self, shape: Shape) -> None:
        """Raise a ShapeError if each mean would be taken over one value, which then normalises to zero."""
        if self.values_per_mean(shape) == 1:
            raise ShapeError(
                f"would take each mean over a single value of its {input_of(shape)}, so every value "
                "normalises to zero. Use LayerNorm over the channels too, or normalise before the sizes shrink to 1"
            )


@dataclass(frozen=True, kw_only=True)
class TrailingNormalization(SampleNormalization):
    """What LayerNorm and RMSNorm share: they normalise over a sample's last axes, or over all."""

    trailing_axes: int | None = None

    def __new__(cls, *surplus: Never, **_: Any) -> Self:
        """Refuse the shape, the first argument of PyTorch's normalisations of last axes."""
        if surplus:
            raise LayerError(
                f"{cls.__name__}: the shape is inferred: write {cls.__name__}() to normalise over all axes of a "
                f"sample, or {cls.__name__}(trailing_axes=1) over the last one"
            )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.trailing_axes is not None:
            positive_int(self.trailing_axes, "trailing_axes", type(self).__name__)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if self.trailing_axes is not None and self.trailing_axes > len(shape):
            raise ShapeError(
                f"normalises over the last {self.trailing_axes} axes, but its input {format_sizes(shape)} has "
                f"{len(shape)}. Use trailing_axes {len(shape)} at most, or leave it out for all axes"
            )
        if self.centred:
            self.refuse_single_value(shape)
        return shape

    def values_per_mean(self, shape: Shape) -> int:
        """The elements of the normalised axes."""
        return prod(self.affine_shape(shape))

    def affine_shape(self, shape: Shape) -> Shape:
        """The sizes of the normalised axes."""
        return shape if self.trailing_axes is None else shape[-self.trailing_axes :]

    def describe(self) -> str:
        """For example 'LayerNorm', or 'LayerNorm over the last 2 axes'."""
        if self.trailing_axes is None:
            return super().describe()
        axes = "axis" if self.trailing_axes == 1 else f"{self.trailing_axes} axes"
        return f"{super().describe()} over the last {axes}"

    def normalized_axes(self, spatial_axes: int | None = None) -> tuple[str, ...]:
        """The channels and all positions, or the last of these axes.

        >>> LayerNorm().normalized_axes()
        ('C', 'H', 'W')
        """
        letters = ("C", *axis_letters(2 if spatial_axes is None else spatial_axes))
        return letters if self.trailing_axes is None else letters[-self.trailing_axes :]


@final
@dataclass(frozen=True, kw_only=True)
class LayerNorm(TrailingNormalization):
    """Layer normalisation: each sample is centred and scaled over all its axes, or over its last ones.

        y = gamma (x - mu) / sqrt(var + eps) + beta

    Input and output of any shape. mu and var are one number for each sample (and for each position of the axes that are
    left out); gamma and beta have the shape of the normalised axes, one of each per element.

    Args:
        trailing_axes: how many of a sample's last axes to normalise over (default: all).
        eps: added to the variance.
        affine: whether gamma and beta exist.

    Raises:
        LayerError: eps or trailing_axes is out of range.

    Ba, Kiros, Hinton: Layer normalization, 2016.
    """


@final
@dataclass(frozen=True, kw_only=True)
class RMSNorm(TrailingNormalization):
    """Normalisation by the root of the mean square, over all axes of each sample, or over its last ones.

        y = gamma x / sqrt(mean of x^2 + eps)

    Input and output of any shape. The mean is one number for each sample (and for each position of the axes that are
    left out); gamma has the shape of the normalised axes, one for each element.

    Args:
        trailing_axes: how many of a sample's last axes to normalise over (default: all).
        eps: added to the mean square.
        affine: whether gamma exists.

    Raises:
        LayerError: eps or trailing_axes is out of range.

    Zhang, Sennrich: Root mean square layer normalization, 2019.
    """

    centred: ClassVar[bool] = False

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """weight (gamma), unless `affine` is False."""
        return {name: each for name, each in super().parameters(input_shapes).items() if name == "weight"}

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """A sum of squares and scaling for each element, and gamma if there is one."""
        return Cost(flops=(4 if self.affine else 3) * prod(input_shapes[0]))


@dataclass(frozen=True, kw_only=True)
class InstanceNormalization(SampleNormalization, SpatialLayer):
    """What instance normalisation over 1 to 3 spatial axes shares; use InstanceNorm1d, 2d or 3d."""

    affine: bool = False

    def __new__(cls, *surplus: Never, **_: Any) -> Self:
        """Refuse the number of channels, the first argument of PyTorch's normalisations."""
        no_surplus(surplus, cls.__name__)
        return super().__new__(cls)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        self.spatial_input(input_shapes)
        self.refuse_single_value(input_shapes[0])
        return input_shapes[0]

    def values_per_mean(self, shape: Shape) -> int:
        """The positions of a channel."""
        return prod(shape[1:])

    def normalized_axes(self, spatial_axes: int | None = None) -> tuple[str, ...]:
        """All positions.

        >>> InstanceNorm2d().normalized_axes()
        ('H', 'W')
        """
        return axis_letters(self.spatial_axes)


@final
class InstanceNorm1d(InstanceNormalization):
    """Instance normalisation of sequences (C, L). Arguments and formula as for InstanceNorm2d."""

    spatial_axes: ClassVar[int] = 1


@final
class InstanceNorm2d(InstanceNormalization):
    """Instance normalisation: each channel of each sample is centred and scaled over all positions.

        y = gamma (x - mu) / sqrt(var + eps) + beta

    Input and output (C, H, W); gamma and beta have the shape (C,). There are no running statistics.

    Args:
        eps: added to the variance.
        affine: whether gamma and beta exist (default: no, as in PyTorch).

    Raises:
        LayerError: eps is not positive.

    Ulyanov, Vedaldi, Lempitsky: Instance normalization, 2016.
    """

    spatial_axes: ClassVar[int] = 2


@final
class InstanceNorm3d(InstanceNormalization):
    """Instance normalisation of volumes (C, D, H, W). Arguments and formula as for InstanceNorm2d."""

    spatial_axes: ClassVar[int] = 3


@final
@dataclass(frozen=True, kw_only=True)
class GroupNorm(SampleNormalization):
    """Group normalisation: channels in groups, each centred and scaled over its channels and all positions.

        y = gamma (x - mu) / sqrt(var + eps) + beta

    Input and output (C, ...) of any rank; mu and var are one number for each sample and group, gamma and beta have the
    shape (C,). One group is layer normalisation except for gamma and beta; C groups are instance normalisation.

    Args:
        groups: how many; it must divide the channels.
        eps: added to the variance.
        affine: whether gamma and beta exist.

    Raises:
        LayerError: groups or eps is out of range.

    Wu, He: Group normalization, 2018.
    """

    groups: int = field(kw_only=False)

    def __new__(cls, groups: int = 1, *surplus: Never, **_: Any) -> Self:
        """Refuse the number of channels, the second argument of PyTorch's group normalisation."""
        if surplus:
            raise LayerError(f"GroupNorm: channels are inferred: write GroupNorm({groups}), and give options by name")
        return super().__new__(cls)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive_int(self.groups, "groups", "GroupNorm")

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if shape[0] % self.groups:
            raise ShapeError(
                f"groups is {self.groups}, which does not divide its {shape[0]} input channels. "
                f"Divisors of {shape[0]} are {divisors(shape[0])}"
            )
        self.refuse_single_value(shape)
        return shape

    def values_per_mean(self, shape: Shape) -> int:
        """The positions of a group's channels."""
        return prod(shape) // self.groups

    def normalized_axes(self, spatial_axes: int | None = None) -> tuple[str, ...]:
        """The channels of a group and all positions.

        >>> GroupNorm(8).normalized_axes()
        ('C/groups', 'H', 'W')
        """
        return "C/groups", *axis_letters(2 if spatial_axes is None else spatial_axes)

    def describe(self) -> str:
        """For example 'GroupNorm 32'."""
        return f"GroupNorm {self.groups}"


@final
@dataclass(frozen=True)
class LocalResponseNorm(ElementwiseLayer, Normalization):
    """Local response normalisation: each value is divided by a measure of its neighbours in other channels.

        y[c] = x[c] / (k + alpha / size * sum of x[j]^2)^beta,   c - floor(size / 2) <= j <= c + floor((size - 1) / 2)

    Channels outside count as zero. Input and output (C, ...) with at least one spatial axis.

    Args:
        size: number of neighbouring channels in the sum, including this one.
        alpha: weight of the mean of squares.
        beta: exponent.
        k: constant that the mean is added to; positive.

    Raises:
        LayerError: size or k is out of range.

    Krizhevsky, Sutskever, Hinton: ImageNet classification with deep convolutional neural networks, 2012 (with size 5,
    alpha 5e-4 in this form, beta 0.75, k 2).
    """

    label: ClassVar[str] = "lrn"
    call_hints: ClassVar[Mapping[str, str]] = OTHER_NAMES

    size: int
    _: KW_ONLY
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0

    def __post_init__(self) -> None:
        positive_int(self.size, "size", "LocalResponseNorm")
        if not 0 < self.k < inf:
            raise self.refuse(
                f"k is {self.k}; it must be positive and finite, or zeros would be divided by zero (1 is usual)"
            )
        for name in ("alpha", "beta"):
            value = getattr(self, name)
            if not -inf < value < inf:
                raise self.refuse(f"{name} is {value}; it must be finite")

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if len(shape) - 1 not in SPATIAL_LETTERS:
            raise ShapeError(
                f"needs an input with 1 to 3 spatial axes after its channels, but gets {format_sizes(shape)}"
            )
        return shape

    def normalized_axes(self, spatial_axes: int | None = None) -> tuple[str, ...]:
        """Neighbouring channels, at each position separately.

        >>> LocalResponseNorm(5).normalized_axes()
        ('5 of C',)
        """
        return (f"{self.size} of C",)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """A square, the sum over neighbours, scaling, shifting, a power and a product for each element."""
        return Cost(flops=(self.size + 5) * prod(input_shapes[0]))

    def describe(self) -> str:
        """For example 'LocalResponseNorm 5'."""
        return f"LocalResponseNorm {self.size}"
