"""What windows leave out: dropped at both ends, skipped between them, refused under the strict rules."""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.cli.conv_pool import report_lines
from foveate.engines import Engine
from foveate.geometry import Window, output_size
from foveate.graph.analysis.explanation import explain_arithmetic
from foveate.graph.analysis.window_report import explain_window
from tests.support import state_with

CONVOLUTIONS = {1: fv.Conv1d, 2: fv.Conv2d, 3: fv.Conv3d}
MAXIMA = {1: fv.MaxPool1d, 2: fv.MaxPool2d, 3: fv.MaxPool3d}
AVERAGES = {1: fv.AvgPool1d, 2: fv.AvgPool2d, 3: fv.AvgPool3d}


def built(layer: fv.Layer, shape: tuple[int, ...], **options: Any) -> fv.Node:
    return fv.Sequential(layer).build(shape, **{"quiet": True, **options}).nodes[0]


@pytest.mark.parametrize("size", [3, 6, 9])
def test_ceil_mode_may_drop_a_border_too(size: int):
    layer = fv.MaxPool2d(2, stride=3, ceil_mode=True)
    assert built(layer, (1, size, size)).dropped == (1, 1)
    assert explain_window(layer, (1, size, size)).dropped == (1, 1)
    with pytest.raises(fv.ShapeError, match="The last 1 row and column would never be seen"):
        built(layer, (1, size, size), strict=True)


def test_a_1x1_convolution_with_stride_2_skips_every_other_row():
    node = built(fv.Conv2d(8, 1, stride=2), (3, 57, 57), strict=True)
    assert (node.dropped, node.skipped) == ((0, 0), (28, 28))


def test_a_stride_above_the_kernel_skips_what_lies_between():
    report = explain_window(fv.Conv1d(1, 2, stride=5), (1, 7))
    assert (report.dropped, report.skipped) == ((0,), (3,))
    assert report.to_json()["skipped"] == [3]


def test_padding_can_shift_windows_past_the_beginning():
    node = built(fv.Conv1d(1, 1, stride=3, padding=((1, 0),)), (1, 8))
    assert (node.unseen[0].begin, node.unseen[0].end, node.skipped) == (2, 2, (2,))
    with pytest.raises(fv.ShapeError, match="The first 2 and last 2 positions would never be seen"):
        built(node.layer, (1, 8), strict=True)


def test_what_is_copied_into_the_padding_is_seen():
    zeros, circular = (
        built(fv.Conv1d(1, 1, stride=3, padding=((1, 0),), padding_mode=mode), (1, 8)) for mode in ("zeros", "circular")
    )
    assert (zeros.dropped, zeros.skipped) == ((4,), (2,))
    assert (circular.dropped, circular.skipped) == ((2,), (3,))


def test_layers_without_windows_drop_and_skip_nothing():
    assert built(fv.ReLU(), (1, 5, 5)).unseen == ()
    assert built(fv.ConvTranspose2d(1, 1, stride=3), (1, 5, 5)).dropped == ()


# Against gradients


def drawn(seed: int) -> tuple[fv.Layer, tuple[int, ...]]:
    """A convolution or pooling over one to three axes, strides above the kernel and uneven padding among them."""
    random = np.random.default_rng([seed, 11])
    axes = int(random.integers(1, 4))

    def each(low: int, high: int) -> tuple[int, ...]:
        return tuple(int(n) for n in random.integers(low, high + 1, axes))

    while True:
        shape = (1, *each(1, {1: 30, 2: 11, 3: 7}[axes]))
        pairs = tuple(zip(each(0, 3), each(0, 3), strict=True))
        options: dict[str, Any] = {"stride": each(1, 5), "padding": pairs if random.random() < 0.7 else "same"}
        try:
            if random.random() < 0.5:
                mode = str(random.choice(["zeros", "reflect", "replicate", "circular"]))
                layer: fv.Layer = CONVOLUTIONS[axes](1, each(1, 4), dilation=each(1, 3), padding_mode=mode, **options)
            else:
                layer = AVERAGES[axes](each(1, 4), ceil_mode=bool(random.random() < 0.6), **options)
            layer.output_shape([shape])
        except fv.FoveateError:
            continue
        return layer, shape


