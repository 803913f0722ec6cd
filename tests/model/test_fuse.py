"""Folding batch normalisation into the layer before it: the same outputs, fewer layers, and sentences."""

from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.engines.random import generator
from foveate.layers.normalization import BatchNormalization
from foveate.model import Model


def with_random_arrays(graph: fv.Graph, engine: str) -> Model:
    """A model whose parameters and statistics are all random, variances positive."""
    model = Model(graph, engine=engine)
    for name in model.state.names():
        random = generator(1, name)
        values = random.standard_normal(model.read(name).shape) / 2
        model.state.load(name, np.abs(values) + 0.5 if name.endswith("running_var") else values)
    return model


def normalizations(graph: fv.Graph) -> list[str]:
    return [node.name for node in graph.nodes if isinstance(node.layer, BatchNormalization)]


FOLDABLE: dict[str, tuple[Any, tuple[int, ...]]] = {
    "convolution": (fv.Sequential(fv.Conv2d(8, 3), fv.BatchNorm2d()), (3, 9, 9)),
    "without bias": (fv.Sequential(fv.Conv2d(8, 3, bias=False), fv.BatchNorm2d(), fv.ReLU()), (3, 9, 9)),
    "grouped": (fv.Sequential(fv.Conv2d(8, 3, groups=4), fv.BatchNorm2d()), (4, 9, 9)),
    "depthwise": (fv.Sequential(fv.Conv2d(12, 3, groups=6), fv.BatchNorm2d(affine=False)), (6, 9, 9)),
    "transposed": (fv.Sequential(fv.ConvTranspose2d(6, 3, stride=2, groups=2), fv.BatchNorm2d()), (4, 5, 5)),
    "linear": (fv.Sequential(fv.Linear(7), fv.BatchNorm1d()), (5,)),
    "sound": (fv.Sequential(fv.Conv1d(6, 4, stride=2), fv.BatchNorm1d(eps=0.1)), (2, 40)),
    "volume": (fv.Sequential(fv.Conv3d(4, 3), fv.BatchNorm3d()), (2, 5, 5, 5)),
}


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize(("net", "shape"), FOLDABLE.values(), ids=FOLDABLE)
def test_a_fused_model_gives_the_same_outputs_without_normalisations(net: Any, shape: tuple[int, ...], engine: str):
    model = with_random_arrays(net.build(shape), engine)
    fused = model.fuse()
    assert normalizations(fused.graph) == []
    inputs = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
    before, after = model.logits(inputs), fused.logits(inputs)
    assert np.abs(after - before).max() <= 1e-5 * np.abs(before).max()
    assert fused.report is not None
    assert len(fused.report.folded) == 1
    assert 0 <= fused.report.largest_difference <= 1e-4


@pytest.mark.parametrize("name", ["resnet20", "mobilenet_v2"])
def test_whole_networks_fold_every_normalisation(name: str):
    size = 32 if name == "resnet20" else 64
    model = with_random_arrays(fv.zoo.make(name, input_shape=(3, size, size)), "native")
    fused = model.fuse()
    assert fused.report is not None
    assert normalizations(fused.graph) == []
    assert fused.report.refused == ()
    assert len(fused.report.folded) == len(normalizations(model.graph))
    assert str(fused.report).startswith(f"{len(fused.report.folded)} normalisations folded; outputs differ by at most")


def test_a_convolution_that_another_layer_reads_keeps_its_normalisation_and_a_sentence_says_why():
    builder = fv.GraphBuilder()
    convolution = builder.add(fv.Conv2d(4, 3, padding=1), builder.input((4, 6, 6)))
    normalized = builder.add(fv.BatchNorm2d(), convolution)
    graph = builder.build(builder.add(fv.Add(), normalized, convolution))
    fused = with_random_arrays(graph, "native").fuse()
    assert fused.report is not None
    assert normalizations(fused.graph) == ["bn1"]
    assert fused.report.refused == (
        "bn1 (BatchNorm2d) stays: the output of conv1 (Conv2d 3x3, padding 1) is read by add1 (Add) too, which must "
        "see it unchanged",
    )
    assert fused.report.refused[0] in str(fused.report)


def test_a_normalisation_that_several_layers_read_folds():
    builder = fv.GraphBuilder()
    normalized = builder.add(fv.BatchNorm2d(), builder.add(fv.Conv2d(4, 3, padding=1), builder.input((4, 6, 6))))
    graph = builder.build(builder.add(fv.Add(), normalized, builder.add(fv.ReLU(), normalized)))
    assert normalizations(with_random_arrays(graph, "native").fuse().graph) == []


def test_shared_weights_and_other_layers_before_it_keep_a_normalisation():
    builder = fv.GraphBuilder()
    x = builder.add(fv.ReLU(), builder.input((4, 6, 6)))
    x = builder.add(fv.BatchNorm2d(), x, name="after_relu")
    x = builder.add(fv.BatchNorm2d(), builder.add(fv.Conv2d(4, 1), x, parameters="key"), name="shared")
    x = builder.add(fv.Conv2d(4, 1), x, parameters="key")
    fused = with_random_arrays(builder.build(x), "reference").fuse()
    assert fused.report is not None
    first, second = fused.report.refused
    assert first == "after_relu (BatchNorm2d) stays: relu1 before it is not a convolution or linear layer"
    assert second == "shared (BatchNorm2d) stays: conv1 (Conv2d 1x1) shares its weights with conv2"


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_missing_statistics_are_refused_in_a_sentence(value: float):
    model = with_random_arrays(fv.Sequential(fv.Conv2d(2, 1), fv.BatchNorm2d()).build((1, 2, 2)), "reference")
    model.state.load("bn1.running_var", np.array([1.0, value]))
    with pytest.raises(
        fv.EngineError, match=r"bn1 \(BatchNorm2d\) has no running statistics to fold: a mean or variance"
    ):
        model.fuse()


def test_a_fused_model_can_be_saved_and_loaded(tmp_path: Any):
    model = with_random_arrays(fv.Sequential(fv.Conv2d(2, 1), fv.BatchNorm2d()).build((1, 2, 2)), "reference")
    fused = model.fuse()
    fused.save(tmp_path / "fused.safetensors")
    inputs = np.ones((1, 1, 2, 2), np.float32)
    assert np.array_equal(
        fv.load(tmp_path / "fused.safetensors", engine="reference").logits(inputs), fused.logits(inputs)
    )
