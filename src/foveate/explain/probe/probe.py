"""What every figure needs from a model: its layers by name, prepared images, activations and gradients."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.calls import kind
from foveate.data import Dataset
from foveate.data.preprocessing import ImageLike
from foveate.engines.base import FloatArray, State
from foveate.errors import DataError, GraphError, ShapeError
from foveate.geometry import format_sizes
from foveate.graph import Graph, Node, cut, nearest
from foveate.layers import Layer, Shape
from foveate.layers.convolution import Convolution
from foveate.model import Model

Images: TypeAlias = "ImageLike | Iterable[ImageLike]"
"""What `Model.predict` takes: one or a list of paths, PIL images or arrays; or a batch as one array."""


def prepare(model: Model, images: Images) -> NDArray[np.float32]:
    """The images as the network takes them: float32 (N, *input shape).

    A model with preprocessing takes what `Model.predict` takes; one without takes arrays of exactly its input's shape,
    as they are.

    Raises:
        GraphError: the network has several inputs.
        ShapeError: an array does not have the network's input shape.
        DataError: an array holds NaN or infinity, or a file is given to a model without preprocessing.
    """
    check_model(model)
    if len(model.graph.inputs) != 1:
        raise GraphError(
            f"the network has {len(model.graph.inputs)} inputs ({', '.join(model.graph.inputs)}), but only networks "
            "with one can be examined"
        )
    if model.preprocessing is not None:
        return model.preprocessing.from_images(images)
    shape = model.graph.input_shape
    if not hasattr(images, "__array__"):
        raise DataError(
            f"the model has no preprocessing, so it takes only arrays of {format_sizes(shape)}; fit it, or make "
            "it with Model(graph, preprocessing=...)"
        )
    given = np.asarray(images)
    if given.dtype.kind not in "buif":
        raise DataError(f"the array holds {given.dtype}, but the network takes real numbers; give float32 or uint8")
    values = given.astype(np.float32)
    values = values[None] if values.shape == shape else values
    if values.shape[1:] != shape or not len(values):
        raise ShapeError(
            f"the network takes {format_sizes(shape)} (a batch N x {format_sizes(shape)}), but the array is "
            f"{format_sizes(values.shape) or 'a number'}"
        )
    if not np.isfinite(values).all():
        raise DataError("the array holds NaN or infinity; fix or remove it")
    return np.ascontiguousarray(values)


def prepare_one(model: Model, image: Images) -> NDArray[np.float32]:
    """One image as the network takes it: float32 (1, *input shape); errors are those of `prepare`.

    Raises:
        DataError: there are several images.
    """
    prepared = prepare(model, image)
    if len(prepared) != 1:
        raise DataError(f"there are {len(prepared)} images, but only one can be examined at a time; give one of them")
    return prepared


def displayed(model: Model, prepared: FloatArray) -> NDArray[np.float32]:
    """Prepared inputs as they look, on a scale from 0 to 1: the preprocessing undone, or stretched if there is none."""
    values = np.asarray(prepared, np.float32)
    if model.preprocessing is not None:
        return model.preprocessing.undo(values)
    low, high = float(values.min()), float(values.max())
    return (values - low) / ((high - low) or 1.0)


def convolutions(model: Model) -> tuple[Node, ...]:
    """The convolutions of the network, in order.

    Raises:
        GraphError: it has none.
    """
    found = tuple(node for node in model.graph.nodes if isinstance(node.layer, Convolution))
    if not found:
        kinds = ", ".join(dict.fromkeys(type(node.layer).__name__ for node in model.graph.nodes))
        raise GraphError(f"the network has no convolution, so there are no filters to look at; its layers are {kinds}")
    return found


def convolution(model: Model, layer: str) -> Node:
    """The convolution called `layer`.

    Raises:
        GraphError: there is no such layer, or it is not a convolution; the message names the nearest convolutions.
    """
    names = [node.name for node in convolutions(model)]
    if layer not in names:
        there = f"{model.graph.node(layer)} is not a convolution." if layer in model.graph.by_name else ""
        raise GraphError(f"{there or f'there is no convolution {layer!r}.'}{nearest(layer, names)}")
    return model.graph.node(layer)


def spatial_layer(model: Model, layer: str | None) -> Node:
    """The layer called `layer`, or for None the last whose output is maps larger than one position.

    Raises:
        GraphError: there is no such layer, or its output is flat; the message names the nearest with maps.
    """
    graph = model.graph
    names = [node.name for node in graph.nodes if len(node.output_shape) > 1]
    if layer is None:
        many = [name for name in names if max(graph.shapes[name][1:]) > 1]
        if not many:
            raise GraphError("no layer of the network outputs maps: every output is flat; use a convolutional network")
        return graph.node(many[-1])
    if layer not in names:
        flat = layer in graph.by_name
        problem = f"{graph.node(layer)} outputs no maps: it is flat." if flat else f'there is no layer "{layer}".'
        raise GraphError(problem + nearest(layer, names))
    return graph.node(layer)


class Probe:
    """A compiled view of a model: run it on prepared inputs, then read copies of activations and gradients.

    Args:
        model: the model whose state to run on, as in inference: running statistics, no dropout.
        batch_size: samples per run.
        keep: names of layers whose activations, and gradients, will be read.
        differentiable: whether gradients will be asked for.
        graph: a graph with the same parameters and statistics to run instead of the model's own.
    """

    def __init__(
        self,
        model: Model,
        batch_size: int,
        *,
        keep: Sequence[str] = (),
        differentiable: bool = False,
        graph: Graph | None = None,
    ) -> None:
        self.graph = model.graph if graph is None else graph
        self._keep = tuple(name for name in dict.fromkeys(keep) if name not in self.graph.inputs)
        program = model.engine.compile(
            self.graph,
            batch_size=batch_size,
            mode="inference",
            keep=self._keep,
            differentiable=differentiable,
            parameter_gradients=False,
        )
        self._session = program.new_session()
        self._state = model.state
        if graph is not None:
            self._state = _state_for(model, graph)

    def run(self, prepared: FloatArray) -> FloatArray:
        """The network's output (the first of several), (N, ...), for N = batch_size prepared inputs."""
        self._inputs = prepared
        self.outputs: FloatArray = self._session.forward(self._state, prepared)[self.graph.outputs[0]]
        return self.outputs

    def activation(self, name: str) -> FloatArray:
        """The output of the kept layer `name`, or the input, in the last run: (N, ...)."""
        return self._inputs.copy() if name in self.graph.inputs else self._session.activation(name)

    def gradients(self, seeds: Mapping[str, FloatArray], *of: str) -> list[FloatArray]:
        """Gradients of sum(seed * layer) with respect to each input or kept layer in `of`, for seeds at kept layers."""
        self._session.backward(seeds)
        return [self._session.gradient(name) for name in of]


