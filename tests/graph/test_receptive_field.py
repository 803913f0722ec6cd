"""Receptive fields against the lecture, against hand-made cases, and against the support of gradients."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine
from foveate.geometry import (
    IDENTITY_FIELD,
    Window,
    fold_padding,
    output_size,
    see_through,
    transposed_reach,
    window_reach,
)
from foveate.graph import Graph, Value
from foveate.graph.analysis.borders import drops
from foveate.graph.analysis.receptive_field import Sight, receptive_fields, sees_whole_image
from foveate.layers import (
    AdaptiveAvgPool2d,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    InstanceNorm2d,
    LayerNorm,
    Multiply,
    Upsample,
)
from tests.support import state_with

CONVOLUTIONS = {1: fv.Conv1d, 2: fv.Conv2d, 3: fv.Conv3d}
AVERAGES = {1: fv.AvgPool1d, 2: fv.AvgPool2d, 3: fv.AvgPool3d}
TRANSPOSED = {1: ConvTranspose1d, 2: ConvTranspose2d, 3: ConvTranspose3d}
GLOBAL = {1: fv.GlobalAvgPool1d, 2: fv.GlobalAvgPool2d, 3: fv.GlobalAvgPool3d}


# The support of the gradient


class RandomGraph:
    """Layers drawn at random, with branches; parameters will be positive, so no gradient cancels."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng([seed, 7])
        self.axes = int(self.random.integers(1, 4))
        largest = {1: 24, 2: 13, 3: 8}[self.axes]
        self.builder = fv.GraphBuilder()
        sizes = tuple(int(self.random.integers(4, largest)) for _ in range(self.axes))
        value = self.builder.input((2, *sizes))
        for _ in range(int(self.random.integers(2, 6))):
            value = self.grow(value)
        self.graph = self.builder.build(value, quiet=True)

    def ints(self, low: int, high: int) -> tuple[int, ...]:
        return tuple(int(n) for n in self.random.integers(low, high + 1, self.axes))

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def grow(self, value: Value) -> Value:
        if self.chance(0.4):
            return self.branches(value)
        return self.layer(value, keeps_size=False)

    def branches(self, value: Value) -> Value:
        """Two ways of one shape, added or concatenated; their alignment may differ."""
        stride = self.ints(1, 2)
        ways = [self.layer(self.layer(value, keeps_size=True), keeps_size=True, stride=stride) for _ in range(2)]
        if self.chance(0.3) and set(stride) == {1}:
            ways.append(value)
        if self.chance(0.3) and min(value.shape[1:], default=0) > 1:
            ways.append(self.other_resolution(ways[0], value))
        same = len({way.shape for way in ways}) == 1
        return self.builder.add(fv.Add() if same and self.chance(0.5) else fv.Concatenate(), *ways)

    def other_resolution(self, like: Value, value: Value) -> Value:
        """A way of the same size whose positions lie at other distances in the input."""
        cropped = self.builder.add(fv.Pad(((0, 0), *((0, -1),) * self.axes)), value)
        return self.builder.add(
            Upsample(size=like.shape[1:], mode="linear" if self.chance(0.5) else "nearest"), cropped
        )

    def layer(self, value: Value, *, keeps_size: bool, stride: tuple[int, ...] | None = None) -> Value:
        for _ in range(50):
            try:
                return self.builder.add(self.draw(keeps_size, stride), value)
            except fv.FoveateError:
                continue
        return value

    def draw(self, keeps_size: bool, stride: tuple[int, ...] | None) -> fv.Layer:
        kernel = self.ints(1, 4)
        if keeps_size:
            return CONVOLUTIONS[self.axes](2, kernel, stride=stride or 1, padding="same", dilation=self.ints(1, 3))
        drawers = [
            self.convolution,
            self.convolution,
            self.pooling,
            self.transposed,
            self.upsample,
            self.pad,
            self.other,
        ]
        return drawers[int(self.random.integers(len(drawers)))](kernel)

    def pairs(self, low: int, high: int) -> tuple[tuple[int, int], ...]:
        return tuple((int(a), int(b)) for a, b in self.random.integers(low, high + 1, (self.axes, 2)))

    def convolution(self, kernel: tuple[int, ...]) -> fv.Layer:
        options = {"stride": self.ints(1, 3), "padding": self.pairs(0, 3), "dilation": self.ints(1, 3)}
        return CONVOLUTIONS[self.axes](2, kernel, **options)

    def pooling(self, kernel: tuple[int, ...]) -> fv.Layer:
        return AVERAGES[self.axes](kernel, stride=self.ints(1, 3), padding=self.ints(0, 1), ceil_mode=True)

    def transposed(self, kernel: tuple[int, ...]) -> fv.Layer:
        return TRANSPOSED[self.axes](2, kernel, stride=self.ints(1, 3), padding=self.ints(0, 2))

    def upsample(self, kernel: tuple[int, ...]) -> fv.Layer:
        mode = "nearest" if self.chance(0.5) else "linear"
        if mode == "linear" and self.chance(0.4):
            return Upsample(size=self.ints(3, 9), mode=mode, align_corners=True)
        return Upsample(2, mode=mode) if self.chance(0.6) else Upsample(size=self.ints(3, 9), mode=mode)

    def pad(self, kernel: tuple[int, ...]) -> fv.Layer:
        return fv.Pad(((0, 0), *self.pairs(-1, 2)))

    def other(self, kernel: tuple[int, ...]) -> fv.Layer:
        if self.axes == 2 and self.chance(0.6):
            return AdaptiveAvgPool2d(self.ints(2, 5))
        return GLOBAL[self.axes]() if self.chance(0.2) else fv.Dropout(0.5)


