"""Exciting patches: against sorting every activation, against the real support, and in bounded memory."""

import tracemalloc

import numpy as np
import pytest
import torch
from PIL import Image

from foveate import (
    BatchNorm2d,
    Concat,
    Conv1d,
    Conv2d,
    Conv3d,
    Dataset,
    Flatten,
    GlobalAvgPool2d,
    Linear,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    Model,
    Preprocessing,
    ReLU,
    Sequential,
)
from foveate.errors import DataError, GraphError, ShapeError
from foveate.explain.draw.style import png, theme
from foveate.explain.plots.patches import plot_exciting_patches
from foveate.explain.probe import patches as module
from foveate.explain.probe.patches import cut_patches, exciting_patches
from foveate.explain.probe.probe import prepare


def strided():
    layers = (Conv2d(6, 3, stride=2, padding=1), ReLU(), MaxPool2d(2), Conv2d(8, 3, padding=2, dilation=2), Flatten())
    return Sequential(*layers, Linear(4)).build((3, 17, 14), quiet=True)


def branching():
    """A strided 1x1 sees the first of two pixels, the other branch both and one more on each side: not aligned."""
    branches = Concat(Sequential(Conv2d(4, 3, padding=1), MaxPool2d(2)), Conv2d(4, 1, stride=2))
    return Sequential(branches, Conv2d(6, 3, padding=1), GlobalAvgPool2d(), Linear(3)).build((1, 12, 12), quiet=True)


def wave():
    return Sequential(Conv1d(4, 5, stride=2, padding=2), ReLU(), MaxPool1d(2), Conv1d(6, 3, padding=1)).build((2, 40))


def volume():
    return Sequential(Conv3d(3, 3, padding=1), MaxPool3d(2), Conv3d(5, 3, padding=1)).build((1, 8, 6, 8))


def circular():
    return Sequential(Conv2d(4, 3, padding=1, padding_mode="circular"), Conv2d(4, 3)).build((1, 8, 8))


CASES = [
    (strided, "conv1"),
    (strided, "pool1"),
    (strided, "conv2"),
    (strided, "linear1"),
    (branching, "conv1"),
    (wave, "conv2"),
    (volume, "conv2"),
    (circular, "conv2"),
]


def model_of(build, engine="reference"):
    return Model(build(), engine=engine)


def images_for(model, count=40, seed=1):
    return np.random.default_rng(seed).standard_normal((count, *model.graph.input_shape)).astype(np.float32)


def activations_of(model, inputs, layer):
    """All of them at once, from the whole network."""
    program = model.engine.compile(model.graph, batch_size=len(inputs), mode="inference", keep=(layer,))
    program.forward(model.state, inputs)
    return program.activation(layer)


def by_sorting(activations, count, distinct):
    """(value, sample, flat position) of the best of one channel, by a sort of Python's."""
    rows = activations.reshape(len(activations), -1)
    ranked = sorted((-float(value), s, p) for s, row in enumerate(rows) for p, value in enumerate(row))
    if distinct:
        seen = set()
        ranked = [each for each in ranked if not (each[1] in seen or seen.add(each[1]))]
    return ranked[:count]


@pytest.mark.parametrize("distinct", [True, False])
@pytest.mark.parametrize(("build", "layer"), CASES)
def test_equal_sorting_all_activations(build, layer, distinct):
    model = model_of(build)
    inputs = images_for(model)
    found = exciting_patches(model, inputs, layer, count=5, batch_size=7, distinct=distinct)
    expected = activations_of(model, inputs, layer)
    spatial = expected.shape[2:]
    assert found.positions.shape == (expected.shape[1], 5, len(spatial))
    for channel in range(expected.shape[1]):
        ranked = by_sorting(expected[:, channel], 5, distinct)
        flat = [np.ravel_multi_index(tuple(p), spatial) if spatial else 0 for p in found.positions[channel]]
        assert list(zip(found.samples[channel], flat, strict=True)) == [(s, p) for _, s, p in ranked]
        np.testing.assert_allclose(found.values[channel], [-value for value, _, _ in ranked], rtol=1e-5, atol=1e-6)


