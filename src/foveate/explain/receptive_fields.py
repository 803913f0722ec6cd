"""What the elements of a network see of its input: theoretical boxes, and the effective field within them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.random import generator
from foveate.errors import DataError, GraphError, ShapeError
from foveate.explain.draw.style import OKABE_ITO, colour, colour_bar, drawn, new_figure, show_image, show_map
from foveate.explain.measure.words import network_name
from foveate.explain.probe.probe import Images, Probe, displayed, prepare, spatial_layer
from foveate.geometry import format_sizes
from foveate.graph import Graph, Region
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Position: TypeAlias = tuple[int, ...]
"""One number for each spatial axis."""

MOST_BOXES = 8
"""Boxes in one picture; with more, neither colours nor lines could be told apart."""

PART = 0.95
"""Of the energy, for the size of an effective field."""

_BATCH = 4
_PATTERNS = 8
_LINES = ("-", "--", "-.", ":")
_AXIS_NAMES = {1: ("sample",), 2: ("row", "column"), 3: ("depth", "row", "column")}


@dataclass(frozen=True)
class TheoreticalField:
    """The box of the input that one element of a layer can depend on.

    `position` is the element's in the layer; `region.unclipped` goes on into the padding, `region.clipped` holds the
    real positions.
    """

    layer: str
    position: Position
    region: Region

    @property
    def size(self) -> tuple[int, ...]:
        """Of the whole box, padding included."""
        return tuple(len(axis) for axis in self.region.unclipped)

    @property
    def clipped_size(self) -> tuple[int, ...]:
        """Of its part within the input."""
        return tuple(len(axis) for axis in self.region.clipped)


@dataclass(frozen=True)
class EffectiveField:
    """How much one element of a layer depends on each input position; `energy` (*spatial) adds up to 1."""

    field: TheoreticalField
    energy: FloatArray

    def share(self, part: float = PART) -> float:
        """The share of the theoretical box that holds `part` of the energy: the fewest positions, largest first."""
        inside = self.energy[self.field.region.slices].ravel()
        held = np.cumsum(np.sort(inside)[::-1])
        needed = int(np.searchsorted(held, part * held[-1] * (1 - 1e-12))) + 1
        return needed / inside.size


def theoretical_fields(
    model: Model | Graph, layers: Sequence[str] | None = None, position: Sequence[int] | None = None
) -> tuple[TheoreticalField, ...]:
    """The boxes of layers around one position of the input, in the order of the network.

    Args:
        model: the network.
        layers: their names; all that give maps unless given, while one that is flat sees all that reaches it.
        position: in the input, one number per spatial axis; its middle unless given. Of each layer the element is
            taken whose box lies most closely around it.

    Raises:
        GraphError: there is no such layer, or none is named.
        ShapeError: the position lies outside the input.
    """
    graph = model.graph if isinstance(model, Model) else model
    sizes = graph.input_shape[1:]
    at = _input_position(sizes, position)
    if layers is None:
        layers = [node.name for node in graph.nodes if len(node.output_shape) == len(sizes) + 1]
    if not layers:
        raise GraphError("no layer is named; name at least one, or give layers=None for all that give maps")
    return tuple(_field_around(graph, name, at) for name in layers)


def effective_field(
    model: Model,
    images: Images,
    layer: str,
    position: Sequence[int] | None = None,
    *,
    draws: int | None = None,
    seed: int = 0,
) -> EffectiveField:
    """The effective receptive field of one element: its mean squared gradient with respect to the input.

        E[p] = mean over images, draws, c of (d sum_k s_k y[k, position] / d x[c, p])^2, divided by its sum

    with a random sign s_k for each channel k of the layer; on average over the signs that is the sum of all channels'
    squared gradients.

    Args:
        model: the network, as in inference.
        images: raw ones, as for `Model.predict`.
        layer: its name.
        position: of the element in the layer, one number per spatial axis; the middle unless given.
        draws: patterns of signs for each image; enough for eight in all unless given.
        seed: of the signs.

    Returns:
        the field, whose `energy` has the input's spatial axes, and whose `share()` is the share of the theoretical
        box that holds 95 % of the energy.

    Raises:
        GraphError: there is no such layer.
        ShapeError: the layer has no such position, or an image not the network's shape.
        DataError: no gradient reaches the input, or `draws` is below 1.

    Luo, Li, Urtasun, Zemel: Understanding the effective receptive field in deep convolutional neural networks, 2016.
    """
    if draws is not None and draws < 1:
        raise DataError(f"draws is {draws}; it must be at least 1, or None")
    spatial = model.graph.node(layer).output_shape[1:]
    at = tuple(size // 2 for size in spatial) if position is None else tuple(position)
    field = TheoreticalField(layer, at, model.graph.region(layer, at))
    return _effective(model, prepare(model, images), field, draws, seed)


def random_signs(shape: Sequence[int], seed: int) -> NDArray[np.float32]:
    """The signs s that `effective_field` draws: +1 or -1, (draws, images, channels)."""
    return generator(seed, "effective field").choice(np.array([-1, 1], np.float32), tuple(shape))


@drawn
def plot_receptive_fields(
    model: Model,
    images: Images,
    layers: Sequence[str] | None = None,
    position: Sequence[int] | None = None,
    *,
    effective: str | None = None,
    seed: int = 0,
) -> "Figure":
    """The boxes of the layers on the first image, and beside them the effective field of one layer.

    Args:
        model: the network.
        images: raw ones; all of them count for the effective field.
        layers: whose boxes are drawn; a choice of all different ones unless given.
        position: in the input, one number per spatial axis; its middle unless given.
        effective: the layer whose effective field is shown; the last whose box is smaller than the input unless given.
        seed: of the signs of the effective field.

    Raises:
        GraphError: there is no such layer, or it gives no maps.
        ShapeError: the position lies outside the input, or an image has not the network's shape.
        DataError: no gradient reaches the input.
    """
    prepared = prepare(model, images)
    spatial_layer(model, effective)
    at = _input_position(model.graph.input_shape[1:], position)
    fields = theoretical_fields(model, layers, at)
    chosen = _distinct(fields)
    partial = [each for each in chosen if prod(each.clipped_size) < prod(model.graph.input_shape[1:])]
    name = effective or (partial or chosen)[-1].layer
    (focus,) = theoretical_fields(model, [name], at)
    seen = _effective(model, prepared, focus, None, seed)
    picture = displayed(model, prepared[:1])[0]
    draw = {1: _plot_spans, 2: _plot_boxes, 3: _plot_slices}[len(at)]
    figure = draw(picture, chosen, seen, at)
    figure.suptitle(_title(network_name(model.graph), at, len(chosen), len(fields)), fontsize=12)
    return figure


def _input_position(sizes: Sequence[int], position: Sequence[int] | None) -> Position:
    if not sizes:
        raise ShapeError("the network's input is flat, so that there are no boxes in it; take a convolutional network")
    at = tuple(size // 2 for size in sizes) if position is None else tuple(int(each) for each in position)
    if len(at) != len(sizes) or any(not 0 <= each < size for each, size in zip(at, sizes, strict=True)):
        raise ShapeError(
            f"the input has no position {at}: its spatial sizes are {format_sizes(sizes)}, and positions count from 0"
        )
    return at


def _field_around(graph: Graph, layer: str, at: Position) -> TheoreticalField:
    """The box of the element of `layer` whose centre is nearest to the input position."""
    spatial = graph.node(layer).output_shape[1:]
    element: Position = ()
    if len(spatial) == len(at):
        field = graph.receptive_field(layer)
        places = zip(at, field.first_centre, field.jump, spatial, strict=True)
        element = tuple(
            min(max(round((each - centre) / jump), 0), size - 1) if jump else size // 2
            for each, centre, jump, size in places
        )
    return TheoreticalField(layer, element, graph.region(layer, element))


def _distinct(fields: Sequence[TheoreticalField]) -> tuple[TheoreticalField, ...]:
    """The first field of each box as it is seen, smallest first: at most `MOST_BOXES`, evenly chosen."""
    first: dict[Any, TheoreticalField] = {}
    for field in fields:
        first.setdefault(field.region.clipped, field)
    boxes = sorted(first.values(), key=lambda field: prod(field.clipped_size))
    if len(boxes) <= MOST_BOXES:
        return tuple(boxes)
    return tuple(boxes[round(index)] for index in np.linspace(0, len(boxes) - 1, MOST_BOXES))


def _effective(
    model: Model, prepared: FloatArray, field: TheoreticalField, draws: int | None, seed: int
) -> EffectiveField:
    draws = draws or -(-_PATTERNS // len(prepared))
    signs = random_signs((draws, len(prepared), model.graph.shapes[field.layer][0]), seed)
    energy = np.zeros(prepared.shape[2:])
    probe: Probe | None = None
    for start in range(0, len(prepared), _BATCH):
        part = slice(start, start + _BATCH)
        count = len(prepared[part])
        if probe is None or count < _BATCH:
            probe = Probe(model, count, keep=[field.layer], differentiable=True)
        probe.run(prepared[part])
        energy += _energy(probe, field, signs[:, part])
    total = float(energy.sum())
    if not total > 0:
        raise DataError(
            f"no gradient reaches the input from {field.layer} at {field.position}: the rectifiers between them are "
            f"shut for all images (there are {len(prepared)}). Take other images, or another position"
        )
    return EffectiveField(field, energy / total)


def _energy(probe: Probe, field: TheoreticalField, signs: FloatArray) -> FloatArray:
    """Squared gradients (*spatial), summed over the images of the last run, draws and channels of the input."""
    source = probe.graph.only_input
    element: Any = (slice(None), slice(None), *field.position)
    seeds = np.zeros((signs.shape[1], *probe.graph.shapes[field.layer]), np.float32)
    energy = np.zeros(probe.graph.input_shape[1:])
    for each in signs:
        seeds[element] = each
        (gradient,) = probe.gradients({field.layer: seeds}, source)
        energy += (gradient.astype(np.float64) ** 2).sum(axis=(0, 1))
    return energy


def _title(network: str, at: Position, shown: int, known: int) -> str:
    place = ", ".join(map(str, at))
    left = known - shown
    rest = f"\n{shown} of {known} layers drawn; the boxes of the others equal one of them or lie between two"
    return f"What the elements of {network} around position {place} of the input see{rest if left else ''}"


def _label(field: TheoreticalField) -> str:
    whole, part = format_sizes(field.size), format_sizes(field.clipped_size)
    return f"{field.layer}: {whole}" + (f" ({part} inside)" if whole != part else "")


def _cut_off(fields: Sequence[TheoreticalField]) -> str:
    return ", cut off at the input's borders" if any(field.size != field.clipped_size for field in fields) else ""


def _effective_title(seen: EffectiveField) -> str:
    return (
        f"Effective field of {seen.field.layer}: {100 * PART:.0f} % of what it depends on\n"
        f"is in {100 * seen.share():.1f} % of its box of {format_sizes(seen.field.clipped_size)}"
    )


def _visible(picture: FloatArray) -> FloatArray:
    """Three channels are colours; of any other number the first is shown."""
    return picture if len(picture) == 3 else picture[:1]


def _look(index: int) -> dict[str, Any]:
    from matplotlib.patheffects import Normal, Stroke

    halo = [Stroke(linewidth=4, foreground=colour("paper"), alpha=0.7), Normal()]
    look = {"color": OKABE_ITO[index % len(OKABE_ITO)], "linestyle": _LINES[index % len(_LINES)]}
    return {**look, "linewidth": 2, "path_effects": halo, "clip_on": False}


def _rectangle(axes: "Axes", box: Sequence[range], label: str | None = None, **look: Any) -> None:
    """The outline of rows and columns around the cells that it holds."""
    from matplotlib.patches import Rectangle

    rows, columns = box
    corner = (columns.start - 0.5, rows.start - 0.5)
    axes.add_patch(Rectangle(corner, len(columns), len(rows), fill=False, label=label, **look))


def _legend(figure: "Figure", axes: "Axes") -> None:
    """Under the picture, in as many columns as the longest label allows: 0.075 inches a letter, 0.8 for its line."""
    handles, labels = axes.get_legend_handles_labels()
    columns = int(figure.get_figwidth() / (0.8 + 0.075 * max(map(len, labels))))
    figure.legend(handles, labels, loc="outside lower center", ncols=min(max(columns, 1), 4), handlelength=3)


def _plot_boxes(
    picture: FloatArray, fields: Sequence[TheoreticalField], seen: EffectiveField, at: Position
) -> "Figure":
    figure = new_figure(10, 5.8)
    left, right = figure.subplots(1, 2)
    show_image(left, _visible(picture), f"Theoretical boxes{_cut_off(fields)}")
    for index, field in enumerate(fields):
        _rectangle(left, field.region.clipped, _label(field), **_look(index))
    left.plot(at[1], at[0], "+", color=OKABE_ITO[1], markersize=9, label="the position")
    image = show_map(right, seen.energy / seen.energy.max(), _effective_title(seen))
    _rectangle(right, seen.field.region.clipped, color=OKABE_ITO[1], linewidth=2, clip_on=False)
    colour_bar(figure, image, right, "mean squared gradient, largest = 1")
    _legend(figure, left)
    return figure


def _plot_spans(
    picture: FloatArray, fields: Sequence[TheoreticalField], seen: EffectiveField, at: Position
) -> "Figure":
    figure = new_figure(10, 5.2 + 0.3 * len(fields))
    curve, bars, below = figure.subplots(3, 1, sharex=True, height_ratios=(1.6, 0.3 + 0.3 * len(fields), 1.6))
    for index, channel in enumerate(picture):
        curve.plot(channel, linewidth=0.8, color=OKABE_ITO[index % len(OKABE_ITO)])
    curve.set_ylabel("signal")
    for index, field in enumerate(fields):
        (span,) = field.region.clipped
        bars.barh(index, len(span), left=span.start - 0.5, height=0.6, color=OKABE_ITO[index % len(OKABE_ITO)])
    bars.set_yticks(range(len(fields)), [_label(field) for field in fields])
    bars.invert_yaxis()
    bars.set_title(f"Theoretical spans{_cut_off(fields)}", fontsize=9)
    below.plot(seen.energy / seen.energy.max(), color=OKABE_ITO[0], linewidth=1)
    (span,) = seen.field.region.clipped
    below.axvspan(span.start - 0.5, span.stop - 0.5, color=OKABE_ITO[1], alpha=0.15)
    below.set_title(f"{_effective_title(seen)}, shaded", fontsize=9)
    below.set_ylabel("mean squared gradient,\nlargest = 1")
    below.set_xlabel("sample")
    below.set_xlim(*_around([field.region.clipped[0] for field in (*fields, seen.field)], len(seen.energy)))
    for axes in (curve, bars, below):
        axes.axvline(at[0], color=colour("soft"), linestyle=":", linewidth=1)
    return figure


def _around(spans: Sequence[range], size: int) -> tuple[float, float]:
    """The ends of a curve's part that holds all spans, with some room beside them."""
    first, last = min(span.start for span in spans), max(span.stop for span in spans)
    room = (last - first) / 4 + 1
    return max(0, first - room) - 0.5, min(size, last + room) - 0.5