def positive(graph: Graph) -> dict[str, np.ndarray]:
    random = np.random.default_rng(1)
    return {name: random.uniform(0.5, 1.0, p.shape) for name, p in graph.parameters.items()}


def support(engine: Engine, graph: Graph, positions: list[tuple[int, ...]]) -> list[tuple[range, ...]]:
    """For each position of the output, the box around the input elements that its gradient reaches."""
    count = len(positions)
    program = engine.compile(graph, batch_size=count, mode="inference", differentiable=True)
    program.forward(
        state_with(engine, graph, positive(graph)),
        np.random.default_rng(2).uniform(0.5, 1, (count, *graph.input_shape)),
    )
    seed = np.zeros((count, *graph.output_shape))
    for sample, position in enumerate(positions):
        seed[(sample, slice(None), *position)] = 1
    program.backward({graph.only_output: seed})
    reached = (program.gradient("input") != 0).any(1)
    return [_box(mask) for mask in reached]


def _box(mask: np.ndarray) -> tuple[range, ...]:
    if not mask.any():
        return (range(0),) * mask.ndim
    return tuple(range(int(along.min()), int(along.max()) + 1) for along in np.nonzero(mask))


@pytest.mark.parametrize("block", range(10))
def test_the_region_is_the_support_of_the_gradient_on_300_random_graphs(truth: Engine, block: int):
    for seed in range(30 * block, 30 * block + 30):
        check_against_gradients(truth, seed)


@pytest.mark.slow
@pytest.mark.parametrize("block", range(10))
def test_the_region_is_the_support_of_the_gradient_on_2000_random_graphs(truth: Engine, block: int):
    for seed in range(300 + 200 * block, 500 + 200 * block):
        check_against_gradients(truth, seed)


def check_against_gradients(engine: Engine, seed: int) -> None:
    graph, random = RandomGraph(seed).graph, np.random.default_rng(seed)
    spatial = graph.output_shape[1:]
    positions = [tuple(int(random.integers(size)) for size in spatial) for _ in range(4)]
    positions += [(0,) * len(spatial), tuple(size - 1 for size in spatial)]
    regions = [graph.region(graph.only_output, position) for position in positions]
    assert [region.clipped for region in regions] == support(engine, graph, positions), f"seed {seed}"
    for region in regions:
        check_within(region, graph.input_shape[1:])
    check_size(graph)


def check_size(graph: Graph) -> None:
    """The size is that of the longest box around what a position of the output sees."""
    field, spatial = graph.receptive_field(graph.only_output), graph.output_shape[1:]
    longest = []
    for axis in range(len(field.fields)):
        count = spatial[axis] if spatial else 1
        places = [tuple(place * (other == axis) for other in range(len(spatial))) for place in range(count)]
        longest.append(max(len(graph.region(field.node, place).unclipped[axis]) for place in places))
    assert field.size == tuple(longest)


