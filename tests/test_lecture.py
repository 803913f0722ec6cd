"""The lecture's numbers, in its order; each test reads like its slide."""

from math import exp, prod

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine
from foveate.geometry import Window, fit, output_size, unseen
from tests.support import Array, bound, normal, random_arrays, relative_error, single_layer, state_with


def apply(engine: Engine, layer: fv.Layer, x: Array, arrays: dict[str, Array] | None = None) -> Array:
    """`layer` on a batch in inference; parameters by their short names."""
    graph = single_layer(layer, x.shape[1:])
    state = state_with(engine, graph, {f"layer.{name}": array for name, array in (arrays or {}).items()})
    return engine.compile(graph, batch_size=len(x), mode="inference").forward(state, x)["layer"]


# Recap: neural networks. Too many parameters: nd + d^2 + d, and the biases


@pytest.mark.parametrize(("n", "d"), [(2, 4), (10, 3), (3072, 100)])
def test_two_hidden_layers_of_d_on_n_inputs_have_nd_plus_d_squared_plus_d_weights_and_2d_plus_1_biases(n: int, d: int):
    graph = fv.Sequential(fv.Linear(d), fv.Linear(d), fv.Linear(1)).build((n,))
    counts = {name: prod(parameter.shape) for name, parameter in graph.parameters.items()}
    assert sum(count for name, count in counts.items() if name.endswith("weight")) == n * d + d * d + d
    assert sum(count for name, count in counts.items() if name.endswith("bias")) == 2 * d + 1


# Fully connected layer: a 32x32x3 image is stretched to 3072x1


def test_an_image_of_32x32x3_is_stretched_to_3072():
    assert fv.Flatten().output_shape([(3, 32, 32)]) == (3072,)


def test_ten_outputs_on_the_stretched_image_take_a_10x3072_matrix():
    graph = fv.Sequential(fv.Flatten(), fv.Linear(10)).build((3, 32, 32))
    assert graph.parameters["linear1.weight"].shape == (10, 3072)


# Convolution layer


def test_one_5x5_filter_on_a_3x32x32_image_gives_one_28x28_activation_map():
    assert fv.Conv2d(1, 5).output_shape([(3, 32, 32)]) == (1, 28, 28)


def test_a_filter_always_extends_the_full_depth_of_the_input_volume():
    assert fv.Conv2d(1, 5).parameters([(3, 32, 32)])["weight"].shape == (1, 3, 5, 5)


def test_each_number_of_an_activation_map_is_a_dot_product_of_75_numbers_plus_a_bias(any_engine: Engine):
    x, weight, bias = normal((1, 3, 32, 32)), normal((1, 3, 5, 5), 1), normal((1,), 2)
    maps = apply(any_engine, fv.Conv2d(1, 5), x, {"weight": weight, "bias": bias})
    chunk = x[0, :, 10:15, 20:25].ravel()
    assert chunk.size == 75
    assert maps[0, 0, 10, 20] == pytest.approx(
        chunk @ weight.ravel() + bias[0], rel=bound(any_engine, double=1e-12, single=1e-5)
    )


def test_six_filters_give_six_maps_that_stack_to_6x28x28():
    assert fv.Conv2d(6, 5).output_shape([(3, 32, 32)]) == (6, 28, 28)


def test_six_filters_are_6x3x5x5_with_a_6_dimensional_bias():
    parameters = fv.Conv2d(6, 5).parameters([(3, 32, 32)])
    assert {name: p.shape for name, p in parameters.items()} == {"weight": (6, 3, 5, 5), "bias": (6,)}


def test_a_batch_of_two_images_gives_2x6x28x28(engine: Engine):
    assert apply(engine, fv.Conv2d(6, 5), normal((2, 3, 32, 32))).shape == (2, 6, 28, 28)


def test_the_maps_of_six_filters_are_the_six_maps_of_one_filter_each(any_engine: Engine):
    x, weight = normal((2, 3, 32, 32)), normal((6, 3, 5, 5), 1)
    stacked = apply(any_engine, fv.Conv2d(6, 5, bias=False), x, {"weight": weight})
    single = [apply(any_engine, fv.Conv2d(1, 5, bias=False), x, {"weight": weight[k : k + 1]}) for k in range(6)]
    assert relative_error(stacked, np.concatenate(single, 1)) <= bound(any_engine, double=1e-14, single=1e-6)


