"""Invariance, measured: what a network makes of an object that moves, turns and grows, and how its maps follow."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset
from foveate.data.batches import permutation
from foveate.engines.base import FloatArray
from foveate.errors import DataError
from foveate.explain.draw.inputs import show_input
from foveate.explain.draw.style import MARKERS, OKABE_ITO, colour, drawn, new_figure
from foveate.explain.measure.transforms import move, scale, turn
from foveate.explain.measure.words import element_noun
from foveate.explain.probe.probe import (
    Images,
    Outputs,
    Probe,
    Target,
    check_classifier,
    check_takes_dataset,
    class_name,
    displayed,
    fitting_batch,
    prepare,
    prepare_one,
    spatial_layer,
    targets,
)
from foveate.graph import Graph, ReceptiveField
from foveate.model import Model
from foveate.training import check_dataset, logits_of, softmax

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Models: TypeAlias = "Model | Mapping[str, Model]"
"""One model, or several by the names that the legend gives them."""

ANGLES = tuple(range(-180, 181, 15))
SCALES = tuple(round(0.5 + 0.05 * step, 2) for step in range(21))
_THUMBNAILS = 5
_MOST_TICKS = 24


@dataclass(frozen=True, eq=False)
class ResponseCurve:
    """The probabilities (V, classes) of one image at V `values` of one change, and the changed images as they look."""

    label: str
    values: NDArray[np.float64]
    probabilities: FloatArray
    images: FloatArray


@dataclass(frozen=True, eq=False)
class ResponseCurves:
    """What a network makes of one image that moves, turns and grows; `turned` is None for signals.

    `target` is the class that is followed.
    """

    target: int
    moved: ResponseCurve
    turned: ResponseCurve | None
    scaled: ResponseCurve

    @property
    def curves(self) -> tuple[ResponseCurve, ...]:
        """Those there are, in the order of a figure."""
        return tuple(curve for curve in (self.moved, self.turned, self.scaled) if curve is not None)


@dataclass(frozen=True, eq=False)
class SurvivingShare:
    """Predictions on `samples` images that are shifted by each of S `shifts` pixels in each of D directions.

    `share` (S, D) counts the predictions that stay what they are without a shift, `accuracy` (S, D) those that are
    right, both from 0 to 1; `directions` names the columns.
    """

    shifts: NDArray[np.int64]
    directions: tuple[str, ...]
    share: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    samples: int


@dataclass(frozen=True, eq=False)
class EquivarianceError:
    """How far the maps of L layers are from moving with the image, for S `shifts` in pixels along one axis.

    `interior` (L, S) looks only at positions that no padding has reached, NaN where there are none; `whole` (L, S) at
    all that both maps have. `jumps` (L,) is how many pixels a step in each map is, and `aligned` (L, S) says where the
    shift is a whole number of such steps.
    """

    layers: tuple[str, ...]
    shifts: NDArray[np.int64]
    jumps: NDArray[np.float64]
    aligned: NDArray[np.bool_]
    interior: NDArray[np.float64]
    whole: NDArray[np.float64]


def response_curves(
    model: Model,
    image: Images,
    *,
    target: Target = None,
    shifts: Sequence[int] | None = None,
    angles: Sequence[float] = ANGLES,
    scales: Sequence[float] = SCALES,
) -> ResponseCurves:
    """The network's probabilities for one image while it moves along its last axis, turns, and grows.

    Args:
        model: a classifier.
        image: one image.
        target: the class to follow; the one that the model finds in the unchanged image unless given.
        shifts: pixels, positive to the right; 17 of them, to 8 pixels of 28 or their like on each side, unless given.
        angles: degrees, counter-clockwise; signals are not turned.
        scales: factors, above 1 for larger.

    Raises:
        ShapeError: the image has another shape than the network takes.
        DataError: there are several images, a list of changes is empty, or there is no such class.
    """
    check_classifier(model)
    prepared = prepare_one(model, image)
    step = max(1, round(prepared.shape[-1] / 28))
    moves = [step * each for each in range(-8, 9)] if shifts is None else shifts
    for values, name in ((moves, "shifts"), (angles, "angles"), (scales, "scales")):
        if not len(values):
            raise DataError(f"{name} is empty; give at least one value")
    signal, turned = prepared.ndim == 3, None
    if not signal:
        turned = _curve(model, "turned left by (degrees)", angles, [turn(prepared, each) for each in angles])
    return ResponseCurves(
        target=int(targets(model, target, _probabilities(model, prepared))[0]),
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
    """The share of predictions that a shift by so many pixels leaves as they are, in every direction along an axis.

        share(s, d) = mean over n of [argmax f(T_sd x_n) = argmax f(x_n)]

    What comes in has the colour of the image's border.

    Args:
        model: a classifier.
        dataset: images with labels, for the accuracy.
        shifts: pixels, 0 or more.
        samples: how many images, drawn at random without repetition; at most all.
        seed: of the draw.

    Raises:
        DataError: the data do not fit the network, or shifts and samples are no such numbers.

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
    outputs = Outputs(model, batch)
    for start in range(0, len(chosen), batch):
        prepared = prepare(model, chosen.inputs[start : start + batch])
        labels = chosen.labels[start : start + batch]
        before = _decisions(outputs, prepared)
        for row, distance in enumerate(distances):
            for column, direction in enumerate(directions.values()):
                moved = move(prepared, [int(distance) * step for step in direction])
                after = _decisions(outputs, moved) if distance else before
                same[row, column] += np.count_nonzero(after == before)
                right[row, column] += np.count_nonzero(after == labels)
    return SurvivingShare(distances, tuple(directions), same / len(chosen), right / len(chosen), len(chosen))


