"""Filters: their orders, the frequencies they let through, and their pictures."""

import subprocess
import sys

import numpy as np
import pytest
import torch

import foveate as fv
from foveate.engines import Engine
from foveate.explain.draw.style import png, theme
from foveate.explain.measure.filters import frequency_response
from foveate.explain.plots.filters import plot_filters
from foveate.explain.probe.filters import filters
from tests.support import normal


def model_of(*layers, shape=(3, 12, 12), engine=None) -> fv.Model:
    return fv.Model(fv.Sequential(*layers).build(shape, quiet=True), engine=engine)


def texts(figure) -> str:
    """All text of a figure, every break a blank."""
    from matplotlib.text import Text

    figure.draw_without_rendering()
    return " ".join(" ".join(text.get_text() for text in figure.findobj(Text) if text.get_visible()).split())


def test_kernels_are_the_models_own_in_every_order(engine: Engine):
    model = model_of(fv.Conv2d(6, 3), engine=engine)
    weight = model.read("conv1.weight")
    norms = np.linalg.norm(weight.reshape(6, -1), axis=1)
    for order in ("norm", "similarity", "index"):
        found = filters(model, "conv1", order=order)
        assert sorted(found.indices) == list(range(6))
        np.testing.assert_array_equal(found.kernels, weight[found.indices])
    assert (np.diff(norms[filters(model, "conv1", order="norm").indices]) <= 0).all()
    assert filters(model, "conv1", order="index").indices.tolist() == [0, 1, 2, 3, 4, 5]


def test_similar_filters_stand_next_to_each_other_whatever_their_size():
    model = model_of(fv.Conv2d(6, 3), shape=(1, 9, 9))
    a, b, c = np.linalg.qr(normal((9, 3)))[0].T
    model.state.load("conv1.weight", np.stack([9 * a, b, c, a + 0.1 * b, 5 * b + a, c + 0.3 * b]).reshape(6, 1, 3, 3))
    # By hand: a's neighbour, then the one of b with a share of a, b, the one of c with a share of b, c.
    assert filters(model, "conv1", order="similarity").indices.tolist() == [0, 3, 4, 1, 5, 2]


def test_filters_of_zeros_come_last():
    model = model_of(fv.Conv2d(3, 3), shape=(1, 9, 9))
    model.state.load("conv1.weight", np.stack([np.zeros((1, 3, 3)), np.ones((1, 3, 3)), 2 * np.ones((1, 3, 3))]))
    for order in ("norm", "similarity"):
        assert filters(model, "conv1", order=order).indices.tolist() == [2, 1, 0]


def test_kernels_stay_when_the_model_learns_on():
    model = model_of(fv.Conv2d(4, 3))
    found = filters(model, "conv1", order="index")
    before = found.kernels.copy()
    model.state.load("conv1.weight", np.zeros_like(before))
    np.testing.assert_array_equal(found.kernels, before)
    found.kernels[:] = 7
    assert not model.read("conv1.weight").any()


