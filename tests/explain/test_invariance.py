"""What moves, turns and scales do to a network, against plain loops, PyTorch and layers that break the rule."""

from copy import copy
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional

import foveate as fv
from foveate import engines
from foveate.errors import DataError, GraphError, ShapeError
from foveate.explain import theme
from foveate.explain.measure.transforms import move, scale, turn
from foveate.explain.plots.invariance import plot_equivariance_error, plot_response_curves, plot_surviving_share
from foveate.explain.probe.invariance import equivariance_error, response_curves, surviving_share
from foveate.layers.base import ElementwiseLayer
from tests.support import normal, random_arrays


def model_of(*layers: Any, shape: tuple[int, ...], classes: tuple[str, ...] | None = None) -> fv.Model:
    model = fv.Model(fv.Sequential(*layers).build(shape, quiet=True), classes=classes)
    for name, array in random_arrays(model.graph, seed=3).items():
        model.state.load(name, np.abs(array) + 0.1 if name.endswith("var") else array)
    return model


def classifier(shape: tuple[int, ...], classes: tuple[str, ...] | None = ("ant", "bee", "cat")) -> fv.Model:
    conv, pool = {2: (fv.Conv1d, fv.MaxPool1d), 3: (fv.Conv2d, fv.MaxPool2d), 4: (fv.Conv3d, fv.MaxPool3d)}[len(shape)]
    return model_of(conv(4, 3), fv.ReLU(), pool(2), fv.Flatten(), fv.Linear(3), shape=shape, classes=classes)


def takes_datasets(model: fv.Model) -> fv.Model:
    """The same with a preprocessing that changes nothing."""
    other, shape = copy(model), model.graph.input_shape
    other.preprocessing = fv.Preprocessing(shape, (0.0,) * shape[0], (1.0,) * shape[0])
    return other


