"""The matrix of a convolution: multiplied with an input it is PyTorch's convolution, entry by entry the weights."""

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import foveate as fv
from foveate.errors import DataError, GraphError, LayerError, ShapeError
from foveate.explain.draw.matrix import plot_convolution_matrix
from foveate.explain.draw.style import theme
from foveate.explain.measure import matrix as matrices
from foveate.explain.measure.matrix import convolution_matrix, percent_of_zeros
from foveate.explain.probe.matrix import layer_matrix
from tests.support import normal, relative_error

CONVOLUTIONS: dict[int, tuple[Any, Any]] = {
    1: (fv.Conv1d, functional.conv1d),
    2: (fv.Conv2d, functional.conv2d),
    3: (fv.Conv3d, functional.conv3d),
}
SIZES = {1: (9,), 2: (7, 6), 3: (5, 6, 5)}


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize(
    ("stride", "padding", "dilation", "groups"), list(itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (1, 2)))
)
def test_matrix_times_input_is_pytorchs_convolution(
    axes: int, stride: int, padding: int, dilation: int, groups: int
) -> None:
    make, convolve = CONVOLUTIONS[axes]
    layer = make(6, 2, stride=stride, padding=padding, dilation=dilation, groups=groups)
    shape = (2, *SIZES[axes])
    x, weight = normal(shape), normal(layer.parameters([shape])["weight"].shape, seed=1)
    expected = convolve(
        torch.tensor(x)[None],
        torch.tensor(weight),
        stride=stride,
        padding=padding,
        dilation=dilation,
        groups=groups,
    )[0]
    made = convolution_matrix(layer, shape, weight)
    assert made.output_shape == expected.shape
    assert relative_error(made.dense() @ x.ravel(), expected.ravel()) < 1e-13
    sparse = np.bincount(made.rows, made.values * x.ravel()[made.columns], minlength=made.shape[0])
    assert relative_error(sparse, expected.ravel()) < 1e-13


def test_unequal_kernel_and_padding_of_each_side() -> None:
    layer = fv.Conv2d(3, (1, 3), stride=(2, 1), padding=((0, 1), (2, 0)))
    x, weight = normal((2, 5, 4)), normal((3, 2, 1, 3), seed=1)
    padded = functional.pad(torch.tensor(x)[None], (2, 0, 0, 1))
    expected = functional.conv2d(padded, torch.tensor(weight), stride=(2, 1)).ravel()
    assert relative_error(convolution_matrix(layer, (2, 5, 4), weight).dense() @ x.ravel(), expected) < 1e-13


def test_a_3x3_kernel_on_4x4_is_the_matrix_of_the_paper() -> None:
    """Dumoulin and Visin, section 4.1: rows of 4x16, each the one before moved on."""
    made = convolution_matrix(fv.Conv2d(1, 3, bias=False), (1, 4, 4), np.arange(1.0, 10).reshape(1, 1, 3, 3))
    first = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0]
    expected = [np.roll(first, shift) for shift in (0, 1, 4, 5)]
    np.testing.assert_array_equal(made.dense(), expected)
    np.testing.assert_array_equal(made.weights + 1, made.values)
    assert (made.zeros, made.parameters, made.dense_parameters) == (1 - 36 / 64, 9, 64)


def test_entries_are_sorted_and_none_is_named_twice() -> None:
    made = convolution_matrix(fv.Conv2d(4, 3, padding=1, groups=2), (2, 5, 5), normal((4, 1, 3, 3)))
    keys = made.rows * made.shape[1] + made.columns
    assert (np.diff(keys) > 0).all()


def test_layer_of_a_model_has_its_weights_and_its_counts() -> None:
    model = fv.Model(fv.zoo.make("lenet5"), seed=3)
    made = layer_matrix(model, "conv2")
    weight = model.state.read("conv2.weight")
    np.testing.assert_array_equal(made.values, weight.ravel()[made.weights].astype(np.float64))
    assert made.parameters == 2416
    assert made.dense_parameters == 1600 * 1176 + 1600
    with pytest.raises(GraphError, match="conv1"):
        layer_matrix(model, "conv0")