def test_features_are_translation_invariant_a_shifted_image_gives_a_shifted_map(any_engine: Engine):
    image = np.zeros((1, 1, 16, 16))
    image[0, 0, 4:8, 4:8] = normal((4, 4))
    weight = {"weight": normal((1, 1, 3, 3), 1)}
    before = apply(any_engine, fv.Conv2d(1, 3, bias=False), image, weight)
    after = apply(any_engine, fv.Conv2d(1, 3, bias=False), np.roll(image, (3, 5), (2, 3)), weight)
    assert np.roll(before, (3, 5), (2, 3)) == pytest.approx(after, abs=1e-6)


# Activation functions


@pytest.mark.parametrize("x", [-3.0, -0.5, 0.0, 0.5, 3.0])
@pytest.mark.parametrize(
    ("layer", "formula"),
    [
        (fv.Sigmoid(), lambda x: 1 / (1 + exp(-x))),
        (fv.LeakyReLU(), lambda x: max(0.1 * x, x)),
        (fv.Tanh(), lambda x: (exp(x) - exp(-x)) / (exp(x) + exp(-x))),
        (fv.ReLU(), lambda x: max(0, x)),
        (fv.ELU(), lambda x: x if x >= 0 else 1.0 * (exp(x) - 1)),
        (fv.ELU(0.5), lambda x: x if x >= 0 else 0.5 * (exp(x) - 1)),
    ],
    ids=["sigmoid", "leaky ReLU", "tanh", "ReLU", "ELU", "ELU of 0.5"],
)
def test_an_activation_function_is_its_formula(any_engine: Engine, layer: fv.Layer, formula, x: float):
    value = apply(any_engine, layer, np.array([[x]]))[0, 0]
    assert value == pytest.approx(formula(x), rel=bound(any_engine, double=1e-14, single=1e-6), abs=1e-12)


# A closer look at spatial dimensions: 7x7 input, 3x3 filter


def test_7x7_with_3x3_gives_5x5():
    assert fv.Conv2d(1, 3).output_shape([(1, 7, 7)]) == (1, 5, 5)


def test_7x7_with_3x3_at_stride_2_gives_3x3():
    assert fv.Conv2d(1, 3, stride=2).output_shape([(1, 7, 7)]) == (1, 3, 3)


def test_7x7_with_3x3_at_stride_3_does_not_fit():
    assert not fit(7, Window(3, stride=3)).fits
    with pytest.raises(fv.ShapeError, match=r"does not fit its 7x7 input: \(7 - 3 \+ 2\*0\)/3 \+ 1 = 2\.33"):
        fv.Sequential(fv.Conv2d(1, 3, stride=3)).build((1, 7, 7), strict=True)


def test_at_stride_3_the_last_row_and_column_would_be_lost():
    assert unseen(7, Window(3, stride=3), 2).dropped == 1
    with pytest.warns(fv.DroppedBorderWarning, match="never sees the last 1 row and column"):
        fv.Sequential(fv.Conv2d(1, 3, stride=3)).build((1, 7, 7))


@pytest.mark.parametrize(("stride", "size"), [(1, 5.0), (2, 3.0), (3, 2.33)])
def test_the_output_size_is_n_minus_f_over_stride_plus_1(stride: int, size: float):
    assert float(fit(7, Window(3, stride)).exact_output) == pytest.approx(size, abs=0.005)


# In practice: common to zero pad the border


def test_7x7_with_3x3_at_stride_1_padded_with_1_gives_7x7():
    assert fv.Conv2d(1, 3, padding=1).output_shape([(1, 7, 7)]) == (1, 7, 7)


def test_padding_is_with_zeros(any_engine: Engine):
    ones = np.ones((1, 1, 7, 7))
    sums = apply(any_engine, fv.Conv2d(1, 3, padding=1, bias=False), ones, {"weight": np.ones((1, 1, 3, 3))})
    assert sums[0, 0, 0].tolist() == [4, 6, 6, 6, 6, 6, 4]
    assert sums[0, 0, 3].tolist() == [6, 9, 9, 9, 9, 9, 6]


@pytest.mark.parametrize(("kernel_size", "padding"), [(3, 1), (5, 2), (7, 3)])
@pytest.mark.parametrize("size", [7, 32])
def test_zero_padding_with_f_minus_1_over_2_preserves_the_size(kernel_size: int, padding: int, size: int):
    assert padding == (kernel_size - 1) // 2
    assert fv.Conv2d(1, kernel_size, padding=padding).output_shape([(1, size, size)]) == (1, size, size)
    same = fv.Conv2d(1, kernel_size, padding="same").windows([(1, size, size)])
    assert [window.padding for window in same] == [(padding, padding)] * 2


