"""What one case of a layer is, and what the cases share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

from foveate.engines.base import Mode
from foveate.layers import Layer, Shape
from tests.support import TorchForward

Pairs = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Case:
    """A layer, the shapes of its inputs and what PyTorch says it computes."""

    layer: Layer
    shapes: tuple[Shape, ...]
    torch: TorchForward
    batch: int = 2
    mode: Mode = "training"


def each(value: Any, axes: int) -> tuple[Any, ...]:
    """`value` for each axis."""
    return (value,) * axes if isinstance(value, int) else tuple(value)


def same_pairs(sizes: Shape, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Pairs:
    """ "same" by its definition: output ceil(W/S), the odd zero at the end."""
    pairs = []
    for size, taps, step, gap in zip(sizes, kernel, stride, dilation, strict=True):
        outputs = (size + step - 1) // step
        missing = max(0, (outputs - 1) * step + gap * (taps - 1) + 1 - size)
        pairs.append((missing // 2, (missing + 1) // 2))
    return tuple(pairs)


def explicit_pairs(
    padding: Any, sizes: Shape, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Pairs:
    """Padding in any of its forms as (begin, end) pairs."""
    if padding == "same":
        return same_pairs(sizes, kernel, stride, dilation)
    if padding == "valid":
        return ((0, 0),) * len(sizes)
    return tuple((item, item) if isinstance(item, int) else item for item in each(padding, len(sizes)))


def padded(x: torch.Tensor, pairs: Pairs, value: float | None = None, mode: str = "constant") -> torch.Tensor:
    """`x` with `pairs` of padding around its last axes."""
    return F.pad(x, [n for pair in reversed(pairs) for n in pair], mode=mode, value=value)


def elementwise(layer: Layer, function: Callable[[torch.Tensor], torch.Tensor], shape: Shape = (3, 5, 4)) -> Case:
    """A layer that keeps its input's shape."""
    return Case(layer, (shape,), lambda x, _: function(x[0]))