def images(count: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    return normal((count, *shape), seed=5).astype(np.float32)


SHAPES = [(2, 20), (3, 12, 12), (1, 6, 8, 8)]


@pytest.mark.parametrize("shape", SHAPES)
def test_curves_are_the_probabilities_of_each_changed_image(shape: tuple[int, ...]) -> None:
    model, image = classifier(shape), images(1, shape)
    found = response_curves(model, image[0], shifts=(-2, 0, 3), angles=(0, 40), scales=(0.7, 1))

    def alone(changed: Any) -> NDArray[np.float64]:
        logits = torch.from_numpy(model.logits(changed).astype(np.float64))
        return np.asarray(torch.softmax(logits, 1)[0].numpy())

    for row, shift in enumerate((-2, 0, 3)):
        np.testing.assert_allclose(found.moved.probabilities[row], alone(move(image, shift)), atol=1e-5)
    for row, factor in enumerate((0.7, 1)):
        np.testing.assert_allclose(found.scaled.probabilities[row], alone(scale(image, factor)), atol=1e-5)
    assert found.target == alone(image).argmax()
    if len(shape) == 2:
        assert found.turned is None
    else:
        assert found.turned is not None
        np.testing.assert_allclose(found.turned.probabilities[1], alone(turn(image, 40)), atol=1e-5)
        assert found.turned.images.shape == (2, *shape)


def test_shifts_are_proportionate_to_the_size_unless_given() -> None:
    for width, step in ((28, 1), (56, 2), (12, 1)):
        found = response_curves(classifier((1, 8, width)), images(1, (1, 8, width)), angles=[0], scales=[1])
        assert found.moved.values.tolist() == [step * each for each in range(-8, 9)]


@pytest.mark.parametrize("shape", SHAPES)
def test_the_surviving_share_is_what_a_plain_loop_counts(shape: tuple[int, ...]) -> None:
    model = classifier(shape)
    pixels = np.random.default_rng(1).integers(0, 256, (30, *shape), dtype=np.uint8)
    dataset = fv.Dataset(pixels, np.arange(30) % 3, ("ant", "bee", "cat"))
    model.preprocessing = fv.Preprocessing.measure(dataset)
    found = surviving_share(model, dataset, shifts=(0, 1, 4), samples=1000)
    prepared = model.preprocessing.apply(pixels)
    axes = len(shape) - 1
    assert len(found.directions) == 2 * axes
    assert found.samples == 30
    for row, shift in enumerate((0, 1, 4)):
        for column, direction in enumerate(found.directions):
            axis, sign = {"left": (-1, -1), "right": (-1, 1), "up": (-2, -1), "down": (-2, 1)}.get(
                direction, (-3, -1 if direction == "to the front" else 1)
            )
            offset = [0] * axes
            offset[axis] = sign * shift
            same = right = 0
            for sample, label in zip(prepared, dataset.labels, strict=True):
                before = model.logits(sample[None]).argmax()
                after = model.logits(move(sample[None], offset)).argmax()
                same, right = same + int(before == after), right + int(after == label)
            assert found.share[row, column] == same / 30
            assert found.accuracy[row, column] == right / 30
    assert (found.share[0] == 1).all()
    assert found.share[1:].min() < 1


def test_a_sample_is_drawn_without_repetition_and_by_the_seed() -> None:
    model, shape = takes_datasets(classifier((1, 8, 8))), (1, 8, 8)
    dataset = fv.Dataset(np.abs(images(40, shape)) / 5, np.arange(40) % 3, ("ant", "bee", "cat"))
    one, same, other = (surviving_share(model, dataset, samples=7, seed=seed) for seed in (1, 1, 2))
    assert one.samples == 7
    np.testing.assert_array_equal(one.accuracy, same.accuracy)
    assert (one.accuracy != other.accuracy).any()


def test_convolutions_are_equivariant_away_from_the_border() -> None:
    layers = (fv.Conv2d(4, 3, padding=1), fv.ReLU(), fv.Conv2d(4, 5, padding=2), fv.Conv2d(2, 3, stride=2, padding=1))
    model = model_of(*layers, shape=(3, 24, 24))
    found = equivariance_error(model, images(3, (3, 24, 24)), shifts=range(1, 9))
    assert found.layers == ("conv1", "conv2", "conv3")
    assert found.jumps.tolist() == [1, 1, 2]
    assert found.aligned[:2].all()
    assert found.aligned[2].tolist() == [False, True] * 4
    assert found.interior[found.aligned].max() < 1e-5
    assert found.interior[2, ::2].min() > 0.1
    assert found.whole[found.aligned].min() > 0.01


def test_an_aligned_shift_through_pooling_is_exact_and_a_shift_within_the_stride_is_not() -> None:
    model = model_of(fv.Conv2d(4, 3, padding=1), fv.ReLU(), fv.MaxPool2d(2), fv.AvgPool2d(2), shape=(1, 24, 24))
    found = equivariance_error(model, images(2, (1, 24, 24)), shifts=(1, 2, 3, 4), layers=["pool1", "pool2"])
    assert found.interior[0, [1, 3]].max() < 1e-6
    assert found.interior[1, 3] < 1e-6
    assert found.interior[0, [0, 2]].min() > 0.1
    assert found.interior[1, :3].min() > 0.05


@pytest.mark.parametrize("shape", [(2, 40), (1, 7, 9, 30)])
def test_signals_and_volumes_are_measured_along_their_last_axis(shape: tuple[int, ...]) -> None:
    conv = fv.Conv1d if len(shape) == 2 else fv.Conv3d
    found = equivariance_error(model_of(conv(3, 3, padding=1), conv(3, 3, stride=2), shape=shape), images(2, shape))
    assert found.shifts.tolist() == list(range(1, 9))
    assert found.interior[found.aligned].max() < 1e-5


def test_errors_are_those_of_a_plain_definition_in_pytorch() -> None:
    model = model_of(fv.Conv2d(3, 3, padding=1), fv.MaxPool2d(2), shape=(1, 10, 12))
    x = images(2, (1, 10, 12))
    found = equivariance_error(model, x, shifts=(1, 2))
    weight, bias = (torch.from_numpy(model.read(f"conv1.{name}")) for name in ("weight", "bias"))

    def maps(inputs: Any) -> tuple[Any, Any]:
        first = functional.conv2d(torch.from_numpy(np.asarray(inputs)), weight, bias, padding=1)
        return first.numpy(), functional.max_pool2d(first, 2).numpy()

    (conv, pool), (conv_moved, pool_moved) = maps(x), maps(move(x, 1))
    expected = np.linalg.norm(conv_moved[..., 1:] - conv[..., :-1]) / np.linalg.norm(conv[..., :-1])
    assert found.whole[0, 0] == pytest.approx(expected, rel=1e-4)
    half = (pool[..., :-1] + pool[..., 1:]) / 2
    expected = np.linalg.norm(pool_moved[..., 1:] - half) / np.linalg.norm(half)
    assert found.whole[1, 0] == pytest.approx(expected, rel=1e-4)
    # Maps 2 to 4 of 0..5 see pixels 3..10 after the move and 1..10 before it; 1 sees column 1, which has come in.
    inner = np.linalg.norm(pool_moved[..., 2:5] - half[..., 1:4]) / np.linalg.norm(half[..., 1:4])
    assert found.interior[1, 0] == pytest.approx(inner, rel=1e-4)


@dataclass(frozen=True)
class Ramp(ElementwiseLayer):
    """Multiplies each column with its number: looks pointwise, but depends on the position."""

    label: ClassVar[str] = "ramp"


def _columns(layer: Ramp, inputs: Any, arrays: Any) -> NDArray[np.float32]:
    values: NDArray[np.float32] = inputs[0] * np.arange(1, inputs[0].shape[-1] + 1, dtype=np.float32)
    return values


def _no_backward(*_: Any) -> Any:
    raise AssertionError("nothing here asks for gradients")


engines.register(Ramp, _columns, _no_backward)


def test_a_layer_that_depends_on_the_position_is_found_out() -> None:
    model = model_of(fv.Conv2d(3, 3), Ramp(), fv.Conv2d(3, 3), shape=(1, 20, 20))
    found = equivariance_error(model, images(2, (1, 20, 20)), layers=["conv1", "ramp1", "conv2"])
    assert found.interior[0].max() < 1e-5
    assert found.interior[1:].min() > 0.05


def test_layer_norm_sees_everything_so_that_no_interior_is_left_and_its_weights_break_equivariance() -> None:
    model = model_of(fv.Conv2d(3, 3), fv.LayerNorm(), shape=(1, 20, 20))
    x, names = images(2, (1, 20, 20)), ["conv1", "norm1"]
    weights = equivariance_error(model, x, layers=names)
    model.state.load("norm1.weight", np.ones((3, 18, 18)))
    model.state.load("norm1.bias", np.zeros((3, 18, 18)))
    plain = equivariance_error(model, x, layers=names)
    assert weights.jumps.tolist() == [1, 1]
    assert np.isnan(weights.interior[1]).all()
    np.testing.assert_array_equal(weights.whole[0], plain.whole[0])
    assert plain.whole[1].max() < 0.3 < weights.whole[1].min()


def test_steps_of_maps_behind_a_layer_that_sees_everything_are_the_product_of_strides() -> None:
    layers = (fv.Conv2d(4, 3, stride=2), fv.LayerNorm(), fv.ReLU(), fv.Conv2d(4, 3), fv.MaxPool2d(2))
    model = model_of(*layers, fv.AdaptiveAvgPool2d(3), shape=(1, 40, 40))
    found = equivariance_error(model, images(1, (1, 40, 40)), layers=["norm1", "conv2", "pool1", "pool2"])
    assert found.jumps.tolist() == [2, 2, 4, pytest.approx(40 / 3)]


def test_what_is_left_of_a_small_map_is_said_by_nan() -> None:
    found = equivariance_error(model_of(fv.Conv2d(2, 7, padding=3), shape=(1, 8, 8)), images(1, (1, 8, 8)))
    assert np.isfinite(found.interior[0, :1]).all()
    assert np.isnan(found.interior[0, 2:]).all()
    assert np.isnan(found.whole[0, 7])


def test_norms_are_over_all_images_though_they_come_in_batches() -> None:
    model, x = model_of(fv.Conv2d(3, 3, padding=1), shape=(1, 9, 9)), images(19, (1, 9, 9))
    still, moved = (model.logits(each) for each in (x, move(x, 2)))
    expected = np.linalg.norm(moved[..., 2:] - still[..., :-2]) / np.linalg.norm(still[..., :-2])
    assert equivariance_error(model, x, shifts=[2]).whole[0, 0] == pytest.approx(expected, rel=1e-4)


def deciding(shape: tuple[int, ...]) -> tuple[fv.Model, fv.Dataset]:
    """A model, and samples whose classes are its own answers, all about as frequent."""
    model = takes_datasets(classifier(shape))
    inputs = np.random.default_rng(0).random((60, *shape)).astype(np.float32)
    logits = model.logits(inputs)
    model.state.load("linear1.bias", model.read("linear1.bias") - np.median(logits, axis=0))
    return model, fv.Dataset(inputs, model.logits(inputs).argmax(axis=1), ("ant", "bee", "cat"))


def constant(shape: tuple[int, ...]) -> fv.Model:
    """A model that always answers "ant"."""
    model = classifier(shape)
    model.state.load("linear1.weight", np.zeros_like(model.read("linear1.weight")))
    model.state.load("linear1.bias", np.array([1, 0, 0], np.float32))
    return takes_datasets(model)


def test_a_network_at_chance_level_has_a_sentence_in_place_of_curves() -> None:
    shape = (1, 9, 9)
    model, dataset = deciding(shape)
    found, idle = surviving_share(model, dataset), surviving_share(constant(shape), dataset)
    assert (found.learnt, found.best) == (True, 1.0)
    assert (idle.learnt, idle.share.min(), idle.samples) == (False, 1.0, len(dataset))
    assert idle.chance == np.bincount(dataset.labels).max() / len(dataset)
    figure = plot_surviving_share({"good": model, "idle": constant(shape)}, dataset)
    assert [line.get_label() for line in figure.axes[0].lines] == ["good"]
    said = figure.legends[0].get_title().get_text().replace("\n", " ")
    assert "idle is at chance level: " in said
    assert f"while always answering the commonest class gives {100 * idle.chance:.0f} %, so it means nothing" in said
    alone = plot_surviving_share(constant(shape), dataset)
    assert not alone.axes
    assert any("The network is at chance level" in text.get_text() for text in alone.texts)


@pytest.mark.parametrize(("shape", "name"), [*((shape, "light") for shape in SHAPES), (SHAPES[1], "dark")])
def test_figures_for_one_model_and_for_several(shape: tuple[int, ...], name: Any) -> None:
    one, dataset = deciding(shape)
    models = {"one": one, "two": deciding(shape)[0]}
    takers = {name: takes_datasets(model) for name, model in models.items()}
    with theme(name):
        for model, taker in ((models["one"], takers["one"]), (models, takers)):
            curves = plot_response_curves(model, images(1, shape), shifts=(-1, 0, 1), angles=(-90, 0, 90))
            share = plot_surviving_share(taker, dataset, shifts=(0, 1, 2))
            error = plot_equivariance_error(model, images(2, shape))
            assert len(share.axes) == 2
            assert len(error.axes) == (1 if model is models["one"] else 2)
            panels = [axes for axes in curves.axes if axes.get_xlabel()]
            assert len(panels) == (2 if len(shape) == 2 else 3)
            labels = [text.get_text() for text in curves.legends[0].get_texts()]
            assert labels == (["one", "two"] if model is models else labels)
            assert all(line.get_xdata()[0] == -1 for line in panels[0].lines[: len(labels)])  # type: ignore[index]
            for figure in (curves, share, error):
                figure.canvas.draw()  # type: ignore[attr-defined]


def test_the_lines_of_one_model_are_its_likeliest_classes() -> None:
    model, image = classifier((1, 9, 9), classes=None), images(1, (1, 9, 9))
    figure = plot_response_curves(model, image, target=2)
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0] == "class 2"
    assert set(labels) == {"class 0", "class 1", "class 2"}
    drawn = np.asarray(figure.axes[0].lines[0].get_ydata())
    np.testing.assert_allclose(drawn, 100 * response_curves(model, image).moved.probabilities[:, 2])


