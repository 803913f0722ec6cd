"""The matrix of a model's own convolution."""

from foveate.explain.measure.matrix import ConvolutionMatrix, convolution_matrix
from foveate.explain.probe.probe import convolution
from foveate.layers import Shape
from foveate.layers.convolution import Convolution
from foveate.model import Model


def layer_matrix(model: Model, layer: str, input_shape: Shape | None = None) -> ConvolutionMatrix:
    """The matrix of the convolution called `layer`, with its weights in the model.

    Args:
        model: the network.
        layer: the convolution's name.
        input_shape: (C, *spatial) of a smaller input (default: the layer's own).

    Raises:
        GraphError: there is no convolution of that name; the message names the nearest.
        LayerError: its padding repeats the input.
        DataError: there are more than `MOST_CONNECTIONS` connections.
    """
    node = convolution(model, layer)
    assert isinstance(node.layer, Convolution)
    shape = node.input_shapes[0] if input_shape is None else input_shape
    return convolution_matrix(node.layer, shape, model.state.read(f"{node.parameters}.weight"))
