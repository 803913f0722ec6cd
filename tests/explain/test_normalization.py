"""Normalisations compared: cells against perturbation in the engine and in PyTorch, distributions against PyTorch."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import foveate as fv
from foveate.engines import get_engine
from foveate.explain.draw.normalization import plot_normalization_cubes
from foveate.explain.measure.normalization import COMPARED, normalized_cells, statistics_shape
from foveate.explain.plots.normalization import plot_normalization_effect
from foveate.explain.probe.normalization import normalization_effect
from foveate.layers import Layer
from tests.support import normal, random_arrays, single_layer

CASES: list[tuple[Layer, tuple[int, ...]]] = [
    (fv.BatchNorm2d(), (3, 4, 2, 3)),
    (fv.LayerNorm(), (3, 4, 2, 3)),
    (fv.LayerNorm(trailing_axes=1), (3, 4, 2, 3)),
    (fv.LayerNorm(trailing_axes=2), (3, 4, 2, 3)),
    (fv.InstanceNorm2d(), (3, 4, 2, 3)),
    (fv.GroupNorm(2), (3, 4, 2, 3)),
    (fv.GroupNorm(4), (3, 4, 2, 3)),
    (fv.LocalResponseNorm(2), (2, 5, 2, 2)),
    (fv.LocalResponseNorm(3), (2, 5, 2, 2)),
    (fv.BatchNorm1d(), (4, 3)),
    (fv.LayerNorm(), (4, 3)),
    (fv.BatchNorm1d(), (3, 4, 5)),
    (fv.InstanceNorm1d(), (3, 4, 5)),
    (fv.BatchNorm3d(), (2, 3, 2, 2, 3)),
    (fv.GroupNorm(3), (2, 6, 2, 2, 2)),
    (fv.InstanceNorm3d(), (2, 3, 2, 2, 3)),
]


def influencing(layer: Layer, shape: tuple[int, ...], cell: tuple[int, ...]) -> NDArray[np.bool_]:
    """The inputs on which the output at `cell` depends, found by gradients in training mode."""
    graph = single_layer(layer, shape[1:])
    program = get_engine("reference").compile(graph, batch_size=shape[0], mode="training", differentiable=True)
    inputs = 1 + np.random.default_rng(0).random(shape)
    output = program.forward(get_engine("reference").new_state(graph), inputs)[graph.only_output]
    seed = np.zeros_like(output)
    seed[cell] = 1
    program.backward({graph.only_output: seed})
    return program.gradient(graph.only_input) != 0


@pytest.mark.parametrize(("layer", "shape"), CASES, ids=lambda value: str(getattr(value, "describe", lambda: value)()))
def test_the_cells_are_those_that_the_output_depends_on(layer: Layer, shape: tuple[int, ...]) -> None:
    for cell in ((0,) * len(shape), tuple(size // 2 for size in shape), tuple(size - 1 for size in shape)):
        assert np.array_equal(normalized_cells(layer, shape, cell), influencing(layer, shape, cell))


@pytest.mark.parametrize(
    ("layer", "twin"),
    [
        (fv.BatchNorm2d(), torch.nn.BatchNorm2d(4)),
        (fv.LayerNorm(), torch.nn.LayerNorm([4, 2, 3])),
        (fv.InstanceNorm2d(), torch.nn.InstanceNorm2d(4)),
        (fv.GroupNorm(2), torch.nn.GroupNorm(2, 4)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_cells_are_those_on_which_pytorch_depends(layer: Layer, twin: torch.nn.Module) -> None:
    inputs = torch.tensor(normal((3, 4, 2, 3)), requires_grad=True)
    twin.double()(inputs)[1, 3, 0, 2].backward()
    assert inputs.grad is not None
    assert np.array_equal(normalized_cells(layer, (3, 4, 2, 3), (1, 3, 0, 2)), inputs.grad.numpy() != 0)


@pytest.mark.parametrize(("layer", "shape"), [case for case in CASES if not isinstance(case[0], fv.LocalResponseNorm)])
def test_there_are_as_many_means_as_groups_of_cells(layer: Layer, shape: tuple[int, ...]) -> None:
    sizes = {"N": shape[0], "C": shape[1], "1": 1, "G": getattr(layer, "groups", 0)}
    sizes |= dict(zip(("L",) if len(shape) == 3 else ("D", "H", "W")[5 - len(shape) :], shape[2:], strict=True))
    means = np.prod([sizes[letter] for letter in statistics_shape(layer, shape)])
    assert means * normalized_cells(layer, shape).sum() == np.prod(shape)


@pytest.mark.parametrize(
    ("layer", "expected"),
    [  # the lecture's
        (fv.BatchNorm2d(), ("1", "C", "1", "1")),
        (fv.LayerNorm(), ("N", "1", "1", "1")),
        (fv.InstanceNorm2d(), ("N", "C", "1", "1")),
        (fv.GroupNorm(2), ("N", "G", "1", "1")),
    ],
)
def test_the_shapes_of_the_statistics_are_the_lectures(layer: Layer, expected: tuple[str, ...]) -> None:
    assert statistics_shape(layer, (5, 6, 3, 2)) == expected


def test_what_cannot_be_drawn_is_a_sentence() -> None:
    with pytest.raises(fv.LayerError, match="ReLU is not a normalisation; try BatchNorm2d"):
        normalized_cells(fv.ReLU(), (2, 3, 4, 4))
    with pytest.raises(fv.ShapeError, match="BatchNorm2d needs an input of C x H x W, but gets 3x4"):
        normalized_cells(fv.BatchNorm2d(), (2, 3, 4))
    with pytest.raises(fv.ShapeError, match="GroupNorm 4 groups is 4, which does not divide its 6"):
        normalized_cells(fv.GroupNorm(4), (2, 6, 4, 4))
    with pytest.raises(fv.ShapeError, match=r"there is no cell \(0, 3, 0, 0\) in a batch of 2x3x4x4"):
        normalized_cells(fv.BatchNorm2d(), (2, 3, 4, 4), (0, 3, 0, 0))
    for shape in ((3,), (2, 3, 4, 4, 4, 4), (0, 3, 4, 4)):
        with pytest.raises(fv.ShapeError, match="a batch is N x C and up to 3 spatial axes"):
            normalized_cells(fv.LayerNorm(), shape)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_blocks_show_what_the_cells_are(mode: str) -> None:
    from foveate.explain import theme

    with theme(mode):  # type: ignore[arg-type]
        figure = plot_normalization_cubes()
    assert [axes.get_title() for axes in figure.axes] == [layer.describe() for layer in COMPARED]
    for axes, layer in zip(figure.axes, COMPARED, strict=True):
        cells = normalized_cells(layer, (5, 6, 3, 2)).reshape(5, 6, 6)
        blue = [
            sum(bool(face[2] > 0.6 and face[0] < 0.1) for face in side.get_facecolor()) for side in axes.collections
        ]
        assert blue == [cells[0].sum(), cells[:, 0].sum(), cells[:, :, 0].sum()]
        texts = [text.get_text() for text in axes.texts]
        assert texts[:3] == ["N", "C", "H, W"]
        assert f": {' x '.join(statistics_shape(layer, (5, 6, 3, 2)))}" in texts[3]


def test_blocks_of_sequences_and_of_local_responses() -> None:
    figure = plot_normalization_cubes([fv.BatchNorm1d(), fv.LocalResponseNorm(3)], (5, 6, 6))
    assert figure.axes[0].texts[2].get_text() == "L"
    assert "no mean, no variance" in figure.axes[1].texts[3].get_text()


def trained(shape: tuple[int, ...] = (2, 6, 6)) -> fv.Model:
    """A network with two normalisations, the second over groups, none of whose parameters are as they start."""
    layers = (fv.Conv2d(4, 3), fv.BatchNorm2d(), fv.ReLU(), fv.Conv2d(6, 3), fv.GroupNorm(2), fv.GlobalAvgPool2d())
    model = fv.Model(fv.Sequential(*layers, fv.Linear(3)).build(input_shape=shape))
    for name, array in random_arrays(model.graph).items():
        model.state.load(name, array)
    return model


def torch_stages(model: fv.Model, inputs: NDArray[np.float32]) -> dict[str, NDArray[np.float64]]:
    """What comes before and after both normalisations, in PyTorch."""
    read = {name: torch.tensor(model.read(name)).double() for name in model.state.names()}
    f = torch.nn.functional
    conv1 = f.conv2d(torch.tensor(inputs).double(), read["conv1.weight"], read["conv1.bias"])
    bn1 = f.batch_norm(conv1, read["bn1.running_mean"], read["bn1.running_var"], read["bn1.weight"], read["bn1.bias"])
    conv2 = f.conv2d(bn1.relu(), read["conv2.weight"], read["conv2.bias"])
    norm1 = f.group_norm(conv2, 2, read["norm1.weight"], read["norm1.bias"])
    return {"conv1": conv1.numpy(), "bn1": bn1.numpy(), "conv2": conv2.numpy(), "norm1": norm1.numpy()}


def test_distributions_are_pytorchs() -> None:
    model = trained()
    inputs = normal((150, 2, 6, 6)).astype(np.float32)
    stages = torch_stages(model, inputs)
    effects = normalization_effect(model, inputs, bins=40)
    assert [effect.layer for effect in effects] == ["bn1", "norm1"]
    for effect, names in zip(effects, (("conv1", "bn1"), ("conv2", "norm1")), strict=True):
        for part, name in zip((effect.before, effect.after), names, strict=True):
            stage = stages[name]
            assert np.allclose(part.mean, stage.mean(axis=(0, 2, 3)), atol=1e-5)
            assert np.allclose(part.std, stage.std(axis=(0, 2, 3)), atol=1e-5)
            assert np.allclose(part.overall, (stage.mean(), stage.std()), atol=1e-5)
            assert part.counts.sum() == stage.size
            expected = np.histogram(stage, effect.edges)[0]
            assert np.abs(part.counts - expected).sum() <= 6  # values on a border, rounded otherwise


def test_a_normalisation_of_the_input_itself() -> None:
    model = fv.Model(fv.Sequential(fv.LayerNorm(), fv.Linear(2)).build(input_shape=(5,)))
    inputs = normal((20, 5))
    (effect,) = normalization_effect(model, inputs)
    assert np.allclose(effect.before.mean, inputs.mean(axis=0), atol=1e-6)
    assert abs(effect.after.overall[0]) < 1e-6


def test_layers_are_named_or_chosen_evenly() -> None:
    model = trained()
    inputs = normal((3, 2, 6, 6))
    assert [effect.layer for effect in normalization_effect(model, inputs, ["norm1"])] == ["norm1"]
    blocks = [layer for _ in range(9) for layer in (fv.Linear(4), fv.BatchNorm1d(), fv.ReLU())]
    deep = fv.Model(fv.Sequential(*blocks, fv.Linear(2)).build(input_shape=(4,)))
    figure = plot_normalization_effect(deep, normal((8, 4)), most=5)
    titles = [axes.get_title() for axes in figure.axes[::2]]
    assert [title.split()[0] for title in titles] == ["bn1", "bn3", "bn5", "bn7", "bn9"]
    assert "5 of 9 layers, evenly spaced" in str(figure.get_suptitle())


def test_a_plot_says_what_becomes_of_the_values() -> None:
    model = trained()
    inputs = normal((20, 2, 6, 6))
    figure = plot_normalization_effect(model, inputs)
    effect = normalization_effect(model, inputs)[0]
    before = "{:.2g} ± {:.2g}".format(*effect.before.overall).replace("-", "\N{MINUS SIGN}")
    assert figure.axes[0].get_title().startswith(f"bn1 (BatchNorm2d): {before} becomes ")
    assert np.allclose(figure.axes[1].collections[1].get_offsets(), np.stack([effect.after.mean, effect.after.std], 1))
    low, high = figure.axes[0].get_xlim()
    assert effect.edges[0] <= low < high <= effect.edges[-1]


@pytest.mark.parametrize("shape", [(3, 12), (1, 4, 4, 4)])
def test_sequences_and_volumes(shape: tuple[int, ...]) -> None:
    rank = len(shape) - 1
    conv = fv.Conv1d(4, 3) if rank == 1 else fv.Conv3d(4, 3)
    norm = fv.BatchNorm1d() if rank == 1 else fv.BatchNorm3d()
    model = fv.Model(fv.Sequential(conv, norm, fv.ReLU(), fv.Flatten(), fv.Linear(2)).build(input_shape=shape))
    assert len(plot_normalization_effect(model, normal((5, *shape))).axes) == 2


def test_names_that_do_not_fit_are_sentences() -> None:
    model = trained()
    inputs = normal((3, 2, 6, 6))
    with pytest.raises(fv.GraphError, match=r"there is no layer 'bn'\. Nearest: bn1"):
        normalization_effect(model, inputs, ["bn"])
    with pytest.raises(fv.GraphError, match=r"conv1 \(Conv2d 3x3\) is not a normalisation\. Nearest:"):
        plot_normalization_effect(model, inputs, ["conv1"])
    with pytest.raises(fv.ShapeError, match="the network takes 2x6x6"):
        normalization_effect(model, normal((3, 2, 5, 5)))
    plain = fv.Model(fv.Sequential(fv.Linear(3), fv.ReLU()).build(input_shape=(4,)))
    with pytest.raises(fv.GraphError, match="the network has no normalisation to look at; its layers are Linear, ReLU"):
        plot_normalization_effect(plain, normal((3, 4)))
