"""Feature space: features against PyTorch, principal components against PyTorch and the covariance's eigenvectors."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from numpy.typing import NDArray

import foveate as fv
from foveate.data import Dataset, Preprocessing
from foveate.explain.draw.features import spread_out
from foveate.explain.draw.style import class_tints, tint
from foveate.explain.measure.features import project
from foveate.explain.plots.features import plot_feature_space
from foveate.explain.probe import features as module
from foveate.explain.probe.features import features, penultimate
from tests.support import normal, random_arrays


def classifier(*layers: object, shape: tuple[int, ...] = (3, 8, 8)) -> fv.Model:
    """A model of these layers with random parameters and a preprocessing."""
    graph = fv.Sequential(*layers).build(input_shape=shape)  # type: ignore[arg-type]
    model = fv.Model(graph, preprocessing=Preprocessing(shape, (0.4,) * shape[0], (0.3,) * shape[0]))
    for name, array in random_arrays(model.graph).items():
        model.state.load(name, array)
    return model


def dataset(count: int, shape: tuple[int, ...] = (3, 8, 8), classes: int = 4) -> Dataset:
    random = np.random.default_rng(1)
    inputs = random.integers(0, 256, (count, *shape), np.uint8)
    return Dataset(inputs, random.integers(0, classes, count), tuple(f"class {index}" for index in range(classes)))


def small() -> fv.Model:
    return classifier(
        fv.Conv2d(5, 3), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2), fv.Flatten(), fv.Dropout(), fv.Linear(4)
    )


def torch_stages(model: fv.Model, data: Dataset) -> dict[str, NDArray[np.float64]]:
    """The activations of `small` in PyTorch."""
    read = {name: torch.tensor(model.read(name)).double() for name in model.state.names()}
    f = torch.nn.functional
    x = (torch.tensor(data.inputs).double() / 255 - 0.4) / 0.3
    conv1 = f.conv2d(x, read["conv1.weight"], read["conv1.bias"])
    bn1 = f.batch_norm(conv1, read["bn1.running_mean"], read["bn1.running_var"], read["bn1.weight"], read["bn1.bias"])
    pool1 = f.max_pool2d(bn1.relu(), 2)
    return {"input": x.numpy(), "conv1": conv1.numpy(), "bn1": bn1.numpy(), "flatten1": pool1.flatten(1).numpy()}


def test_features_are_pytorchs() -> None:
    model, data = small(), dataset(70)
    stages = torch_stages(model, data)
    assert np.allclose(features(model, data), stages["flatten1"], atol=1e-4)
    for name in ("input", "conv1", "bn1"):
        assert np.allclose(features(model, data, name), stages[name].mean(axis=(2, 3)), atol=1e-4)


def test_neither_batch_size_nor_form_changes_features(monkeypatch: pytest.MonkeyPatch) -> None:
    model, data = small(), dataset(23)
    whole = features(model, data)
    assert np.allclose(features(model, data.inputs), whole, atol=1e-5)
    monkeypatch.setattr(module, "PREPARED_AT_ONCE", 8)
    for size in (1, 5, 23, 64):
        assert np.allclose(features(model, data, batch_size=size), whole, atol=1e-5)


@pytest.mark.parametrize(
    ("layers", "shape", "expected"),
    [
        ((fv.Conv2d(4, 3), fv.GlobalAvgPool2d(), fv.Linear(3)), (3, 8, 8), "pool1"),
        ((fv.Conv2d(4, 3), fv.ReLU(), fv.Conv2d(3, 1), fv.GlobalAvgPool2d(), fv.Flatten()), (3, 8, 8), "relu1"),
        ((fv.Linear(4), fv.ReLU(), fv.Linear(3), fv.Softmax()), (6,), "relu1"),
        ((fv.Linear(3),), (6,), "input"),
        ((fv.Conv1d(4, 3), fv.GlobalAvgPool1d(), fv.Linear(3)), (2, 9), "pool1"),
    ],
)
def test_penultimate_is_what_the_last_weights_take(
    layers: tuple[object, ...], shape: tuple[int, ...], expected: str
) -> None:
    model = classifier(*layers, shape=shape)
    assert penultimate(model) == expected
    channels = model.graph.shapes[expected][0]
    assert features(model, dataset(5, shape)).shape == (5, channels)


@pytest.mark.parametrize("name", ["lenet5", "resnet20"])
def test_networks_of_the_zoo_have_penultimate_features(name: str) -> None:
    graph = fv.zoo.make(name)
    found = penultimate(fv.Model(graph))
    assert graph.consumers[found] == (graph.nodes[-1],)


def test_principal_components_are_those_of_pytorch_and_of_the_covariance() -> None:
    for shape in ((60, 7), (9, 40)):
        values = normal(shape) * np.linspace(1, 3, shape[1]) + 5
        found = project(values)
        u, s, _ = torch.pca_lowrank(torch.tensor(values), q=min(shape), niter=10)
        expected = (u[:, :2] * s[:2]).numpy()
        assert np.allclose(np.abs(found.coordinates), np.abs(expected), atol=1e-6)
        eigenvalues = np.linalg.eigvalsh(np.cov(values.T))[::-1]
        assert found.explained == pytest.approx(eigenvalues[:2] / eigenvalues.sum(), rel=1e-9)
        assert np.allclose(found.coordinates.var(axis=0, ddof=1), eigenvalues[:2])


def test_the_signs_of_principal_components_are_fixed() -> None:
    values = normal((30, 4)) * [1, 5, 1, 3]
    found = project(values).coordinates
    assert np.corrcoef(found[:, 0], values[:, 1])[0, 1] > 0.9
    assert np.corrcoef(found[:, 1], values[:, 3])[0, 1] > 0.9
    assert np.allclose(project(-values).coordinates, -found)


def test_other_methods_need_their_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    values = normal((10, 4))
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(fv.DataError, match="UMAP needs umap-learn: pip install umap-learn; or use method"):
        project(values, "umap")
    monkeypatch.setitem(sys.modules, "sklearn.manifold", None)
    with pytest.raises(fv.DataError, match="t-SNE needs scikit-learn: pip install scikit-learn"):
        project(values, "tsne")


@pytest.mark.parametrize(
    ("method", "package", "name"), [("umap", "umap", "UMAP"), ("tsne", "sklearn.manifold", "TSNE")]
)
def test_other_methods_are_called_with_two_dimensions_and_the_seed(
    method: str, package: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, object] = {}

    class Reducer:
        def __init__(self, **options: object) -> None:
            asked.update(options)

        def fit_transform(self, values: NDArray[np.float64]) -> NDArray[np.float32]:
            return values[:, 2:4].astype(np.float32)

    monkeypatch.setitem(sys.modules, package.partition(".")[0], SimpleNamespace(**{name: Reducer}))
    monkeypatch.setitem(sys.modules, package, SimpleNamespace(**{name: Reducer}))
    values = normal((10, 4))
    found = project(values, method, seed=7)  # type: ignore[arg-type]
    assert (asked["n_components"], asked["random_state"]) == (2, 7)
    assert np.allclose(found.coordinates, values[:, 2:], atol=1e-6)
    assert found.explained is None
    assert float(str(asked.get("perplexity", 1))) < 10  # scikit-learn refuses one that is not below the samples
    figure = plot_feature_space(small(), dataset(12), method)  # type: ignore[arg-type]
    assert figure.axes[0].get_xlabel() == f"{found.method} 1 (no unit)"


def test_what_spans_no_plane_is_a_sentence() -> None:
    for values in (normal((2, 4)), normal((9, 1)), normal((9,)), np.full((4, 4), np.nan)):
        with pytest.raises(fv.DataError, match="a plane needs finite numbers"):
            project(values)
    with pytest.raises(fv.DataError, match="all 4 samples have the same features"):
        project(np.ones((4, 5)))
    with pytest.raises(fv.DataError, match='there is no method "lda"; choose "pca", "umap" or "tsne"'):
        project(normal((9, 4)), "lda")  # type: ignore[arg-type]
    with pytest.raises(fv.DataError, match="UMAP needs at least 5 samples, but there are 4"):
        project(normal((4, 4)), "umap")


def test_what_cannot_be_asked_is_a_sentence() -> None:
    model = small()
    with pytest.raises(fv.GraphError, match=r'there is no layer "pool"\. Nearest: pool1'):
        features(model, dataset(4), "pool")
    with pytest.raises(fv.DataError, match="batch_size is 0; it must be at least 1"):
        features(model, dataset(4), batch_size=0)
    with pytest.raises(fv.ShapeError, match="the network takes 3x8x8, but a sample of the dataset is 3x7x7"):
        features(model, dataset(4, (3, 7, 7)))
    raw = fv.Model(model.graph)
    with pytest.raises(fv.DataError, match="the model has no preprocessing, so it cannot take a dataset; fit it"):
        features(raw, dataset(4))
    with pytest.raises(fv.DataError, match="a plane needs at least 3 images; samples is 1000, and the dataset has 2"):
        plot_feature_space(model, dataset(2))
    weightless = fv.Model(fv.Sequential(fv.ReLU(), fv.Flatten()).build(input_shape=(1, 4, 4)))
    with pytest.raises(fv.GraphError, match=r"does not come from one last linear layer.*such as layer='flatten1'"):
        features(weightless, normal((3, 1, 4, 4)))


SIZE = np.array([0.1, 0.15])


def crowd() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """A dense heap of five classes, and one scattered class."""
    random = np.random.default_rng(2)
    heap, scattered = random.normal(0.3, 0.03, (400, 2)), random.random((100, 2))
    return np.concatenate([heap, scattered]), np.append(np.arange(400) % 5, np.full(100, 5))


def test_pictures_hide_neither_each_other_nor_the_densest_cluster() -> None:
    places, labels = crowd()
    assert len(spread_out(places, labels, SIZE, 8)) == 8
    found = spread_out(places, labels, SIZE, 500)  # as many as find room
    assert 10 < len(found) <= 66
    centres = np.array([centre for _, centre in found])
    apart = np.abs(centres[:, None] - centres[None]) > SIZE
    assert (apart.any(axis=2) | np.eye(len(centres), dtype=bool)).all()
    assert (centres >= SIZE / 2 - 1e-12).all()
    assert (centres <= 1 - SIZE / 2 + 1e-12).all()
    hidden = (np.abs(places[:, None] - centres[None]) < SIZE / 2).all(axis=2).sum(axis=0)
    assert hidden.max() <= 2
    assert (np.abs(places[:, None] - places[None]) < SIZE / 2).all(axis=2).sum(axis=0).max() > 200  # on its own place


def test_each_class_has_a_picture_near_its_middle_before_any_has_two() -> None:
    places, labels = crowd()
    first = [index for index, _ in spread_out(places, labels, SIZE, 6)]
    assert sorted(labels[first]) == list(range(6))
    for index in first:
        own = places[labels == labels[index]]
        middle = np.hypot(*(own - np.median(own, axis=0)).T)
        assert np.hypot(*(places[index] - np.median(own, axis=0))) == middle.min()


def test_a_line_in_the_colour_of_the_frame_leads_from_each_picture_to_its_point() -> None:
    model, data = small(), dataset(60)
    axes = plot_feature_space(model, data, thumbnails=6).axes[0]
    points = project(features(model, data)).coordinates
    assert len(axes.lines) == len(axes.child_axes) == 6
    for line, inset in zip(axes.lines, axes.child_axes, strict=True):
        (x, _), (y, _) = line.get_data()
        nearest = int(np.hypot(*(points - [x, y]).T).argmin())
        assert np.allclose(points[nearest], [x, y])
        assert (
            line.get_color() == tint(int(data.labels[nearest])) == to_hex(inset.spines["top"].get_edgecolor()).upper()
        )


def test_the_plot_draws_every_sample_and_names_its_axes() -> None:
    model, data = small(), dataset(40, classes=12)
    figure = plot_feature_space(model, data)
    axes = figure.axes[0]
    projection = project(features(model, data))
    drawn = np.concatenate([each.get_offsets() for each in axes.collections])
    order = np.argsort(data.labels, kind="stable")
    assert np.allclose(drawn, projection.coordinates[order], atol=1e-5)
    assert projection.explained is not None
    assert axes.get_xlabel() == f"principal component 1 ({100 * projection.explained[0]:.0f} % of the variance)"
    looks = {(tuple(each.get_facecolor()[0]), each.get_paths()[0].vertices.tobytes()) for each in axes.collections}
    assert len(looks) == len(np.unique(data.labels))
    tones = [to_hex(each.get_facecolor()[0]).upper() for each in axes.collections]
    assert tones == [tint(number) for number in class_tints(np.unique(data.labels).tolist()).values()]
    assert len(set(tones)) == 10
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    assert names == [data.classes[index] for index in np.unique(data.labels)]


def test_of_many_classes_the_most_frequent_have_a_look_of_their_own() -> None:
    figure = plot_feature_space(small(), dataset(200, classes=30), thumbnails=0, samples=150)
    names = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert len(names) == 21
    assert names[-1] == "10 other classes"
    assert "each of 150 samples" in str(figure.get_suptitle())
    assert not figure.axes[0].child_axes


@pytest.mark.parametrize(
    ("layer", "shape"), [(fv.Conv1d, (2, 9)), (fv.Conv2d, (1, 8, 8)), (fv.Conv2d, (3, 8, 8)), (fv.Conv3d, (1, 5, 6, 7))]
)
def test_thumbnails_of_sounds_images_and_volumes(layer: type, shape: tuple[int, ...]) -> None:
    model = classifier(layer(4, 3), fv.ReLU(), fv.Flatten(), fv.Linear(3), shape=shape)
    data = dataset(30, shape)
    insets = plot_feature_space(model, data, thumbnails=5).axes[0].child_axes
    assert len(insets) == 5
    unit = data.inputs / 255
    for inset in insets:
        if len(shape) == 2:
            candidates, shown = unit[:, 0], inset.lines[0].get_ydata()
        else:
            flat = unit[:, :, 2] if len(shape) == 4 else unit
            candidates, shown = np.moveaxis(flat, 1, -1).squeeze(), inset.images[0].get_array()
        assert min(np.abs(candidate - shown).max() for candidate in candidates) < 1e-5