def test_what_cannot_be_written_out_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.zeros((1, 1, 3, 3))
    with pytest.raises(LayerError, match=r"ReLU is not a convolution; give a Conv1d, Conv2d or Conv3d"):
        convolution_matrix(fv.ReLU(), (1, 5, 5), weight)  # type: ignore[arg-type]
    with pytest.raises(LayerError, match='padding_mode "reflect" repeats the input'):
        convolution_matrix(fv.Conv2d(1, 3, padding=1, padding_mode="reflect"), (1, 5, 5), weight)
    with pytest.raises(ShapeError, match="the weights must be 1x1x3x3, but are 3x3"):
        convolution_matrix(fv.Conv2d(1, 3), (1, 5, 5), np.zeros((3, 3)))
    with pytest.raises(ShapeError, match="does not fit its 2x2 input"):
        convolution_matrix(fv.Conv2d(1, 3), (1, 2, 2), weight)
    with pytest.raises(DataError, match="makes up to 86,704,128 connections, and at most 4,194,304"):
        convolution_matrix(fv.Conv2d(64, 3, padding=1), (3, 224, 224), np.zeros((64, 3, 3, 3)))
    made = convolution_matrix(fv.Conv2d(1, 3), (1, 5, 5), weight)
    monkeypatch.setattr(matrices, "MOST_NUMBERS", 224)
    with pytest.raises(DataError, match="the matrix 9x25 has 225 numbers, and at most 224"):
        made.dense()


@pytest.mark.parametrize("name", ["light", "dark"])
def test_picture_shows_the_repeating_weights_and_both_counts(name: Any) -> None:
    made = convolution_matrix(fv.Conv2d(1, 3), (1, 5, 5), normal((1, 1, 3, 3)))
    with theme(name):
        kernel, conv, dense = plot_convolution_matrix(made).axes
    said = "10 parameters\nequal colours are equal weights\n81 connections share 9 weights\n64 % zeros"
    assert said in conv.get_title()
    assert "234 parameters\n225 connections" in dense.get_title()
    empty = np.ma.getmaskarray(np.ma.asarray(conv.images[0].get_array()))
    np.testing.assert_array_equal(empty, made.dense() == 0)
    assert [text.get_text() for text in kernel.texts] == list("123456789")


@pytest.mark.parametrize(
    ("layer", "shape"), [(fv.Conv2d(6, 5, padding=2), (1, 28, 28)), (fv.Conv3d(2, 2), (2, 4, 4, 4))]
)
def test_picture_of_a_large_matrix_shows_its_corner_and_says_so(layer: Any, shape: tuple[int, ...]) -> None:
    made = convolution_matrix(layer, shape, normal(layer.parameters([shape])["weight"].shape))
    _, conv, _ = plot_convolution_matrix(made).axes
    assert max(conv.images[0].get_size()) <= 128
    said = "the first 128 of 784" if shape[1] == 28 else "input: 128 numbers"
    assert said in conv.get_xlabel()


def test_picture_of_a_strided_convolution_shows_the_rows_that_meet_its_columns() -> None:
    made = convolution_matrix(fv.Conv1d(2, 9, stride=2, padding=4), (1, 8000), normal((2, 1, 9)))
    _, conv, dense = plot_convolution_matrix(made).axes
    assert conv.images[0].get_size() == dense.images[0].get_size() == (66, 128)
    shown = np.ma.getmaskarray(np.ma.asarray(conv.images[0].get_array()))
    assert not shown.all(axis=1).any()
    assert conv.get_ylabel() == "output:\nthe first 66 of\n8,000 numbers"


def test_almost_all_zeros_are_not_called_all() -> None:
    made = convolution_matrix(fv.Conv1d(1, 1), (1, 30_000), normal((1, 1, 1)))
    assert f"{made.zeros:.2%}" == "100.00%"
    assert percent_of_zeros(made) == "99.99"


def test_the_kernel_of_a_volume_is_drawn_whole() -> None:
    made = convolution_matrix(fv.Conv3d(2, 3, padding=1), (1, 6, 6, 6), normal((2, 1, 3, 3, 3)))
    kernel, _, _ = plot_convolution_matrix(made).axes
    assert [text.get_text() for text in kernel.texts] == [str(number) for number in range(1, 28)]
    assert kernel.images[0].get_size() == (11, 3)
    assert kernel.get_title() == "The first kernel,\nslice below slice:\n27 of 54 weights"