def test_equal_pytorch():
    model = model_of(strided, engine="native")
    twin = torch.nn.Sequential(
        torch.nn.Conv2d(3, 6, 3, 2, 1), torch.nn.ReLU(), torch.nn.MaxPool2d(2), torch.nn.Conv2d(6, 8, 3, 1, 2, 2)
    )
    with torch.no_grad():
        for place, name in ((0, "conv1"), (3, "conv2")):
            twin[place].weight.copy_(torch.tensor(model.read(f"{name}.weight")))
            twin[place].bias.copy_(torch.tensor(model.read(f"{name}.bias")))
        inputs = images_for(model, 200)
        best = twin(torch.tensor(inputs)).flatten(2).max(dim=2).values.T.topk(4, dim=1)
    found = exciting_patches(model, inputs, "conv2", count=4)
    np.testing.assert_allclose(found.values, best.values.numpy(), rtol=1e-4, atol=1e-5)
    assert (found.samples == best.indices.numpy()).mean() > 0.95


@pytest.mark.parametrize(("build", "layer"), CASES)
def test_a_patch_is_all_that_the_channel_sees(build, layer):
    model = model_of(build)
    inputs = images_for(model, 30)
    found = exciting_patches(model, inputs, layer, count=2)
    random = np.random.default_rng(3)
    for channel in range(found.values.shape[0])[:3]:
        sample, position, seen = found.samples[channel, 1], found.positions[channel, 1], found.seen[channel, 1]
        window = tuple(slice(*ends) for ends in seen)
        noise = random.standard_normal((24, *model.graph.input_shape)).astype(np.float32) * 9
        outside = noise.copy()
        outside[:, :, *window] = inputs[sample][:, *window]
        place = (slice(None), channel, *position)
        value = found.values[channel, 1]
        np.testing.assert_allclose(activations_of(model, outside, layer)[place], value, rtol=1e-4, atol=1e-5)
        for axis, (begin, end) in enumerate(seen):
            for edge in (begin, end - 1):
                changed = np.repeat(inputs[sample][None], 24, axis=0)
                face = (slice(None), slice(None), *window[:axis], slice(edge, edge + 1), *window[axis + 1 :])
                changed[face] = noise[face]
                assert np.abs(activations_of(model, changed, layer)[place] - value).max() > 1e-3, (axis, edge)


@pytest.mark.parametrize(("build", "layer"), CASES)
def test_patches_are_cut_from_the_image_and_padded_to_the_window(build, layer):
    model = model_of(build)
    inputs = images_for(model, 30)
    found = exciting_patches(model, inputs, layer, count=3)
    chosen = np.unique(found.samples[[1, 0]])
    low, high = inputs[chosen].min(), inputs[chosen].max()
    rows = cut_patches(model, found, inputs, [1, 0])
    for channel, row in zip((1, 0), rows, strict=True):
        for place, patch in enumerate(row):
            region = model.graph.region(layer, tuple(found.positions[channel, place].tolist()))
            box, seen = found.boxes[channel, place], found.seen[channel, place]
            assert [tuple(ends) for ends in seen] == [(axis.start, axis.stop) for axis in region.clipped]
            if build is not circular:
                assert [tuple(ends) for ends in box] == [(axis.start, axis.stop) for axis in region.unclipped]
            assert patch.shape == (len(inputs[0]), *(box[:, 1] - box[:, 0]))
            image = (inputs[found.samples[channel, place]] - low) / (high - low)
            expected = image[:, *region.slices]
            np.testing.assert_allclose(patch[np.isfinite(patch)], expected.ravel(), atol=1e-6)
            first = np.argwhere(np.isfinite(patch[0])).min(axis=0)
            assert (first + box[:, 0] == seen[:, 0]).all()


def test_whole_images_excite_the_units_of_a_flat_layer():
    model = model_of(branching)
    inputs = images_for(model, 10)
    found = exciting_patches(model, inputs, "linear1", count=2)
    assert (found.boxes == [[0, 12], [0, 12]]).all()
    assert cut_patches(model, found, inputs, [0])[0][0].shape == (1, 12, 12)


