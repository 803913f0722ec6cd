"""The chapter on convolution as a matrix."""

from foveate.errors import DataError
from foveate.explain.draw.matrix import plot_convolution_matrix
from foveate.explain.measure.matrix import ConvolutionMatrix, percent_of_zeros
from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject
from foveate.explain.probe.matrix import layer_matrix
from foveate.explain.probe.probe import convolutions
from foveate.geometry import format_sizes
from foveate.model import Model


def matrix(subject: Subject) -> Section:
    """A convolution written out as a matrix, beside a dense layer's."""
    first = convolutions(subject.model)[0].name
    written, cut = written_out(subject.model, first)
    return Section(
        "Convolution is a matrix, sparse and repeating",
        [
            f"Written out as a matrix, with a row for each output and a column for each input, {first} connects each "
            f"output to a few inputs ({percent_of_zeros(written)} % of the entries are zero) and repeats the weights "
            f"of a filter from row to row: {written.parameters:,} parameters, while a dense layer between the same "
            f"input and output would have {written.dense_parameters:,}.{cut}",
        ],
        [
            subject.draw(
                "matrix", lambda: plot_convolution_matrix(written),
                f"The matrix of {first} with its repeating diagonals beside that of a dense layer.",
            )
        ],
    )  # fmt: skip


def written_out(model: Model, layer: str) -> tuple[ConvolutionMatrix, str]:
    """A convolution's matrix, for a corner of its input if the whole would be too large, and a sentence about that."""
    channels, *sizes = whole = model.graph.node(layer).input_shapes[0]
    while True:
        shape = (channels, *sizes)
        cut = "" if shape == whole else f" This is for a corner of {format_sizes(shape)}: the whole would be too large."
        try:
            return layer_matrix(model, layer, shape), cut
        except DataError:
            if max(sizes) == 1:
                raise
            sizes = [-(-size // 2) for size in sizes]
