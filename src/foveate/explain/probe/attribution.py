"""Why this class: maps of the evidence for a class in an input, from gradients, activations and occlusion.

The score explained is the logit of the class: the network's output, or the input of a final softmax or sigmoid. If one
logit separates two classes, class 0 has its negative."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import product
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.errors import DataError, GraphError, ShapeError
from foveate.explain.measure.attribution import IntegratedGradients
from foveate.explain.probe.classes import Classes, Target, asked, class_gradients, class_scores, scored_graph
from foveate.explain.probe.guided import guided_graph
from foveate.explain.probe.probe import Images, Outputs, Probe, fitting_batch, spatial_layer
from foveate.geometry import format_sizes
from foveate.graph import Graph, Node
from foveate.layers.adaptive import AdaptivePooling
from foveate.layers.pooling import GlobalPooling, Pooling
from foveate.model import Model
from foveate.progress import Tell, told

Rule: TypeAlias = Literal["gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"]
"""How an integral from 0 to 1 becomes a sum."""

Method: TypeAlias = Callable[[Model, Images, Target], FloatArray]
"""method(model, images, target) -> attributions, with the images along the first axis."""

_WORKING_BYTES = 1 << 28


_WINDOWS_PER_AXIS = {1: 32, 2: 6, 3: 4}


def saliency(model: Model, images: Images, target: Target = None, *, batch_size: int | None = None) -> FloatArray:
    """How the class's score changes with each value of the prepared input: d score / d x, signed.

    Args:
        model: the network.
        images: N images, as `Model.predict` takes them.
        target: the class, or one for each image (default: the predicted one).
        batch_size: samples per batch (default: as many as fit in about 256 MB).

    Returns:
        (N, *input shape).

    Raises:
        DataError: there is no such class, or an image cannot be used.
        ShapeError: the network does not output one number for each class, or an array does not have its input shape.

    Simonyan, Vedaldi, Zisserman: Deep inside convolutional networks, 2014.
    """
    prepared, classes = asked(model, images, target)
    return _input_gradients(model, prepared, classes, batch_size, scored_graph(model))


def guided_backpropagation(
    model: Model, images: Images, target: Target = None, *, batch_size: int | None = None
) -> FloatArray:
    """The input's gradient when every rectifier f passes back only positive values: f'(x) max(0, dy) where x > 0.

    Rectifiers are ReLU, for which the paper defines it, and its family (ReLU6, LeakyReLU, GELU ...).

    Arguments, returns and errors are those of `saliency`.

    Raises:
        GraphError: the network has no rectifier.

    Springenberg, Dosovitskiy, Brox, Riedmiller: Striving for simplicity, 2015.
    """
    prepared, classes = asked(model, images, target)
    return _input_gradients(model, prepared, classes, batch_size, guided_graph(scored_graph(model)))


def integrated_gradients(
    model: Model,
    images: Images,
    target: Target = None,
    *,
    baseline: ArrayLike = 0.0,
    steps: int = 50,
    rule: Rule = "gausslegendre",
    batch_size: int | None = None,
) -> IntegratedGradients:
    """The gradient integrated along the straight line from a baseline b to the image x.

    (x - b) * integral over t from 0 to 1 of d score(b + t (x - b)) / dx

    Args:
        model: the network.
        images: N images, as `Model.predict` takes them.
        target: the class, or one for each image (default: the predicted one).
        baseline: a prepared input, or a number for all its values; 0 is the mean of the training data.
        steps: the number of points on the line from the baseline to the image.
        rule: where the points lie and how they are weighted, under Captum's names. Captum's "riemann_trapezoid" divides
            by `steps`, this one by `steps` - 1, so its weights add up to 1.
        batch_size: samples per batch (default: as many as fit in about 256 MB).

    Raises:
        DataError: there is no such class or rule, there are too few steps, or an image cannot be used.
        ShapeError: the network does not output one number for each class, or an array does not have its input shape.

    Sundararajan, Taly, Yan: Axiomatic attribution for deep networks, 2017.
    """
    prepared, classes = asked(model, images, target)
    start = _baseline(model, baseline)
    places, weights = _quadrature(rule, steps)
    # Both ends are included with weight 0, so the same program gives their scores.
    places, weights = np.append(places, [0.0, 1.0]), np.append(weights, [0.0, 0.0])
    way = prepared.astype(np.float64) - start
    axes = (-1, *(1,) * (prepared.ndim - 1))

    def points(indices: NDArray[np.intp]) -> FloatArray:
        return start + places[indices % len(places)].reshape(axes) * way[indices // len(places)]

    total = np.zeros(prepared.shape)
    every = np.repeat(classes, len(places))
    scores = np.zeros(len(every))
    for indices, real, probe in _runs(model, len(every), points, batch_size):
        (gradients,) = class_gradients(model, probe, every[indices], model.graph.only_input)
        weighted = weights[indices % len(places)].reshape(axes) * gradients
        np.add.at(total, indices[:real] // len(places), weighted[:real])
        scores[indices] = class_scores(model, probe.outputs, every[indices])
    attributions = way * total
    at_start, at_end = scores.reshape(len(classes), -1)[:, -2:].T
    change = at_end - at_start
    error = attributions.reshape(len(classes), -1).sum(axis=1) - change
    return IntegratedGradients(attributions, change, error)


def grad_cam(
    model: Model,
    images: Images,
    target: Target = None,
    layer: str | None = None,
    *,
    relu: bool = True,
    batch_size: int | None = None,
) -> FloatArray:
    """A layer's maps A_k, each weighted by the mean of its gradient: sum over k of mean(d score / d A_k) A_k.

    Args:
        model: the network.
        images: N images, as `Model.predict` takes them.
        target: the class, or one for each image (default: the predicted one).
        layer: the layer's name (default: the last layer with maps that is not a pooling layer).
        relu: whether to set evidence against the class to 0, as in the paper.
        batch_size: samples per batch (default: as many as fit in about 256 MB).

    Returns:
        (N, *spatial sizes of the layer); `upsample` resizes them to the image's.

    Raises:
        GraphError: there is no such layer, or it outputs no maps; the message names the nearest that do.
        DataError: there is no such class, or an image cannot be used.
        ShapeError: the network does not output one number for each class, or an array does not have its input shape.

    Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra: Grad-CAM, 2017.
    """
    node = cam_layer(model, layer)
    prepared, classes = asked(model, images, target)
    maps = np.zeros((len(classes), *node.output_shape[1:]))
    for indices, _, probe in _runs(model, len(classes), prepared.__getitem__, batch_size, keep=(node.name,)):
        (gradient,) = class_gradients(model, probe, classes[indices], node.name)
        weights = gradient.mean(axis=tuple(range(2, gradient.ndim)), keepdims=True)
        maps[indices] = (weights * probe.activation(node.name)).sum(axis=1)
    return np.maximum(maps, 0) if relu else maps


def occlusion(
    model: Model,
    images: Images,
    target: Target = None,
    *,
    window: int | Sequence[int] | None = None,
    stride: int | Sequence[int] | None = None,
    baseline: ArrayLike = 0.0,
    batch_size: int | None = None,
    progress: bool | Tell = True,
) -> FloatArray:
    """How much the class's score falls where a window is covered, averaged over the windows that cover a position.

    Windows start at the first position and move by `stride` until the last position is covered; the last may be
    clipped.

    Args:
        model: the network.
        images: N images, as `Model.predict` takes them.
        target: the class, or one for each image (default: the predicted one).
        window: the window's size along each spatial axis (default: a sixth of the image's; in 1-D a 32nd, in 3-D a
            quarter).
        stride: the step from one window to the next, at most `window` (default: half of it).
        baseline: the values that cover the window: a prepared input, or a number for all its values; 0 is the mean of
            the training data.
        batch_size: samples per batch (default: as many as fit in about 256 MB).
        progress: whether to show a bar if it takes over two seconds; or a function to call with (samples done, total
            samples) after each batch.

    Returns:
        (N, *spatial sizes of the input): positive where covering lowers the score.

    Raises:
        GraphError: the network's input has no spatial axes.
        DataError: there is no such class, or the window or stride does not fit.
        ShapeError: the network does not output one number for each class, or an array does not have its input shape.

    Zeiler, Fergus: Visualizing and understanding convolutional networks, 2014.
    """
    sizes = model.graph.input_shape[1:]
    windows, strides = _window_and_stride(sizes, window, stride)
    prepared, classes = asked(model, images, target)
    cover = _baseline(model, baseline)
    boxes = _boxes(sizes, windows, strides)
    falls, counts = np.zeros((len(classes), *sizes)), np.zeros(sizes)
    for box in boxes:
        counts[box] += 1
    total, size = len(classes) * len(boxes), _samples_at_once(model.graph, len(classes) * len(boxes), batch_size)
    outputs = Outputs(model, size, graph=scored_graph(model))
    before = _scores(model, outputs, prepared, classes)
    with told(progress, "covering") as tell:
        for begin in range(0, total, size):
            pairs = [divmod(index, len(boxes)) for index in range(begin, min(begin + size, total))]
            owners = np.array([image for image, _ in pairs])
            covered = prepared[owners]
            for sample, (_, number) in zip(covered, pairs, strict=True):
                sample[:, *boxes[number]] = cover[:, *boxes[number]]
            fallen = before[owners] - _scores(model, outputs, covered, classes[owners])
            for (image, number), fall in zip(pairs, fallen, strict=True):
                falls[image][boxes[number]] += fall
            tell(begin + len(pairs), total)
    return falls / counts


METHODS: Mapping[str, Method] = {
    "saliency": saliency,
    "guided_backpropagation": guided_backpropagation,
    "integrated_gradients": lambda model, images, target: integrated_gradients(model, images, target).attributions,
    "grad_cam": grad_cam,
    "occlusion": occlusion,
}
"""Every method by its name, each as method(model, images, target)."""


def cam_layer(model: Model, layer: str | None) -> Node:
    """The layer called `layer`, or for None the last layer with maps that is not a pooling layer.

    Raises:
        GraphError: there is no such layer, or its output is flat; the message names the nearest with maps.
    """
    node = spatial_layer(model, layer)
    while layer is None and isinstance(node.layer, Pooling | GlobalPooling | AdaptivePooling):
        if node.inputs[0] in model.graph.inputs:
            raise GraphError("the network's only layers with maps pool its input; name one of them")
        node = model.graph.node(node.inputs[0])
    return node


def _runs(
    model: Model,
    count: int,
    samples: Callable[[NDArray[np.intp]], FloatArray],
    batch_size: int | None,
    *,
    keep: Sequence[str] = (),
    graph: Graph | None = None,
) -> Iterator[tuple[NDArray[np.intp], int, Probe]]:
    """Run `count` samples a batch at a time, yielding (their indices, how many are new, the probe that has just run).

    The last batch is padded with its last sample, so one program serves all batches.
    """
    size = _samples_at_once(model.graph, count, batch_size)
    probe = Probe(model, size, keep=keep, differentiable=True, graph=graph or scored_graph(model))
    for begin in range(0, count, size):
        indices = np.minimum(np.arange(begin, begin + size), count - 1)
        probe.run(samples(indices))
        yield indices, min(size, count - begin), probe


def _input_gradients(
    model: Model, prepared: FloatArray, classes: Classes, batch_size: int | None, graph: Graph
) -> FloatArray:
    result = np.zeros(prepared.shape)
    for indices, _, probe in _runs(model, len(classes), prepared.__getitem__, batch_size, graph=graph):
        (result[indices],) = class_gradients(model, probe, classes[indices], graph.only_input)
    return result


def _scores(model: Model, outputs: Outputs, prepared: FloatArray, classes: Classes) -> FloatArray:
    return class_scores(model, outputs(prepared), classes).astype(np.float64)


def _samples_at_once(graph: Graph, count: int, batch_size: int | None = None) -> int:
    """`batch_size`, or as many samples as fit in about 256 MB of activations and gradients; at most `count`."""
    if batch_size is not None:
        if batch_size < 1:
            raise DataError(f"batch_size is {batch_size}; it must be at least 1, or None")
        return min(batch_size, count)
    return min(count, fitting_batch(graph, tuple(graph.shapes), memory=_WORKING_BYTES))


def _baseline(model: Model, baseline: ArrayLike) -> NDArray[np.float32]:
    shape, values = model.graph.input_shape, np.asarray(baseline, np.float32)
    if values.ndim and values.shape != shape:
        raise ShapeError(
            f"the baseline is {format_sizes(values.shape)}, but the network takes {format_sizes(shape)}; give a "
            "prepared input of that shape, or a number"
        )
    if not np.isfinite(values).all():
        raise DataError("the baseline holds NaN or infinity; give finite numbers")
    return np.broadcast_to(values, shape).copy()


def _quadrature(rule: Rule, steps: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(places, weights) that turn an integral from 0 to 1 into a sum."""
    least = 2 if rule == "riemann_trapezoid" else 1
    if steps < least:
        raise DataError(f"there are {steps} steps; {rule} needs at least {least}")
    if rule == "gausslegendre":
        places, weights = np.polynomial.legendre.leggauss(steps)
        return (places + 1) / 2, weights / 2
    if rule == "riemann_trapezoid":
        weights = np.full(steps, 1 / (steps - 1))
        weights[[0, -1]] /= 2
        return np.linspace(0, 1, steps), weights
    shifts = {"riemann_left": 0.0, "riemann_middle": 0.5, "riemann_right": 1.0}
    if rule not in shifts:
        known = ", ".join(("gausslegendre", "riemann_trapezoid", *shifts))
        raise DataError(f'there is no rule "{rule}"; the rules are {known}')
    return (np.arange(steps) + shifts[rule]) / steps, np.full(steps, 1 / steps)