def check_within(region: fv.Region, sizes: tuple[int, ...]) -> None:
    """What is real lies in the box that goes on past the borders."""
    for real, box, size in zip(region.clipped, region.unclipped, sizes, strict=True):
        assert real.stop <= size
        assert not any(region.clipped) or (box.start <= real.start and real.stop <= box.stop)


def test_the_random_graphs_have_branches_upsampling_and_unaligned_fields():
    graphs = [RandomGraph(seed).graph for seed in range(300)]
    joined = [g for g in graphs if any(isinstance(n.layer, (fv.Add, fv.Concatenate)) for n in g.nodes)]
    unaligned = [g for g in graphs if not all(field.aligned for field in g.receptive_fields().values())]
    skipping = [g for g in graphs if any(any(node.skipped) for node in g.nodes)]
    enlarged = [g for g in graphs if any(isinstance(n.layer, (Upsample, *TRANSPOSED.values())) for n in g.nodes)]
    assert min(len(joined), len(enlarged)) >= 100
    assert min(len(unaligned), len(skipping)) >= 25


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
def test_padding_that_copies_the_input_is_seen_as_what_it_copies(truth: Engine, mode: str):
    graph = fv.Sequential(
        fv.Conv2d(2, 3, padding=2, dilation=2, padding_mode=mode), fv.Conv2d(2, 3, stride=2, padding=1)
    ).build((1, 7, 8), quiet=True)
    positions = [(0, 0), (0, 2), (3, 3), (1, 1)]
    assert [graph.region("conv2", position).clipped for position in positions] == support(truth, graph, positions)


def test_folding_padding_gives_the_positions_that_are_copied():
    assert fold_padding(0b00001, 3, (1, 1), "circular") == 0b100
    assert fold_padding(0b10000, 3, (1, 1), "replicate") == 0b100
    assert fold_padding(0b10000, 3, (1, 1), "reflect") == 0b010


# 1 + L (K - 1), and other closed forms


@pytest.mark.parametrize("kernel", [1, 2, 3, 5, 7])
@pytest.mark.parametrize("layers", [1, 2, 3, 8])
@pytest.mark.parametrize("axes", [1, 2, 3])
def test_l_layers_of_kernel_k_see_1_plus_l_times_k_minus_1(layers: int, kernel: int, axes: int):
    graph = fv.Sequential(*(CONVOLUTIONS[axes](1, kernel) for _ in range(layers))).build((1, *(60,) * axes))
    field = graph.receptive_field(f"conv{layers}")
    assert field.size == (1 + layers * (kernel - 1),) * axes
    assert field.jump == (1,) * axes
    assert field.first_centre == (Fraction(layers * (kernel - 1), 2),) * axes


def test_strides_multiply_the_jump_and_later_kernels_count_as_often():
    graph = fv.Sequential(
        fv.Conv2d(1, 7, stride=2, padding=3), fv.MaxPool2d(3, stride=2, padding=1), fv.Conv2d(1, 3, padding=1)
    ).build((3, 224, 224), quiet=True)
    assert [graph.receptive_field(node).size[0] for node in ("conv1", "pool1", "conv2")] == [7, 11, 19]
    assert graph.receptive_field("conv2").jump == (4, 4)
    assert graph.receptive_field("conv2").first_centre == (0, 0)


def test_a_dilated_kernel_counts_as_long_as_it_spans():
    graph = fv.Sequential(fv.Conv1d(1, 3, dilation=4), fv.Conv1d(1, 2, dilation=3)).build((1, 30))
    assert graph.receptive_field("conv2").size == (1 + 8 + 3,)


def test_same_shifts_the_first_centre_by_the_odd_pixel():
    graph = fv.Sequential(fv.Conv1d(1, 4, padding="same")).build((1, 10))
    assert graph.receptive_field("conv1").first_centre == (Fraction(1, 2),)


def test_a_transposed_convolution_divides_the_jump():
    graph = fv.Sequential(fv.Conv1d(1, 3, stride=2, padding=1), ConvTranspose1d(1, 4, stride=2, padding=1)).build(
        (1, 16), quiet=True
    )
    field = graph.receptive_field("conv2")
    assert field.jump == (1,)
    assert field.size == (5,)
    assert field.fields[0][0].sizes == (5, 5)


