"""The kernels that a convolution of a model has learnt."""

from typing import get_args

import numpy as np

from foveate.errors import DataError
from foveate.explain.measure.filters import Filters, Order, chain, from_transposed
from foveate.explain.measure.sampling import check_sample_rate
from foveate.explain.probe.probe import convolution
from foveate.graph import Node
from foveate.layers.transposed import TransposedConvolution
from foveate.model import Model


def filters(model: Model, layer: str, *, order: Order = "norm") -> Filters:
    """Copies of the kernels of the convolution `layer`, one for each output channel.

    A transposed convolution gives its kernels in the same layout: for each output channel, what each input channel of
    its group paints into it.

    Args:
        model: the network.
        layer: name of a convolution.
        order: "norm" (Euclidean, largest first), "similarity" (a chain from the largest, going each time to the
            remaining one with the largest cosine similarity), or "index".

    Raises:
        GraphError: there is no such layer, or it is not a convolution.
        DataError: there is no such order.
    """
    if order not in get_args(Order):
        raise DataError(f'there is no order "{order}"; choose {", ".join(map(repr, get_args(Order)))}')
    node = filtering_node(model, layer)
    kernels = model.read(f"{node.parameters}.weight")
    if isinstance(node.layer, TransposedConvolution):
        kernels = from_transposed(kernels, node.layer.groups)
    flat = kernels.reshape(len(kernels), -1).astype(np.float64)
    if order == "index":
        indices = np.arange(len(flat))
    elif order == "norm":
        indices = np.argsort(-np.linalg.norm(flat, axis=1), kind="stable")
    else:
        indices = chain(flat)
    return Filters(kernels[indices], indices)


def filtering_node(model: Model, layer: str) -> Node:
    """The convolution or transposed convolution called `layer`."""
    node = model.graph.by_name.get(layer)
    return node if node and isinstance(node.layer, TransposedConvolution) else convolution(model, layer)


def rate_at(model: Model, node: Node, sample_rate: float) -> float:
    """The sample rate that the kernels of `node` see: at its input, after the strides before it."""
    if len(node.output_shape) != 2:
        raise DataError(f"sample_rate is for filters over one axis, but {node} has {len(node.output_shape) - 1}")
    check_sample_rate(sample_rate)
    slid_over = node.name if isinstance(node.layer, TransposedConvolution) else node.inputs[0]
    field = model.graph.receptive_fields()[slid_over]
    jumps = {each.jump for each in field.fields[0]}
    if len(jumps) != 1 or 0 in jumps:
        raise DataError(f"{node} has no single sample rate: {field}; leave sample_rate out")
    return sample_rate / float(jumps.pop())
