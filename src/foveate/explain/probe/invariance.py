"""Invariance, measured: how a network responds to an object that moves, turns and grows, and how its maps follow."""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset
from foveate.data.batches import permutation
from foveate.engines.base import FloatArray
from foveate.errors import DataError
from foveate.explain.measure.invariance import (
    EquivarianceError,
    ResponseCurve,
    ResponseCurves,
    SurvivingShare,
    squared_errors,
)
from foveate.explain.measure.transforms import move, scale, turn
from foveate.explain.measure.words import element_noun
from foveate.explain.probe.classes import Target, asked, check_classifier, class_chances, scored_graph, targets
from foveate.explain.probe.probe import (
    Images,
    Outputs,
    Probe,
    check_takes_dataset,
    displayed,
    fitting_batch,
    prepare,
    prepare_one,
    spatial_layer,
)
from foveate.graph import Graph
from foveate.model import Model
from foveate.training import check_dataset

ANGLES = tuple(range(-180, 181, 15))


SCALES = tuple(round(0.5 + 0.05 * step, 2) for step in range(21))


def response_curves(
    model: Model,
    image: Images,
    *,
    target: Target = None,
    shifts: Sequence[int] | None = None,
    angles: Sequence[float] = ANGLES,
    scales: Sequence[float] = SCALES,
) -> ResponseCurves:
    """The network's probabilities for one image as it moves along its last axis, turns, and grows.

    Args:
        model: a classifier.
        image: one image.
        target: the class to follow (default: the one that the model predicts for the unchanged image).
        shifts: in pixels, positive to the right (default: 17 shifts, up to 8 pixels each way for 28 pixels, in
            proportion for other sizes).
        angles: in degrees, counter-clockwise; signals are not turned.
        scales: factors, above 1 for larger.

    Raises:
        ShapeError: the image does not have the network's input shape.
        DataError: there are several images, a list of changes is empty, or there is no such class.
    """
    prepared = prepare_one(model, image)
    _, classes = asked(model, image, target)
    step = max(1, round(prepared.shape[-1] / 28))
    moves = [step * each for each in range(-8, 9)] if shifts is None else shifts
    for values, name in ((moves, "shifts"), (angles, "angles"), (scales, "scales")):
        if not len(values):
            raise DataError(f"{name} is empty; give at least one value")
    signal, turned = prepared.ndim == 3, None
    if not signal:
        turned = _curve(model, "turned left by (degrees)", angles, [turn(prepared, each) for each in angles])
    return ResponseCurves(
        target=int(classes[0]),
        moved=_curve(
            model,
            f"{'delayed' if signal else 'moved right'} by ({element_noun(prepared.ndim - 2)}s)",
            moves,
            [move(prepared, each) for each in moves],
        ),
        turned=turned,
        scaled=_curve(
            model,
            "stretched by (factor)" if signal else "enlarged by (factor)",
            scales,
            [scale(prepared, each) for each in scales],
        ),
    )


def surviving_share(
    model: Model, dataset: Dataset, *, shifts: Sequence[int] = range(9), samples: int = 1000, seed: int = 0
) -> SurvivingShare:
    """The fraction of predictions unchanged by a shift of so many pixels, in each direction along each axis.

        share(s, d) = mean over n of [argmax f(T_sd x_n) = argmax f(x_n)]

    Pixels that move in take the colour of the image's border.

    Args:
        model: a classifier.
        dataset: images with labels, for the accuracy.
        shifts: in pixels, 0 or more.
        samples: how many images, drawn at random without replacement; at most all.
        seed: for the draw.

    Raises:
        DataError: the data do not fit the network, or `shifts` or `samples` is out of range.

    Zhang: Making convolutional networks shift-invariant again, 2019 (there called consistency).
    """
    check_classifier(model)
    check_dataset(model.graph, model.task, dataset)
    check_takes_dataset(model, dataset)
    distances = _whole_numbers(shifts, least=0)
    if samples < 1:
        raise DataError(f"samples is {samples}; give at least 1")
    chosen = dataset.subset(np.sort(permutation(len(dataset), seed, "shifts")[:samples]))
    directions = _directions(len(chosen.shape) - 1)
    same = np.zeros((len(distances), len(directions)), np.int64)
    right = np.zeros_like(same)
    batch = min(len(chosen), fitting_batch(model.graph, (), most=256))
    outputs = Outputs(model, batch, graph=scored_graph(model))
    for start in range(0, len(chosen), batch):
        prepared = prepare(model, chosen.inputs[start : start + batch])
        labels = chosen.labels[start : start + batch]
        before = targets(model, None, outputs(prepared))
        for row, distance in enumerate(distances):
            for column, direction in enumerate(directions.values()):
                moved = move(prepared, [int(distance) * step for step in direction])
                after = targets(model, None, outputs(moved)) if distance else before
                same[row, column] += np.count_nonzero(after == before)
                right[row, column] += np.count_nonzero(after == labels)
    count = len(chosen)
    chance = int(np.bincount(chosen.labels).max()) / count
    return SurvivingShare(distances, tuple(directions), same / count, right / count, count, chance)