def test_where_a_transposed_kernel_is_shorter_than_its_stride_some_outputs_see_nothing():
    graph = fv.Sequential(ConvTranspose1d(1, 1, stride=2)).build((1, 5))
    assert graph.region("conv1", (1,)) == fv.Region((range(0),), (range(0),))
    assert graph.region("conv1", (2,)).clipped == (range(1, 2),)


def test_a_transposed_convolution_sees_what_scatters_onto_it():
    window = Window(5, stride=3, padding=(1, 0), dilation=2)
    reach = transposed_reach(window)
    for output in range(20):
        periods, phase = divmod(output, reach.period)
        scattered = [i for i in range(-20, 30) for k in range(5) if i * 3 + k * 2 - 1 == output]
        assert [periods * reach.advance + tap for tap in reach.taps[phase]] == sorted(scattered)


def test_global_layers_see_everything():
    graph = fv.Sequential(fv.Conv2d(2, 3), fv.GlobalAvgPool2d(), fv.Linear(3), fv.ReLU()).build((1, 9, 9))
    assert [graph.receptive_field(node).short() for node in ("conv1", "pool1", "linear1", "relu1")] == [
        "3x3", "everything", "everything", "everything",
    ]  # fmt: skip
    assert graph.region("linear1", ()).clipped == (range(9), range(9))
    assert str(graph.receptive_field("linear1")) == "linear1 sees everything of input 9x9"


def test_normalising_over_positions_sees_everything_and_over_one_axis_all_of_that():
    graph = fv.Sequential(fv.Conv2d(2, 3), InstanceNorm2d()).build((1, 9, 9))
    assert graph.receptive_field("norm1").whole
    graph = fv.Sequential(fv.Conv2d(2, 3), LayerNorm(trailing_axes=1)).build((1, 9, 9))
    assert graph.receptive_field("norm1").size == (3, 9)
    assert graph.region("norm1", (2, 2)).clipped == (range(2, 5), range(9))
    graph = fv.Sequential(fv.Conv2d(2, 3), fv.BatchNorm2d()).build((1, 9, 9))
    assert graph.receptive_field("bn1").size == (3, 3)


def test_a_gate_for_each_channel_makes_every_output_see_everything():
    builder = fv.GraphBuilder()
    x = builder.add(fv.Conv2d(4, 3), builder.input((1, 9, 9)))
    gated = builder.add(Multiply(), x, builder.add(fv.GlobalAvgPool2d(), x))
    graph = builder.build(gated)
    assert graph.receptive_field(graph.only_output).whole
    assert graph.region(graph.only_output, (3, 3)).clipped == (range(9), range(9))


# Branches


def test_branches_of_one_alignment_are_as_wide_as_the_widest():
    graph = fv.Concat(fv.Conv2d(1, 1), fv.Conv2d(1, 3, padding=1), fv.Conv2d(1, 5, padding=2)).build((1, 9, 9))
    field = graph.receptive_field("concat1.concat")
    assert field.aligned
    assert field.size == (5, 5)


def test_branches_of_different_alignment_see_the_box_around_both():
    graph = fv.Concat(fv.Conv2d(1, 2, padding="same"), fv.Conv2d(1, 3, padding=1)).build((1, 9, 9))
    field = graph.receptive_field("concat1.concat")
    assert field.aligned
    assert field.short() == "3x3"


def test_branches_of_other_jumps_are_called_unaligned_with_both():
    way = fv.Sequential(fv.Pad(((0, 0), (0, 9), (0, 9))), fv.Conv2d(1, 3, stride=2, padding=1))
    graph = fv.Concat(fv.Conv2d(1, 3, padding=1), way).build((1, 9, 9), quiet=True)
    field = graph.receptive_field("concat1.concat")
    assert not field.aligned
    assert field.short() == "unaligned 11x11"
    along = "3 (jump 1, first centre 0) and 3 (jump 2, first centre 0)"
    assert str(field) == f"concat1.concat is unaligned: its branches see, along H: {along}; along W: {along}"
    assert [len(branches) for branches in field.to_json()["branches"]] == [2, 2]


