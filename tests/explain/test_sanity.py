"""The sanity check of attributions: which parameters are random at each stage, rank correlations, and the verdict."""

from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine, get_engine
from foveate.errors import DataError, GraphError
from foveate.explain.draw import style
from foveate.explain.draw.sanity import broken_lines
from foveate.explain.measure.sanity import SIMILAR, SanityCheck, rank_correlation
from foveate.explain.plots.sanity import plot_sanity_check
from foveate.explain.probe.attribution import METHODS, saliency
from foveate.explain.probe.sanity import sanity_check
from foveate.model import Model
from tests.explain.captum_networks import example, foveate_model
from tests.explain.test_attribution import words_of
from tests.support import Array, normal


def spearman(a: Array, b: Array) -> float:
    """By the definition: how many are smaller, and half of those that are equal."""
    ranks = [((v[:, None] > v).sum(axis=1) + (v[:, None] == v).sum(axis=1) / 2) for v in (a.ravel(), b.ravel())]
    return float(np.corrcoef(*ranks)[0, 1])


@pytest.mark.parametrize("decimals", [1, 8])
def test_the_rank_correlation_is_spearmans_ties_included(decimals: int):
    a, b = normal((6, 7), 1).round(decimals), (normal((6, 7), 1) + normal((6, 7), 2)).round(decimals)
    assert rank_correlation(a, b) == pytest.approx(spearman(a, b), abs=1e-12)
    assert rank_correlation(a, np.exp(a)) == pytest.approx(1)
    assert rank_correlation(a, -a) == pytest.approx(-1)
    assert rank_correlation(a, np.ones_like(a)) == 0


def test_the_parameters_become_random_from_the_output_down(engine: Engine):
    model, x = foveate_model("vgg6", engine), example("vgg6")[2][:1]
    before = {name: model.read(name) for name in model.state.names()}
    fresh = engine.new_state(model.graph, seed=model.seed + 4)
    seen: list[set[str]] = []

    def method(other: Model, images: Any, target: Any) -> Array:
        assert np.array_equal(images, x.astype(np.float32))
        arrays = {name: other.read(name) for name in other.state.names()}
        random = {name for name, array in arrays.items() if not np.array_equal(array, before[name])}
        assert all(np.array_equal(arrays[name], fresh.read(name)) for name in random)
        seen.append(random)
        return np.asarray(saliency(other, images, target))

    check = sanity_check(model, x, method, seed=4)
    assert check.stages == ("linear1", "conv6", "conv5", "conv4", "conv3", "conv2", "conv1")
    *stages, trained = seen
    layers = [sorted({name.split(".")[0] for name in stage}) for stage in reversed(stages)]
    assert trained == set()
    assert layers[0] == ["linear1"]
    assert layers[1] == ["bn6", "conv6", "linear1"]
    assert len(stages[0]) == len(before)
    assert all(np.array_equal(model.read(name), array) for name, array in before.items())
    assert check.maps.shape == (8, *x.shape)
    assert np.array_equal(check.maps[0], saliency(model, x))
    assert check.method == "method"


def test_what_comes_before_the_first_layer_with_weights_is_random_at_last():
    graph = fv.Sequential(fv.BatchNorm2d(), fv.Conv2d(2, 3), fv.Flatten(), fv.Linear(3)).build((1, 5, 5))
    model = Model(graph)
    for name in model.state.names():
        model.state.load(name, np.full(model.read(name).shape, 0.5))
    random: list[bool] = []

    def method(other: Model, images: Any, _: Any) -> Array:
        random.append(float(other.read("bn1.weight")[0]) == 1)
        return np.asarray(images)

    assert sanity_check(model, normal((1, 1, 5, 5)), method).stages == ("linear1", "conv1")
    assert random == [True, False, False]