def test_wrong_inputs_get_a_sentence() -> None:
    shape = (1, 9, 9)
    model, flat = classifier(shape), model_of(fv.Flatten(), fv.Linear(3), shape=shape)
    dataset = fv.Dataset(np.abs(images(6, shape)) / 5, np.arange(6) % 3, ("ant", "bee", "cat"))
    with pytest.raises(DataError, match="there are 2 images, but only one can be examined at a time"):
        response_curves(model, images(2, shape))
    with pytest.raises(ShapeError, match=r"takes 1x9x9 .* but the array is 1x1x7x7"):
        response_curves(model, images(1, (1, 7, 7)))
    with pytest.raises(DataError, match="angles is empty"):
        response_curves(model, images(1, shape), angles=[])
    with pytest.raises(DataError, match='there is no class "bat"'):
        response_curves(model, images(1, shape), target="bat")
    with pytest.raises(ShapeError, match="if there is one number for each; end"):
        response_curves(model_of(fv.Conv2d(2, 3), shape=shape), images(1, shape))
    with pytest.raises(DataError, match=r"shifts are \[-1\]; give whole numbers of pixels, 0 or more"):
        surviving_share(takes_datasets(model), dataset, shifts=[-1])
    with pytest.raises(DataError, match="samples is 0; give at least 1"):
        surviving_share(takes_datasets(model), dataset, samples=0)
    with pytest.raises(DataError, match="the model has no preprocessing, so it cannot take a dataset; fit it"):
        surviving_share(model, dataset)
    with pytest.raises(DataError, match="a sample is 1x9x9, but the network takes 1x8x8"):
        surviving_share(classifier((1, 8, 8)), dataset)
    with pytest.raises(DataError, match=r"shifts are \[0\]; give whole numbers of pixels, 1 or more"):
        equivariance_error(model, images(1, shape), shifts=[0])
    with pytest.raises(GraphError, match=r'there is no layer "convv"\. Nearest: conv1'):
        equivariance_error(model, images(1, shape), layers=["convv"])
    with pytest.raises(DataError, match="layers is empty"):
        equivariance_error(model, images(1, shape), layers=[])
    with pytest.raises(GraphError, match="no layer of the network outputs maps"):
        equivariance_error(flat, images(1, shape))
    with pytest.raises(DataError, match="there are no models to compare"):
        plot_surviving_share({}, dataset)
