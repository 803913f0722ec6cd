"""Figures of attributions: a map beside and over its image, and every method side by side."""

from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray
from foveate.errors import DataError, GraphError, ShapeError
from foveate.explain.attribution import (
    asked,
    cam_layer,
    grad_cam,
    guided_backpropagation,
    integrated_gradients,
    occlusion,
    saliency,
    upsample,
)
from foveate.explain.draw.inputs import middle, pixels, show_titled_input, slices
from foveate.explain.draw.style import (
    OKABE_ITO,
    SEQUENTIAL,
    bare,
    colour,
    colour_bar,
    drawn,
    new_figure,
    show_image,
    show_map,
)
from foveate.explain.probe.probe import Images, Target, class_name, displayed, prepare_one
from foveate.geometry import format_sizes
from foveate.model import Model
from foveate.training import logits_of, softmax

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHOD_NAMES = {
    "saliency": "input gradient",
    "guided_backpropagation": "guided backpropagation",
    "integrated_gradients": "integrated gradients",
    "grad_cam": "Grad-CAM",
    "occlusion": "occlusion",
}
_BRIGHTEST = 99.5
"""The percentile of a map's magnitudes at which its colours end, so that a few outliers do not blacken the rest."""
_OWN_SCALE = "Each map is coloured on a scale of its own; the strongest 0.5 % of its values share the last colour."
_SAMPLES = "sample (above zero: for the class, below: against it)"
_CLASSES_SHOWN = 5


@dataclass(frozen=True)
class Explanation:
    """A method's `map` (C, *spatial) or (*spatial of a layer) for one image, what is `noted` below it, or why not."""

    map: FloatArray | None
    noted: str = ""


@drawn
def plot_attribution(model: Model, image: Images, attribution: ArrayLike, title: str = "") -> "Figure":
    """One image beside its attribution with its sign (the channels' sum), its magnitude (their largest), and both.

    In 1-D each is a curve; in 3-D three slices stand in rows. A map without anything negative has no signed panel.

    Args:
        model: whose input the image is.
        image: one, as `Model.predict` takes it.
        attribution: for that image, (C, *spatial) or (*spatial) of the input or of a layer, with or without a batch
            axis of one.
        title: of the figure.

    Raises:
        DataError: there are several images, or the model takes neither curves, nor images, nor volumes.
        ShapeError: the attribution is of another shape.
    """
    prepared = one_image(model, image)
    values = _channels_first(model, attribution)
    signed, size = values.sum(axis=0), magnitude(values)
    shown = displayed(model, prepared)[0]
    maps = {"with its sign: for +, against -": signed} if signed.min() < 0 else {}
    if signed.ndim == 1:
        return _curves(shown, maps | {"magnitude": size}, title)
    cuts = slices(signed.shape, 3)
    figure = new_figure(2.6 * (3 + len(maps)), 2.5 * len(cuts) + 0.5, title)
    rows = figure.subplots(len(cuts), 3 + len(maps), squeeze=False)
    for row, (place, name) in zip(rows, cuts, strict=True):
        image = pixels(shown, place)
        show_image(row[0], image)
        row[0].set_ylabel(name, fontsize=9)
        for axes, values in zip(row[1:], maps.values(), strict=False):
            coloured = show_map(axes, values[place], signed=True, limit=limit_of(values))
            colour_bar(figure, coloured, axes, "attribution")
        colour_bar(figure, show_map(row[-2], size[place], limit=limit_of(size)), row[-2], "attribution")
        show_overlay(row[-1], image, size[place], limit_of(size))
    for axes, label in zip(rows[0], ("the image", *maps, "magnitude", "magnitude over the image"), strict=True):
        axes.set_title(label, fontsize=9)
    return figure


@drawn
def plot_attributions(
    model: Model,
    image: Images,
    target: Target = None,
    layer: str | None = None,
    *,
    explained: Mapping[str, Explanation] | None = None,
) -> "Figure":
    """Every method on one image: why does the network find this class?

    Each map is drawn on a scale of its own. Below integrated gradients stands its completeness error; a method that the
    network does not allow says why.

    Args:
        model: the network.
        image: one, as `Model.predict` takes it.
        target: the class; the predicted one unless given.
        layer: for Grad-CAM; unless given the last with maps that is no pooling.
        explained: what `explain_class` gave for just these arguments, where that is known already.

    Raises:
        GraphError: there is no such layer, or it gives no maps.
        DataError: there is no such class, there are several images, or one cannot be used.
        ShapeError: the network gives no number for each class, or an array does not have its shape.
    """
    prepared = one_image(model, image)
    _, classes = asked(without_preprocessing(model), prepared, target)
    chances = softmax(logits_of(model.graph, model.logits(prepared)))[0]
    index = int(classes[0])
    title = f"Why “{class_name(model, index)}”? The network gives it {_percent(chances[index])}"
    explained = explained or explain_class(model, image, index, layer)
    shown = displayed(model, prepared)[0]
    if shown.ndim == 2:
        return _curve_comparison(shown, explained, title)
    return _map_comparison(model, shown, explained, title, chances)


