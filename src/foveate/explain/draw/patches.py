"""Figures of patches: samples as curves, images or slices, with padding hatched."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.explain.draw.style import bare, colour, drawn, in_three_digits, new_figure
from foveate.explain.measure.patches import ExcitingPatches

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@drawn
def draw_exciting_patches(
    patches: ExcitingPatches, rows: list[list[NDArray[np.float32]]], named: Sequence[tuple[int, str]], sees: str
) -> "Figure":
    """Rows of patches, one for each named channel; `sees` says how much of the input a channel sees."""
    count, rank = patches.values.shape[1], patches.boxes.shape[2]
    width = min(11.0, max(6.0, 1.0 + count * (1.1 if rank > 1 else 1.6)))
    figure = new_figure(width, 1.1 + 1.25 * len(rows), f"What excites {patches.layer} most")
    panels = figure.subplots(len(rows), count, squeeze=False)
    for (channel, name), row, line in zip(named, rows, panels, strict=True):
        limits = _limits(row)
        for place, (patch, axes) in enumerate(zip(row, line, strict=True)):
            begin = int(patches.boxes[channel, place, 0, 0]) if rank else 0
            draw_sample(axes, patch, begin=begin, limits=limits)
            axes.set_title(in_three_digits(patches.values[channel, place]), fontsize=8, pad=3)
        line[0].set_ylabel(name, fontsize=9)
    figure.supxlabel(_caption(rows, rank, sees), fontsize=9, color=colour("soft"))
    return figure


def draw_sample(axes: "Axes", pixels: FloatArray, *, begin: int = 0, limits: tuple[float, float] | None = None) -> None:
    """One input, or a patch of it: (C, L) as curves, (C, H, W) as an image, (C, D, H, W) as its middle slice.

    Args:
        axes: where to draw.
        pixels: on a scale from 0 to 1; NaN is padding, and hatched.
        begin: index of the first sample of a curve.
        limits: the range of a curve's values.
    """
    bare(axes)
    axes.patch.set(facecolor=colour("faint"), edgecolor=colour("soft"), hatch="////", linewidth=0)
    if pixels.size and pixels.ndim > 2:
        axes.imshow(_coloured(_middle(pixels)), interpolation="nearest", vmin=0, vmax=1)
    elif pixels.size:
        _draw_curves(axes, np.atleast_2d(pixels), begin, limits)


def _draw_curves(axes: "Axes", curves: FloatArray, begin: int, limits: tuple[float, float] | None) -> None:
    length = curves.shape[1]
    real = np.flatnonzero(np.isfinite(curves[0]))
    if len(real):
        axes.axvspan(begin + real[0] - 0.5, begin + real[-1] + 0.5, color=colour("paper"), linewidth=0, zorder=0.5)
    for curve in curves:
        axes.plot(begin + np.arange(length), curve, linewidth=0.9)
    axes.set_xlim(begin - 0.5, begin + length - 0.5)
    axes.set_xticks([begin, begin + length - 1] if length > 1 else [begin])
    axes.tick_params(labelsize=8, length=2)
    if length > 1:
        first, last = axes.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
    if limits is not None:
        axes.set_ylim(*limits)


def _middle(pixels: FloatArray) -> FloatArray:
    """(C, H, W): for a volume, the slice in the middle of its real part."""
    if pixels.ndim == 3:
        return pixels
    real = np.flatnonzero(np.isfinite(pixels).any(axis=(0, 2, 3)))
    return pixels[:, real[len(real) // 2] if len(real) else 0]


def _coloured(pixels: FloatArray) -> NDArray[np.float32]:
    """(H, W, 4): three channels as colours, any other number as their mean in grey; transparent where NaN."""
    alpha = np.isfinite(pixels).all(axis=0, keepdims=True)
    colours = pixels if len(pixels) == 3 else np.repeat(pixels.mean(axis=0, keepdims=True), 3, axis=0)
    return np.concatenate([np.clip(np.nan_to_num(colours), 0, 1), alpha]).transpose(1, 2, 0).astype(np.float32)


def _limits(row: list[NDArray[np.float32]]) -> tuple[float, float]:
    """The range of the values of a row's patches, with a little room."""
    values = np.concatenate([patch[np.isfinite(patch)].ravel() for patch in row])
    low, high = (float(values.min()), float(values.max())) if len(values) else (0.0, 1.0)
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _caption(rows: list[list[NDArray[np.float32]]], rank: int, sees: str) -> str:
    said = f"Above each patch: the activation. Each channel sees {sees}"
    if any(np.isnan(patch).any() for row in rows for patch in row):
        said += "; hatched: padding"
    drawn_as = {2: "", 3: ". Shown: each patch's middle slice"}
    return said + drawn_as.get(rank, "\nValues over sample index, each row on one scale")