def test_the_correlations_are_those_of_the_maps_and_the_same_seed_gives_the_same():
    model, x = foveate_model("branching", get_engine("native")), example("branching")[2]
    check, again, other = (sanity_check(model, x, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(check.maps, again.maps)
    assert not np.array_equal(check.maps[1:], other.maps[1:])
    for stage in range(len(check.stages)):
        for image in range(len(x)):
            first, later = check.maps[0, image], check.maps[stage + 1, image]
            assert check.signed[stage, image] == pytest.approx(spearman(first, later))
            assert check.magnitudes[stage, image] == pytest.approx(spearman(np.abs(first), np.abs(later)))


def test_some_stages_may_take_several_layers_and_the_last_takes_all():
    model, x = foveate_model("vgg6", get_engine("native")), example("vgg6")[2][:1]
    some, every = sanity_check(model, x, stages=3), sanity_check(model, x)
    assert some.stages == ("conv5", "conv3", "conv1")
    assert np.array_equal(some.maps[-1], every.maps[-1])
    assert np.array_equal(some.maps[1], every.maps[3])


def test_a_method_that_ignores_the_network_fails_and_the_gradient_passes():
    model, x = foveate_model("lenet5", get_engine("native")), example("lenet5")[2]
    edges = sanity_check(model, x, lambda _model, images, _target: np.asarray(images))
    gradient = sanity_check(model, x)
    assert edges.similarity == pytest.approx(1)
    assert not edges.passed
    assert edges.verdict == (
        "The map hardly changes when the parameters are random (rank correlation 1.00): it shows the image."
    )
    assert gradient.passed
    assert gradient.similarity < SIMILAR
    assert gradient.verdict.startswith("With all parameters random the map is different (rank correlation 0.")


def test_the_verdict_says_a_negative_correlation() -> None:
    maps = np.stack([np.arange(6.0)] * 2).reshape(2, 1, 2, 3)
    left = {"signed": np.array([[-0.31]]), "magnitudes": np.array([[0.1]])}
    check = SanityCheck("saliency", ("conv1",), maps, **left)
    assert check.similarity == pytest.approx(0.31)
    assert "(rank correlation \N{MINUS SIGN}0.31)" in check.verdict


def test_long_names_of_layers_stand_in_several_lines() -> None:
    assert broken_lines("conv1") == "conv1"
    assert broken_lines("stage3.1.conv2") == "stage3.1.\nconv2"
    assert broken_lines("concat1.branch2.conv1") == "concat1.\nbranch2.\nconv1"


def test_the_class_stays_the_one_that_the_trained_network_predicts():
    model, x = foveate_model("lenet5", get_engine("native")), example("lenet5")[2]
    targets: list[Any] = []

    def method(_: Model, images: Any, target: Any) -> Array:
        targets.append(target)
        return np.asarray(images)

    sanity_check(model, x, method)
    assert all(target == model.logits(x).argmax(axis=1).tolist() for target in targets)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    ("name", "method"), [("branching", "grad_cam"), ("sound", "saliency"), ("volume", "occlusion")]
)
def test_the_figure_prints_the_verdict(name: str, method: str, theme: Any):
    model, x = foveate_model(name, get_engine("native")), example(name)[2][:1]
    with style.theme(theme):
        words = words_of(plot_sanity_check(model, x, method, 1))
    assert sanity_check(model, x, method, 1).verdict in " ".join(words.split())
    assert "for “class 1”" in words


def test_of_a_blank_map_the_check_says_nothing():
    model, x = foveate_model("lenet5", get_engine("native")), example("lenet5")[2][:1]

    def blank(other: Model, images: Any, target: Any) -> Array:
        trained = np.array_equal(other.read("conv1.weight"), model.read("conv1.weight"))
        return np.zeros_like(images) if trained else np.asarray(saliency(other, images, target))

    check = sanity_check(model, x, blank, stages=1)
    assert np.ptp(check.maps[1]) > 0
    assert check.blank
    assert not check.passed
    assert check.verdict.startswith("The unchanged network's map has one value everywhere")
    assert not sanity_check(model, x, stages=1).blank


def test_of_random_maps_that_are_blank_the_check_claims_nothing():
    model, x = foveate_model("lenet5", get_engine("native")), example("lenet5")[2][:1]

    def blank(other: Model, images: Any, target: Any) -> Array:
        trained = np.array_equal(other.read("conv1.weight"), model.read("conv1.weight"))
        return np.asarray(saliency(other, images, target)) if trained else np.zeros_like(images)

    check = sanity_check(model, x, blank)
    assert check.flat[:, 0].tolist() == [False] * (len(check.stages)) + [True]
    assert check.blank
    assert not check.passed
    assert "depends on" not in check.verdict
    assert check.verdict.startswith("With all parameters random the map has one value everywhere")
    line = plot_sanity_check(model, x, blank, check=check).axes[-1].lines[0]
    assert np.isnan(line.get_ydata()).tolist() == check.flat[:, 0].tolist()


def test_an_image_without_a_map_does_not_count_as_one_whose_map_changed():
    maps = np.stack([normal((2, 1, 4, 4), 1)] * 2)
    maps[1, 1] = 0
    check = SanityCheck("saliency", ("conv1",), maps, np.array([[1.0, 0.0]]), np.array([[1.0, 0.0]]))
    assert check.similarity == 1
    assert not check.passed


def test_what_cannot_be_checked_is_a_sentence():
    model, x = foveate_model("lenet5", get_engine("native")), example("lenet5")[2]
    with pytest.raises(DataError, match=r'there is no method "gradcam"\. Nearest: grad_cam'):
        sanity_check(model, x, "gradcam")
    with pytest.raises(DataError, match="seed is 0; it must be at least 1"):
        sanity_check(model, x, seed=0)
    with pytest.raises(DataError, match="stages is 0; it must be at least 1"):
        sanity_check(model, x, stages=0)
    with pytest.raises(DataError, match="there are 2 images"):
        plot_sanity_check(model, x)
    still = Model(fv.Sequential(fv.GlobalAvgPool2d()).build((3, 4, 4)))
    with pytest.raises(GraphError, match="no parameters that start at random"):
        sanity_check(still, np.ones((1, 3, 4, 4)))


def test_every_method_can_be_checked():
    model, x = foveate_model("branching", get_engine("native")), example("branching")[2][:1]
    for name in METHODS:
        assert sanity_check(model, x, name).method == name
