"""The fully connected layer, and products of two inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Never, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, Extent, format_sizes
from foveate.layers.base import SPATIAL_LETTERS, Cost, Layer, Parameter, Shape, positionwise
from foveate.layers.options import initializer_name, no_surplus, positive_int
from foveate.layers.pooling import GlobalAveragePooling


@final
@dataclass(frozen=True, init=False)
class Linear(Layer):
    """Each output is connected to the entire input: y = W x + b.

    Input (D,), output (out_features,). W has the shape (out_features, D). With `last_axis`, input (..., D) and output
    (..., out_features): the same product at every position of the axes before the last, as in PyTorch.

    Args:
        out_features: number of outputs; input features are inferred when the network is built.
        bias: whether to add a number to each output.
        initializer: how the weights start: "auto", "he", "xavier", "zeros" or "ones".
        frozen: whether the weights stay fixed, as in a filter bank: they get no gradient and no update.
        last_axis: whether the input may have other axes before the last, which stay as they are.

    Raises:
        LayerError: a hyper-parameter is out of range.

    >>> Linear(10).output_shape([(3072,)])
    (10,)
    """

    label: ClassVar[str] = "linear"
    takes_flat: ClassVar[bool] = True

    out_features: int
    bias: bool
    initializer: str
    frozen: bool
    last_axis: bool

    def __init__(
        self,
        out_features: int,
        *surplus: Never,
        bias: bool = True,
        initializer: str = "auto",
        frozen: bool = False,
        last_axis: bool = False,
    ) -> None:
        sentence = (
            "input features are inferred, so only out_features can be given without a name. Leave the first number "
            f"out: Linear({surplus[0]!r})"
            if surplus
            else ""
        )
        no_surplus(surplus, "Linear", sentence)
        object.__setattr__(self, "out_features", positive_int(out_features, "out_features", "Linear"))
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "initializer", initializer_name(initializer, "Linear"))
        object.__setattr__(self, "frozen", frozen)
        object.__setattr__(self, "last_axis", last_axis)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(out_features,); the input must be flat, unless it is `last_axis` that is multiplied."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if len(shape) != 1 and not self.last_axis:
            alternative = ""
            if len(shape) - 1 in SPATIAL_LETTERS:
                pooling = GlobalAveragePooling.over(len(shape) - 1).__name__
                alternative = f", or {pooling} to keep only the channels"
            raise ShapeError(f"needs a flat input, but gets {format_sizes(shape)}. Put Flatten before it{alternative}")
        return *shape[:-1], self.out_features

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """weight (out_features, in_features), and bias (out_features,) unless `bias` is False."""
        features = input_shapes[0][-1]
        weight = Parameter(
            shape=(self.out_features, features),
            initializer=self.initializer,
            decay=True,
            fan_in=features,
            fan_out=self.out_features,
            trainable=not self.frozen,
        )
        if not self.bias:
            return {"weight": weight}
        bias = Parameter((self.out_features,), "zeros", decay=False, trainable=not self.frozen)
        return {"weight": weight, "bias": bias}

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Everything on the last axis, and its own position on those before it."""
        (reaches,) = positionwise(input_shapes)
        return ((*reaches[:-1], Extent.EVERYTHING) if reaches else (),)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One multiply-accumulate for each weight, at each position."""
        positions = prod(input_shapes[0][:-1])
        macs = positions * input_shapes[0][-1] * self.out_features
        return Cost(macs=macs, flops=2 * macs + (positions * self.out_features if self.bias else 0))

    def describe(self) -> str:
        """For example 'Linear 10'."""
        options = (", last axis" if self.last_axis else "") + (", frozen" if self.frozen else "")
        return f"Linear {self.out_features}{options}"


@final
@dataclass(frozen=True)
class MatMul(Layer):
    """Matrix product of two inputs, for each position of the axes before the last two; one of length 1 is repeated.

        y[h, i, j] = sum over k of a[h, i, k] b[h, k, j]

    Input (..., M, K) and (..., K, N), output (..., M, N). Attention multiplies queries with keys, and the
    Softmax of that with values, for each head.

    Raises:
        ShapeError: the inputs are no such matrices; says which sizes do not match.

    Vaswani et al.: Attention is all you need, 2017.

    >>> MatMul().output_shape([(8, 50, 64), (8, 64, 50)])
    (8, 50, 50)
    """

    label: ClassVar[str] = "matmul"
    inputs_expected: ClassVar[tuple[int, int | None]] = (2, 2)

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(..., M, N), the axes before as long as the longer of both."""
        self.check_inputs(input_shapes)
        left, right = input_shapes
        told = f"{format_sizes(left)} and {format_sizes(right)}"
        if len(left) != len(right) or len(left) < 2:
            raise ShapeError(
                f"multiplies matrices, but gets {told}. Both need equally many axes, at least two; Reshape adds axes"
            )
        if left[-1] != right[-2]:
            raise ShapeError(
                f"multiplies rows of {left[-1]} numbers with columns of {right[-2]}: its inputs are {told}. The last "
                "axis of the first must be as long as the last but one of the second; Transpose exchanges axes"
            )
        if any(one != other and 1 not in (one, other) for one, other in zip(left[:-2], right[:-2], strict=True)):
            raise ShapeError(f"multiplies {told}. The axes before the last two must be equally long, or 1")
        return *map(max, left[:-2], right[:-2]), left[-2], right[-1]

    def reaches(self, input_shapes: Sequence[Shape]) -> tuple[tuple[AxisReach, ...], ...]:
        """Everything along the axis that is summed over; its own position on the others."""
        left, right = (list(own) for own in positionwise(input_shapes))
        made = self.output_shape(input_shapes)
        for own, shape, summed in ((left, input_shapes[0], -1), (right, input_shapes[1], -2)):
            repeated = [place for place, size in enumerate(shape[1:-2], start=1) if size != made[place]]
            for place in [*repeated, len(shape) + summed]:
                if place:
                    own[place - 1] = Extent.EVERYTHING
        return tuple(left), tuple(right)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One multiply-accumulate for each output and number that is summed over."""
        flops = 2 * prod(self.output_shape(input_shapes)) * input_shapes[0][-1]
        return Cost(flops=flops)