def one_image(model: Model, image: Images) -> NDArray[np.float32]:
    """The prepared image (1, *input shape), of a network whose inputs can be drawn."""
    if not 2 <= len(model.graph.input_shape) <= 4:
        raise DataError(
            f"the network takes {format_sizes(model.graph.input_shape)}, which has no picture; only inputs with one to "
            "three spatial axes can be drawn"
        )
    return prepare_one(model, image)


def without_preprocessing(model: Model) -> Model:
    """The same network on the same state, which takes prepared inputs as they are."""
    other = copy(model)
    other.preprocessing = None
    return other


def magnitude(attribution: FloatArray) -> FloatArray:
    """The largest magnitude over the channels of (C, *spatial)."""
    size: FloatArray = np.abs(attribution).max(axis=0)
    return size


def with_channels(attribution: FloatArray, shown: FloatArray) -> FloatArray:
    """(C, *spatial) of an attribution of one image `shown`, with one channel where it has none."""
    return attribution if attribution.ndim == shown.ndim else attribution[None]


def limit_of(values: FloatArray) -> float:
    """Where a map's colours end."""
    size = np.abs(values)
    return float(np.percentile(size, _BRIGHTEST)) or float(size.max()) or 1.0


def show_overlay(axes: "Axes", image: FloatArray, values: FloatArray, limit: float, title: str = "") -> None:
    """A magnitude map in colours over its image in grey: the stronger, the less transparent."""
    show_image(axes, image.mean(axis=0), title)
    strength = np.clip(values / limit, 0, 1)
    axes.imshow(strength, cmap=SEQUENTIAL, vmin=0, vmax=1, alpha=0.85 * strength**0.5, interpolation="nearest")


def explain_class(
    model: Model, image: Images, target: Target = None, layer: str | None = None
) -> dict[str, Explanation]:
    """What each method gives for one image, by its name; what the network does not allow becomes a note.

    Arguments and errors are those of `plot_attributions`, which draws it.
    """
    prepared = one_image(model, image)
    model = without_preprocessing(model)
    index = int(asked(model, prepared, target)[1][0])
    if layer is not None:
        cam_layer(model, layer)

    def integrated() -> Explanation:
        result = integrated_gradients(model, prepared, index)
        error, change = float(result.completeness_error[0]), float(result.change[0])
        return Explanation(result.attributions[0], f"completeness error {error:.2g}\nof a change of {change:.3g}")

    def cam() -> Explanation:
        node = cam_layer(model, layer)
        found = grad_cam(model, prepared, index, node.name)[0]
        return Explanation(found, f"layer {node.name},\nmaps {format_sizes(found.shape)}")

    makers: dict[str, Callable[[], Explanation]] = {
        "saliency": lambda: Explanation(saliency(model, prepared, index)[0]),
        "guided_backpropagation": lambda: Explanation(guided_backpropagation(model, prepared, index)[0]),
        "integrated_gradients": integrated,
        "grad_cam": cam,
        "occlusion": lambda: Explanation(occlusion(model, prepared, index)[0]),
    }
    explained = {}
    for name, make in makers.items():
        try:
            explained[name] = make()
        except GraphError as error:
            explained[name] = Explanation(None, str(error))
    return explained


def _map_comparison(
    model: Model, shown: FloatArray, explained: Mapping[str, Explanation], title: str, chances: FloatArray
) -> "Figure":
    place, _ = middle(shown.shape[1:])
    figure = new_figure(11, 4.8, title)
    top, bottom = figure.subplots(2, 1 + len(explained))
    image = pixels(shown, place)
    show_titled_input(top[0], shown)
    _show_chances(bottom[0], model, chances)
    coloured = None
    for above, below, (method, found) in zip(top[1:], bottom[1:], explained.items(), strict=True):
        label = METHOD_NAMES[method].replace(" ", "\n", 1)
        if found.map is None:
            _say(above, below, label, found.noted)
            continue
        values = with_channels(found.map, shown)
        signed = values.sum(axis=0)
        own_place = middle(signed.shape)[0]
        coloured = show_map(above, signed[own_place] / limit_of(signed), label, signed=True, limit=1)
        full = upsample(magnitude(values)[None], shown.shape[1:])[0]
        show_overlay(below, image, full[place], limit_of(full))
        below.set_xlabel(found.noted, fontsize=8)
    for axes, words in ((top[1], "with its sign"), (bottom[1], "magnitude\nover the image")):
        axes.set_ylabel(words, fontsize=9)
    figure.supxlabel(_OWN_SCALE, fontsize=9, color=colour("soft"))
    if coloured is not None:
        bar = figure.colorbar(coloured, ax=list(top), shrink=0.8, aspect=20, pad=0.01, ticks=[-1, 0, 1])
        bar.ax.set_yticklabels(["against", "0", "for"])
        bar.outline.set_edgecolor(colour("faint"))
    return figure