def test_equal_activations_come_in_the_order_of_samples_and_positions():
    model = model_of(wave)
    inputs = np.zeros((9, 2, 40), np.float32)
    model.state.load("conv2.weight", np.zeros((6, 4, 3)))
    found = exciting_patches(model, inputs, "conv2", count=4, batch_size=2)
    assert (found.samples == [0, 1, 2, 3]).all()
    assert (found.positions == 0).all()
    many = exciting_patches(model, np.zeros((90, 2, 40), np.float32), "conv2", count=70, batch_size=40)
    assert (many.samples == np.arange(70)).all()
    several = exciting_patches(model, inputs, "conv2", count=12, batch_size=2, distinct=False)
    assert (several.samples == [0] * 10 + [1] * 2).all()
    assert (several.positions[..., 0] == [*range(10), 0, 1]).all()


def test_many_equal_activations_among_others_keep_the_order_of_the_samples():
    model = model_of(wave)
    model.state.load("conv1.weight", np.ones((4, 2, 5)))
    levels = np.random.default_rng(0).integers(0, 3, 300)
    inputs = np.broadcast_to(levels[:, None, None], (300, 2, 40)).astype(np.float32)
    found = exciting_patches(model, inputs, "conv1", count=250, batch_size=180)
    assert (found.samples == np.argsort(-levels, kind="stable")[:250]).all()


def test_there_are_no_more_patches_than_images():
    model = model_of(wave)
    assert exciting_patches(model, images_for(model, 3), "conv1", count=9).values.shape == (4, 3)
    assert exciting_patches(model, images_for(model, 3), "conv1", count=90, distinct=False).values.shape == (4, 60)


def test_one_sample_more_than_a_batch():
    model = model_of(wave)
    inputs = images_for(model, 9)
    one, many = (exciting_patches(model, inputs, "conv2", count=3, batch_size=size) for size in (8, 9))
    assert (one.samples == many.samples).all()


def dataset(count, shape=(1, 16, 16), seed=0):
    random = np.random.default_rng(seed)
    return Dataset(random.integers(0, 256, (count, *shape), np.uint8), random.integers(0, 3, count), ("a", "b", "c"))


def image_model(data):
    layers = (Conv2d(6, 3, padding=1), BatchNorm2d(), ReLU(), Conv2d(5, 3, padding=1), GlobalAvgPool2d(), Linear(3))
    graph = Sequential(*layers).build(data.shape)
    return Model(graph, classes=data.classes, preprocessing=Preprocessing.measure(data))


def test_a_data_set_is_never_prepared_as_a_whole(monkeypatch):
    data = dataset(6000)
    model = image_model(data)
    sizes, told = [], []

    def counting(model, images):
        sizes.append(len(images))
        return prepare(model, images)

    monkeypatch.setattr(module, "prepare", counting)
    tracemalloc.start()
    found = exciting_patches(
        model, data, "conv2", count=3, batch_size=50, progress=lambda done, of: told.append((done, of))
    )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sizes == [50] * 120
    assert peak < 3e6 < data.inputs.size * 4 / 2, f"{peak:,} bytes"
    assert told[0] == (50, 6000)
    assert told[-1] == (6000, 6000)
    sizes.clear()
    cut_patches(model, found, data, [0, 1])
    assert sizes == [len(np.unique(found.samples[:2]))]


def test_very_large_activations_are_run_a_few_at_a_time(monkeypatch):
    model = model_of(strided)
    monkeypatch.setattr(module, "fitting_batch", lambda graph, keep, most: min(most, 4))
    told = []
    exciting_patches(model, images_for(model, 10), "conv1", progress=lambda done, of: told.append(done))
    assert told == [4, 8, 10]


def test_data_set_array_and_files_give_the_same(tmp_path):
    data = dataset(12)
    model = image_model(data)
    paths = []
    for index, pixels in enumerate(data.inputs[:, 0]):
        paths.append(tmp_path / f"{index}.png")
        Image.fromarray(pixels).save(paths[-1])
    first, *others = (exciting_patches(model, given, "conv2", count=3) for given in (data, data.inputs, paths))
    for other in others:
        assert (other.samples == first.samples).all()
        np.testing.assert_array_equal(other.values, first.values)
    cut = [cut_patches(model, first, given, [2])[0][0] for given in (data, paths)]
    np.testing.assert_array_equal(*cut)
    assert exciting_patches(model, paths[0], "conv2").samples.shape == (5, 1)
    assert exciting_patches(model, data.inputs[0], "conv2").samples.shape == (5, 1)


