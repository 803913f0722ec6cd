"""Modules that foveate's layers need and torch.nn does not have."""

from collections.abc import Mapping, Sequence
from typing import Any, Self, TypeAlias

import torch
from torch import nn
from torch.nn import functional

Pairs: TypeAlias = Sequence[tuple[int, int]]
"""(begin, end) of each of the last axes."""


def amounts(pairs: Pairs) -> tuple[int, ...]:
    """Padding in PyTorch's order: the last axis first."""
    return tuple(amount for pair in reversed(pairs) for amount in pair)


class Padding(nn.Module):
    """Zeros, or another number, around any axes; a negative number crops. `pairs` are (begin, end) of the last axes."""

    def __init__(self, pairs: Pairs, value: float = 0.0) -> None:
        super().__init__()
        self.amounts, self.value = amounts(pairs), value

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The padded tensor."""
        return functional.pad(x, self.amounts, value=self.value)

    def extra_repr(self) -> str:
        """The amounts in PyTorch's order, the last axis first."""
        return str(list(self.amounts))


class Subsampling(nn.Module):
    """Every n-th position of each spatial axis, as a view."""

    def __init__(self, strides: Sequence[int]) -> None:
        super().__init__()
        self.strides = tuple(strides)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The view of `x`."""
        return x[(slice(None), slice(None), *(slice(None, None, stride) for stride in self.strides))]

    def extra_repr(self) -> str:
        """The steps."""
        return str(self.strides)


class CountedAverage(nn.Module):
    """Averages over windows that overhang in ways that PyTorch's pooling cannot express.

    `pairs` pad the input to whole windows, tiled by `pool`; `counts` says how many positions each output
    averages over.
    """

    counts: torch.Tensor

    def __init__(self, pairs: Pairs, pool: nn.Module, taps: int, counts: torch.Tensor) -> None:
        super().__init__()
        self.padding, self.pool, self.taps = Padding(pairs), pool, taps
        self.register_buffer("counts", counts, persistent=False)  # follows from the layer, so no file needs it

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Averages over whole windows, each scaled to its own count."""
        averages: torch.Tensor = self.pool(self.padding(x))
        return averages * self.taps / self.counts


class Maxout(nn.Module):
    """The maximum over groups of `pieces` neighbouring channels."""

    def __init__(self, pieces: int) -> None:
        super().__init__()
        self.pieces = pieces

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(N, channels / pieces, ...); the first of equal maxima gets the gradient."""
        return torch.unflatten(x, 1, (-1, self.pieces)).max(2).values

    def extra_repr(self) -> str:
        """The number of pieces."""
        return str(self.pieces)


class FeatureShuffle(nn.Module):
    """nn.ChannelShuffle for features without spatial axes, which it refuses."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The groups interleaved."""
        return torch.unflatten(x, 1, (self.groups, -1)).transpose(1, 2).flatten(1, 2)

    def extra_repr(self) -> str:
        """The number of groups."""
        return str(self.groups)


class Clamp(nn.Module):
    """Numbers clipped to bounds, either of which may be None."""

    def __init__(self, low: float | None, high: float | None) -> None:
        super().__init__()
        self.low, self.high = low, high

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The clipped numbers."""
        return torch.clamp(x, self.low, self.high)

    def extra_repr(self) -> str:
        """The bounds."""
        return f"{self.low}, {self.high}"


class Line(nn.Module):
    """Every number times `factor`, plus `shift`."""

    def __init__(self, factor: float, shift: float) -> None:
        super().__init__()
        self.factor, self.shift = factor, shift

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product, and the sum where something is added."""
        product = x * self.factor
        return product + self.shift if self.shift else product

    def extra_repr(self) -> str:
        """Both numbers."""
        return f"{self.factor}, {self.shift}"


