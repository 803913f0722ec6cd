"""The networks that a network is compared with: their sizes, what they compute, and a fair training."""

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import foveate as fv
from foveate.errors import DataError, GraphError
from foveate.explain.plots.baselines import plot_comparison
from foveate.explain.probe.baselines import (
    AS_IT_IS,
    FULLY_CONNECTED,
    WITHOUT_POOLING,
    compare_invariance,
    fully_connected_twin,
    parameter_count,
    train_baselines,
    without_pooling,
)
from foveate.explain.probe.invariance import surviving_share
from foveate.graph import Graph
from foveate.layers.pooling import Pooling
from tests.support import normal, random_arrays


def run(graph: Graph, arrays: dict[str, Any], inputs: Any, batch: int = 2) -> Any:
    model = fv.Model(graph)
    for name in model.state.names():
        array = arrays[name]
        model.state.load(name, np.abs(array) + 0.1 if name.endswith("var") else array)
    return model.logits(inputs, batch_size=batch)


def small() -> Graph:
    net = fv.Sequential(fv.Conv2d(4, 3, padding=1), fv.ReLU(), fv.MaxPool2d(2), fv.Flatten(), fv.Linear(3))
    return net.build((1, 8, 8))


def splits(count: int = 60) -> fv.Splits:
    """Whether a bright square is on the left, in the middle, or on the right."""
    labels = np.arange(count) % 3
    inputs = np.random.default_rng(0).integers(0, 60, (count, 1, 8, 8), dtype=np.uint8)
    for image, label in zip(inputs, labels, strict=True):
        image[:, 2:6, 3 * label : 3 * label + 2] = 250
    data = fv.Dataset(inputs, labels, ("left", "middle", "right"))
    return fv.Splits(data, data, data, fv.Preprocessing.measure(data), "squares")


@pytest.mark.parametrize("name", ["lenet5", "vgg6", "resnet20", "resnet18", "audio4", "volume3d", "nin", "vgg16"])
def test_the_twin_has_within_two_percent_as_many_parameters(name: str) -> None:
    graph = fv.zoo.make(name)
    twin = fully_connected_twin(graph)
    wanted = fv.zoo.NETWORKS[name].parameters
    assert parameter_count(graph) == wanted
    assert abs(parameter_count(twin) - wanted) <= 0.02 * wanted
    assert [type(node.layer).__name__ for node in twin.nodes] == [
        "Flatten",
        "Linear",
        "ReLU",
        "Linear",
        "ReLU",
        "Linear",
    ]
    assert (twin.input_shape, twin.output_shape) == (graph.input_shape, graph.output_shape)


def test_hidden_layers_are_equally_wide_and_no_other_width_comes_nearer() -> None:
    wanted = fv.zoo.NETWORKS["vgg6"].parameters
    first, second = (node.layer.out_features for node in fully_connected_twin(fv.zoo.make("vgg6")).nodes[1:5:2])  # type: ignore[attr-defined]
    assert first == second
    counts = [784 * d + d * d + 10 * d + 2 * d + 10 for d in range(1, 1000)]
    assert 1 + int(np.argmin([abs(count - wanted) for count in counts])) == first


@pytest.mark.parametrize("keep_stride", [False, True])
@pytest.mark.parametrize(
    ("name", "shape"), [("vgg6", None), ("lenet5", None), ("resnet18", (3, 64, 64)), ("audio4", (1, 1000))]
)
def test_zoo_networks_build_and_run_without_pooling(name: str, shape: Any, keep_stride: bool) -> None:
    graph = fv.zoo.make(name, input_shape=shape)
    bare = without_pooling(graph, keep_stride=keep_stride)
    assert not any(isinstance(node.layer, Pooling) and max(node.layer.kernel_size) > 1 for node in bare.nodes)
    if keep_stride:
        assert parameter_count(bare) == parameter_count(graph)
        assert all(bare.shapes[node.name] == node.output_shape for node in graph.nodes)
    else:
        assert parameter_count(bare) >= parameter_count(graph)
        pools = sum(isinstance(node.layer, Pooling) for node in graph.nodes)
        assert [node.name for node in bare.nodes] == [n.name for n in graph.nodes if not isinstance(n.layer, Pooling)]
        assert len(bare.nodes) == len(graph.nodes) - pools
    inputs = normal((2, *graph.input_shape)).astype(np.float32)
    assert np.isfinite(run(bare, random_arrays(bare), inputs)).all()


