"""Boxes against the support of gradients, and effective fields against PyTorch's autograd on the same network."""

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import foveate as fv
from foveate.errors import DataError, GraphError, ShapeError
from foveate.explain.draw.style import theme
from foveate.explain.plots.receptive_fields import plot_receptive_fields
from foveate.explain.probe.probe import Probe
from foveate.explain.probe.receptive_fields import effective_field, random_signs, theoretical_fields
from foveate.graph import Graph
from tests.engines.torch_networks import lenet5, resnet20
from tests.support import Array, normal, random_arrays, relative_error


def wave_net() -> Graph:
    return fv.Sequential(
        fv.Conv1d(4, 5, stride=2, padding=2), fv.BatchNorm1d(), fv.ReLU(), fv.MaxPool1d(2),
        fv.Conv1d(6, 3, dilation=2), fv.ReLU(), fv.GlobalAvgPool1d(), fv.Linear(3),
    ).build((2, 64), quiet=True, name="wave")  # fmt: skip


def wave_twin() -> nn.Module:
    return nn.Sequential(
        nn.Conv1d(2, 4, 5, stride=2, padding=2), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(4, 6, 3, dilation=2), nn.ReLU(),
    )  # fmt: skip


def volume_net() -> Graph:
    return fv.Sequential(
        fv.Conv3d(4, 3, padding=1), fv.ReLU(), fv.MaxPool3d(2), fv.Conv3d(5, 3, padding=1), fv.ReLU(),
        fv.GlobalAvgPool3d(), fv.Linear(3),
    ).build((1, 12, 10, 8), quiet=True, name="volume")  # fmt: skip


def volume_twin() -> nn.Module:
    return nn.Sequential(nn.Conv3d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool3d(2), nn.Conv3d(4, 5, 3, padding=1))


def branching_net() -> Graph:
    return fv.Sequential(
        fv.Conv2d(4, 3, stride=2, padding=1),
        fv.ReLU(),
        fv.Concat(
            fv.Conv2d(3, 1),
            fv.Sequential(fv.Conv2d(3, 3, padding=2, dilation=2), fv.ReLU()),
            fv.Sequential(fv.MaxPool2d(3, stride=1, padding=1), fv.Conv2d(2, (1, 5), padding=(0, 2))),
        ),
        fv.Conv2d(4, 2, stride=2),
        fv.ReLU(),
        fv.GlobalAvgPool2d(),
        fv.Linear(3),
    ).build((1, 24, 24), quiet=True, name="branching")


def model_with(graph: Graph, arrays: Mapping[str, Array], engine: str | None = None) -> fv.Model:
    model = fv.Model(graph, engine=engine)
    for name, array in arrays.items():
        model.state.load(name, array)
    return model


def twin_with(twin: nn.Module, graph: Graph, arrays: Mapping[str, Array]) -> nn.Module:
    """The twin, or as much of the network as it is, in float64: parameters stand in the same order."""
    own = [buffer for name, buffer in twin.double().named_buffers() if "running" in name]
    with torch.no_grad():
        for parameter, name in zip(twin.parameters(), graph.parameters, strict=False):
            parameter.copy_(torch.tensor(arrays[name]))
        for buffer, name in zip(own, graph.statistics, strict=False):
            buffer.copy_(torch.tensor(arrays[name]))
    return twin.eval()


TWINS: dict[str, tuple[Graph, nn.Module, slice, str, tuple[int, ...] | None]] = {
    "lenet5": (fv.zoo.make("lenet5"), lenet5(), slice(0, 4), "conv2", (2, 7)),
    "resnet20": (fv.zoo.make("resnet20"), resnet20(), slice(0, 8), "stage2.1.relu2", None),
    "wave": (wave_net(), wave_twin(), slice(0, 5), "conv2", None),
    "volume": (volume_net(), volume_twin(), slice(0, 4), "conv2", (0, 4, 2)),
}


