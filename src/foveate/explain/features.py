"""Feature space: what the network's last layer decides on, for a whole data set, in two dimensions."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.data import Dataset
from foveate.data.batches import permutation
from foveate.engines.base import FloatArray
from foveate.errors import DataError, GraphError
from foveate.explain.draw.inputs import show_input
from foveate.explain.draw.style import MARKERS, OKABE_ITO, colour, drawn, new_figure
from foveate.explain.probe.probe import Images, Probe, check_takes_dataset, displayed, fitting_batch, prepare
from foveate.graph import nearest
from foveate.layers import Linear
from foveate.layers.convolution import Convolution
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Method: TypeAlias = Literal["pca", "umap", "tsne"]
"""Principal components, UMAP (needs umap-learn) or t-SNE (needs scikit-learn)."""

LARGEST_LEGEND = 20
"""Classes with a colour and marker of their own; further ones are drawn alike."""

_PREPARED_AT_ONCE = 1024


@dataclass(frozen=True, eq=False)
class Projection:
    """Features in two dimensions.

    `coordinates` are (N, 2). `explained` is the share of the variance that each of the two principal components holds,
    None for the other methods, whose axes have no meaning.
    """

    method: str
    coordinates: NDArray[np.float64]
    explained: tuple[float, float] | None


def penultimate(model: Model) -> str:
    """The layer, or the input, that the last linear layer or convolution before the output takes.

    Raises:
        GraphError: there is no such layer on the way, or the way is not one line.
    """
    graph = model.graph
    name = graph.only_output
    while name in graph.by_name:
        node = graph.node(name)
        if isinstance(node.layer, Linear | Convolution):
            return node.inputs[0]
        if len(node.inputs) != 1:
            break
        name = node.inputs[0]
    raise GraphError(
        f"the output {graph.only_output} does not come from one last linear layer or convolution; say whose output to "
        f"take: layer=, for example {graph.nodes[-1].name!r}"
    )


def features(
    model: Model, images: "Dataset | Images", layer: str | None = None, *, batch_size: int | None = None
) -> NDArray[np.float32]:
    """What a layer gives for each image, maps averaged over their positions.

    Args:
        model: runs as in inference.
        images: a data set, or what `Model.predict` takes.
        layer: the name of a layer, or of the input; the penultimate features unless given.
        batch_size: images that run at once; as many as fit 256 MB, at most 64, unless given.

    Returns:
        (N, features).

    Raises:
        GraphError: there is no such layer; the message gives the nearest.
        DataError: batch_size is below 1, or the images cannot be used.
        ShapeError: the images do not have the network's shape.
    """
    name = penultimate(model) if layer is None else layer
    if name not in model.graph.shapes:
        raise GraphError(f'there is no layer "{name}".{nearest(name, model.graph.shapes)}')
    if batch_size is not None and batch_size < 1:
        raise DataError(f"batch_size is {batch_size}; it must be at least 1")
    size = batch_size or fitting_batch(model.graph, [name])
    probes: dict[int, Probe] = {}
    found = []
    for batch in _batches(model, images, size):
        if len(batch) not in probes:
            probes[len(batch)] = Probe(model, len(batch), keep=[name])
        probe = probes[len(batch)]
        probe.run(batch)
        values = probe.activation(name)
        found.append(values.reshape(*values.shape[:2], -1).mean(axis=2, dtype=np.float32))
    return np.concatenate(found)


def project(features: ArrayLike, method: Method = "pca", *, seed: int = 0) -> Projection:
    """Features in two dimensions.

    Principal components are the directions of the largest variance: X - mean = U S V^T, coordinates (X - mean) V, the
    largest element of each direction positive.

    Args:
        features: (N, features), at least 3 samples and 2 features.
        method: "pca", built in; "umap" or "tsne" if their packages are installed.
        seed: of UMAP and t-SNE.

    Raises:
        DataError: there is no such method, its package is not installed, or the features span no plane.

    Pearson: On lines and planes of closest fit, 1901. McInnes, Healy, Melville: UMAP, 2018. van der Maaten, Hinton:
    Visualizing data using t-SNE, 2008.

    >>> project([[0, 0], [2, 0], [4, 0], [2, 1]]).coordinates[:, 0].tolist()
    [-2.0, 0.0, 2.0, 0.0]
    """
    values = np.asarray(features, np.float64)
    if values.ndim != 2 or values.shape[0] < 3 or values.shape[1] < 2 or not np.isfinite(values).all():
        raise DataError(
            f"features have the shape {values.shape}; a plane needs finite numbers (N, features), at least 3 samples "
            "and 2 features"
        )
    if np.ptp(values, axis=0).max() == 0:
        raise DataError(f"all {len(values)} samples have the same features, so that there is nothing to lay out")
    if method == "pca":
        return _principal_components(values)
    if method == "umap":
        if len(values) < 5:
            raise DataError(f"UMAP needs at least 5 samples, but there are {len(values)}")
        umap = _optional("umap", "umap-learn", "UMAP")
        neighbours = min(15, len(values) - 1)
        reducer = umap.UMAP(n_components=2, n_neighbors=neighbours, random_state=seed, n_jobs=1)
        return Projection("UMAP", _plane(reducer, values), None)
    if method == "tsne":
        manifold = _optional("sklearn.manifold", "scikit-learn", "t-SNE")
        perplexity = min(30.0, (len(values) - 1) / 3)
        reducer = manifold.TSNE(n_components=2, random_state=seed, init="pca", perplexity=perplexity)
        return Projection("t-SNE", _plane(reducer, values), None)
    raise DataError(f'there is no method "{method}"; there are "pca", "umap" and "tsne"')


@drawn
def plot_feature_space(
    model: Model,
    dataset: Dataset,
    method: Method = "pca",
    *,
    layer: str | None = None,
    samples: int = 1000,
    thumbnails: int = 24,
    seed: int = 0,
) -> "Figure":
    """A point for each image, in the colour and with the marker of its class; some images at their places.

    Args:
        model: runs as in inference.
        dataset: the images, and their classes.
        method: as for `project`.
        layer: whose output to lay out; the penultimate features unless given.
        samples: at most so many images, drawn at random.
        thumbnails: at most so many images are shown; fewer where there is no room.
        seed: of the choice of images, and of UMAP and t-SNE.

    Raises:
        GraphError: there is no such layer; the message gives the nearest.
        DataError: the method is not there, or there are fewer than 3 images.
        ShapeError: the images do not have the network's shape.
    """
    if samples < 3 or len(dataset) < 3:
        raise DataError(f"a plane needs at least 3 images; samples is {samples}, and the data set has {len(dataset)}")
    chosen = dataset
    if samples < len(dataset):
        chosen = dataset.subset(np.sort(permutation(len(dataset), seed, "feature space")[:samples]))
    name = penultimate(model) if layer is None else layer
    found = features(model, chosen, name)
    projection = project(found, method, seed=seed)
    figure = new_figure(9.5, 7)
    axes = figure.subplots()
    tints = _draw_classes(axes, projection.coordinates, chosen)
    for axis, label in zip((axes.xaxis, axes.yaxis), _axis_labels(projection), strict=True):
        axis.set_label_text(label)
    axes.margins(0.06)
    if thumbnails > 0:
        _draw_thumbnails(axes, model, chosen, projection.coordinates, tints, thumbnails)
    shown = {2: "each curve is a sample (its first channel)", 4: "each picture is a sample's middle slice"}
    title = f"Feature space: the {found.shape[1]:,} numbers that {name} gives for each of {len(chosen):,} samples"
    if thumbnails > 0:
        words = shown.get(len(chosen.shape), "each picture is a sample")
        title += f"\nlaid out in two dimensions; {words}, centred on its point"
    figure.suptitle(title, fontsize=12)
    return figure


def _batches(model: Model, images: "Dataset | Images", size: int) -> Iterator[FloatArray]:
    """Prepared inputs, `size` at a time; of a data set no more than some are prepared at once."""
    if isinstance(images, Dataset):
        check_takes_dataset(model, images)
        step = max(1, _PREPARED_AT_ONCE // size) * size
        parts: Iterator[FloatArray] = (
            prepare(model, images.inputs[start : start + step]) for start in range(0, len(images), step)
        )
    else:
        parts = iter([prepare(model, images)])
    for part in parts:
        for start in range(0, len(part), size):
            yield part[start : start + size]


def _principal_components(values: NDArray[np.float64]) -> Projection:
    centred = values - values.mean(axis=0)
    # The triangular factor has the same right singular vectors, and no more rows than features.
    _, spread, directions = np.linalg.svd(np.linalg.qr(centred, mode="r"), full_matrices=False)
    plane = directions[:2]
    plane = plane * np.sign(np.take_along_axis(plane, np.abs(plane).argmax(axis=1)[:, None], axis=1))
    shares = spread**2 / (spread**2).sum()
    return Projection("principal component", centred @ plane.T, (float(shares[0]), float(shares[1])))


def _optional(module: str, package: str, what: str) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise DataError(
            f'{what} needs {package}: pip install {package}; or use method="pca", which is built in'
        ) from None


def _plane(reducer: Any, values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(reducer.fit_transform(values), np.float64)


def _axis_labels(projection: Projection) -> tuple[str, str]:
    if projection.explained is None:
        return f"{projection.method} 1 (no unit)", f"{projection.method} 2 (no unit)"
    first, second = (f"{100 * share:.0f} % of the variance" for share in projection.explained)
    return f"{projection.method} 1 ({first})", f"{projection.method} 2 ({second})"


def _draw_classes(axes: "Axes", points: NDArray[np.float64], dataset: Dataset) -> list[str]:
    """A scatter for each class, the most frequent with a look of their own; the colour of each class."""
    counts = np.bincount(dataset.labels, minlength=len(dataset.classes))
    common = sorted(np.argsort(-counts, kind="stable")[:LARGEST_LEGEND])
    tints = [colour("soft")] * len(counts)
    for number, index in enumerate(common):
        tints[index] = OKABE_ITO[number % len(OKABE_ITO)]
    shown = [index for index in common if counts[index]]
    for index in shown:
        marker = MARKERS[common.index(index) % len(MARKERS)]
        label = dataset.classes[index]
        x, y = points[dataset.labels == index].T
        axes.scatter(x, y, s=16, c=tints[index], marker=marker, linewidths=0, label=label)
    others = ~np.isin(dataset.labels, common)
    if others.any():
        label = f"{int((counts > 0).sum()) - len(shown)} other classes"
        axes.scatter(points[others, 0], points[others, 1], s=8, c=colour("soft"), marker=".", label=label)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), markerscale=1.8, title="class")
    return tints


def _draw_thumbnails(
    axes: "Axes", model: Model, dataset: Dataset, points: NDArray[np.float64], tints: Sequence[str], most: int
) -> None:
    """Images centred on their points, in frames of their classes' colours."""
    limits = np.array([axes.get_xlim(), axes.get_ylim()])
    axes.set(xlim=limits[0], ylim=limits[1])
    places = (points - limits[:, 0]) / (limits[:, 1] - limits[:, 0])
    size = np.array([0.075, 0.09])
    for index in spread_out(places, size, most):
        inset = axes.inset_axes((*(places[index] - size / 2), *size), zorder=5)
        sample = displayed(model, prepare(model, dataset.inputs[index : index + 1]))[0]
        show_input(inset, sample)
        inset.set_aspect("auto")
        inset.patch.set_alpha(0.85)
        for spine in inset.spines.values():
            spine.set(visible=True, color=tints[dataset.labels[index]], linewidth=1.5)


def spread_out(places: NDArray[np.float64], size: NDArray[np.float64], most: int) -> list[int]:
    """Indices of at most `most` places in the unit square on which boxes of `size` overlap neither each other nor its
    border: always the place farthest from those chosen."""
    free = ((places >= size / 2) & (places <= 1 - size / 2)).all(axis=1)
    distance = -np.abs(places - 0.5).max(axis=1)  # begin in the middle
    chosen: list[int] = []
    while free.any() and len(chosen) < most:
        index = int(np.where(free, distance, -np.inf).argmax())
        apart = np.abs(places - places[index])
        free &= (apart > 1.1 * size).any(axis=1)
        reach = np.hypot(*apart.T)
        distance = reach if not chosen else np.minimum(distance, reach)
        chosen.append(index)
    return chosen
