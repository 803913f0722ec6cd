"""A convolution written out as its matrix: sparse, and repeating the same few weights in every row."""

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.engines.reference.convolution import pad, taps
from foveate.errors import DataError, LayerError, ShapeError
from foveate.explain.draw.style import SEQUENTIAL, bare, colour, drawn, new_figure
from foveate.explain.probe.probe import convolution
from foveate.geometry import format_sizes
from foveate.graph import Sequential
from foveate.layers import Linear, Shape
from foveate.layers.convolution import Convolution
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CONNECTIONS = 2**22
"""Entries that are written out at most: about 130 MB."""

MOST_NUMBERS = 2**25
"""Numbers of a dense matrix at most: 256 MB."""

MOST_DRAWN = 128
"""Rows and columns that a picture shows at most; beyond, the cells could not be told apart."""

MOST_NUMBERED = 25
"""Columns up to which there is room for a number in each cell."""


@dataclass(frozen=True)
class ConvolutionMatrix:
    """The matrix M of a convolution without its bias: `M @ x.ravel()` is the convolution of x, ravelled.

    Entry `M[rows[i], columns[i]]` is `values[i]`, which is the weight number `weights[i]` of the ravelled weights; all
    others are zero. The entries are sorted by rows, then columns.
    """

    layer: Convolution
    input_shape: Shape
    output_shape: Shape
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    weights: NDArray[np.int64]
    values: FloatArray

    @property
    def shape(self) -> tuple[int, int]:
        """(numbers of the output, numbers of the input)."""
        return prod(self.output_shape), prod(self.input_shape)

    @property
    def zeros(self) -> float:
        """Share of the entries that are zero because output and input are not connected."""
        return 1 - len(self.values) / prod(self.shape)

    @property
    def parameters(self) -> int:
        """Numbers that the convolution learns, its biases included."""
        return sum(prod(each.shape) for each in self.layer.parameters([self.input_shape]).values())

    @property
    def dense_parameters(self) -> int:
        """Numbers that a dense layer between the same input and output learns."""
        outputs, inputs = self.shape
        dense = Linear(outputs, bias=self.layer.bias)
        return sum(prod(each.shape) for each in dense.parameters([(inputs,)]).values())

    def dense(self) -> FloatArray:
        """All of the matrix, zeros included.

        Raises:
            DataError: it would have more than `MOST_NUMBERS` numbers.
        """
        if prod(self.shape) > MOST_NUMBERS:
            raise DataError(
                f"the matrix {format_sizes(self.shape)} has {prod(self.shape):,} numbers, and at most "
                f"{MOST_NUMBERS:,} are written out; use its rows, columns and values, or a smaller input"
            )
        return _spread(self, self.values, 0.0)


def convolution_matrix(layer: Convolution, input_shape: Shape, weights: ArrayLike) -> ConvolutionMatrix:
    """The matrix of a convolution on one sample of a given shape.

    Row o H'W' + h W' + w holds, at column c HW + y W + x, the weight w[o, c, i, j] with which output (o, h, w) sees
    input (c, y, x). Each row repeats the weights of the one above, moved on: a Toeplitz matrix in blocks. Inputs that
    are padding have no column, because zeros add nothing.

    Args:
        layer: a convolution over 1, 2 or 3 axes whose padding is zeros.
        input_shape: of one sample, channels first.
        weights: (O, C/groups, *kernel_size).

    Raises:
        LayerError: it is no convolution, or its padding repeats the input.
        ShapeError: the layer does not fit the input, or the weights do not fit the layer.
        DataError: there are more than `MOST_CONNECTIONS` connections.

    Dumoulin, Visin: A guide to convolution arithmetic for deep learning, 2016 (section 4.1).

    >>> from foveate.layers import Conv1d
    >>> convolution_matrix(Conv1d(1, 2), (1, 4), [[[1, 2]]]).dense().astype(int).tolist()
    [[1, 2, 0, 0], [0, 1, 2, 0], [0, 0, 1, 2]]
    """
    _check_layer(layer)
    shape = tuple(input_shape)
    outputs = Sequential(layer).build(shape, quiet=True).output_shape
    expected = layer.parameters([shape])["weight"].shape
    values = np.asarray(weights, np.float64)
    if values.shape != expected:
        raise ShapeError(f"the weights must be {format_sizes(expected)}, but are {format_sizes(values.shape) or 'one'}")
    most = prod(outputs[1:]) * values.size
    if most > MOST_CONNECTIONS:
        raise DataError(
            f"{layer.describe()} on {format_sizes(shape)} makes up to {most:,} connections, and at most "
            f"{MOST_CONNECTIONS:,} are written out; take a smaller input or fewer filters"
        )
    rows, columns, numbers = _connections(layer, shape, outputs)
    return ConvolutionMatrix(layer, shape, outputs, rows, columns, numbers, values.ravel()[numbers])


