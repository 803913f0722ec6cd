"""A convolution written out as its matrix: sparse, and repeating the same few weights in every row."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.engines.reference.convolution import pad, taps
from foveate.errors import DataError, LayerError, ShapeError
from foveate.explain.measure.result import Result
from foveate.geometry import format_sizes
from foveate.graph import Sequential
from foveate.layers import Linear, Shape
from foveate.layers.convolution import Convolution

MOST_CONNECTIONS = 2**22
"""The most entries written out: about 130 MB."""

MOST_NUMBERS = 2**25
"""The most numbers in a dense matrix: 256 MB."""


@dataclass(frozen=True)
class ConvolutionMatrix(Result):
    """The matrix M of a convolution without its bias: `M @ x.ravel()` is the convolution of x, ravelled.

    Entry `M[rows[i], columns[i]]` is `values[i]`, which is weight number `weights[i]` of the ravelled weights; all
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
        """(numbers in the output, numbers in the input)."""
        return prod(self.output_shape), prod(self.input_shape)

    @property
    def zeros(self) -> float:
        """Share of the entries that are zero because output and input are not connected."""
        return 1 - len(self.values) / prod(self.shape)

    @property
    def parameters(self) -> int:
        """Parameters of the convolution, its biases included."""
        return sum(prod(each.shape) for each in self.layer.parameters([self.input_shape]).values())

    @property
    def dense_parameters(self) -> int:
        """Parameters of a dense layer between the same input and output."""
        outputs, inputs = self.shape
        dense = Linear(outputs, bias=self.layer.bias)
        return sum(prod(each.shape) for each in dense.parameters([(inputs,)]).values())

    def dense(self) -> FloatArray:
        """The whole matrix, zeros included.

        Raises:
            DataError: it would have more than `MOST_NUMBERS` numbers.
        """
        if prod(self.shape) > MOST_NUMBERS:
            raise DataError(
                f"the matrix {format_sizes(self.shape)} has {prod(self.shape):,} numbers, and at most "
                f"{MOST_NUMBERS:,} are written out; use its rows, columns and values, or a smaller input"
            )
        return spread_entries(self, self.values, 0.0)


def convolution_matrix(layer: Convolution, input_shape: Shape, weights: ArrayLike) -> ConvolutionMatrix:
    """The matrix of a convolution on one sample of a given shape.

    Row o H'W' + h W' + w holds, at column c HW + y W + x, the weight w[o, c, i, j] with which output (o, h, w) sees
    input (c, y, x). Each row repeats the weights of the one above, shifted: a block Toeplitz matrix. Inputs that are
    padding have no column, because zeros add nothing.

    Args:
        layer: a convolution over 1, 2 or 3 axes whose padding is zeros.
        input_shape: the shape of one sample, channels first.
        weights: (O, C/groups, *kernel_size).

    Raises:
        LayerError: it is not a convolution, or its padding repeats the input.
        ShapeError: the layer does not fit the input, or the weights do not fit the layer.
        DataError: there are more than `MOST_CONNECTIONS` connections.

    Dumoulin, Visin: A guide to convolution arithmetic for deep learning, 2016 (section 4.1).

    >>> from foveate.layers import Conv1d
    >>> convolution_matrix(Conv1d(1, 2), (1, 4), [[[1, 2]]]).dense().astype(int).tolist()
    [[1, 2, 0, 0], [0, 1, 2, 0], [0, 0, 1, 2]]
    """
    _check_layer(layer)
    graph = Sequential(layer).build(input_shape, quiet=True)
    shape, outputs = graph.input_shape, graph.output_shape
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


def percent_of_zeros(matrix: ConvolutionMatrix) -> str:
    """How much of the matrix is zero, in percent truncated to two decimals: 100 only if all of it is."""
    return f"{np.floor(1e4 * matrix.zeros) / 100:g}"


def _check_layer(layer: Convolution) -> None:
    if not isinstance(layer, Convolution):
        raise LayerError(f"{type(layer).__name__} is not a convolution; give a Conv1d, Conv2d or Conv3d")
    if layer.padding_mode != "zeros":
        raise layer.refuse(
            f'padding_mode "{layer.padding_mode}" repeats the input, so a matrix would add up several weights '
            'in one entry; use padding_mode "zeros"'
        )


def _connections(
    layer: Convolution, shape: Shape, outputs: Shape
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Rows, columns and weight numbers of all entries, from the engine's slices applied to the inputs' numbers."""
    groups = layer.groups
    # Inputs count from 1, so 0 is padding.
    numbered, windows = pad(np.arange(1.0, prod(shape) + 1).reshape(1, *shape), layer.windows([shape]))
    slices = taps(windows, numbered.shape[2:], outputs[1:])
    met = np.stack([numbered[seen][0] for _, _, seen in slices], axis=1).astype(np.int64)
    columns = met.reshape(groups, 1, shape[0] // groups, met.shape[1], -1)
    filters = (groups, outputs[0] // groups)
    rows = np.arange(prod(outputs)).reshape(*filters, 1, 1, -1)
    weights = np.arange(outputs[0] * columns[0].size // columns.shape[-1])
    each = np.broadcast_arrays(rows, columns, weights.reshape(*filters, *columns.shape[2:4], 1))
    real = each[1] > 0
    found = [array[real] for array in each]
    order = np.lexsort((found[1], found[0]))
    return found[0][order], found[1][order] - 1, found[2][order]


def spread_entries(
    matrix: ConvolutionMatrix, entries: NDArray[Any], empty: float, part: tuple[int, int] | None = None
) -> FloatArray:
    """The upper left `part` (rows, columns) of the matrix (default: all of it), with `empty` between `entries`."""
    rows, columns = part or matrix.shape
    inside = (matrix.rows < rows) & (matrix.columns < columns)
    array = np.full((rows, columns), empty)
    array[matrix.rows[inside], matrix.columns[inside]] = entries[inside]
    return array