def _window_and_stride(
    sizes: tuple[int, ...], window: int | Sequence[int] | None, stride: int | Sequence[int] | None
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    if not sizes:
        raise GraphError("the network's input has no spatial axes along which a window could slide; use saliency")
    if window is None:
        window = [max(1, round(size / _WINDOWS_PER_AXIS[len(sizes)])) for size in sizes]
    windows = _per_axis(window, "window", sizes)
    strides = tuple(max(1, size // 2) for size in windows) if stride is None else _per_axis(stride, "stride", windows)
    return windows, strides


def _per_axis(value: int | Sequence[int], name: str, limits: tuple[int, ...]) -> tuple[int, ...]:
    values = (value,) * len(limits) if isinstance(value, int) else tuple(value)
    if len(values) != len(limits) or not all(1 <= v <= limit for v, limit in zip(values, limits, strict=True)):
        what = "the image's" if name == "window" else "the window's"
        raise DataError(
            f"{name} is {value}; it must be an int or one for each of the {len(limits)} axes, from 1 to {what} size "
            f"{format_sizes(limits)}"
        )
    return values


def _boxes(sizes: tuple[int, ...], windows: tuple[int, ...], strides: tuple[int, ...]) -> list[tuple[slice, ...]]:
    """Every position of the sliding window, clipped at the far border."""
    axes = [
        [slice(begin, begin + window) for begin in range(0, size - window + stride, stride)]
        for size, window, stride in zip(sizes, windows, strides, strict=True)
    ]
    return list(product(*axes))
