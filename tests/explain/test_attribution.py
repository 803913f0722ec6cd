"""Why this class: every method against Captum on the same network in PyTorch, closed forms, and what is refused."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from captum.attr import GuidedBackprop, IntegratedGradients, LayerGradCam, Occlusion, Saliency

import foveate as fv
from foveate.data import Preprocessing
from foveate.engines import Engine, get_engine
from foveate.errors import DataError, GraphError, LayerError, ShapeError
from foveate.explain.draw import style
from foveate.explain.measure.attribution import upsample
from foveate.explain.plots.attribution import plot_attribution, plot_attributions
from foveate.explain.probe.attribution import (
    METHODS,
    cam_layer,
    grad_cam,
    guided_backpropagation,
    integrated_gradients,
    occlusion,
    saliency,
)
from foveate.explain.probe.guided import guided_graph
from foveate.graph import Graph
from foveate.model import Model
from tests.explain.captum_networks import (
    PAIRS,
    classes_of,
    example,
    foveate_model,
    torch_images,
    torch_model,
)
from tests.support import Array, bound, normal, relative_error

every_network = pytest.mark.parametrize("name", PAIRS)
captum_warnings = pytest.mark.filterwarnings("ignore:Setting (forward, )?backward hooks.*:UserWarning")
STEPS = 4
RULES = ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"]


def within(engine: Engine) -> float:
    """The bound against Captum, which sums in float32 even where its network is in float64."""
    return bound(engine, double=1e-7, single=1e-4)


def target_of(name: str) -> torch.Tensor:
    return torch.tensor(classes_of(name))


@cache
def captum_saliency(name: str) -> Array:
    return Saliency(torch_model(name)).attribute(torch_images(name), target_of(name), abs=False).detach().numpy()


@cache
def captum_guided(name: str) -> Array:
    return GuidedBackprop(torch_model(name)).attribute(torch_images(name), target_of(name)).detach().numpy()


@cache
def captum_integrated(name: str, rule: str, baseline: float) -> tuple[Array, Array]:
    method = IntegratedGradients(torch_model(name))
    found, error = method.attribute(
        torch_images(name), baseline, target_of(name), n_steps=STEPS, method=rule, return_convergence_delta=True
    )
    return found.detach().numpy(), error.detach().numpy()


@cache
def captum_cam(name: str, module: str, relu: bool) -> Array:
    network = torch_model(name)
    method = LayerGradCam(network, network.get_submodule(module))
    return method.attribute(torch_images(name), target_of(name), relu_attributions=relu).detach().numpy()[:, 0]


@cache
def captum_occlusion(name: str, window: tuple[int, ...], stride: tuple[int, ...], baseline: float) -> Array:
    channels = example(name)[2].shape[1]
    found = Occlusion(torch_model(name)).attribute(
        torch_images(name),
        (channels, *window),
        strides=(channels, *stride),
        baselines=baseline,
        target=target_of(name),
        perturbations_per_eval=16,
    )
    return found.detach().numpy()[:, 0]


@every_network
def test_saliency_equals_captums(name: str, any_engine: Engine):
    found = saliency(foveate_model(name, any_engine), example(name)[2], classes_of(name))
    assert relative_error(found, captum_saliency(name)) <= within(any_engine)


@every_network
@captum_warnings
def test_guided_backpropagation_equals_captums(name: str, any_engine: Engine):
    found = guided_backpropagation(foveate_model(name, any_engine), example(name)[2], classes_of(name))
    assert relative_error(found, captum_guided(name)) <= within(any_engine)
    assert relative_error(found, captum_saliency(name)) > 0.1


@every_network
def test_integrated_gradients_equal_captums(name: str, any_engine: Engine):
    found = integrated_gradients(foveate_model(name, any_engine), example(name)[2], classes_of(name), steps=STEPS)
    attributions, error = captum_integrated(name, "gausslegendre", 0.0)
    assert relative_error(found.attributions, attributions) <= within(any_engine)
    # The error is a small difference of large sums, so it is as exact as those.
    assert np.abs(found.completeness_error - error).max() <= within(any_engine) * np.abs(attributions).sum()


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_of_integration_and_a_baseline_equal_captums(rule: Any, engine: Engine):
    model, x, classes = foveate_model("sound", engine), example("sound")[2], classes_of("sound")
    found = integrated_gradients(model, x, classes, baseline=0.25, steps=STEPS, rule=rule)
    attributions, _ = captum_integrated("sound", rule, 0.25)
    # Captum's trapezoids have a width of 1/n where there are n - 1 of them.
    widths = STEPS / (STEPS - 1) if rule == "riemann_trapezoid" else 1.0
    assert relative_error(found.attributions, widths * attributions) <= 1e-4


@every_network
@pytest.mark.parametrize("relu", [True, False])
def test_grad_cam_equals_captums(name: str, relu: bool, any_engine: Engine):
    model, x, classes = foveate_model(name, any_engine), example(name)[2], classes_of(name)
    for layer, module in PAIRS[name].layers.items():
        found = grad_cam(model, x, classes, layer, relu=relu)
        assert relative_error(found, captum_cam(name, module, relu)) <= within(any_engine)
    assert cam_layer(model, None).name == next(iter(PAIRS[name].layers))


@pytest.mark.parametrize(
    ("name", "window", "stride", "baseline"),
    [
        ("lenet5", (9, 6), (5, 4), 0.0),
        ("vgg6", (10, 10), (9, 9), 0.5),
        ("resnet20", (12, 12), (8, 8), 0.0),
        ("branching", (4, 3), (3, 3), -1.0),
        ("sound", (20,), (13,), 0.0),
        ("volume", (4, 5, 3), (3, 2, 3), 0.0),
    ],
)
def test_occlusion_equals_captums(
    name: str, window: tuple[int, ...], stride: tuple[int, ...], baseline: float, any_engine: Engine
):
    model, x = foveate_model(name, any_engine), example(name)[2]
    found = occlusion(model, x, classes_of(name), window=window, stride=stride, baseline=baseline, batch_size=7)
    assert relative_error(found, captum_occlusion(name, window, stride, baseline)) <= within(any_engine)


@pytest.mark.parametrize("method", METHODS)
def test_without_a_target_the_predicted_class_is_explained_and_names_are_indices(method: str):
    graph, arrays, x = example("branching")
    names = [f"kind {number}" for number in range(7)]
    model = Model(graph, classes=names)
    for name, array in arrays.items():
        model.state.load(name, array)
    predicted = model.logits(x).argmax(axis=1)
    expected = METHODS[method](model, x, predicted.tolist())
    assert np.array_equal(METHODS[method](model, x, None), expected)
    assert np.array_equal(METHODS[method](model, x, [names[index] for index in predicted]), expected)
    assert not np.array_equal(METHODS[method](model, x, ((predicted + 1) % 7).tolist()), expected)


@pytest.mark.parametrize("function", [saliency, guided_backpropagation, grad_cam, occlusion])
def test_the_batch_size_does_not_matter(function: Any, engine: Engine):
    model, x = foveate_model("branching", engine), normal((5, 3, 13, 11), 9)
    assert relative_error(function(model, x, batch_size=2), function(model, x)) <= 1e-5


def test_the_batch_size_does_not_matter_to_integrated_gradients(engine: Engine):
    model, x = foveate_model("branching", engine), normal((3, 3, 13, 11), 9)
    few, many = (integrated_gradients(model, x, steps=5, batch_size=size) for size in (4, 15))
    assert relative_error(few.attributions, many.attributions) <= 1e-5


def test_of_a_linear_network_every_gradient_method_gives_weight_times_input(engine: Engine):
    graph = fv.Sequential(fv.Flatten(), fv.Linear(3)).build((2, 3, 4))
    model, x = Model(graph, engine=engine), normal((2, 2, 3, 4))
    weight = model.read("linear1.weight")[1].reshape(2, 3, 4)
    assert relative_error(saliency(model, x, 1), np.stack([weight, weight])) <= 1e-6
    found = integrated_gradients(model, x, 1, steps=2)
    assert relative_error(found.attributions, weight * x) <= 1e-5
    assert np.abs(found.completeness_error).max() <= 1e-5
    covered = occlusion(model, x, 1, window=1, stride=1)
    assert relative_error(covered, (weight * x).sum(axis=1)) <= 1e-4


def test_more_steps_bring_integrated_gradients_nearer_to_completeness():
    model, x = foveate_model("vgg6", get_engine("native")), example("vgg6")[2]
    few, many = (integrated_gradients(model, x, 3, steps=steps) for steps in (5, 200))
    scores = model.logits(x)[:, 3] - model.logits(np.zeros_like(x))[:, 3]
    assert relative_error(many.change, scores) <= 1e-5
    assert np.abs(many.completeness_error).max() < 0.2 * np.abs(few.completeness_error).max()
    total = many.attributions.reshape(2, -1).sum(axis=1)
    assert many.completeness_error == pytest.approx(total - many.change, abs=1e-9)


def test_raw_images_are_prepared_once():
    graph = example("lenet5")[0]
    model = Model(graph, preprocessing=Preprocessing((1, 28, 28), (0.3,), (0.2,)))
    raw = np.random.default_rng(0).integers(0, 256, (2, 1, 28, 28), np.uint8)
    plain = Model(graph)
    assert relative_error(saliency(model, raw, 3), saliency(plain, (raw / 255 - 0.3) / 0.2, 3)) <= 1e-4


def test_occlusion_says_how_far_it_is():
    told: list[tuple[int, int]] = []
    model, x = foveate_model("sound", get_engine("native")), example("sound")[2]
    occlusion(model, x, window=20, stride=20, batch_size=5, progress=lambda done, total: told.append((done, total)))
    assert told == [(5, 12), (10, 12), (12, 12)]


@pytest.mark.parametrize(
    ("shape", "sizes", "mode"),
    [((2, 5), (13,), "linear"), ((2, 7, 7), (28, 30), "bilinear"), ((1, 2, 3, 1), (4, 8, 5), "trilinear"),
     ((1, 9, 9), (4, 6), "bilinear")],
)  # fmt: skip
def test_upsample_equals_pytorchs_linear_interpolation(shape: Sequence[int], sizes: Sequence[int], mode: str):
    maps = normal(shape)
    expected = F.interpolate(torch.tensor(maps)[:, None], sizes, mode=mode, align_corners=False)[:, 0].numpy()
    assert relative_error(upsample(maps, sizes), expected) <= 1e-12


def test_the_guided_network_shares_parameters_and_cannot_come_from_a_file():
    graph = example("resnet20")[0]
    guided = guided_graph(graph)
    assert guided.parameters == graph.parameters
    assert not any(type(node.layer) is fv.ReLU for node in guided.nodes)
    with pytest.raises(LayerError, match="there is no layer type 'GuidedRectifier'"):
        Graph.from_json(guided.to_json())


DENSE = fv.Sequential(fv.Linear(5), fv.Tanh(), fv.Linear(3)).build((4,))
MAPS = fv.Sequential(fv.Conv2d(3, 3), fv.ReLU()).build((1, 9, 9))
SMOOTH = fv.Sequential(fv.Conv2d(3, 3), fv.Tanh(), fv.GlobalAvgPool2d(), fv.Linear(3)).build((1, 9, 9))
POOLED = fv.Sequential(fv.MaxPool2d(3), fv.Flatten(), fv.Linear(3)).build((1, 9, 9))


@pytest.mark.parametrize(
    ("graph", "function", "options", "error", "message"),
    [
        (DENSE, guided_backpropagation, {}, GraphError, "guided backpropagation is defined only for ReLU"),
        (DENSE, grad_cam, {}, GraphError, "no layer of the network outputs maps: every output is flat"),
        (DENSE, occlusion, {}, GraphError, "input has no spatial axes along which a window could slide; use saliency"),
        (MAPS, saliency, {}, ShapeError, "the network's output is 3x7x7, but a class can be asked about only"),
        (POOLED, grad_cam, {}, GraphError, "only layers with maps pool its input"),
        (SMOOTH, grad_cam, {"layer": "conv7"}, GraphError, 'there is no layer "conv7". Nearest: conv1'),
        (SMOOTH, grad_cam, {"layer": "linear1"}, GraphError, "outputs no maps: it is flat. Nearest: "),
        (SMOOTH, saliency, {"target": 3}, DataError, "there is no class 3: the 3 classes are numbered 0 to 2"),
        (SMOOTH, saliency, {"batch_size": 0}, DataError, "batch_size is 0; it must be at least 1, or None"),
        (SMOOTH, integrated_gradients, {"steps": 0}, DataError, "there are 0 steps; gausslegendre needs at least 1"),
        (SMOOTH, integrated_gradients, {"rule": "simpson"}, DataError, 'there is no rule "simpson"; the rules are'),
        (SMOOTH, integrated_gradients, {"baseline": np.zeros((9, 9))}, ShapeError, "the baseline is 9x9, but the netw"),
        (SMOOTH, integrated_gradients, {"baseline": np.nan}, DataError, "the baseline holds NaN or infinity"),
        (SMOOTH, occlusion, {"window": 10}, DataError, "window is 10; it must be an int or one for each of the 2 axes"),
        (SMOOTH, occlusion, {"window": 3, "stride": (2, 4)}, DataError, r"stride is \(2, 4\).* the window's size 3x3"),
    ],
)  # fmt: skip
def test_what_cannot_be_explained_is_a_sentence(
    graph: Graph, function: Any, options: dict[str, Any], error: type[Exception], message: str
):
    with pytest.raises(error, match=message):
        function(Model(graph), np.ones((1, *graph.input_shape)), **options)


def test_an_image_of_another_shape_is_a_sentence():
    with pytest.raises(ShapeError, match=r"the network takes 1x9x9 .* but the array is 1x8x9"):
        saliency(Model(SMOOTH), np.ones((1, 8, 9)))


def test_maps_that_are_no_maps_cannot_be_upsampled():
    with pytest.raises(ShapeError, match="the maps are 3x4, but 2 sizes are given"):
        upsample(np.ones((3, 4)), (8, 8))


def words_of(figure: Any) -> str:
    """Every text of a figure."""
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("name", ["branching", "sound", "volume", "lenet5"])
def test_one_figure_compares_every_method(name: str, theme: Any):
    model, x = foveate_model(name, get_engine("native")), example(name)[2][:1]
    error = integrated_gradients(model, x, 2).completeness_error[0]
    chance = 100 * torch.softmax(torch_model(name)(torch_images(name)[:1]), dim=1)[0, 2].item()
    with style.theme(theme):
        words = words_of(plot_attributions(model, x, target=2))
    assert "Why “class 2”?" in words
    assert f"The network gives it {chance:.1f} %" in words
    assert f"completeness error {error:.2g}" in words
    for method in ("input", "guided", "integrated", "Grad-CAM", "occlusion", next(iter(PAIRS[name].layers))):
        assert method in words


def test_a_method_that_the_network_does_not_allow_says_why_in_the_figure():
    words = words_of(plot_attributions(Model(SMOOTH), np.ones((1, 9, 9))))
    assert "guided backpropagation is defined only for ReLU and its family" in words.replace("\n", " ")
    assert "occlusion" in words


def panels_of(figure: Any) -> list[Array]:
    """The image arrays of every panel, colour bars left out."""
    return [axes.images[0].get_array().data for axes in figure.axes if axes.images]


def test_each_panel_of_the_comparison_shows_its_method():
    model, x = foveate_model("lenet5", get_engine("native")), example("lenet5")[2][:1]
    maps = panels_of(plot_attributions(model, x, target=2))[1:6]
    for drawn, method in zip(maps, METHODS.values(), strict=True):
        expected = grad_cam(model, x, 2, relu=False) if method is grad_cam else method(model, x, 2)
        assert np.corrcoef(drawn.ravel(), expected.ravel())[0, 1] > 1 - 1e-6


@pytest.mark.parametrize(("name", "rows"), [("branching", 1), ("volume", 3)])
def test_an_attribution_is_drawn_with_its_sign_and_its_magnitude(name: str, rows: int):
    model, x = foveate_model(name, get_engine("native")), example(name)[2][:1]
    found = saliency(model, x, 1)
    drawn = panels_of(plot_attribution(model, x, found, "why"))
    assert len(drawn) == 4 * rows
    middle = drawn[4:8] if rows == 3 else drawn
    cut = (slice(None), 4) if rows == 3 else (slice(None),)
    assert np.allclose(middle[1], found[0].sum(axis=0)[cut[1:]])
    assert np.allclose(middle[2], np.abs(found[0]).max(axis=0)[cut[1:]])


def test_a_map_that_is_never_negative_is_drawn_without_a_sign_at_the_images_size():
    model, x = foveate_model("lenet5", get_engine("native")), example("lenet5")[2][:1]
    found = grad_cam(model, x, 1)
    drawn = panels_of(plot_attribution(model, x, found))
    assert len(drawn) == 3
    assert np.allclose(drawn[1], upsample(found, (28, 28))[0])


def test_an_attribution_of_sound_is_drawn_as_curves():
    model, x = foveate_model("sound", get_engine("native")), example("sound")[2][:1]
    words = words_of(plot_attribution(model, x, saliency(model, x)))
    assert "sample (above zero: for the class, below: against it)" in words
    assert "the input, 2 channels" in words


def test_what_cannot_be_drawn_is_a_sentence():
    model, x = foveate_model("lenet5", get_engine("native")), example("lenet5")[2]
    with pytest.raises(DataError, match="there are 2 images, but only one can be examined"):
        plot_attributions(model, x)
    with pytest.raises(GraphError, match='there is no layer "relu9"'):
        plot_attributions(model, x[:1], layer="relu9")
    with pytest.raises(ShapeError, match="the attribution is 2x1x28x28; it must be 1x28x28, or have the 2 spatial"):
        plot_attribution(model, x[:1], saliency(model, x))
    with pytest.raises(DataError, match="the network takes 4, which cannot be drawn"):
        plot_attributions(Model(DENSE), np.ones((1, 4)))


def test_pictures_of_sounds_count_seconds_where_the_sample_rate_is_known():
    graph = fv.Sequential(fv.Conv1d(2, 3), fv.ReLU(), fv.GlobalAvgPool1d(), fv.Linear(2)).build((1, 64))
    model = fv.Model(graph, classes=("low", "high"), engine="reference")
    axes = fv.explain.plot_attributions(model, np.ones((1, 64), np.float32)).axes
    assert axes[-1].get_xlabel() == "sample (above zero: for the class, below: against it)"
    with fv.explain.sampled_at(32):
        axes = fv.explain.plot_attributions(model, np.ones((1, 64), np.float32)).axes
    assert axes[-1].get_xlabel() == "time in seconds (above zero: for the class, below: against it)"
    axes[-1].figure.canvas.draw()
    ticks = {
        float(tick.get_text()): place
        for tick, place in zip(axes[-1].get_xticklabels(), axes[-1].get_xticks(), strict=True)
    }
    assert {seconds * 32 for seconds in ticks} == set(ticks.values())
    assert 1.0 in ticks


def test_a_sound_of_one_sample_is_drawn_without_a_warning(recwarn):
    graph = fv.Sequential(fv.Conv1d(2, 1), fv.Tanh(), fv.GlobalAvgPool1d(), fv.Linear(2)).build((1, 1), quiet=True)
    plot_attributions(Model(graph), np.ones((1, 1), np.float32))
    assert [str(each.message) for each in recwarn] == []
