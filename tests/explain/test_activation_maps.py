"""Activation maps: equal to PyTorch's hooks, copies for good, and pictures of every kind of layer."""

import numpy as np
import pytest
import torch
from torch import nn

import foveate as fv
from foveate.data import Preprocessing
from foveate.engines import Engine
from foveate.explain.draw.style import png, theme
from foveate.explain.measure.activation_maps import strongest_channels
from foveate.explain.plots.activation_maps import plot_activation_maps, plot_layers
from foveate.explain.probe.activation_maps import activation_maps, layer_maps
from foveate.tasks import Classification
from tests.engines.torch_networks import NETWORKS
from tests.explain.test_filters import model_of, texts
from tests.support import normal, random_arrays, relative_error


def small(engine: Engine | None = None) -> fv.Model:
    """Convolution, normalisation and ReLU, which engines like to fuse, twice."""
    return model_of(
        fv.Conv2d(6, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2), fv.Conv2d(40, 3), fv.ReLU(),
        fv.Flatten(), fv.Linear(5), engine=engine,
    )  # fmt: skip


def image_of(model: fv.Model, seed: int = 0) -> np.ndarray:
    return normal(model.graph.input_shape, seed).astype(np.float32)


def twin_of(name: str, model: fv.Model) -> nn.Module:
    """PyTorch's network with random parameters and statistics, and the model with the same."""
    arrays = random_arrays(model.graph)
    for key, array in arrays.items():
        model.state.load(key, array)
    module = NETWORKS[name]().double().eval()
    kept = [arrays[key] for key in model.graph.parameters]
    with torch.no_grad():
        for parameter, array in zip(module.parameters(), kept, strict=True):
            parameter.copy_(torch.from_numpy(array))
        buffers = [each for key, each in module.named_buffers() if "running" in key]
        for buffer, key in zip(buffers, model.graph.statistics, strict=True):
            buffer.copy_(torch.from_numpy(arrays[key]))
    return module


@pytest.mark.parametrize("name", ["vgg6", "resnet20"])
def test_maps_equal_pytorchs_hooks(name: str, engine: Engine):
    model = fv.Model(fv.zoo.make(name), engine=engine)
    module = twin_of(name, model)
    seen: dict[type, list[np.ndarray]] = {nn.Conv2d: [], nn.BatchNorm2d: []}
    for part in module.modules():
        if type(part) in seen:
            part.register_forward_hook(lambda part, _, output: seen[type(part)].append(output[0].clone().numpy()))
    image = image_of(model)
    with torch.no_grad():
        module(torch.from_numpy(image)[None].double())
    kinds = {nn.Conv2d: fv.Conv2d, nn.BatchNorm2d: fv.BatchNorm2d}
    names = {kind: [node.name for node in model.graph.nodes if isinstance(node.layer, kinds[kind])] for kind in seen}
    maps = layer_maps(model, image, [*names[nn.Conv2d], *names[nn.BatchNorm2d]])
    for kind, expected in seen.items():
        assert len(names[kind]) == len(expected) >= 6
        for layer, array in zip(names[kind], expected, strict=True):
            assert array.min() < 0
            assert relative_error(maps[layer], array) < 1e-4, layer


def test_each_layer_is_kept_before_what_follows_it(engine: Engine):
    model, names = small(engine), ("conv1", "bn1", "relu1", "pool1", "conv2", "relu2")
    image = image_of(model)
    together = layer_maps(model, image, names)
    assert together["conv1"].min() < 0
    assert together["conv2"].min() < 0
    np.testing.assert_array_equal(together["relu1"], np.maximum(together["bn1"], 0))
    for name in names:
        assert together[name].shape == model.graph.shapes[name]
        assert relative_error(activation_maps(model, image, name), together[name]) < 1e-6, name


def test_nothing_later_overwrites_them(engine: Engine):
    model = small(engine)
    first = layer_maps(model, image_of(model), ["conv1", "bn1", "relu1", "linear1"])
    alone = activation_maps(model, image_of(model), "conv1")
    before = {name: maps.copy() for name, maps in first.items()}
    second = layer_maps(model, image_of(model, 1), ["conv1", "bn1", "relu1", "linear1"])
    model.logits(image_of(model, 2)[None])
    plot_activation_maps(model, image_of(model, 3), "conv1")
    for name, maps in first.items():
        np.testing.assert_array_equal(maps, before[name])
        assert (second[name] != maps).any()
    np.testing.assert_allclose(alone, before["conv1"], rtol=1e-5, atol=1e-6)