def seen(engine: Engine, layer: fv.Layer, shape: tuple[int, ...]) -> np.ndarray:
    """Which positions the gradient of all outputs reaches, all weights being positive."""
    graph = fv.Sequential(layer).build(shape, quiet=True)
    program = engine.compile(graph, batch_size=1, mode="inference", differentiable=True)
    program.forward(state_with(engine, graph, {name: np.ones(p.shape) for name, p in graph.parameters.items()}),
                    np.ones((1, *shape)))  # fmt: skip
    program.backward({graph.only_output: np.ones((1, *graph.output_shape))})
    return (program.gradient("input")[0] != 0).any(0)


def check_against_gradients(engine: Engine, seed: int) -> None:
    layer, shape = drawn(seed)
    met = seen(engine, layer, shape)
    if not met.any():
        assert any(axis.end == size for axis, size in zip(layer.unseen([shape]), shape[1:], strict=True))
        return
    for axis, unseen in enumerate(layer.unseen([shape])):
        others = tuple(other for other in range(met.ndim) if other != axis)
        (places,) = np.nonzero(met.any(others))
        expected = (places[0], shape[1 + axis] - 1 - places[-1], places[-1] - places[0] + 1 - len(places))
        assert (unseen.begin, unseen.end, unseen.skipped) == expected, f"seed {seed}: {layer} on {shape}"


def test_dropped_and_skipped_are_where_no_gradient_arrives(truth: Engine):
    for seed in range(300):
        check_against_gradients(truth, seed)


@pytest.mark.slow
def test_dropped_and_skipped_are_where_no_gradient_arrives_on_3000_layers(truth: Engine):
    for seed in range(300, 3300):
        check_against_gradients(truth, seed)


# Strict


def test_strict_all_refuses_skipped_positions_with_ways_that_work():
    layer = fv.Conv2d(8, 1, stride=2)
    sentence = (
        "layer 1, conv1 (Conv2d 1x1, stride 2): skips 28 rows and columns of its 57x57 input, which lie between its "
        "windows: kernel 1 moves by 2. Use stride 1 or kernel_size 3 to see them all.\nShapes so far: input 3x57x57"
    )
    with pytest.raises(fv.ShapeError, match=f"^{re.escape(sentence)}$") as refused:
        built(layer, (3, 57, 57), strict="all")
    assert built(layer.with_options(stride=1), (3, 57, 57), strict="all").skipped == (0, 0)
    assert built(layer.with_options(kernel_size=3), (3, 57, 57), strict="all").skipped == (0, 0)
    assert [str(change) for change in refused.value.changes][:2] == ["conv1: stride 1", "conv1: kernel_size 3"]
    assert all(change.build() for change in refused.value.changes)


def test_strict_all_names_the_axis_on_which_positions_are_skipped():
    with pytest.raises(fv.ShapeError, match="skips 3 columns of its 6x7 input"):
        built(fv.Conv2d(1, (2, 2), stride=(2, 5)), (1, 6, 7), strict="all")
    with pytest.raises(fv.ShapeError, match="skips 1 position of its input of length 5"):
        built(fv.MaxPool1d(2, stride=3), (1, 5), strict="all")
    with pytest.raises(fv.ShapeError, match="skips 1 layer of voxels of its 5x5x5 input"):
        built(fv.MaxPool3d(2, stride=3), (1, 5, 5, 5), strict="all")


def test_strict_all_refuses_a_dropped_border_as_strict_does():
    with pytest.raises(fv.ShapeError, match="The last 1 row and column would never be seen"):
        built(fv.MaxPool2d(2), (1, 5, 5), strict="all")
    assert built(fv.MaxPool2d(2), (1, 6, 6), strict="all").dropped == (0, 0)


def test_another_word_for_strict_is_refused():
    sentence = (
        "strict is 'some'; give True to refuse layers that drop a border, \"all\" to refuse those that skip positions "
        "between windows too, or False"
    )
    with pytest.raises(fv.GraphError, match=f"^{re.escape(sentence)}$"):
        fv.GraphBuilder(strict="some")  # type: ignore[arg-type]