def layer_matrix(model: Model, layer: str, input_shape: Shape | None = None) -> ConvolutionMatrix:
    """The matrix of the convolution called `layer`, with the weights that it has in the model.

    Args:
        model: the network.
        layer: the convolution's name.
        input_shape: (C, *spatial) of a smaller input; the layer's own unless given.

    Raises:
        GraphError: there is no convolution of that name; the message gives the nearest.
        LayerError: its padding repeats the input.
        DataError: there are more than `MOST_CONNECTIONS` connections.
    """
    node = convolution(model, layer)
    assert isinstance(node.layer, Convolution)
    return convolution_matrix(
        node.layer, input_shape or node.input_shapes[0], model.state.read(f"{node.parameters}.weight")
    )


@drawn
def plot_convolution_matrix(matrix: ConvolutionMatrix) -> "Figure":
    """The kernel, the convolution's matrix in which its weights repeat, and a dense layer's of the same size.

    Equal colours of the convolution, and numbers where there is room, are equal weights; empty cells are zeros. Of a
    large matrix the upper left corner is drawn.
    """
    conv, dense = matrix, _dense_numbers(_drawn_part(matrix))
    first = _first_kernel(matrix)
    rows, columns = _drawn_part(matrix)
    high = max(1.4 * first.shape[0] / first.shape[1], 4.3 * rows / columns)
    figure = new_figure(11, 1.25 + min(4.6, max(1.2, high)), _title(matrix))
    figure.set_layout_engine("constrained", wspace=0.06)
    kernel, left, right = figure.subplots(1, 3, width_ratios=(1, 3.2, 3.2))
    numbers = _spread(conv, conv.weights, -1.0, (rows, columns))
    drawn_weights = int(max(numbers.max(), first.max())) + 1
    _draw_kernel(kernel, conv, first, drawn_weights)
    _draw_matrix(left, numbers, drawn_weights)
    left.set_title(
        f"Convolution: {conv.parameters:,} parameters; equal colours are equal weights\n"
        f"{len(conv.values):,} connections share {_count(conv):,} weights; {percent_of_zeros(conv)} % zeros",
        fontsize=10,
    )
    _draw_matrix(right, dense, dense.size)
    right.set_title(
        f"Dense layer: {conv.dense_parameters:,} parameters\n"
        f"{prod(conv.shape):,} connections, each with its own weight; no zeros",
        fontsize=10,
    )
    for axes in (left, right):
        axes.set_xlabel(_label("input", matrix.input_shape, columns))
    left.set_ylabel(_label("output", matrix.output_shape, rows).replace(": ", ":\n").replace(" of ", " of\n"))
    return figure


def percent_of_zeros(matrix: ConvolutionMatrix) -> str:
    """How much of the matrix is zero, in percent cut to two decimals: 100 only where all of it is."""
    return f"{np.floor(1e4 * matrix.zeros) / 100:g}"


def _drawn_part(matrix: ConvolutionMatrix) -> tuple[int, int]:
    """Rows and columns of the upper left corner: as many rows as meet its columns."""
    columns = min(matrix.shape[1], MOST_DRAWN)
    meeting = matrix.rows[(matrix.columns < columns) & (matrix.rows < MOST_DRAWN)]
    return int(meeting.max(initial=0)) + 1, columns


def _check_layer(layer: Convolution) -> None:
    if not isinstance(layer, Convolution):
        raise LayerError(f"{type(layer).__name__} is no convolution; give a Conv1d, Conv2d or Conv3d")
    if layer.padding_mode != "zeros":
        raise layer.refuse(
            f'padding_mode "{layer.padding_mode}" repeats the input, so that a matrix would add several weights up '
            'in one entry; write out padding_mode "zeros"'
        )


def _connections(
    layer: Convolution, shape: Shape, outputs: Shape
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, columns and numbers of the weights of all entries: the engine's slices, taken of the inputs' numbers."""
    windows, groups = layer.windows([shape]), layer.groups
    # Inputs count from 1, so that 0 is padding.
    numbered = pad(np.arange(1.0, prod(shape) + 1).reshape(1, *shape), windows)
    met = np.stack([numbered[seen][0] for _, seen in taps(windows, outputs[1:])], axis=1).astype(np.int64)
    columns = met.reshape(groups, 1, shape[0] // groups, met.shape[1], -1)
    filters = (groups, outputs[0] // groups)
    rows = np.arange(prod(outputs)).reshape(*filters, 1, 1, -1)
    weights = np.arange(outputs[0] * columns[0].size // columns.shape[-1])
    each = np.broadcast_arrays(rows, columns, weights.reshape(*filters, *columns.shape[2:4], 1))
    real = each[1] > 0
    found = [array[real] for array in each]
    order = np.lexsort((found[1], found[0]))
    return found[0][order], found[1][order] - 1, found[2][order]


def _spread(
    matrix: ConvolutionMatrix, entries: NDArray[Any], empty: float, part: tuple[int, int] | None = None
) -> FloatArray:
    """The upper left `part` (rows, columns) of the matrix, all of it unless given, with `empty` between `entries`."""
    rows, columns = part or matrix.shape
    inside = (matrix.rows < rows) & (matrix.columns < columns)
    array = np.full((rows, columns), empty)
    array[matrix.rows[inside], matrix.columns[inside]] = entries[inside]
    return array


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
