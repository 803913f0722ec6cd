"""The lecture's argument for convolution and for pooling: the same task for networks that lack one of the two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod, sqrt
from time import perf_counter

from foveate.data import Splits
from foveate.data.batches import permutation
from foveate.errors import DataError, FoveateError, GraphError
from foveate.explain.measure.invariance import SurvivingShare
from foveate.explain.probe.classes import check_classifier
from foveate.explain.probe.invariance import surviving_share
from foveate.geometry import format_sizes
from foveate.graph import Graph, Node, Sequential, as_it_is, rewrite
from foveate.layers import Flatten, Layer, Linear, MaxPool1d, MaxPool2d, MaxPool3d, Pad, ReLU
from foveate.layers.pooling import Pooling
from foveate.model import Model
from foveate.training import check_dataset, class_count

AS_IT_IS = "as it is"


WITHOUT_POOLING = "without pooling"


FULLY_CONNECTED = "fully connected"

_MOST_DIFFERENCE = 0.02


_WORTH_TWO_WIDTHS = 0.005


_SUBSAMPLING = {1: MaxPool1d, 2: MaxPool2d, 3: MaxPool3d}


@dataclass(frozen=True, eq=False)
class Baselines:
    """Networks trained from scratch on the same samples, for the same number of epochs, by name.

    `seconds` is how long each took to train, `parameters` how many parameters each learns.
    """

    models: Mapping[str, Model]
    seconds: Mapping[str, float]
    samples: int
    epochs: int

    @property
    def parameters(self) -> dict[str, int]:
        """The number of parameters each network learns."""
        return {name: parameter_count(model.graph) for name, model in self.models.items()}


@dataclass(frozen=True, eq=False)
class InvarianceComparison:
    """The baselines, and the fraction of each one's predictions that survives a shift."""

    baselines: Baselines
    shares: Mapping[str, SurvivingShare]


def parameter_count(graph: Graph) -> int:
    """The number of parameters the network learns, biases included."""
    return sum(prod(parameter.shape) for parameter in graph.parameters.values())


def fully_connected_twin(graph: Graph) -> Graph:
    """A fully connected network with as many parameters: the lecture's Linear(d), Linear(d), Linear(classes).

        n d + d^2 + d classes weights and 2 d + classes biases, for n inputs

    If a step of d is too coarse (n is large relative to the number of parameters), the second layer is wider or
    narrower than the first.

    Raises:
        DataError: the network's output is not one number for each class.
        GraphError: no such network comes within 2 % of the number of parameters.
    """
    inputs, classes, wanted = prod(graph.input_shape), class_count(graph), parameter_count(graph)
    widths = _hidden_widths(inputs, classes, wanted)
    actual = _count(inputs, classes, *widths)
    if abs(actual - wanted) > _MOST_DIFFERENCE * wanted:
        raise GraphError(
            f"the network has {wanted:,} parameters, but the nearest fully connected one with two hidden layers over "
            f"{format_sizes(graph.input_shape)} inputs has {actual:,}; none is of equal size"
        )
    first, second = widths
    layers = (Linear(first), ReLU(), Linear(second), ReLU(), Linear(classes))
    flat = () if len(graph.input_shape) == 1 else (Flatten(),)
    return Sequential(*flat, *layers).build(graph.input_shape, quiet=True, name=f"{graph.name}_fully_connected")


def without_pooling(graph: Graph, *, keep_stride: bool = False) -> Graph:
    """The same network without its pooling layers; global and adaptive ones stay, because they set the output's size.

    Every map is then larger: convolutions keep their parameters, but a linear layer after Flatten gets more, and
    training slows down in proportion to the size of the maps. With `keep_stride`, each pooling window outputs its
    middle value instead of its maximum or mean, so all shapes and parameters stay.

    Args:
        graph: any network.
        keep_stride: whether maps still become smaller.

    Raises:
        GraphError: there is no pooling to remove, or branches of different sizes would meet.
    """
    if not any(_pools(node) for node in graph.nodes):
        raise GraphError(
            "the network has no pooling layer with a window of more than one position, so there is nothing to remove"
        )

    def change(node: Node) -> Mapping[str, Layer]:
        if not _pools(node):
            return as_it_is(node)
        return _subsampling(node) if keep_stride else {}

    try:
        return rewrite(graph, change, name=f"{graph.name}_without_pooling")
    except FoveateError as error:
        raise GraphError(
            f"the network cannot do without its pooling at stride 1 ({str(error).splitlines()[0]}); "
            "keep_stride=True keeps all shapes"
        ) from None


