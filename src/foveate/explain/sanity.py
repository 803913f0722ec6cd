"""The sanity check of attributions: a map that shows what a network has learnt changes with its parameters."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.errors import DataError, GraphError
from foveate.explain.attribution import METHODS, Method, asked, upsample
from foveate.explain.attribution_plots import (
    METHOD_NAMES,
    limit_of,
    magnitude,
    one_image,
    with_channels,
    without_preprocessing,
)
from foveate.explain.draw.inputs import middle, show_titled_input
from foveate.explain.draw.style import MARKERS, OKABE_ITO, bare, colour, drawn, new_figure, show_map
from foveate.explain.probe.probe import Images, Target, class_name, displayed
from foveate.graph import Graph, initializers, nearest
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIMILAR = 0.5
"""A map whose magnitudes keep a rank correlation of at least this has not changed; the paper names no number."""

_MAPS_SHOWN = 5
_LONGEST_LINE = 12


@dataclass(frozen=True)
class SanityCheck:
    """How the maps of N images change while parameters are made random, from the output layer down.

    `stages` names the lowest layer that is random at each of S stages; at the last, every parameter is. `maps`
    (S + 1, N, ...) begins with the trained network's. Spearman's rank correlations with those, of the signed values
    and of the magnitudes: `signed` and `magnitudes` (S, N). A map without any difference in it correlates 0.
    """

    method: str
    stages: tuple[str, ...]
    maps: FloatArray
    signed: FloatArray
    magnitudes: FloatArray

    @property
    def similarity(self) -> float:
        """What is left in the fully random network: the larger correlation by size, averaged over the images."""
        return abs(self._left)

    @property
    def _left(self) -> float:
        return max((float(values[-1].mean()) for values in (self.signed, self.magnitudes)), key=abs)

    @property
    def blank(self) -> bool:
        """Whether the trained network's own maps are the same everywhere, so that no change of them can be seen."""
        return bool((np.ptp(self.maps[0].reshape(len(self.maps[0]), -1), axis=1) == 0).all())

    @property
    def passed(self) -> bool:
        """Whether the map changed: a similarity below 0.5, of a map that is not blank."""
        return not self.blank and self.similarity < SIMILAR

    @property
    def verdict(self) -> str:
        """One sentence for people."""
        if self.blank:
            return "The map of the network as it is has one value everywhere, so that the check can say nothing of it."
        measured = f"(rank correlation {self._left:.2f})".replace("-", "\N{MINUS SIGN}")
        if self.passed:
            return f"The map changes when the parameters are random {measured}: it depends on what was learnt."
        return f"The map hardly changes when the parameters are random {measured}: it shows the image."


def sanity_check(
    model: Model,
    images: Images,
    method: str | Method = "saliency",
    target: Target = None,
    *,
    seed: int = 1,
    stages: int | None = None,
) -> SanityCheck:
    """Compare a method's maps with those of the same network with random parameters, layer upon layer.

    Cascading randomisation: the output layer starts anew, then the one before it too, and so on down to the input. Each
    takes the parameters and running statistics with which its graph's initialisers would begin a training.

    Args:
        model: the network; it stays as it is.
        images: N of them, as `Model.predict` takes them.
        method: a name of `METHODS`, or method(model, images, target) -> (N, ...).
        target: the class, or one for each image; the one that the trained network predicts unless given.
        seed: at least 1, added to the model's own, with which its training began.
        stages: how many at most, each of some layers; one for each layer with weights unless given.

    Raises:
        DataError: there is no such method or class, or seed or stages are too small.
        GraphError: the network has no parameters that start at random.

    Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity checks for saliency maps, 2018.
    """
    name, function = _method(method)
    for what, value in (("seed", seed), ("stages", stages)):
        if value is not None and value < 1:
            raise DataError(f"{what} is {value}; it must be at least 1")
    plain, cascade = without_preprocessing(model), _cascade(model.graph, stages)
    # Made first: drawing random parameters takes the most memory, and what runs takes some too.
    other = Model(model.graph, classes=model.classes, seed=model.seed + seed, engine=model.engine)
    prepared, classes = asked(model, images, target)
    chosen = classes.tolist()
    maps = []
    # From random to trained: the lower layers get their own arrays back, so that no third state is needed.
    for _, arrays in reversed(cascade):
        maps.append(np.asarray(function(other, prepared, chosen), np.float64))
        for array in arrays:
            other.state.load(array, model.state.read(array))
    trained = np.asarray(function(plain, prepared, chosen), np.float64)
    every = np.stack([trained, *reversed(maps)])
    return SanityCheck(
        method=name,
        stages=tuple(layer for layer, _ in cascade),
        maps=every,
        signed=_correlations(every),
        magnitudes=_correlations(np.abs(every)),
    )


def rank_correlation(a: FloatArray, b: FloatArray) -> float:
    """Spearman's: the correlation of the ranks of all values, equal ones sharing theirs; 0 where one is constant.

    >>> round(rank_correlation(np.array([1, 2, 3, 9]), np.array([1, 4, 3, 100])), 3)
    0.8
    """
    first, second = (ranks - ranks.mean() for ranks in (_ranks(a), _ranks(b)))
    norm = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / norm if norm else 0.0