def check_model(model: object) -> None:
    """Refuse anything but a `Model`."""
    if not isinstance(model, Model):
        raise DataError(f"cannot examine {kind(model)}; give a Model, such as fv.load(path)")


def check_takes_dataset(model: Model, dataset: Dataset) -> None:
    """Refuse raw samples that the model cannot turn into its network's input."""
    if model.preprocessing is None:
        raise DataError(
            "the model has no preprocessing, so it cannot take a dataset; fit it, make it with "
            "Model(graph, preprocessing=Preprocessing.measure(dataset)), or give prepared inputs as an array"
        )
    if dataset.shape != model.graph.input_shape:
        raise ShapeError(
            f"the network takes {format_sizes(model.graph.input_shape)}, but a sample of the dataset is "
            f"{format_sizes(dataset.shape)}"
        )


def in_passes(
    model: Model, prepared: FloatArray, keep: Sequence[str], batch_size: int = 64
) -> Iterator[tuple[int, Probe]]:
    """Run all samples a batch at a time, yielding (index of its first sample, the probe that has just run on it)."""
    whole = len(prepared) // batch_size * batch_size
    for begin, end, size in ((0, whole, batch_size), (whole, len(prepared), len(prepared) - whole)):
        if begin == end:
            continue
        probe = Probe(model, size, keep=keep)
        for start in range(begin, end, size):
            probe.run(prepared[start : start + size])
            yield start, probe


class Outputs:
    """The network's outputs (N, ...) for any number of prepared inputs, all from one program.

    Programs for several batch sizes would each hold a large network's weights, so the last batch is padded.
    """

    def __init__(self, model: Model, batch_size: int, *, graph: Graph | None = None) -> None:
        self._size = batch_size
        self._probe = Probe(model, batch_size, graph=graph)

    def __call__(self, prepared: FloatArray) -> FloatArray:
        """Run on (N, *input shape)."""
        outputs = []
        for start in range(0, len(prepared), self._size):
            batch = prepared[start : start + self._size]
            filling = np.broadcast_to(batch[:1], (self._size - len(batch), *batch.shape[1:]))
            outputs.append(self._probe.run(np.concatenate([batch, filling]))[: len(batch)])
        return np.concatenate(outputs)


def fitting_batch(graph: Graph, keep: Sequence[str], *, memory: int = 2**28, most: int = 64) -> int:
    """How many samples, at most `most`, can run at once while kept layers and the largest others fit in `memory`
    bytes."""
    sizes = {name: 4 * prod(shape) for name, shape in graph.shapes.items()}
    return max(1, min(most, memory // (sum(sizes[name] for name in keep) + 3 * max(sizes.values()))))


def network_up_to(graph: Graph, layer: str) -> Graph:
    """The part of the network that the layer called `layer` needs, with it as the only output."""
    return cut(graph, [layer])


def _state_for(model: Model, graph: Graph) -> State:
    """The model's arrays for another graph: the same memory if exactly the same layers hold them, otherwise copies."""
    if _holders(graph) == _holders(model.graph):
        return model.state.seen_as(graph)
    state = model.engine.new_state(graph, seed=model.seed)
    for name in state.names():
        state.load(name, model.state.read(name))
    return state


def _holders(graph: Graph) -> list[tuple[str, Layer, tuple[Shape, ...]]]:
    """The layers that hold arrays, in order: the layout of a state depends on them alone."""
    return [
        (node.parameters, node.layer, node.input_shapes)
        for node in graph.owners
        if node.layer.parameters(node.input_shapes) or node.layer.statistics(node.input_shapes)
    ]
