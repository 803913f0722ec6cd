"""The fully connected layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Never, final

from foveate.errors import ShapeError
from foveate.geometry import AxisReach, format_sizes
from foveate.layers.base import SPATIAL_LETTERS, Cost, Layer, Parameter, Shape, everything
from foveate.layers.options import initializer_name, no_surplus, positive_int
from foveate.layers.pooling import GlobalAveragePooling


@final
@dataclass(frozen=True, init=False)
class Linear(Layer):
    """Each output is connected to the entire input: y = W x + b.

    Input (D,), output (out_features,). W has the shape (out_features, D).

    Args:
        out_features: number of outputs; input features are inferred when the network is built.
        bias: whether to add a number to each output.
        initializer: how the weights start: "auto", "he", "xavier", "zeros" or "ones".
        frozen: whether the weights stay fixed, as in a filter bank: they get no gradient and no update.

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

    def __init__(
        self,
        out_features: int,
        *surplus: Never,
        bias: bool = True,
        initializer: str = "auto",
        frozen: bool = False,
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

    def output_shape(self, input_shapes: Sequence[Shape]) -> Shape:
        """(out_features,); the input must be flat."""
        self.check_inputs(input_shapes)
        shape = input_shapes[0]
        if len(shape) != 1:
            alternative = ""
            if len(shape) - 1 in SPATIAL_LETTERS:
                pooling = GlobalAveragePooling.over(len(shape) - 1).__name__
                alternative = f", or {pooling} to keep only the channels"
            raise ShapeError(f"needs a flat input, but gets {format_sizes(shape)}. Put Flatten before it{alternative}")
        return (self.out_features,)

    def parameters(self, input_shapes: Sequence[Shape]) -> Mapping[str, Parameter]:
        """weight (out_features, in_features), and bias (out_features,) unless `bias` is False."""
        (features,) = input_shapes[0]
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
        """Everything, though its flat input has no spatial axes to list."""
        return everything(input_shapes)

    def cost(self, input_shapes: Sequence[Shape]) -> Cost:
        """One multiply-accumulate for each weight."""
        macs = input_shapes[0][0] * self.out_features
        return Cost(macs=macs, flops=2 * macs + (self.out_features if self.bias else 0))

    def describe(self) -> str:
        """For example 'Linear 10'."""
        return f"Linear {self.out_features}" + (", frozen" if self.frozen else "")