def test_of_many_jumps_a_sentence_tells_four():
    ways = [fv.Sequential(fv.Pad(((0, 0), (0, 9 * n - 9))), fv.Conv1d(1, 1, stride=n)) for n in range(1, 8)]
    field = fv.Concat(*ways).build((1, 9), quiet=True).receptive_field("concat1.concat")
    assert str(field).endswith("and 1 (jump 4, first centre 0) and 3 more")


def test_branches_that_look_to_different_sides_see_the_union():
    builder = fv.GraphBuilder()
    x = builder.input((1, 9))
    left, right = (builder.add(fv.Conv1d(1, 5, padding=(pair,)), x) for pair in ((4, 0), (0, 4)))
    graph = builder.build(builder.add(fv.Add(), left, right))
    field = graph.receptive_field("add1")
    assert (field.size, field.short()) == ((9,), "9")
    assert len(graph.region("add1", (4,)).unclipped[0]) == 9
    assert sees_whole_image(graph).node == "add1"
    assert sees_whole_image(graph).depth == 1
    assert sees_whole_image(graph, unstrided=True).node == "add1"


@pytest.mark.parametrize("layer_type", [fv.Conv1d, fv.ConvTranspose1d])
def test_without_strides_a_window_keeps_its_place(layer_type: type[fv.Conv1d]):
    builder = fv.GraphBuilder()
    x = builder.input((1, 12))
    ways = [builder.add(layer_type(1, 5, stride=2, padding=(pair,)), x) for pair in ((3, 0), (0, 3))]
    graph = builder.build(builder.add(fv.Add(), *ways), quiet=True)
    assert receptive_fields(graph, unstrided=True)["add1"].size == (8,)


def test_without_strides_enlarging_is_left_out_and_bins_count_as_windows():
    network = fv.Sequential(Upsample(2), fv.Conv2d(1, 3), AdaptiveAvgPool2d(11), fv.Conv2d(1, 3, stride=2))
    fields = receptive_fields(network.build((1, 12, 12)), unstrided=True)
    assert [fields[name].size for name in ("upsample1", "conv1", "pool1", "conv2")] == [(1, 1), (3, 3), (4, 4), (6, 6)]


def test_a_causal_network_of_many_branches_is_told_in_one_line():
    ways = [fv.Conv1d(1, n, padding=((n - 1, 0),)) for n in range(1, 47)]
    field = fv.Concat(*ways).build((1, 99)).receptive_field("concat1.concat")
    assert str(field) == "concat1.concat sees 46 of input, jump 1, first centre -45/2"


def test_a_unet_that_pools_and_enlarges_again_stays_aligned():
    way = fv.Sequential(fv.MaxPool2d(2), fv.Conv2d(4, 3, padding=1), Upsample(2))
    graph = fv.Concat(fv.Conv2d(4, 3, padding=1), way).build((1, 16, 16))
    field = graph.receptive_field("concat1.concat")
    assert field.aligned
    assert field.size == (6, 6)
    assert field.jump == (1, 1)


def test_a_node_beside_the_input_sees_nothing_of_it():
    builder = fv.GraphBuilder()
    left, right = builder.input((1, 8, 8), "left"), builder.input((1, 8, 8), "right")
    a, b = builder.add(fv.Conv2d(1, 3), left), builder.add(fv.Conv2d(1, 5, padding=1), right)
    graph = builder.build(builder.add(fv.Add(), a, b, name="sum"), quiet=True)
    assert graph.receptive_field("conv1", "right").short() == "nothing"
    assert str(graph.receptive_field("conv1", "right")) == "conv1 sees nothing of right 8x8"
    assert graph.receptive_field("sum", "left").size == (3, 3)
    assert graph.receptive_field("sum", "right").size == (5, 5)
    assert graph.region("conv1", (0, 0), "right").clipped == (range(0), range(0))
    with pytest.raises(fv.GraphError, match=r"2 inputs \(left, right\); name one"):
        graph.receptive_field("sum")
    with pytest.raises(fv.GraphError, match=r'there is no input "middle"\. Nearest:'):
        graph.receptive_field("sum", "middle")