def test_patches_are_shown_as_the_images_look():
    data = dataset(12)
    model = image_model(data)
    found = exciting_patches(model, data, "linear1", count=1)
    patch = cut_patches(model, found, data, [1])[0][0]
    np.testing.assert_allclose(patch, data.inputs[found.samples[1, 0]] / 255, atol=1e-5)


def test_refusals():
    data = dataset(5)
    model = image_model(data)
    bare = Model(model.graph)
    with pytest.raises(GraphError, match=r'no layer "conv9".*conv1'):
        exciting_patches(model, data, "conv9")
    with pytest.raises(DataError, match="count is 0"):
        exciting_patches(model, data, "conv1", count=0)
    with pytest.raises(DataError, match="batch_size is 0"):
        exciting_patches(model, data, "conv1", batch_size=0)
    with pytest.raises(DataError, match="no preprocessing"):
        exciting_patches(bare, data, "conv1")
    with pytest.raises(ShapeError, match=r"takes N x 1x16x16.*5x1x9x9"):
        exciting_patches(model, np.zeros((5, 1, 9, 9), np.uint8), "conv1")
    with pytest.raises(DataError, match="no images"):
        exciting_patches(model, [], "conv1")
    found = exciting_patches(model, data, "conv1")
    with pytest.raises(DataError, match="conv1 has no channel 6: the 6 channels are numbered 0 to 5"):
        cut_patches(model, found, data, [0, 6])
    with pytest.raises(DataError, match="no channel was asked for"):
        plot_exciting_patches(model, found, data, [])
    with pytest.raises(DataError, match="there are 2 images, but patches were found in image"):
        cut_patches(model, found, data.subset([0, 1]), [0])


@pytest.mark.parametrize("count", [5, 40])
def test_nan_is_refused(count):
    data = dataset(count)
    model = image_model(data)
    model.state.load("conv1.bias", np.full(6, np.nan))
    with pytest.raises(DataError, match=r"activation of conv1 .* is NaN"):
        exciting_patches(model, data, "conv1")


@pytest.mark.parametrize("paper", ["light", "dark"])
@pytest.mark.parametrize(("build", "layer"), CASES)
def test_pictures(build, layer, paper):
    model = model_of(build)
    inputs = images_for(model, 6)
    found = exciting_patches(model, inputs, layer, count=3)
    with theme(paper):
        figure = plot_exciting_patches(model, found, inputs, [1, 0])
        assert png(figure)[:4] == b"\x89PNG"
    assert len(figure.axes) == 6
    assert figure.axes[0].get_ylabel() == "channel 1"
    assert figure.axes[1].get_title() == f"{found.values[1, 1]:#.3g}".replace("-", "\N{MINUS SIGN}")
    drawn = figure.axes[0].lines if build is wave else figure.axes[0].images
    assert len(drawn) == (2 if build is wave else 1)
    if build is wave:
        first, *others = (axes.get_ylim() for axes in figure.axes)
        assert others[:2] == [first, first]
        assert others[2] != first
    padded = any(np.isnan(patch).any() for row in cut_patches(model, found, inputs, [1, 0]) for patch in row)
    assert ("hatched: padding" in figure.get_supxlabel()) == padded


def test_rows_of_the_output_carry_class_names_and_come_by_activation():
    data = dataset(8)
    model = image_model(data)
    found = exciting_patches(model, data, "linear1", count=2)
    figure = plot_exciting_patches(model, found, data)
    labels = [axes.get_ylabel() for axes in figure.axes[::2]]
    assert labels == [data.classes[channel] for channel in np.argsort(-found.values[:, 0])]


def test_vectors_are_drawn_as_curves():
    model = Model(Sequential(Linear(5), ReLU(), Linear(3)).build((7,)), engine="reference")
    inputs = images_for(model, 6)
    found = exciting_patches(model, inputs, "linear1", count=2)
    assert cut_patches(model, found, inputs, [0])[0][0].shape == (7,)
    assert len(plot_exciting_patches(model, found, inputs).axes[0].lines[0].get_xdata()) == 7