@pytest.mark.parametrize("groups", [1, 2])
def test_a_transposed_filter_is_what_each_input_paints_into_its_output(groups: int):
    model = model_of(fv.ConvTranspose2d(6, 3, groups=groups, bias=False), shape=(4, 1, 1))
    kernels = filters(model, "conv1", order="index").kernels
    assert kernels.shape == (6, 4 // groups, 3, 3)
    weight = torch.from_numpy(model.read("conv1.weight"))
    painted = torch.nn.functional.conv_transpose2d(torch.eye(4).reshape(4, 4, 1, 1), weight, groups=groups).numpy()
    for output, channel in np.ndindex(6, 4 // groups):
        source = channel + (output // (6 // groups)) * (4 // groups)
        np.testing.assert_allclose(kernels[output, channel], painted[source, output], rtol=1e-6)


@pytest.mark.parametrize("dilation", [1, 3])
def test_gain_is_how_much_larger_a_wave_leaves_pytorchs_convolution(dilation: int):
    kernel = normal((7,))
    frequencies, gains = frequency_response(kernel, dilation=dilation, points=11)
    for frequency, gain in zip(frequencies, gains, strict=True):
        wave = np.exp(2j * np.pi * frequency * np.arange(60))
        parts = [torch.from_numpy(part.copy())[None, None] for part in (wave.real, wave.imag)]
        weight = torch.from_numpy(kernel)[None, None]
        real, imaginary = (torch.nn.functional.conv1d(part, weight, dilation=dilation) for part in parts)
        np.testing.assert_allclose(torch.hypot(real, imaginary).numpy(), gain, atol=1e-9)


def test_gain_of_mean_and_difference_in_closed_form():
    frequencies, gains = frequency_response([[0.5, 0.5], [1.0, -1.0]])
    np.testing.assert_allclose(gains[0], np.cos(np.pi * frequencies), atol=1e-12)
    np.testing.assert_allclose(gains[1], 2 * np.sin(np.pi * frequencies), atol=1e-12)


def test_colour_filters_are_grey_where_they_are_zero():
    model = model_of(fv.Conv2d(2, 2), shape=(3, 9, 9))
    weight = np.zeros((2, 3, 2, 2))
    weight[0, 0, 0, 0], weight[0, 1, 1, 1], weight[0, 2, 0, 1] = 4, -4, 2
    model.state.load("conv1.weight", weight)
    figure = plot_filters(model, "conv1")
    first, second = (image.get_array() for image in figure.axes[0].images)
    np.testing.assert_allclose(first[0, 0], [1, 0.5, 0.5])
    np.testing.assert_allclose(first[1, 1], [0.5, 0, 0.5])
    np.testing.assert_allclose(first[0, 1], [0.5, 0.5, 0.75])
    np.testing.assert_allclose(second, 0.5)
    assert "mid-grey is a weight of zero" in texts(figure)


def test_three_channels_that_are_no_colours_are_drawn_one_by_one():
    model = model_of(fv.Conv2d(3, 3), fv.Conv2d(2, 3))
    figure = plot_filters(model, "conv2")
    assert len(figure.axes[0].images) == 6
    assert {image.get_clim() for image in figure.axes[0].images} == {
        (-abs(model.read("conv2.weight")).max(), abs(model.read("conv2.weight")).max())
    }
    assert "weight" in texts(figure)


def test_groups_of_three_channels_are_no_colours():
    figure = plot_filters(model_of(fv.Conv2d(4, 3, groups=2), shape=(6, 8, 8)), "conv1")
    assert len(figure.axes[0].images) == 4 * 3
    assert "red" not in texts(figure)


def test_what_is_left_out_is_counted():
    figure = plot_filters(model_of(fv.Conv2d(40, 1), fv.Conv2d(30, 3), shape=(1, 9, 9)), "conv2", most=5)
    assert "5 of its 30 filters" in texts(figure)
    assert "the first 12 of 40" in texts(figure)
    assert len(figure.axes[0].images) == 5 * 12


def test_volumes_are_drawn_slice_by_slice():
    model = model_of(fv.Conv3d(2, (2, 3, 3)), shape=(1, 6, 6, 6))
    figure = plot_filters(model, "conv1", order="index")
    picture = np.ma.filled(figure.axes[0].images[0].get_array(), np.nan)
    kernel = model.read("conv1.weight")[0, 0]
    np.testing.assert_array_equal(picture[2::4, 2:12:4], kernel[0])
    np.testing.assert_array_equal(picture[2::4, 15::4], kernel[1])
    assert np.isnan(picture[:, 12]).all()
    assert "Each is shown as 2 slices over depth" in texts(figure)


def test_frequencies_are_in_hertz_of_the_layers_own_input():
    model = model_of(fv.Conv1d(3, 5, stride=2), fv.Conv1d(2, 5), shape=(1, 99))
    assert plot_filters(model, "conv1", sample_rate=8000).axes[1].get_xlim() == (0, 4000)
    assert plot_filters(model, "conv2", sample_rate=8000).axes[1].get_xlim() == (0, 2000)
    figure = plot_filters(model, "conv2")
    assert figure.axes[1].get_xlim() == (0, 0.5)
    assert "frequency in cycles per sample" in texts(figure)


def test_taps_of_a_transposed_convolution_lie_in_its_output():
    model = model_of(fv.Conv1d(3, 5, stride=4), fv.ConvTranspose1d(2, 4, stride=2), shape=(1, 99))
    assert plot_filters(model, "conv2", sample_rate=8000).axes[1].get_xlim() == (0, 2000)


NETWORKS = {
    "one grey filter": ((1, 9, 9), [fv.Conv2d(1, 3)]),
    "flat kernels": ((2, 9, 9), [fv.Conv2d(3, (1, 5))]),
    "depthwise": ((8, 9, 9), [fv.Conv2d(8, 3, groups=8)]),
    "colour": ((3, 9, 9), [fv.Conv2d(70, 5)]),
    "sound": ((2, 50), [fv.Conv1d(5, 9, dilation=2)]),
    "one tap": ((1, 50), [fv.Conv1d(1, 1)]),
    "many channels of sound": ((9, 50), [fv.Conv1d(3, 9)]),
    "one volume": ((1, 6, 6, 6), [fv.Conv3d(3, 3)]),
    "volumes": ((5, 6, 6, 6), [fv.Conv3d(3, 3)]),
    "transposed": ((4, 6, 6), [fv.ConvTranspose2d(3, 4, stride=2)]),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_kind_of_filter_has_a_picture_on_both_papers(name: str):
    shape, layers = NETWORKS[name]
    model = model_of(*layers, shape=shape)
    with theme("dark"):
        dark = png(plot_filters(model, "conv1", most=3))
    assert dark != png(plot_filters(model, "conv1", most=3))


@pytest.mark.parametrize("name", ["one grey filter", "sound", "many channels of sound", "colour"])
def test_filters_of_zeros_have_a_picture(name: str):
    shape, layers = NETWORKS[name]
    model = model_of(*layers, shape=shape)
    model.state.load("conv1.weight", np.zeros(model.read("conv1.weight").shape))
    png(plot_filters(model, "conv1"))


def test_what_cannot_be_drawn_is_a_sentence():
    model = model_of(fv.Conv2d(4, 3), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(2))
    with pytest.raises(fv.GraphError, match=r"there is no convolution 'conv9'. Nearest: conv1"):
        filters(model, "conv9")
    with pytest.raises(fv.GraphError, match=r"relu1 \(ReLU\) is not a convolution. Nearest: conv1"):
        plot_filters(model, "relu1")
    with pytest.raises(fv.DataError, match="no order \"size\"; choose 'norm', 'similarity', 'index'"):
        filters(model, "conv1", order="size")
    with pytest.raises(fv.DataError, match="most is 0; draw at least 1 filter"):
        plot_filters(model, "conv1", most=0)
    with pytest.raises(fv.DataError, match=r"sample_rate is for filters over one axis, but conv1 \(.*\) has 2"):
        plot_filters(model, "conv1", sample_rate=8000)
    with pytest.raises(fv.GraphError, match="has no convolution, so there are no filters to look at"):
        plot_filters(model_of(fv.Flatten(), fv.Linear(2)), "linear1")


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_sample_rate_is_a_positive_number(rate: float):
    with pytest.raises(fv.DataError, match=r"sample_rate is .*; give samples per second"):
        plot_filters(model_of(fv.Conv1d(2, 3), shape=(1, 30)), "conv1", sample_rate=rate)


def test_a_layer_without_a_single_sample_rate_says_so():
    model = model_of(fv.GroupNorm(1), fv.Conv1d(2, 1), shape=(1, 30))
    with pytest.raises(fv.DataError, match=r"has no single sample rate: norm1 sees everything .*; leave sample_rate"):
        plot_filters(model, "conv1", sample_rate=8000)


def test_branches_that_are_shifted_have_one_sample_rate():
    shifted = fv.Residual(fv.Conv1d(1, 4, padding=((1, 2),)))
    model = model_of(fv.Conv1d(1, 3, stride=4), shifted, fv.Conv1d(2, 1), shape=(1, 30))
    assert model.graph.receptive_field(model.graph.nodes[-1].inputs[0]).size == (15,)
    figure = plot_filters(model, model.graph.nodes[-1].name, sample_rate=8000)
    assert figure.axes[1].get_xlim() == (0, 1000)


def test_importing_does_not_import_matplotlib():
    code = (
        "import sys; from foveate.explain.plots import activation_maps, filters; sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