def test_repeated_5x5_filters_shrink_the_volume_from_32_to_28_to_24():
    graph = fv.Sequential(fv.Conv2d(6, 5), fv.ReLU(), fv.Conv2d(10, 5), fv.ReLU()).build((3, 32, 32))
    assert [graph.shapes[name] for name in ("input", "conv1", "conv2")] == [(3, 32, 32), (6, 28, 28), (10, 24, 24)]


def test_ten_5x5_filters_with_stride_1_and_pad_2_give_32x32x10():
    assert output_size(32, Window(5, padding=(2, 2))) == (32 + 2 * 2 - 5) // 1 + 1 == 32
    assert fv.Conv2d(10, 5, stride=1, padding=2).output_shape([(3, 32, 32)]) == (10, 32, 32)


def test_each_of_the_ten_filters_has_76_parameters_and_the_layer_760():
    graph = fv.Sequential(fv.Conv2d(10, 5, stride=1, padding=2)).build((3, 32, 32))
    assert 5 * 5 * 3 + 1 == 76
    assert graph.summary().total_parameters == 760


# Receptive fields


@pytest.mark.parametrize(("layers", "kernel_size"), [(1, 3), (2, 3), (3, 3), (4, 3), (2, 5)])
def test_with_l_layers_of_kernel_k_an_output_depends_on_1_plus_l_times_k_minus_1_inputs(layers: int, kernel_size: int):
    from foveate.engines.reference import ReferenceEngine

    graph = fv.Sequential(*(fv.Conv1d(1, kernel_size, padding="same") for _ in range(layers))).build((1, 41))
    engine = ReferenceEngine(np.float64)
    program = engine.compile(graph, batch_size=1, mode="inference", differentiable=True)
    program.forward(state_with(engine, graph, random_arrays(graph)), np.ones((1, 1, 41)))
    seed = np.zeros((1, 1, 41))
    seed[0, 0, 20] = 1
    program.backward({graph.only_output: seed})
    assert np.count_nonzero(program.gradient("input")) == 1 + layers * (kernel_size - 1)


# Convolution layer: summary