def image_and_table() -> Graph:
    """A convolution of an image and a row of numbers, joined by a linear layer."""
    builder = fv.GraphBuilder()
    image, table = builder.input((1, 8, 8), "image"), builder.input((4,), "table")
    flat = builder.add(fv.Flatten(), builder.add(fv.Conv2d(2, 3), image))
    joined = builder.add(fv.Concatenate(), flat, builder.add(fv.ReLU(), table))
    return builder.build(builder.add(fv.Linear(2), joined))


def test_the_convolution_of_an_image_sees_nothing_of_a_table_beside_it():
    graph = image_and_table()
    assert {name: field.short() for name, field in graph.receptive_fields("table").items()} == {
        "image": "nothing", "table": "everything", "conv1": "nothing", "flatten1": "nothing", "relu1": "everything",
        "concat1": "everything", "linear1": "everything",
    }  # fmt: skip
    assert str(graph.receptive_field("conv1", "table")) == "conv1 sees nothing of table"
    assert graph.receptive_field("relu1", "image").short() == "nothing"
    assert [row.sees for row in graph.summary().rows][:2] == ["3x3 of image", "everything of image"]


# Layers of one's own


@dataclass(frozen=True)
class Silent(fv.Layer):
    """Says nothing of what it reaches."""

    label = "silent"

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        return input_shapes[0]


@dataclass(frozen=True)
class Cube(fv.ElementwiseLayer):
    """y = x^3."""

    label = "cube"