def _plot_slices(
    picture: FloatArray, fields: Sequence[TheoreticalField], seen: EffectiveField, at: Position
) -> "Figure":
    """Three slices through the position, each along two of the axes; boxes above, energy below."""
    figure = new_figure(10, 7.8)
    grid = figure.subplots(2, 3)
    energy = seen.energy / seen.energy.max()
    for axis, name in enumerate(_AXIS_NAMES[3]):
        above, below = grid[:, axis]
        rest = [each for each in range(3) if each != axis]
        show_image(above, np.take(_visible(picture), at[axis], axis=axis + 1), f"{name} {at[axis]}")
        for index, field in enumerate(fields):
            _rectangle(above, [field.region.clipped[each] for each in rest], _label(field), **_look(index))
        image = show_map(below, energy.take(at[axis], axis=axis), limit=1.0)
        _rectangle(
            below, [seen.field.region.clipped[each] for each in rest], color=OKABE_ITO[1], linewidth=2, clip_on=False
        )
        for axes in (above, below):
            axes.set_ylabel(_AXIS_NAMES[3][rest[0]])
            axes.set_xlabel(_AXIS_NAMES[3][rest[1]])
    grid[1, 1].set_title(_effective_title(seen), fontsize=9)
    colour_bar(figure, image, list(grid[1]), "mean squared gradient,\nlargest = 1")
    _legend(figure, grid[0, 0])
    return figure