@dataclass(frozen=True)
class EveryFourth(fv.Layer):
    """Takes every fourth position, and has no option that could change that."""

    label = "every"

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        shape = input_shapes[0]
        return shape[0], output_size(shape[1], Window(1, stride=4))

    def windows(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[Window, ...]:
        return (Window(1, stride=4),)


def test_a_layer_without_options_is_refused_with_the_inputs_that_fit_or_with_none():
    with pytest.raises(fv.ShapeError, match=r"The last 2 positions would never be seen\. Fits: an input of 5 or 9\."):
        built(EveryFourth(), (1, 7), strict=True)
    with pytest.raises(fv.ShapeError, match=r"kernel 1 moves by 4\.\nShapes so far"):
        built(EveryFourth(), (1, 5), strict="all")


def drawn_that_drops(seed: int) -> tuple[fv.Layer, tuple[int, ...]]:
    """A layer that strict refuses."""
    while True:
        layer, shape = drawn(seed)
        if any(layer.dropped([shape])):
            return layer, shape
        seed += 1000


@pytest.mark.parametrize("seed", range(60))
def test_what_strict_says_fits_does_fit(seed: int):
    layer, shape = drawn_that_drops(seed)
    with pytest.raises(fv.ShapeError, match="would never be seen") as refused:
        built(layer, shape, strict=True)
    dropping = [axis for axis, count in enumerate(layer.dropped([shape])) if count]
    strides = re.search(r"Fits: stride (\d+)", str(refused.value))
    if strides is None:
        return
    same = len(set(zip(shape[1:], layer.windows([shape]) or (), strict=True))) == 1
    changed = list(layer.options()["stride"])
    for axis in range(len(changed)) if same else dropping[:1]:
        changed[axis] = int(strides[1])
    assert layer.with_options(stride=tuple(changed)).dropped([shape])[dropping[0]] == 0


def test_skipped_positions_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fv.Sequential(fv.Conv2d(8, 1, stride=2)).build((3, 57, 57))


def test_the_warning_tells_of_both_ends():
    with pytest.warns(fv.DroppedBorderWarning, match="never sees the first 2 and last 2 positions of its input"):
        fv.Sequential(fv.Conv1d(1, 1, stride=3, padding=((1, 0),))).build((1, 8))


def test_a_node_resolves_its_windows_once():
    node = built(fv.Conv2d(4, 3, padding="same"), (1, 8, 8))
    assert node.windows is node.windows
    assert node.windows == (Window(3, padding=(1, 1)),) * 2
    assert node.reaches is node.reaches
    assert node.unseen is node.unseen


# Told


def test_the_arithmetic_of_a_network_tells_of_both():
    network = fv.Sequential(fv.Conv1d(1, 1, stride=3, padding=((1, 0),)), fv.Conv1d(1, 1, stride=2))
    page = explain_arithmetic(network.build((1, 14), quiet=True))
    assert "- dropped: the first 2 and last 2 positions are seen by no window\n" in page
    assert "- skipped: 6 positions between windows are seen by none\n" in page
    assert "- dropped: the last 0 positions" not in page


def test_the_summary_has_a_column_for_skipped_positions_where_there_are_any():
    skipping = fv.Sequential(fv.Conv2d(8, 1, stride=2)).build((3, 57, 57)).summary()
    assert "skipped" in skipping.render()
    assert "28x28" in skipping.render()
    assert skipping.to_csv().splitlines()[1].endswith("1x1,,28x28")
    assert "skipped" not in fv.Sequential(fv.Conv2d(8, 3)).build((3, 57, 57)).summary().render()


@pytest.mark.parametrize(
    ("layer", "size", "words"),
    [
        (fv.Conv1d(1, 2, stride=5), 7, "L: skipped 3: positions between windows, which no window sees"),
        (
            fv.Conv1d(1, 1, stride=3, padding=((1, 0),)),
            9,
            "L: dropped 2: the padding shifts the windows past the border",
        ),
        (
            fv.MaxPool1d(2, stride=3, ceil_mode=True),
            6,
            "L: does not fit: the division leaves a remainder of 1; dropped 1",
        ),
    ],
    ids=["skipped", "dropped at the beginning", "ceil_mode"],
)
def test_the_report_of_a_layer_tells_what_no_window_sees(layer: fv.Layer, size: int, words: str):
    assert words in "\n".join(report_lines(explain_window(layer, (1, size))))