@dataclass(frozen=True)
class Median(fv.SpatialLayer):
    """The median of each window; it says where its windows lie, and nothing else."""

    label = "median"
    spatial_axes = 2

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        channels, spatial = self.spatial_input(input_shapes)
        return channels, *map(output_size, spatial, self.windows(input_shapes))

    def windows(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[Window, ...]:
        return (Window(2, stride=3),) * 2


def test_an_elementwise_layer_of_ones_own_passes_its_field_through():
    graph = fv.Sequential(fv.Conv2d(2, 3), Cube(), fv.Conv2d(2, 3)).build((1, 9, 9))
    assert [graph.receptive_field(name).short() for name in ("conv1", "cube1", "conv2")] == ["3x3", "3x3", "5x5"]


def test_behind_a_layer_that_says_nothing_all_is_unknown():
    graph = fv.Sequential(fv.Conv2d(2, 3), Silent(), fv.Conv2d(2, 3), fv.GlobalAvgPool2d(), fv.Linear(2)).build(
        (1, 9, 9)
    )
    assert [row.sees for row in graph.summary().rows] == ["3x3", *["unknown"] * 4]
    field = graph.receptive_field("conv2")
    assert str(field) == ("what conv2 sees of input 9x9 is unknown: a layer on the way does not say what it reaches")
    assert not field.known
    assert not field.whole
    assert field.size == (9, 9)
    assert field.to_json()["size"] is field.to_json()["branches"] is None
    assert graph.region("conv2", (0, 0)).clipped == (range(9), range(9))
    assert sees_whole_image(graph) == Sight(None, 1, (3, 3))


def test_an_unknown_branch_makes_the_sum_unknown():
    builder = fv.GraphBuilder()
    x = builder.input((1, 9, 9))
    graph = builder.build(builder.add(fv.Add(), builder.add(Silent(), x), builder.add(fv.ReLU(), x)))
    assert graph.receptive_field("add1").short() == "unknown"
    assert graph.receptive_field("relu1").short() == "1x1"


def test_a_layer_of_ones_own_that_says_its_windows_is_measured_by_them():
    graph = fv.Sequential(fv.Conv2d(2, 3), Median()).build((1, 11, 11), quiet=True)
    node = graph.node("median1")
    assert graph.receptive_field("median1").short() == "4x4"
    assert (node.dropped, node.skipped) == ((1, 1), (2, 2))
    assert "does not fit its 9x9 input" in drops(node)


# Positions and boxes


def test_a_box_at_the_border_goes_into_the_padding_and_is_clipped():
    graph = fv.Sequential(fv.Conv2d(1, 5, padding=2)).build((1, 9, 9))
    region = graph.region("conv1", (0, 8))
    assert region.unclipped == (range(-2, 3), range(6, 11))
    assert region.clipped == (range(3), range(6, 9))
    assert np.zeros((9, 9))[region.slices].shape == (3, 3)


def test_a_position_may_come_from_numpy():
    graph = fv.Sequential(fv.Conv2d(1, 5, padding=2)).build((1, 100, 100))
    for position in (np.unravel_index(9_998, (100, 100)), np.array([99, 98], np.uint8)):
        assert graph.region("conv1", position) == graph.region("conv1", (99, 98))


def test_a_gap_at_the_border_is_not_seen():
    """Of taps at -2, 0 + 2 only the last is real: the box begins at 2, not at 0."""
    graph = fv.Sequential(fv.Conv1d(1, 2, dilation=4, padding=2)).build((1, 9))
    assert graph.region("conv1", (0,)).clipped == (range(2, 3),)


@pytest.mark.parametrize("position", [(0,), (0, 7), (-1, 0), (0, 0, 0)])
def test_a_position_outside_is_refused(position: tuple[int, ...]):
    graph = fv.Sequential(fv.Conv2d(1, 3)).build((1, 9, 9))
    with pytest.raises(fv.ShapeError, match=r"conv1 has no position .*: its output has the spatial sizes 7x7"):
        graph.region("conv1", position)


def test_a_flat_output_has_no_positions():
    graph = fv.Sequential(fv.Flatten()).build((1, 9, 9))
    with pytest.raises(fv.ShapeError, match="its output is flat; give"):
        graph.region("flatten1", (0,))


def test_an_unknown_node_is_refused_with_the_nearest_names():
    with pytest.raises(fv.GraphError, match=r'there is no layer "conv2"\. Nearest: conv1'):
        fv.Sequential(fv.Conv2d(1, 3)).build((1, 9, 9)).receptive_field("conv2")


def test_fields_count_every_window_of_the_recursion():
    """size + (F_eff - 1) jump, jump * S, start - P jump, for a chain of odd windows."""
    field, size, jump, start = IDENTITY_FIELD, 1, 1, 0
    for window in (Window(3, 2, (1, 0)), Window(5, 3, (2, 2), 2), Window(2, 1, (0, 1))):
        field = see_through(field, window_reach(window))
        start -= window.padding[0] * jump
        size += (window.effective_size - 1) * jump
        jump *= window.stride
        assert (field.size, field.jump, field.spans[0][0]) == (size, jump, start)


# Until an output sees the whole image


@pytest.mark.parametrize(("kernel", "width"), [(3, 32), (5, 32), (3, 7), (2, 9)])
def test_without_stride_it_takes_w_minus_1_over_k_minus_1_layers(kernel: int, width: int):
    network = fv.Sequential(*(fv.Conv2d(1, kernel, padding="same") for _ in range(40)))
    sight = sees_whole_image(network.build((1, width, width)))
    assert sight.depth == ceil((width - 1) / (kernel - 1))
    assert sight.node == f"conv{sight.depth}"


def test_downsampling_lets_an_output_see_the_whole_image_sooner():
    network = fv.Sequential(*(fv.Conv2d(1, 3, stride=1 + (n % 3 == 2), padding=1) for n in range(20)))
    graph = network.build((1, 32, 32), quiet=True)
    assert sees_whole_image(graph).depth == 8
    assert sees_whole_image(graph, unstrided=True).depth == 16


def test_a_network_may_never_see_it_all():
    sight = sees_whole_image(fv.Sequential(fv.Conv2d(1, 3), fv.Conv2d(1, 3), fv.ReLU()).build((1, 32, 32)))
    assert (sight.node, sight.depth, sight.size) == (None, 2, (5, 5))


@pytest.mark.parametrize("seed", range(20))
def test_without_padding_the_exact_box_is_the_one_that_the_recursion_gives(seed: int):
    random = np.random.default_rng(seed)
    layers = [
        fv.Conv1d(1, int(k), stride=int(s), dilation=int(d))
        for k, s, d in zip(random.integers(1, 5, 4), random.integers(1, 3, 4), random.integers(1, 3, 4), strict=True)
    ]
    graph = fv.Sequential(*layers).build((1, 160), quiet=True)
    for node in graph.nodes:
        for place in range(node.output_shape[1]):
            region = graph.region(node.name, (place,))
            assert region.clipped == region.unclipped