def equivariance_error(
    model: Model, images: Images, *, shifts: Sequence[int] | None = None, layers: Sequence[str] | None = None
) -> EquivarianceError:
    """How far each layer's maps are from moving along with the image; 0 is equivariance.

        error = ||f(T x) - T' f(x)|| / ||T' f(x)||

    T moves the image by s pixels along its last axis, T' the map by s / jump positions; where that is no whole number
    (a shift within a stride), T' is a linear blend of the two neighbours. Norms are over all images and channels, and
    over the positions along the axis that are compared: in `whole`, all whose counterpart lies in the map; in
    `interior`, those whose receptive field lies in the frame before and after the move, so that it holds the same
    pixels and no padding.

    Args:
        model: any network with maps.
        images: on which to measure.
        shifts: pixels, 1 or more; 1 to 8 and one step of each layer's map unless given.
        layers: names of layers with maps; those with a sliding window unless given.

    Raises:
        GraphError: there is no layer with maps, or none of that name.
        ShapeError: an image has another shape than the network takes.
        DataError: shifts are no such numbers.
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
                sums[..., row, column] += _squares(*pair, field, Fraction(int(distance)) / steps[row])
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


@drawn
def plot_response_curves(models: Models, image: Images, *, target: Target = None, **changes: Any) -> "Figure":
    """`response_curves` as lines: of one model the likeliest classes, of several the class that the first one finds.

    Args:
        models: one, or several by name.
        image: one image.
        target: the class to follow.
        changes: `shifts`, `angles` and `scales` as for `response_curves`.
    """
    named = _named(models)
    first = next(iter(named.values()))
    found = {"": response_curves(first, image, target=target, **changes)}
    wanted = found[""].target
    if len(named) > 1:
        found = {name: response_curves(each, image, target=wanted, **changes) for name, each in named.items()}
    what = ("the signal", "the image", "the volume (its middle slices below)")[len(first.graph.input_shape) - 2]
    figure = new_figure(10.5, 4.4, f"What the network makes of {what} as it changes")
    one = next(iter(found.values()))
    grid = figure.add_gridspec(2, len(one.curves), height_ratios=[4, 1])
    panels: list[Axes] = []
    for column, curve in enumerate(one.curves):
        panel = figure.add_subplot(grid[0, column], sharey=panels[0] if panels else None)
        _curve_panel(panel, curve, _lines(first, found, column, wanted), unchanged=float(curve is one.scaled))
        if curve is one.turned and np.ptp(curve.values) >= 180:
            panel.set_xticks(np.arange(-180, 181, 90))
        panels.append(panel)
        _thumbnails(figure.add_subplot(grid[1, column]), panel, curve)
    panels[0].set_ylabel("probability (%)")
    handles, labels = panels[0].get_legend_handles_labels()
    title = "" if len(named) == 1 else f"probability of {class_name(first, wanted)}"
    figure.legend(handles, labels, title=title, loc="outside lower center", ncols=min(4, len(labels)))
    return figure


@drawn
def plot_surviving_share(models: Models, dataset: Dataset, **options: Any) -> "Figure":
    """`surviving_share` and the accuracy over the shift, the mean of all directions.

    Args:
        models: one, or several by name.
        dataset: images with labels.
        options: `shifts`, `samples` and `seed` as for `surviving_share`.
    """
    shares = {name: surviving_share(each, dataset, **options) for name, each in _named(models).items()}
    return draw_shares(shares, "How many predictions survive a shift")


@drawn
def draw_shares(shares: Mapping[str, SurvivingShare], title: str) -> "Figure":
    """Surviving shares, by the names of their models, and accuracies in two panels."""
    figure = new_figure(10, 4.6, title)
    left, right = figure.subplots(1, 2, sharey=True)
    one, several = next(iter(shares.values())), len(shares) > 1
    for number, (name, share) in enumerate(shares.items()):
        for panel, values in ((left, share.share), (right, share.accuracy)):
            _line(panel, share.shifts, 100 * values.mean(axis=1), number, name)
            if not several:
                low, high = 100 * values.min(axis=1), 100 * values.max(axis=1)
                panel.fill_between(share.shifts, low, high, color=OKABE_ITO[0], alpha=0.2, linewidth=0)
    unit = element_noun(len(one.directions) // 2) + "s"
    _percent_axis(left, f"shift ({unit})", "predictions that stay the same (%)")
    _percent_axis(right, f"shift ({unit})", "accuracy (%)")
    right.yaxis.set_tick_params(labelleft=True)
    for panel in (left, right):
        panel.locator_params(axis="x", integer=True)
    left.set_title("the same answer as without a shift")
    right.set_title("the right answer")
    note = f"Mean over {', '.join(one.directions)} on {one.samples:,} inputs"
    if several:
        handles, labels = left.get_legend_handles_labels()
        figure.legend(handles, labels, title=note, loc="outside lower center", ncols=min(3, len(labels)))
    else:
        figure.supxlabel(f"{note}; the band is from the worst direction to the best", fontsize=9)
    return figure


@drawn
def plot_equivariance_error(models: Models, images: Images, **options: Any) -> "Figure":
    """`equivariance_error` of each layer, the mean over the shifts; a row for each model.

    Args:
        models: one, or several by name.
        images: on which to measure.
        options: `shifts` and `layers` as for `equivariance_error`.
    """
    errors = {name: equivariance_error(each, images, **options) for name, each in _named(models).items()}
    longest = max(len(error.layers) for error in errors.values())
    crowded = any(map(_crowded, errors.values()))
    title = "Equivariance error of each layer: 0 where its map moves exactly as the input does"
    figure = new_figure(max(8.5, min(11.0, 3 + 0.5 * longest)), 1.2 + (4.0 if crowded else 3.0) * len(errors), title)
    panels = figure.subplots(len(errors), 1, squeeze=False)[:, 0]
    for panel, (name, error) in zip(panels, errors.items(), strict=True):
        _error_panel(panel, error, name)
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=1)
    return figure


def _probabilities(model: Model, prepared: FloatArray) -> FloatArray:
    outputs = Outputs(model, min(len(prepared), fitting_batch(model.graph, ())))(prepared)
    return softmax(logits_of(model.graph, outputs))


def _decisions(outputs: Outputs, prepared: FloatArray) -> NDArray[np.int64]:
    found: NDArray[np.int64] = outputs(prepared).argmax(axis=1)
    return found


def _curve(model: Model, label: str, values: Sequence[float], changed: Sequence[FloatArray]) -> ResponseCurve:
    inputs = np.concatenate(changed)
    return ResponseCurve(label, np.array(values, float), _probabilities(model, inputs), displayed(model, inputs))


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
    """Pixels between neighbours in a map; below a layer that sees everything, by the strides on the way to it."""
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


def _squares(still: FloatArray, moved: FloatArray, field: ReceptiveField, steps: Fraction) -> NDArray[np.float64]:
    """Squared and summed, [error, expectation] at all places that can be compared, and at those in the interior."""
    size = still.shape[-1]
    places = np.arange(ceil(steps), size)
    if not len(places):
        return np.full((2, 2), np.nan)
    low = places - ceil(steps)
    weight = np.float32(ceil(steps) - steps)
    high = low + int(weight > 0)
    expected = still[..., low] * (1 - weight) + still[..., high] * weight
    axes = tuple(range(expected.ndim - 1))
    error = np.square(moved[..., places] - expected, dtype=np.float64).sum(axis=axes)
    norm = np.square(expected, dtype=np.float64).sum(axis=axes)
    inside = _inside(field, size)
    free = inside[low] & inside[places]
    if not free.any():
        return np.array([[error.sum(), norm.sum()], [np.nan, np.nan]])
    return np.array([[error.sum(), norm.sum()], [error[free].sum(), norm[free].sum()]])


def _inside(field: ReceptiveField, size: int) -> NDArray[np.bool_]:
    """Which positions of a map see only the frame along the last axis: not all of it, and no padding."""
    spans = [[each.span(place) for each in field.fields[-1]] for place in range(size)]
    last = field.input_sizes[-1] - 1
    local = field.jump[-1] > 0
    return np.array([local and all(s is not None and s[0] >= 0 and s[1] <= last for s in each) for each in spans])


def _named(models: Models) -> dict[str, Model]:
    named = {"": models} if isinstance(models, Model) else dict(models)
    if not named:
        raise DataError("there are no models to compare; give one, or several by name")
    return named


def _lines(model: Model, found: Mapping[str, ResponseCurves], column: int, wanted: int) -> list[tuple[str, FloatArray]]:
    """What each line of a panel is called, and its probabilities (V,)."""
    if len(found) > 1:
        return [(name, each.curves[column].probabilities[:, wanted]) for name, each in found.items()]
    (one,) = found.values()
    highest = np.max([curve.probabilities.max(axis=0) for curve in one.curves], axis=0)
    others = [int(each) for each in np.argsort(-highest, kind="stable") if each != wanted][:3]
    chances = one.curves[column].probabilities
    return [(class_name(model, each), chances[:, each]) for each in (wanted, *others)]


def _curve_panel(
    panel: "Axes", curve: ResponseCurve, lines: Sequence[tuple[str, FloatArray]], *, unchanged: float
) -> None:
    for number, (label, chances) in enumerate(lines):
        _line(panel, curve.values, 100 * chances, number, label, marker=len(curve.values) <= 40)
    _percent_axis(panel, curve.label, "")
    if (curve.values == curve.values.round()).all():
        panel.locator_params(axis="x", integer=True)
    panel.axvline(unchanged, color=colour("soft"), linewidth=1, linestyle=":")


def _line(panel: "Axes", x: NDArray[Any], y: FloatArray, number: int, label: str, *, marker: bool = True) -> None:
    style = {"marker": MARKERS[number % len(MARKERS)], "markersize": 4.5} if marker else {}
    panel.plot(x, y, color=OKABE_ITO[number % len(OKABE_ITO)], label=label or None, **style)  # type: ignore[arg-type]


def _percent_axis(panel: "Axes", x_label: str, y_label: str) -> None:
    panel.set_xlabel(x_label)
    panel.set_ylabel(y_label)
    panel.set_ylim(-3, 103)
    panel.grid(axis="y")


def _thumbnails(strip: "Axes", panel: "Axes", curve: ResponseCurve) -> None:
    """The changed image under the axis, at the places of its values."""
    strip.set_axis_off()
    low, high = panel.get_xlim()
    shares = (curve.values - low) / (high - low)
    wanted = (np.arange(_THUMBNAILS) + 0.5) / _THUMBNAILS
    chosen = dict.fromkeys(int(np.abs(shares - each).argmin()) for each in wanted)
    for index in chosen:
        left = min(max(shares[index] - 0.078, 0.0), 0.844)
        inset = strip.inset_axes((left, 0.0, 0.156, 0.85))
        show_input(inset, curve.images[index])
        inset.set_title(f"{curve.values[index]:g}".replace("-", "\N{MINUS SIGN}"), fontsize=8, pad=2)


def _error_panel(panel: "Axes", error: EquivarianceError, name: str) -> None:
    rows = {
        "shift by whole steps of the map, only where no padding is seen (no mark: nowhere)": (
            error.interior,
            error.aligned,
        ),
        "shift by whole steps of the map, everywhere": (error.whole, error.aligned),
        "shift by a fraction of a step (the map is blended), everywhere": (error.whole, ~error.aligned),
    }
    places = np.arange(len(error.layers))
    for number, (label, (values, where)) in enumerate(rows.items()):
        mean = np.array([_mean(row[mask]) for row, mask in zip(values, where, strict=True)])
        style = {"color": OKABE_ITO[number], "marker": MARKERS[number], "linestyle": "none"}
        # Smaller and smaller, so that none hides another.
        panel.plot(places, mean, label=label, markersize=10 - 2 * number, **style)  # type: ignore[arg-type]
    panel.set_ylim(min(-0.03, *panel.get_ylim()), max(0.5, *panel.get_ylim()))
    panel.axhline(0, color=colour("soft"), linewidth=1, linestyle=":", zorder=0)
    ticks = [f"{layer}\n(step {jump:g})" for layer, jump in zip(error.layers, error.jumps, strict=True)]
    every = ceil(len(ticks) / _MOST_TICKS)
    panel.set_xticks(places[::every], ticks[::every], rotation=90 if _crowded(error) else 0, fontsize=8)
    panel.set_ylabel("error (share of the map's norm)\n||f(Tx) - T'f(x)|| / ||T'f(x)||")
    panel.set_title(name)
    panel.grid(axis="y")


def _crowded(error: EquivarianceError) -> bool:
    """Whether the names of the layers need to stand upright."""
    return len(error.layers) > 12 or max(map(len, error.layers)) > 8


def _mean(values: FloatArray) -> float:
    there = values[np.isfinite(values)]
    return float(there.mean()) if there.size else float("nan")