def train_baselines(
    model: Model,
    splits: Splits,
    *,
    samples: int = 10_000,
    epochs: int = 2,
    keep_stride: bool = True,
    progress: bool = True,
) -> Baselines:
    """Train the model's architecture, the same without pooling, and its fully connected twin, all three from scratch.

    All see the same samples in the same order for the same number of epochs, whatever `model` was trained on; `model`
    itself is not changed. A network without pooling gets no second twin.

    Args:
        model: the model whose architecture, preprocessing, seed and engine to use.
        splits: the data.
        samples: how many to draw at random from the training part; at most all.
        epochs: passes over these samples.
        keep_stride: as for `without_pooling`; if False, the second network takes many times longer.
        progress: whether to show the progress of each training.

    Raises:
        DataError: the data do not fit the network, or samples is below 1.
        GraphError: no fully connected network has as many parameters.
    """
    check_classifier(model)
    check_dataset(model.graph, model.task, splits.train)
    if samples < 1:
        raise DataError(f"samples is {samples}; give at least 1")
    graphs = {AS_IT_IS: model.graph}
    if any(_pools(node) for node in model.graph.nodes):
        graphs[WITHOUT_POOLING] = without_pooling(model.graph, keep_stride=keep_stride)
    graphs[FULLY_CONNECTED] = fully_connected_twin(model.graph)
    chosen = splits.train.subset(permutation(len(splits.train), model.seed, "baselines")[:samples])
    trained, seconds = {}, {}
    for name, graph in graphs.items():
        start = perf_counter()
        trained[name] = Model(
            graph,
            classes=splits.classes,
            preprocessing=model.preprocessing or splits.preprocessing,
            seed=model.seed,
            engine=model.engine,
        )
        trained[name].fit(chosen, epochs=epochs, progress=progress)
        seconds[name] = perf_counter() - start
    return Baselines(trained, seconds, len(chosen), epochs)


def compare_invariance(
    model: Model,
    splits: Splits,
    *,
    samples: int = 10_000,
    epochs: int = 2,
    keep_stride: bool = True,
    shifts: Sequence[int] = range(9),
    test_samples: int = 500,
    progress: bool = True,
) -> InvarianceComparison:
    """Train the baselines and measure on the test part the fraction of each one's predictions that survives a shift.

    Args:
        model: the model whose architecture to compare, see `train_baselines`.
        splits: the data.
        samples: how many to train on.
        epochs: passes over these samples.
        keep_stride: as for `without_pooling`.
        shifts: the shifts in pixels.
        test_samples: how many to measure these fractions on.
        progress: whether to show the progress of each training.

    Raises:
        DataError: the data do not fit the network, or a number is below 1.
        GraphError: no fully connected network has as many parameters.
    """
    trained = train_baselines(model, splits, samples=samples, epochs=epochs, keep_stride=keep_stride, progress=progress)
    shares = {
        name: surviving_share(each, splits.test, shifts=shifts, samples=test_samples)
        for name, each in trained.models.items()
    }
    return InvarianceComparison(trained, shares)


def _pools(node: Node) -> bool:
    return isinstance(node.layer, Pooling) and max(node.layer.kernel_size) > 1


def _subsampling(node: Node) -> Mapping[str, Layer]:
    """The middle value of each of the layer's windows: a crop to where the middle begins, then pooling of one
    position."""
    windows = node.windows
    assert windows is not None
    crops, strides = [(0, 0)], tuple(window.stride for window in windows)
    for window, size, count in zip(windows, node.input_shapes[0][1:], node.output_shape[1:], strict=True):
        reach = (count - 1) * window.stride + 1
        middle = (window.effective_size - 1) // 2 - window.padding[0]
        begin = max(0, min(middle, size - reach))
        crops.append((-begin, begin + reach - size))
    layers: dict[str, Layer] = {}
    if any(pair != (0, 0) for pair in crops):
        layers[f"{node.name}_crop"] = Pad(tuple(crops))
    if max(strides) > 1:
        layers[node.name] = _SUBSAMPLING[len(strides)](1, stride=strides)
    return layers


def _count(inputs: int, classes: int, first: int, second: int) -> int:
    return (inputs + 1) * first + (first + 1) * second + (second + 1) * classes


def _hidden_widths(inputs: int, classes: int, wanted: int) -> tuple[int, int]:
    """Equal widths from the positive root of d^2 + (inputs + 2 + classes) d + classes = wanted, or nearly so."""
    linear = inputs + 2 + classes
    root = (-linear + sqrt(linear**2 + 4 * max(0, wanted - classes))) / 2
    width = max(1, round(root))
    if abs(_count(inputs, classes, width, width) - wanted) <= _WORTH_TWO_WIDTHS * wanted:
        return width, width
    first = max(1, int(root))
    left = wanted - (inputs + 1) * first - classes
    return first, max(1, round(left / (first + 1 + classes)))