def test_writing_into_them_changes_no_model(engine: Engine):
    model, image = small(engine), image_of(small())
    maps, logits = activation_maps(model, image, "conv1"), model.logits(image[None])
    expected = maps.copy()
    maps[:] = 99
    np.testing.assert_array_equal(activation_maps(model, image, "conv1"), expected)
    np.testing.assert_array_equal(model.logits(image[None]), logits)


def test_raw_images_are_preprocessed_once():
    graph = fv.Sequential(fv.Conv2d(4, 3)).build((1, 9, 9), quiet=True)
    model = fv.Model(graph, preprocessing=Preprocessing((1, 9, 9), (0.25,), (0.5,)))
    raw = np.random.default_rng(0).integers(0, 256, (9, 9)).astype(np.uint8)
    prepared = torch.from_numpy(((raw / 255 - 0.25) / 0.5).astype(np.float32))[None, None]
    weight, bias = (torch.from_numpy(model.read(f"conv1.{name}")) for name in ("weight", "bias"))
    expected = torch.nn.functional.conv2d(prepared, weight, bias)[0].numpy()
    assert relative_error(activation_maps(model, raw, "conv1"), expected) < 1e-5


def test_the_strongest_have_the_largest_activation_anywhere():
    maps = np.zeros((4, 3, 3))
    maps[0] = 1
    maps[2, 1, 1], maps[3, 0, 0] = 5, -9
    assert strongest_channels(maps, 3).tolist() == [2, 0, 1]
    assert strongest_channels(np.array([3.0, 7.0, 5.0]), 9).tolist() == [1, 2, 0]


def rectangles(axes):
    from matplotlib.patches import Rectangle

    return [patch for patch in axes.patches if isinstance(patch, Rectangle)]


def test_the_frame_is_the_receptive_field_of_the_largest_activation():
    model = small()
    image = image_of(model)
    maps = activation_maps(model, image, "relu2")
    figure = plot_activation_maps(model, image, "relu2")
    channel, row, column = (int(i) for i in np.unravel_index(maps.argmax(), maps.shape))
    rows, columns = model.graph.region("relu2", (row, column)).clipped
    frame = rectangles(figure.axes[0])[-1]
    assert (frame.get_x(), frame.get_y()) == (columns.start - 0.5, rows.start - 0.5)
    assert (frame.get_width(), frame.get_height()) == (len(columns), len(rows))
    assert f"channel {channel}, row {row}, column {column}, is {maps.max():.3g}" in texts(figure)


def test_the_ring_is_on_the_element_of_its_map():
    model = small()
    maps = activation_maps(model, image_of(model), "conv1")
    figure = plot_activation_maps(model, image_of(model), "conv1", channels=[4, 2], element=(2, 3, 7))
    axes = figure.axes[1]
    left, right, bottom, top = axes.images[1].get_extent()
    (x,), (y,) = axes.lines[-1].get_data()
    _, rows, columns = maps.shape
    assert int((x - left) / (right - left) * columns) == 7
    assert int((y - top) / (bottom - top) * rows) == 3
    np.testing.assert_array_equal(axes.images[1].get_array(), maps[2])


def test_channels_are_all_the_strongest_or_those_asked_for():
    model = small()
    image = image_of(model)
    maps = activation_maps(model, image, "relu2")
    numbers = [str(channel) for channel in strongest_channels(maps, 32)]
    figure = plot_activation_maps(model, image, "relu2")
    assert [text.get_text() for text in figure.axes[1].texts] == numbers
    assert "the 32 of 40 channels with the largest activation" in texts(figure)
    every = plot_activation_maps(model, image, "relu1")
    assert [text.get_text() for text in every.axes[1].texts] == list("012345")
    few = plot_activation_maps(model, image, "relu2", channels="strongest", most=3)
    assert [text.get_text() for text in few.axes[1].texts] == numbers[:3]
    weakest = int(strongest_channels(maps, 40)[-1])
    asked = plot_activation_maps(model, image, "relu2", most=3, element=(weakest, 0, 0))
    assert [text.get_text() for text in asked.axes[1].texts] == [str(weakest), *numbers[:2]]


def test_maps_share_a_scale_or_have_their_own():
    model = small()
    image = image_of(model)
    maps = activation_maps(model, image, "conv1")
    shared = plot_activation_maps(model, image, "conv1").axes[1].images
    own = plot_activation_maps(model, image, "conv1", shared_scale=False).axes[1].images
    assert {each.get_clim() for each in shared} == {(-np.abs(maps).max(), np.abs(maps).max())}
    for each in own:
        assert np.abs(each.get_array()).max() == pytest.approx(1)
    assert plot_activation_maps(model, image, "relu1").axes[1].images[0].get_clim()[0] == 0