def equivariance_error(
    model: Model, images: Images, *, shifts: Sequence[int] | None = None, layers: Sequence[str] | None = None
) -> EquivarianceError:
    """How far each layer's maps are from moving along with the image; 0 is equivariance.

        error = ||f(T x) - T' f(x)|| / ||T' f(x)||

    T moves the image by s pixels along its last axis, T' the map by s / jump positions; if that is not a whole number
    (a shift within a stride), T' is a linear blend of the two neighbours. Norms are over all images and channels, and
    over the positions along the axis that are compared: in `whole`, all whose counterpart lies in the map; in
    `interior`, those whose receptive field lies in the frame before and after the move, so it holds the same pixels and
    no padding.

    Args:
        model: any network with maps.
        images: the images to measure on.
        shifts: in pixels, 1 or more (default: 1 to 8 and one step of each layer's map).
        layers: names of layers with maps (default: those with a sliding window).

    Raises:
        GraphError: there is no layer with maps, or none of that name.
        ShapeError: an image does not have the network's input shape.
        DataError: a shift is not a whole number of at least 1.
    """
    names = _layers_with_maps(model, layers)
    steps = [_jump(model.graph, name) for name in names]
    usual = {*range(1, 9), *(int(step) for step in steps if step.denominator == 1)}
    distances = _whole_numbers(sorted(usual) if shifts is None else shifts, least=1)
    prepared = prepare(model, images)
    sums = np.zeros((2, 2, len(names), len(distances)))
    size = fitting_batch(model.graph, names, most=min(16, len(prepared)))
    probes: dict[int, Probe] = {}
    for start in range(0, len(prepared), size):
        batch = prepared[start : start + size]
        probe = probes.get(len(batch)) or Probe(model, len(batch), keep=names)
        probes[len(batch)] = probe
        probe.run(batch)
        still = [probe.activation(name) for name in names]
        for column, distance in enumerate(distances):
            probe.run(move(batch, int(distance)))
            for row, name in enumerate(names):
                field = model.graph.receptive_field(name)
                pair = (still[row], probe.activation(name))
                sums[..., row, column] += squared_errors(*pair, field, Fraction(int(distance)) / steps[row])
    with np.errstate(invalid="ignore", divide="ignore"):
        whole, interior = np.sqrt(sums[:, 0] / sums[:, 1])
    return EquivarianceError(
        layers=names,
        shifts=distances,
        jumps=np.array([float(step) for step in steps]),
        aligned=np.array([[int(distance) % step == 0 for distance in distances] for step in steps]),
        interior=interior,
        whole=whole,
    )


def _curve(model: Model, label: str, values: Sequence[float], changed: Sequence[FloatArray]) -> ResponseCurve:
    inputs = np.concatenate(changed)
    return ResponseCurve(label, np.array(values, float), class_chances(model, inputs), displayed(model, inputs))


def _directions(axes: int) -> dict[str, tuple[int, ...]]:
    """Unit steps along each spatial axis, both ways, by name."""
    names = (("left", "right"), ("up", "down"), ("to the front", "to the back"))
    steps = {}
    for axis in range(axes):
        for name, sign in zip(names[axis], (-1, 1), strict=True):
            steps[name] = tuple(sign if each == axes - 1 - axis else 0 for each in range(axes))
    return steps


def _whole_numbers(shifts: Sequence[int], *, least: int) -> NDArray[np.int64]:
    given = np.asarray(list(shifts))
    if not given.size or given.dtype.kind not in "iu" or given.min() < least:
        raise DataError(f"shifts are {list(shifts)}; give whole numbers of pixels, {least} or more")
    return given.astype(np.int64)


def _layers_with_maps(model: Model, layers: Sequence[str] | None) -> tuple[str, ...]:
    if layers is not None and not layers:
        raise DataError("layers is empty; name at least one, or leave it out for those with a sliding window")
    if layers is not None:
        return tuple(spatial_layer(model, name).name for name in layers)
    windowed = tuple(node.name for node in model.graph.nodes if node.windows is not None and node.output_shape[-1] > 1)
    return windowed or (spatial_layer(model, None).name,)


def _jump(graph: Graph, name: str) -> Fraction:
    """Pixels between neighbours in a map; after a layer that sees everything, from the strides on the way to it."""
    strides = 1
    while not (jump := graph.receptive_fields()[name].jump[-1]):
        node = graph.node(name)
        windows = node.windows
        size = node.output_shape[-1]
        shapes = zip(node.inputs, node.input_shapes, strict=True)
        below = [each for each, shape in shapes if len(shape) > 1 and (windows is not None or shape[-1] == size)]
        if not below:
            return strides * Fraction(graph.input_shape[-1], size)
        strides *= windows[-1].stride if windows is not None else 1
        name = below[0]
    return strides * jump