@pytest.mark.parametrize(
    ("filters", "kernel_size", "stride", "padding"),
    [(32, 3, 1, 1), (64, 5, 1, 2), (128, 5, 2, 2), (512, 1, 1, 0)],
    ids=["F=3, S=1, P=1", "F=5, S=1, P=2", "F=5, S=2, P=whatever fits", "F=1, S=1, P=0"],
)
def test_a_convolution_layer_gives_w2_x_h2_x_k_and_has_f_squared_c_k_weights_and_k_biases(
    filters: int, kernel_size: int, stride: int, padding: int
):
    width, height, channels = 33, 17, 16
    layer = fv.Conv2d(filters, kernel_size, stride=stride, padding=padding)
    shape = (channels, height, width)
    expected = [(size - kernel_size + 2 * padding) // stride + 1 for size in (height, width)]
    assert layer.output_shape([shape]) == (filters, *expected)
    counts = {name: prod(parameter.shape) for name, parameter in layer.parameters([shape]).items()}
    assert counts == {"weight": kernel_size**2 * channels * filters, "bias": filters}


def test_1x1_convolutions_make_perfect_sense_each_is_a_dot_product_over_the_channels(any_engine: Engine):
    x, weight = normal((1, 64, 5, 6)), normal((32, 64, 1, 1), 1)
    y = apply(any_engine, fv.Conv2d(32, 1, bias=False), x, {"weight": weight})
    expected = np.einsum("kc,nchw->nkhw", weight[:, :, 0, 0], x)
    assert relative_error(y, expected) <= bound(any_engine, double=1e-13, single=1e-5)


# CONV layer in PyTorch


def test_an_int_stands_for_height_and_width_and_a_tuple_gives_the_height_first():
    assert fv.Conv2d(1, 3, stride=2, padding=1) == fv.Conv2d(1, (3, 3), stride=(2, 2), padding=(1, 1))
    assert fv.Conv2d(1, (3, 1)).output_shape([(1, 7, 7)]) == (1, 5, 7)


def test_dilation_spaces_the_kernel_points(any_engine: Engine):
    x, weight = normal((1, 1, 9, 9)), normal((1, 1, 3, 3), 1)
    dilated = apply(any_engine, fv.Conv2d(1, 3, dilation=2, bias=False), x, {"weight": weight})
    spread = np.zeros((1, 1, 5, 5))
    spread[:, :, ::2, ::2] = weight
    whole = apply(any_engine, fv.Conv2d(1, 5, bias=False), x, {"weight": spread})
    assert relative_error(dilated, whole) <= bound(any_engine, double=1e-13, single=1e-5)


def test_dilation_sees_further_with_no_more_parameters():
    plain, dilated, large = (fv.Conv2d(8, 3), fv.Conv2d(8, 3, dilation=2), fv.Conv2d(8, 5))
    shape = (3, 16, 16)
    assert dilated.output_shape([shape]) == large.output_shape([shape])
    assert dilated.parameters([shape]) == plain.parameters([shape])


def test_two_groups_are_two_convolutions_side_by_side_concatenated(any_engine: Engine):
    x, weight = normal((2, 6, 8, 8)), normal((4, 3, 3, 3), 1)
    grouped = apply(any_engine, fv.Conv2d(4, 3, groups=2, bias=False), x, {"weight": weight})
    side = fv.Conv2d(2, 3, bias=False)
    halves = [apply(any_engine, side, x[:, h * 3 : h * 3 + 3], {"weight": weight[h * 2 : h * 2 + 2]}) for h in (0, 1)]
    assert relative_error(grouped, np.concatenate(halves, 1)) <= bound(any_engine, double=1e-13, single=1e-5)


@pytest.mark.parametrize(("groups", "weights"), [(1, 16 * 32 * 9), (2, 8 * 32 * 9), (16, 32 * 9)])
def test_group_convolution_reduces_the_parameters(groups: int, weights: int):
    layer = fv.Conv2d(32, 3, groups=groups, bias=False)
    assert prod(layer.parameters([(16, 8, 8)])["weight"].shape) == weights


def test_at_groups_equal_to_the_channels_each_channel_has_its_own_out_over_in_filters():
    assert fv.Conv2d(32, 3, groups=16).parameters([(16, 8, 8)])["weight"].shape == (32, 1, 3, 3)


# Pooling layer

SLIDE = [[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]


def test_max_pooling_of_the_slide_gives_6_8_and_3_4(any_engine: Engine):
    pooled = apply(any_engine, fv.MaxPool2d(2, stride=2), np.array([[SLIDE]], np.float64))
    assert pooled[0, 0].tolist() == [[6, 8], [3, 4]]


def test_average_pooling_of_the_slide(any_engine: Engine):
    pooled = apply(any_engine, fv.AvgPool2d(2, stride=2), np.array([[SLIDE]], np.float64))
    assert pooled[0, 0].tolist() == [[3.25, 5.25], [2, 2]]


def test_pooling_operates_over_each_activation_map_independently(any_engine: Engine):
    x = normal((1, 3, 4, 4))
    pooled = apply(any_engine, fv.MaxPool2d(2), x)
    alone = [apply(any_engine, fv.MaxPool2d(2), x[:, channel : channel + 1]) for channel in range(3)]
    assert np.array_equal(pooled, np.concatenate(alone, 1))


@pytest.mark.parametrize("layer", [fv.MaxPool2d(2), fv.AvgPool2d(3, stride=2), fv.GlobalAvgPool2d()], ids=repr)
def test_pooling_has_no_parameters(layer: fv.Layer):
    assert layer.parameters([(64, 224, 224)]) == {}


@pytest.mark.parametrize(("extent", "stride"), [(2, 2), (3, 2)])
def test_pooling_gives_w1_minus_f_over_s_plus_1(extent: int, stride: int):
    size = (55 - extent) // stride + 1
    assert fv.MaxPool2d(extent, stride=stride).output_shape([(96, 55, 55)]) == (96, size, size)


def test_max_pooling_introduces_spatial_invariance(any_engine: Engine):
    image = np.zeros((1, 1, 4, 4))
    image[0, 0, 0, 0] = 1
    moved = np.roll(image, 1, 3)
    assert np.array_equal(*(apply(any_engine, fv.MaxPool2d(2), x) for x in (image, moved)))


# Normalization


def train_forward(engine: Engine, layer: fv.Layer, x: Array, arrays: dict[str, Array] | None = None) -> Array:
    graph = single_layer(layer, x.shape[1:])
    state = state_with(engine, graph, {f"layer.{name}": array for name, array in (arrays or {}).items()})
    return engine.compile(graph, batch_size=len(x), mode="training").forward(state, x)["layer"]


def test_batch_normalisation_makes_each_dimension_zero_mean_and_unit_variance(any_engine: Engine):
    y = train_forward(any_engine, fv.BatchNorm1d(eps=1e-12), 3 * normal((64, 5)) + 7)
    tight = bound(any_engine, double=1e-10, single=1e-5)
    assert y.mean(0) == pytest.approx(np.zeros(5), abs=tight)
    assert y.var(0) == pytest.approx(np.ones(5), abs=tight)


def test_for_convnets_the_mean_is_over_the_batch_and_all_positions(any_engine: Engine):
    y = train_forward(any_engine, fv.BatchNorm2d(eps=1e-12), 3 * normal((8, 5, 6, 7)) + 7)
    tight = bound(any_engine, double=1e-10, single=1e-5)
    assert y.mean((0, 2, 3)) == pytest.approx(np.zeros(5), abs=tight)
    assert y.var((0, 2, 3)) == pytest.approx(np.ones(5), abs=tight)


def test_scale_and_shift_are_one_number_for_each_channel():
    shapes = {name: p.shape for name, p in fv.BatchNorm2d().parameters([(16, 8, 8)]).items()}
    assert shapes == {"weight": (16,), "bias": (16,)}


def test_learning_gamma_equal_sigma_and_beta_equal_mu_recovers_the_identity(any_engine: Engine):
    """With the slide's epsilon, sigma is the root of var + eps."""
    x, layer = 2 * normal((8, 4, 5, 5)) - 3, fv.BatchNorm2d(eps=0.01)
    gamma, beta = np.sqrt(x.var((0, 2, 3)) + 0.01), x.mean((0, 2, 3))
    y = train_forward(any_engine, layer, x, {"weight": gamma, "bias": beta})
    assert relative_error(y, x) <= bound(any_engine, double=1e-13, single=1e-5)


def at_test_time(engine: Engine, x: Array) -> Array:
    """Batch normalisation of 4 channels with fixed statistics, scale and shift."""
    arrays = random_arrays(single_layer(fv.BatchNorm2d(), x.shape[1:]))
    return apply(engine, fv.BatchNorm2d(), x, {name.split(".")[1]: array for name, array in arrays.items()})


def test_during_testing_batch_normalisation_is_a_linear_operator(any_engine: Engine):
    """Linear with a constant, as slides say it: differences are mapped by gamma / sqrt(var + eps) alone."""
    x, y, zero = normal((3, 4, 5, 5)), normal((3, 4, 5, 5), 1), np.zeros((3, 4, 5, 5))
    constant = at_test_time(any_engine, zero)
    combined = at_test_time(any_engine, 2 * x - 3 * y) - constant
    apart = 2 * (at_test_time(any_engine, x) - constant) - 3 * (at_test_time(any_engine, y) - constant)
    assert relative_error(combined, apart) <= bound(any_engine, double=1e-12, single=1e-5)


def test_during_testing_a_sample_does_not_depend_on_its_batch(any_engine: Engine):
    x = normal((6, 4, 5, 5))
    assert relative_error(at_test_time(any_engine, x)[:2], at_test_time(any_engine, x[:2])) <= 1e-6


def test_during_training_a_sample_depends_on_its_batch(any_engine: Engine):
    x = normal((6, 4, 5, 5))
    both = [train_forward(any_engine, fv.BatchNorm2d(), batch)[:2] for batch in (x, x[:2])]
    assert relative_error(*both) > 1e-2


def test_it_can_be_fused_with_the_previous_conv_layer(any_engine: Engine):
    graph = fv.Sequential(fv.Conv2d(6, 3), fv.BatchNorm2d()).build((3, 8, 8))
    arrays, x = random_arrays(graph), normal((2, 3, 8, 8))
    y = any_engine.compile(graph, batch_size=2, mode="inference").forward(state_with(any_engine, graph, arrays), x)
    scale = arrays["bn1.weight"] / np.sqrt(arrays["bn1.running_var"] + 1e-5)
    weight = arrays["conv1.weight"] * scale[:, None, None, None]
    bias = (arrays["conv1.bias"] - arrays["bn1.running_mean"]) * scale + arrays["bn1.bias"]
    fused = apply(any_engine, fv.Conv2d(6, 3), x, {"weight": weight, "bias": bias})
    assert relative_error(y["bn1"], fused) <= bound(any_engine, double=1e-12, single=1e-5)


# Components of CNNs, put together


def test_conv_activation_pooling_normalisation_and_fully_connected_make_a_network(engine: Engine):
    graph = fv.Sequential(
        fv.Conv2d(8, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2),
        fv.Conv2d(16, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2),
        fv.Flatten(), fv.Linear(10),
    ).build((3, 32, 32))  # fmt: skip
    assert engine.compile(graph, batch_size=2, mode="inference").forward(
        engine.new_state(graph), normal((2, 3, 32, 32))
    )["linear1"].shape == (2, 10)