@pytest.mark.parametrize("name", TWINS)
def test_effective_field_is_pytorchs_mean_squared_gradient(name: str) -> None:
    graph, twin, below, layer, position = TWINS[name]
    arrays = random_arrays(graph, seed=5)
    images, draws = normal((6, *graph.input_shape)).astype(np.float32), 3
    seen = effective_field(model_with(graph, arrays), images, layer, position, draws=draws, seed=7)
    at = position or tuple(size // 2 for size in graph.shapes[layer][1:])

    x = torch.tensor(images, dtype=torch.float64, requires_grad=True)
    network = twin_with(twin, graph, arrays)
    assert isinstance(network, nn.Sequential)
    values = network[below](x)[(..., *at)]
    energy = np.zeros(graph.input_shape[1:])
    for signs in random_signs((draws, *values.shape), 7):
        (gradient,) = torch.autograd.grad((values * torch.tensor(signs)).sum(), x, retain_graph=True)
        energy += (gradient**2).sum(dim=(0, 1)).numpy()

    assert seen.field.position == at
    assert relative_error(seen.energy, energy / energy.sum()) < 1e-4
    assert seen.energy[seen.field.region.slices].sum() == pytest.approx(1, rel=1e-6)
    box = energy[seen.field.region.slices]
    assert box.sum() == pytest.approx(energy.sum(), rel=1e-12)
    fewest = next(n for n in range(1, box.size + 1) if np.sort(box.ravel())[-n:].sum() >= 0.95 * energy.sum())
    assert seen.share() == pytest.approx(fewest / box.size, abs=1.5 / box.size)


def support(model: fv.Model, layer: str, position: tuple[int, ...]) -> tuple[range, ...]:
    """The box around all input positions with a gradient, over images in which every maximum wins somewhere."""
    shape = model.graph.input_shape
    ramps = [
        np.exp(0.5 * sum(sign * axis for sign, axis in zip(signs, np.indices(shape[1:]), strict=True)) * np.ones(shape))
        for signs in product((-1, 1), repeat=len(shape) - 1)
    ]
    images = np.stack([*ramps, *(1 + np.abs(normal((8, *shape))))]).astype(np.float32)
    probe = Probe(model, len(images), keep=[layer], differentiable=True)
    probe.run(images)
    seed = np.zeros((len(images), *model.graph.shapes[layer]), np.float32)
    element: Any = (slice(None), slice(None), *position)
    seed[element] = 1
    (gradient,) = probe.gradients({layer: seed}, model.graph.only_input)
    met = np.argwhere(gradient.any(axis=(0, 1)))
    return tuple(range(low, high + 1) for low, high in zip(met.min(axis=0), met.max(axis=0), strict=True))


def positive(graph: Graph) -> fv.Model:
    """A model in which every rectifier is open: positive weights, and normalisations that keep the sign.

    In the reference engine, whose zeros are exact: Winograd's rounding reaches as far as its tiles.
    """
    random = np.random.default_rng(1)
    return model_with(
        graph,
        {
            name: random.uniform(0.5, 1, parameter.shape) / parameter.fan_in
            if "bn" not in name
            else np.full(parameter.shape, 0.5)
            for name, parameter in graph.parameters.items()
        },
        "reference",
    )


@pytest.mark.parametrize(
    ("graph", "layers"),
    [
        (fv.zoo.make("lenet5"), ["conv1", "pool1", "conv2", "pool2"]),
        (fv.zoo.make("resnet20"), ["conv1", "stage1.1.relu2", "stage2.0.relu2"]),
        (branching_net(), ["conv1", "concat1.concat", "concat1.branch3.conv1", "relu2"]),
        (wave_net(), ["conv1", "pool1", "conv2"]),
        (volume_net(), ["conv1", "pool1", "conv2"]),
    ],
    ids=lambda value: value.name if isinstance(value, Graph) else "",
)
def test_boxes_are_the_support_of_gradients(graph: Graph, layers: list[str]) -> None:
    model = positive(graph)
    for layer in layers:
        spatial = graph.shapes[layer][1:]
        for place in ([0] * len(spatial), [size // 2 for size in spatial], [size - 1 for size in spatial]):
            region = graph.region(layer, place)
            assert support(model, layer, tuple(place)) == region.clipped, (layer, place)


def test_boxes_of_all_layers_lie_around_the_position() -> None:
    graph = fv.zoo.make("resnet20")
    for at in ((0, 0), (16, 16), (5, 30)):
        fields = theoretical_fields(graph, position=at)
        assert [field.layer for field in fields][:3] == ["conv1", "bn1", "relu1"]
        for field in fields:
            assert field.region == graph.region(field.layer, field.position)
            assert field.clipped_size == tuple(map(len, field.region.clipped))
        places = {field.layer: field.position for field in fields}
        assert places["conv1"] == at
        assert places["stage2.0.conv1"] == tuple(min(round(each / 2), 15) for each in at)
    (named,) = theoretical_fields(fv.Model(graph), ["conv1"], (3, 4))
    assert (named.size, named.position) == ((3, 3), (3, 4))


def test_box_of_each_layer_is_the_nearest_of_all_its_boxes() -> None:
    graph = branching_net()
    for field in theoretical_fields(graph, position=(9, 14)):
        spatial = graph.shapes[field.layer][1:]
        for axis, at in enumerate((9, 14)):
            centre, jump = (
                getattr(graph.receptive_field(field.layer), name)[axis] for name in ("first_centre", "jump")
            )
            distances = [abs(centre + jump * place - at) for place in range(spatial[axis])]
            assert distances[field.position[axis]] == min(distances)


def test_share_of_a_single_convolution_is_the_closed_form() -> None:
    graph = fv.Sequential(fv.Conv2d(1, 3)).build((1, 7, 7))
    model = fv.Model(graph)
    weight = np.array([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]])
    model.state.load("conv1.weight", weight[None, None])
    seen = effective_field(model, np.zeros((1, 7, 7), np.float32), "conv1")
    expected = np.zeros((7, 7))
    expected[2:5, 2:5] = weight**2 / (weight**2).sum()
    np.testing.assert_allclose(seen.energy, expected, rtol=1e-6)
    assert seen.share() == 4 / 9
    assert seen.share(0.8) == 1 / 9
    assert seen.share(1.0) == 5 / 9


def test_one_channel_needs_no_signs_and_images_are_averaged() -> None:
    model = model_with(wave_net(), random_arrays(wave_net()))
    images = normal((5, 2, 64)).astype(np.float32)
    together = effective_field(model, images, "linear1", (), draws=1, seed=3)
    assert together.energy.shape == (64,)
    again = effective_field(model, images, "linear1", (), draws=1, seed=3)
    np.testing.assert_array_equal(together.energy, again.energy)
    other = effective_field(model, images, "linear1", (), draws=1, seed=4)
    assert relative_error(other.energy, together.energy) > 1e-3


def test_what_cannot_be_seen_is_a_sentence() -> None:
    model = fv.Model(fv.zoo.make("lenet5"))
    images = normal((1, 1, 28, 28)).astype(np.float32)
    with pytest.raises(GraphError, match=r'there is no layer "conv9".* Nearest: conv'):
        effective_field(model, images, "conv9")
    with pytest.raises(DataError, match="draws is 0; it must be at least 1, or None"):
        effective_field(model, images, "conv2", draws=0)
    with pytest.raises(ShapeError, match="conv2 has no position"):
        effective_field(model, images, "conv2", (10, 0))
    with pytest.raises(ShapeError, match="takes 1x28x28"):
        effective_field(model, normal((1, 1, 8, 8)), "conv2")
    with pytest.raises(ShapeError, match=r"no position \(28, 0\): its spatial sizes are 28x28"):
        plot_receptive_fields(model, images, position=(28, 0))
    with pytest.raises(GraphError, match="no layer is named"):
        theoretical_fields(model, [])
    with pytest.raises(GraphError, match=r"linear1.*outputs no maps"):
        plot_receptive_fields(model, images, effective="linear1")
    with pytest.raises(ShapeError, match="input is flat"):
        theoretical_fields(fv.Sequential(fv.Linear(3)).build((4,)))
    dense = fv.Model(fv.Sequential(fv.Flatten(), fv.Linear(3)).build((1, 28, 28)))
    with pytest.raises(GraphError, match="every output is flat"):
        plot_receptive_fields(dense, images)
    model.state.load("conv1.bias", np.full(6, -1e6))
    with pytest.raises(
        DataError, match=r"no gradient reaches the input from conv2 at .* every image .1 given.. Use other images"
    ):
        effective_field(model, images, "conv2")


@pytest.mark.parametrize("name", ["light", "dark"])
@pytest.mark.parametrize("graph", [wave_net(), fv.zoo.make("lenet5"), volume_net()], ids=lambda graph: graph.name)
def test_picture_draws_a_box_for_each_different_field(graph: Graph, name: Any) -> None:
    model = fv.Model(graph, seed=1)
    with theme(name):
        figure = plot_receptive_fields(model, normal((2, *graph.input_shape)).astype(np.float32))
    fields = theoretical_fields(graph)
    different = len({field.region.clipped for field in fields})
    above = figure.axes[1 if len(graph.input_shape) == 2 else 0]
    assert len(above.patches) == different
    assert f"{different} of {len(fields)} layers drawn" in figure.get_suptitle()
    titles = " ".join(axes.get_title() for axes in figure.axes)
    assert "95 % of what it depends on" in titles


def test_picture_of_a_deep_network_stays_legible() -> None:
    graph = fv.zoo.make("resnet20")
    images = normal((1, 3, 32, 32)).astype(np.float32)
    figure = plot_receptive_fields(fv.Model(graph), images, position=(10, 20))
    boxes, energy, _ = figure.axes
    assert len(boxes.patches) == 8
    assert f"8 of {len(theoretical_fields(graph))} layers drawn" in figure.get_suptitle()
    assert len({str(patch.get_path().transformed(patch.get_patch_transform())) for patch in boxes.patches}) == 8
    looks = {(patch.get_edgecolor(), patch.get_linestyle()) for patch in boxes.patches}
    assert len(looks) == 8
    (label,) = [text for text in boxes.get_legend_handles_labels()[1] if text.startswith("conv1")]
    assert label == "conv1: 3x3"
    (outline,) = energy.patches
    focus = energy.get_title().split("of ")[1].split(":")[0]
    (field,) = theoretical_fields(graph, [focus], (10, 20))
    rows, columns = field.region.clipped
    assert outline.get_window_extent().width > 0
    assert outline.get_xy() == (columns.start - 0.5, rows.start - 0.5)  # type: ignore[attr-defined]


def test_two_channels_show_the_first() -> None:
    graph = fv.Sequential(fv.Conv2d(3, 3), fv.Conv2d(2, 3)).build((2, 9, 9))
    image = normal((1, 2, 9, 9)).astype(np.float32)
    shown = plot_receptive_fields(fv.Model(graph), image).axes[0].images[0].get_array()
    assert shown is not None
    low, high = image.min(), image.max()
    np.testing.assert_allclose(shown, (image[0, 0] - low) / (high - low), rtol=1e-5, atol=1e-6)


def test_named_layers_and_colour_images() -> None:
    graph = fv.zoo.make("resnet20")
    images = normal((1, 3, 32, 32)).astype(np.float32)
    chosen = ["conv1", "stage1.0.conv1"]
    figure = plot_receptive_fields(fv.Model(graph), images, chosen, effective="stage1.0.conv1")
    assert len(figure.axes[0].patches) == 2
    assert "layers drawn" not in figure.get_suptitle()
    assert "stage1.0.conv1" in figure.axes[1].get_title()
