"""Output sizes against PyTorch on meta tensors, which have sizes and no data: 100,000 random combinations."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

import foveate as fv

CONVOLUTIONS = (fv.Conv1d, fv.Conv2d, fv.Conv3d)
MAXIMA = (fv.MaxPool1d, fv.MaxPool2d, fv.MaxPool3d)
AVERAGES = (fv.AvgPool1d, fv.AvgPool2d, fv.AvgPool3d)
TRANSPOSED = (fv.ConvTranspose1d, fv.ConvTranspose2d, fv.ConvTranspose3d)

THREE = ("kernel_size", "stride", "padding")
"""The options of an average along one axis."""

Combination = tuple[str, int, tuple[int, ...], dict[str, Any]]


def combinations(count: int, seed: int) -> Iterator[Combination]:
    """(kind, axes, sizes, options); every option has one number for each axis."""
    random = np.random.default_rng(seed)
    numbers = random.integers(0, 1 << 30, (count, 24)).tolist()
    for drawn in numbers:
        kind = ("convolution", "maximum", "average", "transposed")[drawn[0] % 4]
        axes = 1 + drawn[1] % 3

        def each(at: int, low: int, high: int, drawn: list[int] = drawn, axes: int = axes) -> tuple[int, ...]:
            return tuple(low + n % (high - low + 1) for n in drawn[at : at + axes])

        options: dict[str, Any] = {"kernel_size": each(2, 1, 7), "stride": each(5, 1, 5), "padding": each(8, 0, 4)}
        if kind != "average":
            options["dilation"] = each(11, 1, 4)
        if kind in ("maximum", "average"):
            options["ceil_mode"] = drawn[20] % 2 == 0
            options["padding"] = tuple(
                p % (k // 2 + 1) for p, k in zip(options["padding"], options["kernel_size"], strict=True)
            )
        if kind == "transposed":
            most = [max(s, d) for s, d in zip(options["stride"], options["dilation"], strict=True)]
            options["output_padding"] = tuple(n % limit for n, limit in zip(drawn[14:], most, strict=False))
        yield kind, axes, each(17, 1, 40), options


def ours(kind: str, axes: int, sizes: tuple[int, ...], options: dict[str, Any]) -> tuple[int, ...] | None:
    """The output's sizes, or None where the layer is refused."""
    try:
        if kind == "convolution":
            return CONVOLUTIONS[axes - 1](1, **options).output_shape([(1, *sizes)])[1:]
        if kind == "transposed":
            return TRANSPOSED[axes - 1](1, **options).output_shape([(1, *sizes)])[1:]
        return (MAXIMA if kind == "maximum" else AVERAGES)[axes - 1](**options).output_shape([(1, *sizes)])[1:]
    except (fv.ShapeError, fv.LayerError):
        return None


def theirs(kind: str, axes: int, sizes: tuple[int, ...], options: dict[str, Any]) -> tuple[int, ...] | None:
    """PyTorch's sizes, or None where it refuses or the output would be empty.

    Its avg_pool3d alone refuses a window longer than the input without its padding: it is asked axis by axis instead.
    """
    if kind == "average" and axes == 3:
        each = zip(*([(n,) for n in values] for values in (sizes, *(options[key] for key in THREE))), strict=True)
        lines = [
            theirs(kind, 1, axis[0], dict(zip(THREE, axis[1:], strict=True)) | {"ceil_mode": options["ceil_mode"]})
            for axis in each
        ]
        return None if None in lines else tuple(line[0] for line in lines if line is not None)
    try:
        made = _meta(kind, axes, torch.empty(1, 1, *sizes, device="meta"), options)
    except RuntimeError:
        return None
    return made if min(made) >= 1 else None


def _meta(kind: str, axes: int, x: torch.Tensor, options: dict[str, Any]) -> tuple[int, ...]:
    function = torch.nn.functional
    if kind in ("convolution", "transposed"):
        weight = torch.empty(1, 1, *options["kernel_size"], device="meta")
        name = f"conv{axes}d" if kind == "convolution" else f"conv_transpose{axes}d"
        rest = {key: value for key, value in options.items() if key != "kernel_size"}
        return tuple(getattr(function, name)(x, weight, **rest).shape[2:])
    name = f"{'max' if kind == 'maximum' else 'avg'}_pool{axes}d"
    return tuple(getattr(function, name)(x, **options).shape[2:])


def differences(count: int, seed: int) -> tuple[list[tuple[Any, ...]], int]:
    """Combinations whose sizes differ, and how many of the others have an output."""
    differ, agreed = [], 0
    for combination in combinations(count, seed):
        mine, torchs = ours(*combination), theirs(*combination)
        if mine != torchs and not _misses_a_short_axis(combination, mine):
            differ.append((combination, mine, torchs))
        agreed += mine is not None and mine == torchs
    return differ, agreed


def _misses_a_short_axis(combination: Combination, mine: tuple[int, ...] | None) -> bool:
    """A pooling whose taps step over the whole axis: PyTorch gives minus infinity, foveate refuses when built."""
    kind, _, sizes, options = combination
    gaps = options.get("dilation", ())
    return kind == "maximum" and mine is None and any(gap > size for gap, size in zip(gaps, sizes, strict=True))


@pytest.mark.parametrize("seed", range(10))
def test_sizes_are_pytorchs_on_10_times_10_000_combinations(seed: int):
    differ, agreed = differences(10_000, seed)
    assert differ[:3] == []
    assert agreed >= 6_000
