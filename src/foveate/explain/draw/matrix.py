"""A figure of a convolution's matrix beside a dense layer's."""

from math import prod
from typing import TYPE_CHECKING

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.draw.style import SEQUENTIAL, bare, colour, drawn, new_figure
from foveate.explain.measure.matrix import ConvolutionMatrix, percent_of_zeros, spread_entries
from foveate.geometry import format_sizes
from foveate.layers import Shape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DRAWN = 128
"""The most rows and columns in a figure; with more, the cells could not be told apart."""

MOST_NUMBERED = 25
"""The most columns with room for a number in each cell."""


@drawn
def plot_convolution_matrix(matrix: ConvolutionMatrix) -> "Figure":
    """The kernel, the convolution's matrix in which its weights repeat, and a dense layer's of the same size.

    In the convolution, equal colours (and numbers, if there is room) mean equal weights; empty cells are zeros. Only
    the upper left corner of a large matrix is drawn.
    """
    conv, dense = matrix, _dense_numbers(_drawn_part(matrix))
    first = _first_kernel(matrix)
    rows, columns = _drawn_part(matrix)
    high = max(1.4 * first.shape[0] / first.shape[1], 4.3 * rows / columns)
    figure = new_figure(11, 1.25 + min(4.6, max(1.2, high)), _title(matrix))
    figure.set_layout_engine("constrained", wspace=0.06)
    kernel, left, right = figure.subplots(1, 3, width_ratios=(1, 3.2, 3.2))
    numbers = spread_entries(conv, conv.weights, -1.0, (rows, columns))
    drawn_weights = int(max(numbers.max(), first.max())) + 1
    _draw_kernel(kernel, conv, first, drawn_weights)
    _draw_matrix(left, numbers, drawn_weights)
    left.set_title(
        f"Convolution: {conv.parameters:,} parameters\nequal colours are equal weights\n"
        f"{len(conv.values):,} connections share {_count(conv):,} weights\n{percent_of_zeros(conv)} % zeros",
        fontsize=10,
    )
    _draw_matrix(right, dense, dense.size)
    right.set_title(
        f"Dense layer: {conv.dense_parameters:,} parameters\n"
        f"{prod(conv.shape):,} connections,\neach with its own weight\nno zeros",
        fontsize=10,
    )
    for axes in (left, right):
        axes.set_xlabel(_label("input", matrix.input_shape, columns))
    left.set_ylabel(_label("output", matrix.output_shape, rows).replace(": ", ":\n").replace(" of ", " of\n"))
    return figure


def _drawn_part(matrix: ConvolutionMatrix) -> tuple[int, int]:
    """Rows and columns of the upper left corner: only rows that meet its columns."""
    columns = min(matrix.shape[1], MOST_DRAWN)
    meeting = matrix.rows[(matrix.columns < columns) & (matrix.rows < MOST_DRAWN)]
    return int(meeting.max(initial=0)) + 1, columns


def _dense_numbers(shape: tuple[int, int]) -> FloatArray:
    """A number for each drawn weight of the dense layer, shuffled, because neighbours have nothing in common."""
    return np.random.default_rng(0).permutation(prod(shape)).reshape(shape).astype(np.float64)


def _count(matrix: ConvolutionMatrix) -> int:
    return prod(matrix.layer.parameters([matrix.input_shape])["weight"].shape)


def _title(matrix: ConvolutionMatrix) -> str:
    shapes = f"{format_sizes(matrix.input_shape)} to {format_sizes(matrix.output_shape)}"
    return f"{matrix.layer.describe()}, from {shapes}, as a matrix"


def _label(name: str, shape: Shape, shown: int) -> str:
    count = prod(shape)
    return f"{name}: {'' if shown == count else f'the first {shown} of '}{count:,} numbers"


def _first_kernel(matrix: ConvolutionMatrix) -> FloatArray:
    """The numbers of the weights of the first kernel (rows, columns), slice below slice with a gap of -1 in 3-D."""
    sizes = matrix.layer.kernel_size
    first = np.arange(float(prod(sizes))).reshape(-1, *sizes[-2:])
    if len(sizes) < 3:
        return first.reshape(-1, sizes[-1])
    spaced = np.full((len(first), sizes[-2] + 1, sizes[-1]), -1.0)
    spaced[:, :-1] = first
    return spaced.reshape(-1, sizes[-1])[:-1]


def _draw_kernel(axes: "Axes", matrix: ConvolutionMatrix, first: FloatArray, drawn_weights: int) -> None:
    """The first kernel, numbered and coloured as in the matrix."""
    total, size = _count(matrix), prod(matrix.layer.kernel_size)
    _draw_matrix(axes, first, drawn_weights, numbered=size <= 49)
    slices = ",\nslice below slice" if len(matrix.layer.kernel_size) == 3 else ""
    whole, part = f"The kernel{slices}", f"The first kernel{slices}:\n{size} of {total:,} weights"
    axes.set_title(whole if total == size else part, fontsize=10)


def _draw_matrix(axes: "Axes", numbers: FloatArray, total: int, *, numbered: bool = False) -> None:
    """Cells coloured by the number of their weight; empty where it is negative."""
    from matplotlib import colormaps

    shown = np.ma.masked_less(numbers, 0)
    axes.imshow(shown, cmap=SEQUENTIAL, vmin=0, vmax=max(1, total - 1), interpolation="nearest", aspect="equal")
    bare(axes)
    if not numbered and (max(numbers.shape) > MOST_NUMBERED or total >= 100):
        return
    for row, column in np.argwhere(numbers >= 0):
        red, green, blue, _ = colormaps[SEQUENTIAL](numbers[row, column] / max(1, total - 1))
        bright = 0.3 * red + 0.59 * green + 0.11 * blue > 0.5
        shade = "#000000" if bright else "#ffffff"
        axes.text(column, row, f"{numbers[row, column] + 1:.0f}", color=shade, fontsize=8, ha="center", va="center")
    axes.set_xticks(np.arange(-0.5, numbers.shape[1]), minor=True)
    axes.set_yticks(np.arange(-0.5, numbers.shape[0]), minor=True)
    axes.grid(which="minor", color=colour("faint"), linewidth=0.6)
    axes.tick_params(which="minor", length=0)