def test_a_flat_layer_is_bars_with_the_names_of_the_classes():
    model = small()
    model.task = Classification(("ant", "bee", "cat", "dog", "eel"))
    figure = plot_activation_maps(model, image_of(model), "linear1")
    heights = [bar.get_height() for bar in rectangles(figure.axes[1])]
    np.testing.assert_allclose(heights, activation_maps(model, image_of(model), "linear1"))
    assert all(name in texts(figure) for name in model.classes)
    assert "sees the whole input" in texts(figure)
    model.task = None
    assert "channel" in texts(plot_activation_maps(model, image_of(model), "linear1"))


def test_what_lies_in_the_padding_is_said():
    model = model_of(fv.Conv2d(2, 1, padding=2), shape=(1, 6, 6))
    figure = plot_activation_maps(model, image_of(model), "conv1", element=(0, 0, 0))
    assert "sees nothing but padding" in texts(figure)
    model = model_of(fv.Conv2d(2, 3, padding=1), shape=(1, 6, 6))
    figure = plot_activation_maps(model, image_of(model), "conv1", element=(0, 0, 3))
    assert "sees the framed 2x3 of the input's 6x6 positions (3x3 with padding, dashed)" in texts(figure)


def test_unaligned_branches_have_a_frame():
    crossing = fv.Residual(fv.Conv2d(3, 4, padding=((1, 2), (1, 2))))
    model = model_of(crossing, fv.ReLU())
    layer = model.graph.nodes[-1].name
    figure = plot_activation_maps(model, image_of(model), layer, element=(0, 5, 5))
    rows, columns = model.graph.region(layer, (5, 5)).clipped
    assert (rectangles(figure.axes[0])[-1].get_height(), len(rows)) == (len(columns), 4)


def test_volumes_are_cut_through_the_element():
    model = model_of(fv.Conv3d(3, 3), fv.ReLU(), shape=(1, 7, 8, 9))
    image = image_of(model)
    maps = activation_maps(model, image, "conv1")
    figure = plot_activation_maps(model, image, "conv1", element=(1, 4, 2, 3))
    for index, shown in enumerate(figure.axes[1].images):
        np.testing.assert_array_equal(shown.get_array(), maps[index, 4])
    assert "slice 5" in texts(figure)  # the middle of the slices 4 to 6 that it sees
    assert "Maps at depth 4" in texts(figure)


def test_sounds_are_curves_with_the_span_that_is_seen():
    model = model_of(fv.Conv1d(3, 5, stride=2), fv.ReLU(), shape=(1, 40))
    figure = plot_activation_maps(model, image_of(model), "conv1", element=(1, 4))
    (span,) = rectangles(figure.axes[0])
    assert (span.get_x(), span.get_width()) == (7.5, 5)
    assert "channel 1, position 4" in texts(figure)
    assert "sees the shaded 5 of the input's 40 positions." in texts(figure)
    maps = activation_maps(model, image_of(model), "conv1")
    curves = [line.get_ydata() for line in figure.axes[1].lines if len(line.get_ydata()) == maps.shape[1]]
    for row, (curve, values) in enumerate(zip(curves, maps, strict=True)):
        np.testing.assert_allclose((row - curve) / 0.9 * np.abs(maps).max(), values, rtol=1e-4, atol=1e-5)


INPUTS = {
    "grey": ((1, 12, 10), [fv.Conv2d(4, 3), fv.ReLU(), fv.Flatten(), fv.Linear(40)]),
    "colour": ((3, 12, 12), [fv.Conv2d(4, 3), fv.ReLU(), fv.Flatten(), fv.Linear(3)]),
    "five channels": ((5, 12, 12), [fv.Conv2d(4, 3), fv.ReLU(), fv.Flatten(), fv.Linear(3)]),
    "sound": ((1, 50), [fv.Conv1d(4, 5, stride=2), fv.ReLU(), fv.Flatten(), fv.Linear(3)]),
    "six channels of sound": ((6, 50), [fv.Conv1d(4, 5, stride=2), fv.ReLU(), fv.Flatten(), fv.Linear(3)]),
    "volume": ((1, 6, 7, 8), [fv.Conv3d(4, 3), fv.ReLU(), fv.Flatten(), fv.Linear(3)]),
}


@pytest.mark.parametrize("name", INPUTS)
def test_every_kind_of_input_has_pictures_on_both_papers(name: str):
    shape, layers = INPUTS[name]
    model = model_of(*layers, shape=shape)
    pictures = [png(plot_activation_maps(model, image_of(model), layer)) for layer in ("conv1", "linear1")]
    with theme("dark"):
        assert png(plot_activation_maps(model, image_of(model), "conv1")) != pictures[0]
        png(plot_layers(model, image_of(model), channels=3))