class LearnedLine(nn.Module):
    """Every number times a learned one, plus another; `spread` has their sizes, 1 where they are shared."""

    weight: nn.Parameter | None
    bias: nn.Parameter | None

    def __init__(self, spread: Sequence[int], parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self.spread = tuple(spread)
        for name, start in (("weight", torch.ones), ("bias", torch.zeros)):
            wanted = parameters.get(name)
            self.register_parameter(name, None if wanted is None else nn.Parameter(start(wanted.shape)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The product and the sum, where there are numbers for them."""
        weight, bias = (None if each is None else each.reshape(self.spread) for each in (self.weight, self.bias))
        if weight is None:
            return x if bias is None else x + bias
        return x * weight if bias is None else torch.addcmul(bias, x, weight)

    def extra_repr(self) -> str:
        """The sizes."""
        return str(self.spread)


class LearnedSlopes(nn.Module):
    """The rectifier with learned slopes below zero; `spread` has their sizes, 1 where they are shared."""

    def __init__(self, spread: Sequence[int], shape: Sequence[int]) -> None:
        super().__init__()
        self.spread, self.weight = tuple(spread), nn.Parameter(torch.full(tuple(shape), 0.25))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """`x` above zero, and its product with the slopes below."""
        return torch.where(x > 0, x, self.weight.reshape(self.spread) * x)


class Reducing(nn.Module):
    """The mean, sum, product, maximum or minimum along axes of each sample; 0 is the first after the batch."""

    def __init__(self, kind: str, axes: Sequence[int], keepdims: bool) -> None:
        super().__init__()
        self.kind, self.axes, self.keepdims = kind, tuple(axes), keepdims

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """One number for each position of the other axes."""
        if self.kind == "prod":
            for axis in reversed(self.axes):
                x = torch.prod(x, axis + 1, keepdim=self.keepdims)
            return x
        function = {"mean": torch.mean, "sum": torch.sum, "max": torch.amax, "min": torch.amin}[self.kind]
        return function(x, [axis + 1 for axis in self.axes], keepdim=self.keepdims)  # type: ignore[operator,no-any-return]

    def extra_repr(self) -> str:
        """What is reduced, and how."""
        return f"{self.kind}, {self.axes}, keepdims={self.keepdims}"


class Resizing(nn.Module):
    """functional.interpolate with its options, of which nn.Upsample has not all."""

    def __init__(self, size: Any, scale: Any, mode: str, align_corners: bool, antialias: bool) -> None:
        super().__init__()
        self.options: dict[str, Any] = {"size": size, "scale_factor": scale, "mode": mode, "antialias": antialias}
        if "nearest" not in mode:
            self.options["align_corners"] = align_corners

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The resized tensor."""
        return functional.interpolate(x, **self.options)

    def extra_repr(self) -> str:
        """The options that are given."""
        return ", ".join(f"{name}={value}" for name, value in self.options.items() if value)


class PowerOf(nn.Module):
    """Every number to the power `exponent`."""

    def __init__(self, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The powers."""
        return x**self.exponent

    def extra_repr(self) -> str:
        """The exponent."""
        return str(self.exponent)


class Exponential(nn.Module):
    """The exponential function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Exp of every number."""
        return torch.exp(x)


class Logarithm(nn.Module):
    """The natural logarithm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Log of every number."""
        return torch.log(x)


class ErrorFunction(nn.Module):
    """The error function."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Erf of every number."""
        return torch.erf(x)


class Magnitude(nn.Module):
    """The magnitude of every number."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Without signs."""
        return torch.abs(x)


class Reshaping(nn.Module):
    """The axes of each sample in another shape."""

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        self.shape = tuple(shape)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The same values."""
        return x.reshape(x.shape[0], *self.shape)

    def extra_repr(self) -> str:
        """The shape without the batch."""
        return str(self.shape)


class Reordering(nn.Module):
    """The axes of each sample in another order; 0 is the first after the batch."""

    def __init__(self, axes: Sequence[int]) -> None:
        super().__init__()
        self.axes = tuple(axes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A view of `x`."""
        return x.permute(0, *(axis + 1 for axis in self.axes))

    def extra_repr(self) -> str:
        """The order."""
        return str(self.axes)


class Slicing(nn.Module):
    """Some positions of one axis of each sample; 0 is the first after the batch."""

    def __init__(self, axis: int, positions: range) -> None:
        super().__init__()
        self.axis, self.positions = axis, positions

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """A view of `x`, or of `x` turned round."""
        begin, step = self.positions.start, self.positions.step
        if step < 0:
            x, begin = x.flip(self.axis + 1), x.shape[self.axis + 1] - 1 - begin
        end = begin + (len(self.positions) - 1) * abs(step) + 1
        return x[(slice(None),) * (self.axis + 1) + (slice(begin, end, abs(step)),)]

    def extra_repr(self) -> str:
        """The axis and its positions."""
        return f"{self.axis}, {self.positions}"


class FrozenNorm(nn.modules.batchnorm._BatchNorm):
    """Uses the running statistics in training too, and does not update them."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.training = False

    def train(self, mode: bool = True) -> Self:
        """Do nothing: it stays in inference mode."""
        return super().train(False)


class FrozenBatchNorm1d(FrozenNorm, nn.BatchNorm1d):
    """nn.BatchNorm1d that stays in inference mode."""


class FrozenBatchNorm2d(FrozenNorm, nn.BatchNorm2d):
    """nn.BatchNorm2d that stays in inference mode."""


class FrozenBatchNorm3d(FrozenNorm, nn.BatchNorm3d):
    """nn.BatchNorm3d that stays in inference mode."""