def _curve_comparison(shown: FloatArray, explained: Mapping[str, Explanation], title: str) -> "Figure":
    figure = new_figure(9, 1.25 * (1 + len(explained)) + 0.5, title)
    first, *others = figure.subplots(1 + len(explained), 1, sharex=True)
    _input_curve(first, shown)
    for axes, (method, found) in zip(others, explained.items(), strict=True):
        label = METHOD_NAMES[method]
        if found.map is None:
            axes.set_axis_off()
            axes.set_title(f"{label}: {found.noted}", fontsize=9, loc="left", wrap=True)
            continue
        values = with_channels(found.map, shown)
        curve = upsample(values.sum(axis=0)[None], shown.shape[1:])[0]
        note = found.noted.replace("\n", " ")
        _attribution_curve(axes, curve, f"{label} ({note})" if note else label)
    others[-1].set_xlabel(_SAMPLES)
    return figure


def _curves(shown: FloatArray, maps: dict[str, FloatArray], title: str) -> "Figure":
    figure = new_figure(9, 1.7 * (1 + len(maps)) + 0.5, title)
    first, *others = figure.subplots(1 + len(maps), 1, sharex=True)
    _input_curve(first, shown)
    for axes, (label, values) in zip(others, maps.items(), strict=True):
        _attribution_curve(axes, values, label)
    others[-1].set_xlabel(_SAMPLES if len(maps) > 1 else "sample")
    return figure


def _input_curve(axes: "Axes", shown: FloatArray) -> None:
    for channel, colour_of in zip(shown, (colour("ink"), *OKABE_ITO * len(shown)), strict=False):
        axes.plot(channel, color=colour_of, linewidth=0.7)
    axes.set_title("the input" + (f", {len(shown)} channels" if len(shown) > 1 else ""), fontsize=9, loc="left")
    axes.set_xlim(0, shown.shape[1] - 1)


def _attribution_curve(axes: "Axes", values: FloatArray, label: str) -> None:
    """What is above zero in one colour, what is below in another, by the zero line."""
    places = np.arange(len(values))
    axes.fill_between(places, np.maximum(values, 0), color=OKABE_ITO[0], linewidth=0.4)
    axes.fill_between(places, np.minimum(values, 0), color=OKABE_ITO[1], linewidth=0.4)
    axes.axhline(0, color=colour("soft"), linewidth=0.6)
    axes.set_title(label, fontsize=9, loc="left")


def _show_chances(axes: "Axes", model: Model, chances: FloatArray) -> None:
    """The most probable classes as bars with their percentages."""
    best = np.argsort(chances)[::-1][:_CLASSES_SHOWN][::-1]
    axes.barh(np.arange(len(best)), chances[best], color=colour("faint"))
    for place, index in enumerate(best):
        words = f" {class_name(model, int(index))}: {_percent(chances[index])}"
        axes.text(0, place, words, va="center", fontsize=8, color=colour("ink"))
    bare(axes)
    axes.set_xlim(0, 1)
    axes.set_box_aspect(1)
    axes.set_xlabel("probability", fontsize=8)


def _say(above: "Axes", below: "Axes", label: str, sentence: str) -> None:
    """A sentence in place of a map."""
    for axes in (above, below):
        bare(axes)
        axes.set_box_aspect(1)
    above.set_title(label, fontsize=9)
    above.text(0.5, 0.5, fill(sentence, 20), ha="center", va="center", fontsize=8, transform=above.transAxes)


def _percent(chance: float) -> str:
    return f"{100 * chance:.1f} %" if chance >= 0.0005 else "below 0.1 %"


def _channels_first(model: Model, attribution: ArrayLike) -> FloatArray:
    """(C, *spatial) of the input, or (1, *spatial) where the attribution has no channels or is of a layer."""
    shape = model.graph.input_shape
    given: FloatArray = np.asarray(attribution, np.float64)
    values = given[0] if given.shape[:1] == (1,) and given.ndim > len(shape) - 1 and given.shape != shape else given
    if values.shape == shape:
        return values
    if values.ndim != len(shape) - 1 or not values.size:
        raise ShapeError(
            f"the attribution is {format_sizes(given.shape) or 'a number'}; it must be {format_sizes(shape)}, or have "
            f"the {len(shape) - 1} spatial axes of a layer"
        )
    return upsample(values[None], shape[1:])