def test_silence_has_pictures():
    for name in ("grey", "sound", "volume"):
        shape, layers = INPUTS[name]
        model = model_of(*layers, shape=shape)
        model.state.load("conv1.weight", np.zeros(model.read("conv1.weight").shape))
        png(plot_activation_maps(model, np.zeros(shape, np.float32), "relu1", shared_scale=name == "grey"))
        png(plot_layers(model, np.zeros(shape, np.float32), channels=2))


def test_the_walk_shows_the_strongest_of_each_layer():
    model = small()
    image = image_of(model)
    figure = plot_layers(model, image, channels=3)
    shown = [each.get_array() for each in figure.axes[0].images]
    names = ["conv1", "bn1", "relu1", "pool1", "conv2", "relu2"]
    maps = layer_maps(model, image, names)
    expected = [maps[name][channel] for name in names for channel in strongest_channels(maps[name], 3)]
    assert len(shown) == 1 + len(expected)
    for actual, each in zip(shown[1:], expected, strict=True):
        np.testing.assert_array_equal(actual, each)
    assert "all 6 layers with maps" in texts(figure)
    assert "conv2 40x4x4" in texts(figure)
    assert "2 layers" in texts(plot_layers(model, image, layers=["relu2", "conv1"]))


def test_a_long_walk_keeps_the_layers_with_windows():
    model = fv.Model(fv.zoo.make("resnet20"))
    figure = plot_layers(model, image_of(model), channels=2)
    total = sum(shape[-1] > 1 for name, shape in model.graph.shapes.items() if len(shape) == 3 and name != "input")
    assert f"10 of its {total} layers with maps" in texts(figure)
    labels = [text.get_text() for text in figure.axes[0].texts if "x32x32" in text.get_text()]
    assert labels[1] == "conv1\n16x32x32"
    assert not any(label.startswith("relu") for label in labels)


def test_what_cannot_be_drawn_is_a_sentence():
    model = small()
    image = image_of(model)
    with pytest.raises(fv.GraphError, match=r'there is no layer "conv9". Nearest: conv'):
        activation_maps(model, image, "conv9")
    with pytest.raises(fv.GraphError, match=r'there is no layer "relu7". Nearest: relu'):
        plot_activation_maps(model, image, "relu7")
    with pytest.raises(fv.ShapeError, match=r"the network takes 3x12x12 .*, but the array is 3x9x9"):
        activation_maps(model, image[:, :9, :9], "conv1")
    with pytest.raises(fv.DataError, match="there are 2 images, but only one can be examined"):
        activation_maps(model, np.stack([image, image]), "conv1")
    with pytest.raises(fv.DataError, match="the model has no preprocessing"):
        activation_maps(model, "photo.png", "conv1")
    with pytest.raises(fv.DataError, match="asked for 0 channels of 2x3; ask for at least 1"):
        strongest_channels(np.zeros((2, 3)), 0)


def test_channels_and_elements_that_are_not_there_are_a_sentence():
    model = small()
    image = image_of(model)
    with pytest.raises(fv.DataError, match="there is no channel 6: the 6 channels are numbered 0 to 5"):
        plot_activation_maps(model, image, "conv1", channels=[0, 6])
    with pytest.raises(fv.DataError, match="channels is empty"):
        plot_activation_maps(model, image, "conv1", channels=[])
    with pytest.raises(fv.DataError, match='channels is "weakest"; give "strongest"'):
        plot_activation_maps(model, image, "conv1", channels="weakest")
    with pytest.raises(fv.DataError, match="most is 0"):
        plot_activation_maps(model, image, "conv1", most=0)
    for element in ((0, 12, 0), (0, 3), (-1, 0, 0)):
        with pytest.raises(fv.DataError, match=r"conv1 has no element .*: its maps are 6x12x12"):
            plot_activation_maps(model, image, "conv1", element=element)


def test_a_walk_that_cannot_be_drawn_is_a_sentence():
    model = small()
    image = image_of(model)
    with pytest.raises(fv.GraphError, match=r"linear1 .* outputs no maps"):
        plot_layers(model, image, layers=["linear1"])
    with pytest.raises(fv.DataError, match="layers is empty"):
        plot_layers(model, image, layers=[])
    with pytest.raises(fv.DataError, match="channels is 0"):
        plot_layers(model, image, channels=0)
    dense = model_of(fv.Flatten(), fv.Linear(2))
    with pytest.raises(fv.GraphError, match="no layer of the network outputs maps"):
        plot_layers(dense, image_of(dense))
