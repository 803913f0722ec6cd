"""What normalisations share, and the one over the batch; those within a sample are in `sample_normalization`."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf, prod
from typing import Any, ClassVar, Never, Self, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, Extent, format_sizes, shift_reach
from foveate.layers.base import SPATIAL_LETTERS, Cost, Layer, Parameter, Shape, Statistic, axis_letters, positionwise
from foveate.layers.options import no_surplus


class Normalization(Layer):
    """A layer that centres and scales; the kinds differ in the axes that each mean and variance is taken over."""

    keeps_signal: ClassVar[bool] = True

    @abstractmethod
    def normalized_axes(self, spatial_axes: int | None = None) -> tuple[str, ...]:
        """The axes that each mean and variance is taken over, as letters from N, C, D, H, W (or L).

        Args:
            spatial_axes: how many the input has (default: the number in the layer's name, or 2).
        """

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """The whole of each axis that a sample's means are taken over; on the others, its own position."""
        letters = axis_letters(len(input_shapes[0]) - 1)
        normalized = self.normalized_axes(len(letters))
        return (tuple(Extent.EVERYTHING if letter in normalized else shift_reach(0) for letter in letters),)


@dataclass(frozen=True, kw_only=True)
class BatchNormalization(Normalization):
    """What batch normalisation over 0 to 3 spatial axes shares; use BatchNorm1d, BatchNorm2d or BatchNorm3d."""

    label: ClassVar[str] = "bn"

    eps: float = 1e-5
    momentum: float = 0.1
    affine: bool = True
    frozen: bool = False

    def __new__(cls, *surplus: Never, **_: Any) -> Self:
        """Refuse the number of channels, the first argument of PyTorch's normalisations."""
        no_surplus(surplus, cls.__name__)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        if not 0 < self.eps < inf:
            raise self.refuse(f"eps is {self.eps}; it must be positive and finite (1e-5 is usual)")
        if not 0 <= self.momentum <= 1:
            raise self.refuse(
                f"momentum is {self.momentum}; it is the weight given to the new batch, from 0 to 1 (0.1 is usual)"
            )

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """The input's shape."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if len(shape) - 1 not in self.spatial_ranks:
            wanted = " or ".join("C" + (f" x {SPATIAL_LETTERS[r]}" if r else "") for r in self.spatial_ranks)
            advice = "A sample has at most 3 spatial axes after its channels"
            if len(shape) <= 4:
                advice = f"Use {type(self).over(len(shape) - 1).__name__}"
            raise ShapeError(f"needs an input of {wanted}, but gets {format_sizes(shape)}. {advice}")
        return shape

    def normalized_axes(self, spatial_axes: int | None = None) -> tuple[str, ...]:
        """The batch and all positions.

        >>> BatchNorm2d().normalized_axes()
        ('N', 'H', 'W')
        """
        return "N", *axis_letters(self.spatial_ranks[-1] if spatial_axes is None else spatial_axes)

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Its own position: in inference the statistics are constants."""
        return positionwise(input_shapes)

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """weight (gamma) and bias (beta), one of each per channel, unless `affine` is False."""
        if not self.affine:
            return {}
        channels = (input_shapes[0][0],)
        return {
            "weight": Parameter(channels, "ones", decay=False, trainable=not self.frozen),
            "bias": Parameter(channels, "zeros", decay=False, trainable=not self.frozen),
        }

    def statistics(self, input_shapes: Sequence[Shape]) -> Mapping[str, Statistic]:
        """running_mean and running_var, one of each per channel."""
        channels = (input_shapes[0][0],)
        return {"running_mean": Statistic(channels, 0.0), "running_var": Statistic(channels, 1.0)}

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """A multiplication and an addition for each element, as at test time."""
        return Cost(flops=2 * prod(input_shapes[0]))

    def describe(self) -> str:
        """For example 'BatchNorm2d, frozen'."""
        return type(self).__name__ + (", frozen" if self.frozen else "")


@final
class BatchNorm1d(BatchNormalization):
    """Batch normalisation of features (D,) or of sequences (C, L). Arguments and formula as for BatchNorm2d."""

    spatial_ranks: ClassVar[tuple[int, ...]] = (0, 1)


@final
class BatchNorm2d(BatchNormalization):
    """Batch normalisation: each channel is centred and scaled over the batch and all positions.

        y = gamma (x - mu) / sqrt(var + eps) + beta

    In training mu and var come from the batch (var biased), and the running statistics move towards them:
    new = (1 - momentum) old + momentum batch (unbiased var). In inference the running statistics are used, so the
    layer is linear and folds into the convolution before it.

    Input and output (C, H, W); gamma, beta, mu, var have the shape (C,).

    Args:
        eps: added to the variance.
        momentum: the weight given to the new batch (PyTorch's sense).
        affine: whether gamma and beta exist.
        frozen: use running statistics in training too, and train neither gamma nor beta.

    Raises:
        LayerError: eps or momentum is out of range.

    Ioffe, Szegedy: Batch normalization, 2015.
    """

    spatial_ranks: ClassVar[tuple[int, ...]] = (2,)


@final
class BatchNorm3d(BatchNormalization):
    """Batch normalisation of volumes (C, D, H, W). Arguments and formula as for BatchNorm2d."""

    spatial_ranks: ClassVar[tuple[int, ...]] = (3,)