def test_without_its_pooling_the_linear_layer_sees_larger_maps() -> None:
    graph = without_pooling(small())
    arrays = random_arrays(graph)
    inputs = normal((2, 1, 8, 8)).astype(np.float32)
    weight, bias, last, last_bias = (torch.from_numpy(array) for array in arrays.values())
    maps = functional.relu(functional.conv2d(torch.from_numpy(inputs).double(), weight, bias, padding=1))
    assert last.shape == (3, 256)
    expected = functional.linear(maps.flatten(1), last, last_bias)
    np.testing.assert_allclose(run(graph, arrays, inputs), expected.numpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("pool", "taken"),
    [
        (fv.MaxPool2d(2), slice(0, 8, 2)),
        (fv.MaxPool2d(3, stride=2, padding=1), slice(0, 9, 2)),
        (fv.AvgPool2d(3, stride=2), slice(1, 9, 2)),
        (fv.MaxPool2d(3, stride=1, padding=1), slice(0, 9)),
        (fv.MaxPool2d(3, stride=1), slice(1, 8)),
        (fv.MaxPool2d(2, ceil_mode=True), slice(0, 9, 2)),
        (fv.MaxPool2d(4, stride=3, ceil_mode=True), slice(1, 9, 3)),
        (fv.MaxPool2d(7, stride=6, ceil_mode=True), slice(2, 9, 6)),
    ],
)
def test_with_its_stride_a_pooling_window_gives_its_middle(pool: fv.Layer, taken: slice) -> None:
    graph = fv.Sequential(fv.Conv2d(2, 1), pool, fv.ReLU()).build((2, 9, 9), quiet=True)
    bare = without_pooling(graph, keep_stride=True)
    assert bare.output_shape == graph.output_shape
    arrays = random_arrays(bare)
    inputs = normal((2, 2, 9, 9)).astype(np.float32)
    maps = np.einsum("oi,nihw->nohw", arrays["conv1.weight"][:, :, 0, 0], inputs)
    maps += arrays["conv1.bias"][:, None, None]
    np.testing.assert_allclose(run(bare, arrays, inputs), np.maximum(maps[..., taken, taken], 0), atol=1e-5)


def test_branches_of_different_size_keep_their_stride_or_get_a_sentence() -> None:
    narrow = fv.Conv2d(4, 3, stride=2, padding=1)
    net = fv.Sequential(fv.Concat(narrow, fv.MaxPool2d(2)), fv.GlobalAvgPool2d(), fv.Linear(2))
    graph = net.build((1, 8, 8))
    with pytest.raises(GraphError, match=r"cannot do without its pooling at stride 1 \(.*concat.*keep_stride=True"):
        without_pooling(graph)
    assert without_pooling(graph, keep_stride=True).output_shape == (2,)


def test_baselines_are_trained_alike_and_the_model_is_left_alone() -> None:
    model = fv.Model(small(), classes=("left", "middle", "right"), seed=4)
    before = {name: model.read(name) for name in model.state.names()}
    found = train_baselines(model, splits(), samples=48, epochs=3, progress=False)
    assert list(found.models) == [AS_IT_IS, WITHOUT_POOLING, FULLY_CONNECTED]
    assert (found.samples, found.epochs) == (48, 3)
    assert set(found.seconds) == set(found.models)
    for trained in found.models.values():
        assert trained.training["samples"] == 48
        assert trained.training["recipe"] == found.models[AS_IT_IS].training["recipe"]
        assert len(trained.training["history"]) == 3
        assert trained.preprocessing == splits().preprocessing
        assert trained.evaluate(splits().test).accuracy > 0.6
    for name, array in before.items():
        np.testing.assert_array_equal(model.read(name), array)
    assert abs(found.parameters[FULLY_CONNECTED] / found.parameters[AS_IT_IS] - 1) <= 0.02
    assert found.parameters[WITHOUT_POOLING] == found.parameters[AS_IT_IS]


def test_the_comparison_holds_the_share_of_each_and_is_drawn() -> None:
    model = fv.Model(small())
    found = compare_invariance(model, splits(), samples=48, epochs=4, shifts=(0, 1), test_samples=60, progress=False)
    for name, trained in found.baselines.models.items():
        alone = surviving_share(trained, splits().test, shifts=(0, 1), samples=60)
        np.testing.assert_array_equal(found.shares[name].share, alone.share)
    figure = plot_comparison(found)
    assert figure.get_suptitle() == "The same task, each trained from scratch on 48 samples for 4 epochs"
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels[0] == f"as it is ({parameter_count(model.graph)} parameters)"
    assert len(labels) == 3


def test_a_network_without_pooling_is_compared_with_its_fully_connected_twin_alone() -> None:
    graph = fv.Sequential(fv.Conv2d(4, 3, stride=2), fv.ReLU(), fv.Flatten(), fv.Linear(3)).build((1, 8, 8), quiet=True)
    found = train_baselines(fv.Model(graph), splits(), epochs=1, progress=False)
    assert list(found.models) == [AS_IT_IS, FULLY_CONNECTED]
    assert found.samples == 60


def test_wrong_inputs_get_a_sentence() -> None:
    pooled = fv.Sequential(fv.Conv2d(2, 3), fv.GlobalAvgPool2d(), fv.Linear(3)).build((1, 8, 8))
    with pytest.raises(GraphError, match=r"has 29 parameters, but .* over 1x8x8 inputs has 73; none"):
        fully_connected_twin(pooled)
    with pytest.raises(DataError, match="not one number for each class"):
        fully_connected_twin(fv.Sequential(fv.Conv2d(2, 3)).build((1, 8, 8)))
    for graph in (pooled, fv.zoo.make("resnet20")):  # whose shortcuts only subsample
        with pytest.raises(GraphError, match="has no pooling layer with a window"):
            without_pooling(graph)
    with pytest.raises(DataError, match="samples is 0; give at least 1"):
        train_baselines(fv.Model(small()), splits(), samples=0, progress=False)
    other = fv.Model(fv.Sequential(fv.Flatten(), fv.Linear(3)).build((1, 9, 9)))
    with pytest.raises(DataError, match="a sample is 1x8x8, but the network takes 1x9x9"):
        train_baselines(other, splits(), progress=False)