@drawn
def plot_sanity_check(
    model: Model,
    image: Images,
    method: str | Method = "saliency",
    target: Target = None,
    *,
    seed: int = 1,
    stages: int | None = None,
    check: SanityCheck | None = None,
) -> "Figure":
    """The map of one image while parameters are made random, the rank correlations, and a verdict.

    Arguments and errors are those of `sanity_check`, with one image whose input can be drawn; `check` is what it gave
    for just these, where that is known already.
    """
    prepared = one_image(model, image)
    plain = without_preprocessing(model)
    _, classes = asked(plain, prepared, target)
    check = check or sanity_check(plain, prepared, method, int(classes[0]), seed=seed, stages=stages)
    shown = displayed(model, prepared)[0]
    name = METHOD_NAMES.get(check.method, check.method)
    figure = new_figure(10, 5.2, f"Sanity check of {name} for “{class_name(model, int(classes[0]))}”")
    chosen = _evenly(len(check.maps), _MAPS_SHOWN + 1)
    grid = figure.add_gridspec(2, 1 + len(chosen), height_ratios=[1, 1.1])
    show_titled_input(figure.add_subplot(grid[0, 0]), shown)
    for column, stage in enumerate(chosen, start=1):
        _show_stage(figure.add_subplot(grid[0, column]), check, stage, shown)
    _show_correlations(figure.add_subplot(grid[1, :]), check)
    return figure


def _method(method: str | Method) -> tuple[str, Method]:
    if not isinstance(method, str):
        return getattr(method, "__name__", "method"), method
    if method not in METHODS:
        raise DataError(f'there is no method "{method}".{nearest(method, METHODS)}')
    return method, METHODS[method]


def _cascade(graph: Graph, stages: int | None) -> list[tuple[str, list[str]]]:
    """From the output down: the lowest layer of each stage, and the arrays that become random with it.

    What starts at a constant (a normalisation, a bias) joins the next layer below that starts at random.
    """
    rules = initializers(graph)
    steps: list[tuple[str, list[str]]] = []
    waiting: list[str] = []
    for node in reversed(graph.owners):
        names = (*node.layer.parameters(node.input_shapes), *node.layer.statistics(node.input_shapes))
        waiting += [f"{node.parameters}.{name}" for name in names]
        if any(rules.get(f"{node.parameters}.{name}") in ("he", "xavier") for name in names):
            steps.append((node.name, waiting))
            waiting = []
    if not steps:
        raise GraphError("the network has no parameters that start at random, so there is nothing to make random")
    steps[-1][1].extend(waiting)
    groups = np.array_split(np.arange(len(steps)), min(len(steps), stages or len(steps)))
    return [(steps[group[-1]][0], [name for step in group for name in steps[step][1]]) for group in groups]


def _correlations(maps: FloatArray) -> FloatArray:
    """(S + 1, N, ...) maps to the rank correlations (S, N) of each stage with the first."""
    return np.array([[rank_correlation(*pair) for pair in zip(maps[0], stage, strict=True)] for stage in maps[1:]])


def _ranks(values: FloatArray) -> NDArray[np.float64]:
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles: NDArray[np.float64] = np.cumsum(counts) - (counts - 1) / 2
    return middles[places.reshape(-1)]


def _evenly(count: int, shown: int) -> list[int]:
    """At most `shown` of 0 to `count` - 1, the first and the last among them."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, shown))})


def _show_stage(axes: "Axes", check: SanityCheck, stage: int, shown: FloatArray) -> None:
    size = magnitude(with_channels(check.maps[stage, 0], shown))
    words = f"random to\n{_broken(check.stages[stage - 1])}" if stage else "the network\nas it is"
    if size.ndim == 1:
        axes.plot(upsample(size[None], shown.shape[1:])[0], color=OKABE_ITO[0], linewidth=0.6)
        bare(axes, words)
        return
    show_map(axes, size[middle(size.shape)[0]], words, limit=limit_of(size))


def _broken(name: str) -> str:
    """The name of a layer in lines short enough to stand above a map."""
    lines = [""]
    for part in name.replace(".", ". ").split(" "):
        if lines[-1] and len(lines[-1] + part) > _LONGEST_LINE:
            lines.append("")
        lines[-1] += part
    return "\n".join(lines)


def _show_correlations(axes: "Axes", check: SanityCheck) -> None:
    places = np.arange(len(check.stages) + 1)
    lines = {"magnitudes": check.magnitudes[:, 0]}
    if check.maps.min() < 0:
        lines["signed values"] = check.signed[:, 0]
    for (label, values), marker, ink in zip(lines.items(), MARKERS, OKABE_ITO, strict=False):
        axes.plot(places, [1.0, *values], marker=marker, color=ink, label=label)
    axes.axhline(0, color=colour("soft"), linewidth=0.8)
    for height, label in ((SIMILAR, "beyond: hardly changed"), (-SIMILAR, "")):
        axes.axhline(height, color=colour("soft"), linewidth=0.8, linestyle="--", label=label)
    axes.set_ylim(-1.05 if min(values.min() for values in lines.values()) < -0.3 else -0.35, 1.08)
    axes.set_ylabel("rank correlation with\nthe network's own map")
    axes.set_xlabel("random from the output layer down to")
    axes.set_xticks(places, ["none", *check.stages], rotation=35, ha="right")
    axes.set_title(check.verdict, fontsize=10)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
