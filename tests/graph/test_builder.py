"""Building a graph: names, sharing, what is refused and how, and the warning about dropped borders."""

import re
import warnings
from typing import Any

import pytest

import foveate as fv
from foveate.graph import Graph, nearest


def says(sentence: str) -> str:
    """A pattern that a whole message must match."""
    return f"^{re.escape(sentence)}$"


# The design's example


def test_a_layer_that_does_not_fit_says_where_why_and_what_would():
    network = fv.Sequential(fv.Conv2d(8, 3), fv.Conv2d(8, 3, stride=3))
    expected = (
        "layer 2, conv2 (Conv2d 3x3, stride 3): does not fit its 7x7 input: (7 - 3 + 2*0)/3 + 1 = 2.33.\n"
        "The last 1 row and column would never be seen. Fits: stride 1 or 2, or padding 1, or an input of 6x6 or 9x9.\n"
        "Shapes so far: input 1x9x9 -> conv1 8x7x7"
    )
    with pytest.raises(fv.ShapeError, match=says(expected)):
        network.build((1, 9, 9), strict=True)


@pytest.mark.parametrize(
    ("first", "second", "shape"),
    [
        (fv.Conv2d(8, 3), fv.Conv2d(8, 3, stride=1), (1, 9, 9)),
        (fv.Conv2d(8, 3), fv.Conv2d(8, 3, stride=2), (1, 9, 9)),
        (fv.Conv2d(8, 3), fv.Conv2d(8, 3, stride=3, padding=1), (1, 9, 9)),
        (fv.Conv2d(8, 3), fv.Conv2d(8, 3, stride=3), (1, 8, 8)),
        (fv.Conv2d(8, 3), fv.Conv2d(8, 3, stride=3), (1, 11, 11)),
    ],
    ids=["stride 1", "stride 2", "padding 1", "an input of 6x6", "an input of 9x9"],
)
def test_each_way_out_of_the_designs_example_is_one(first: fv.Layer, second: fv.Layer, shape: tuple[int, ...]):
    assert fv.Sequential(first, second).build(shape, strict=True).nodes[1].dropped == (0, 0)


STRICT: dict[str, tuple[fv.Layer, tuple[int, ...], str]] = {
    "one axis": (
        fv.Conv1d(4, 3, stride=2),
        (1, 10),
        "layer 1, conv1 (Conv1d 3, stride 2): does not fit its input of length 10: (10 - 3 + 2*0)/2 + 1 = 4.50.\n"
        "The last 1 position would never be seen. Fits: stride 1, or padding (0, 1) (begin, end), or an input of 9 or "
        "11.\nShapes so far: input 1x10",
    ),
    "several positions": (
        fv.Conv1d(4, 3, stride=4),
        (1, 9),
        "layer 1, conv1 (Conv1d 3, stride 4): does not fit its input of length 9: (9 - 3 + 2*0)/4 + 1 = 2.50.\n"
        "The last 2 positions would never be seen. Fits: stride 2 or 3, or padding 1, or an input of 7 or 11.\n"
        "Shapes so far: input 1x9",
    ),
    "rows only": (
        fv.Conv2d(4, 3, stride=2),
        (1, 8, 7),
        "layer 1, conv1 (Conv2d 3x3, stride 2): does not fit its 8x7 input: (8 - 3 + 2*0)/2 + 1 = 3.50.\n"
        "The last 1 row would never be seen. Fits: stride 1, or padding (0, 1) (begin, end), or an input of 7 or 9.\n"
        "Shapes so far: input 1x8x7",
    ),
    "columns only": (
        fv.Conv2d(4, 3, stride=3),
        (1, 9, 8),
        "layer 1, conv1 (Conv2d 3x3, stride 3): does not fit its 9x8 input: (8 - 3 + 2*0)/3 + 1 = 2.67.\n"
        "The last 2 columns would never be seen. Fits: stride 1, or padding 2, or an input of 6 or 9.\n"
        "Shapes so far: input 1x9x8",
    ),
    "two rows and columns": (
        fv.MaxPool2d(3),
        (1, 8, 8),
        "layer 1, pool1 (MaxPool2d 3x3, stride 3): does not fit its 8x8 input: (8 - 3 + 2*0)/3 + 1 = 2.67.\n"
        "The last 2 rows and columns would never be seen. Fits: stride 1, or padding 2, or an input of 6x6 or 9x9.\n"
        "Shapes so far: input 1x8x8",
    ),
    "asymmetric padding": (
        fv.Conv2d(4, 3, stride=2, padding=((1, 0), (1, 0))),
        (1, 7, 7),
        "layer 1, conv1 (Conv2d 3x3, stride 2, padding (1, 0)): does not fit its 7x7 input: (7 - 3 + 1 + 0)/2 + 1 = "
        "3.50.\nThe last 1 row and column would never be seen. Fits: stride 1, or padding 0, or an input of 6x6 or "
        "8x8.\nShapes so far: input 1x7x7",
    ),
    "a dilated window": (
        fv.Conv1d(4, 3, stride=2, dilation=2),
        (1, 10),
        "layer 1, conv1 (Conv1d 3, stride 2, dilation 2): does not fit its input of length 10: "
        "(10 - 5 + 2*0)/2 + 1 = 3.50.\n"
        "The last 1 position would never be seen. Fits: stride 1, or an input of 9 or 11.\nShapes so far: input 1x10",
    ),
    "a layer of voxels": (
        fv.MaxPool3d(2),
        (1, 5, 5, 5),
        "layer 1, pool1 (MaxPool3d 2x2x2, stride 2): does not fit its 5x5x5 input: (5 - 2 + 2*0)/2 + 1 = 2.50.\n"
        "The last 1 layer of voxels would never be seen. Fits: stride 1, or padding (0, 1) (begin, end), or an input "
        "of 4x4x4 or 6x6x6.\nShapes so far: input 1x5x5x5",
    ),
    "layers of voxels": (
        fv.MaxPool3d(3),
        (1, 5, 5, 5),
        "layer 1, pool1 (MaxPool3d 3x3x3, stride 3): does not fit its 5x5x5 input: (5 - 3 + 2*0)/3 + 1 = 1.67.\n"
        "The last 2 layers of voxels would never be seen. Fits: stride 1 or 2, or padding 2, or an input of 3x3x3 or "
        "6x6x6.\nShapes so far: input 1x5x5x5",
    ),
}


@pytest.mark.parametrize(("layer", "shape", "sentence"), STRICT.values(), ids=STRICT)
def test_strict_refuses_a_dropped_border(layer: fv.Layer, shape: tuple[int, ...], sentence: str):
    with pytest.raises(fv.ShapeError, match=says(sentence)):
        fv.Sequential(layer).build(shape, strict=True)


def test_the_padding_that_a_strict_pooling_is_offered_is_one_that_it_accepts():
    with pytest.raises(fv.ShapeError, match="does not fit") as refused:
        fv.Sequential(fv.MaxPool2d(2, stride=3)).build((1, 10, 10), strict=True)
    offered = [int(padding) for padding in re.findall(r"or padding (\d+)", str(refused.value))]
    graphs = [fv.Sequential(fv.MaxPool2d(2, stride=3, padding=p)).build((1, 10, 10), strict=True) for p in offered]
    assert all(graph.nodes[0].dropped == (0, 0) for graph in graphs)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (fv.Conv2d(64, 7, stride=2, padding=3), (3, 224, 224)),
        (fv.Conv2d(8, 3, stride=2, padding="same"), (3, 8, 8)),
        (fv.MaxPool2d(2, ceil_mode=True), (3, 7, 7)),
        (fv.MaxPool2d(2), (3, 8, 8)),
        (fv.Flatten(), (3, 7, 7)),
    ],
    ids=["ResNet's first layer", "same", "ceil_mode", "an even size", "no window"],
)
def test_strict_accepts_what_sees_every_pixel(layer: fv.Layer, shape: tuple[int, ...]):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not any(fv.Sequential(layer).build(shape, strict=True).nodes[0].dropped)


@pytest.mark.parametrize("strict", [True, "all"])
@pytest.mark.parametrize("size", range(1, 9))
def test_what_strict_offers_for_a_window_that_is_too_long_is_accepted(size: int, strict: Any):
    layer = fv.Conv1d(2, 6, stride=2, dilation=2)
    with pytest.raises(fv.ShapeError, match=r"the window spans .* = 11, ") as refused:
        fv.Sequential(layer).build((1, size), strict=strict)
    offered = re.findall(r"(kernel_size|padding) (\d+)|an input of at least (\d+)", str(refused.value))
    for option, value, length in offered:
        changed = layer.with_options(**{option: int(value)}) if option else layer
        fv.Sequential(changed).build((1, int(length or size)), strict=strict)


def test_strict_is_off_in_a_builder_unless_asked_for():
    builder = fv.GraphBuilder(strict=True)
    with pytest.raises(fv.ShapeError, match="would never be seen"):
        builder.add(fv.MaxPool2d(2), builder.input((1, 5, 5)))


# The warning


def test_a_dropped_border_is_one_warning_that_names_the_first_layer_and_counts_the_others():
    network = fv.Sequential(fv.Conv2d(4, 1, stride=3), fv.MaxPool2d(2), fv.Conv2d(4, 2, stride=2))
    sentence = (
        "conv1 (Conv2d 1x1, stride 3) and 2 more never see the last 1 row and column of their input; "
        "build(strict=True) says what would fit, and graph.summary() lists them all"
    )
    with pytest.warns(fv.DroppedBorderWarning, match=says(sentence)) as told:
        graph = network.build((3, 32, 32))
    assert len(told) == 1
    assert [node.dropped for node in graph.nodes] == [(1, 1)] * 3


def test_resnets_projection_drops_a_real_row():
    with pytest.warns(fv.DroppedBorderWarning, match=r"^conv1 \(Conv2d 1x1, stride 2\) never sees") as told:
        graph = fv.Sequential(fv.Conv2d(128, 1, stride=2)).build((64, 56, 56))
    assert graph.nodes[0].dropped == (1, 1)
    assert len(told) == 1


def test_quiet_gives_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        graph = fv.Sequential(fv.MaxPool2d(2)).build((3, 7, 7), quiet=True)
    assert graph.nodes[0].dropped == (1, 1)


def test_the_warning_points_at_the_line_that_called_build():
    with pytest.warns(fv.DroppedBorderWarning) as told:
        fv.Sequential(fv.MaxPool2d(2)).build((3, 7, 7))
    assert told[0].filename == __file__


def test_the_warning_points_at_the_line_that_called_a_builders_build():
    builder = fv.GraphBuilder()
    value = builder.add(fv.MaxPool2d(2), builder.input((3, 7, 7)))
    with pytest.warns(fv.DroppedBorderWarning) as told:
        builder.build(value)
    assert told[0].filename == __file__


# Names


def names(block: Any, shape: tuple[int, ...] = (4, 8, 8)) -> list[str]:
    return [node.name for node in block.build(shape, quiet=True).nodes]


def test_unnamed_layers_are_numbered_by_their_kind():
    network = fv.Sequential(
        fv.Conv2d(4, 3), fv.BatchNorm2d(), fv.ReLU(), fv.LeakyReLU(), fv.Conv2d(4, 3), fv.BatchNorm2d(), fv.ELU(),
        fv.Sigmoid(), fv.Tanh(), fv.MaxPool2d(2), fv.AvgPool2d(2), fv.Dropout(), fv.Flatten(), fv.Linear(3),
    )  # fmt: skip
    assert names(network) == [
        "conv1", "bn1", "relu1", "leaky_relu1", "conv2", "bn2", "elu1", "sigmoid1", "tanh1", "pool1", "pool2",
        "dropout1", "flatten1", "linear1",
    ]  # fmt: skip


def test_a_numbered_name_avoids_one_that_was_given():
    assert names(fv.Sequential(fv.Named("conv1", fv.Conv2d(4, 1)), fv.Conv2d(4, 1))) == ["conv1", "conv2"]


def test_nested_names_are_dotted_paths():
    network = fv.Named("stage1", fv.Sequential(fv.Named("0", fv.Sequential(fv.Named("conv1", fv.Conv2d(4, 1))))))
    assert names(network) == ["stage1.0.conv1"]


def test_numbers_begin_anew_in_every_scope():
    network = fv.Sequential(
        fv.Conv2d(4, 1), fv.Named("a", fv.Sequential(fv.Conv2d(4, 1), fv.Conv2d(4, 1))), fv.Conv2d(4, 1)
    )
    assert names(network) == ["conv1", "a.conv1", "a.conv2", "conv2"]


def test_two_layers_of_one_name_are_refused():
    network = fv.Sequential(fv.Named("stem", fv.Conv2d(4, 1)), fv.Named("stem", fv.Conv2d(4, 1)))
    with pytest.raises(fv.GraphError, match=says('two layers are called "stem"; give one of them another name')):
        network.build((1, 8, 8))


def test_a_layer_cannot_have_the_name_of_an_input():
    with pytest.raises(fv.GraphError, match=says('two layers are called "input"; give one of them another name')):
        fv.Named("input", fv.Conv2d(4, 1)).build((1, 8, 8))


def test_two_inputs_of_one_name_are_refused():
    builder = fv.GraphBuilder()
    builder.input((1, 8, 8), "image")
    with pytest.raises(fv.GraphError, match=r'^two inputs are called "image"; give each its own'):
        builder.input((1, 8, 8), "image")


def test_a_scope_ends_even_after_a_mistake():
    builder = fv.GraphBuilder()
    with pytest.raises(RuntimeError, match="interrupted"), builder.scope("inner"):
        raise RuntimeError("interrupted")
    assert builder.path("conv1") == "conv1"


# What is refused


@pytest.mark.parametrize(
    ("shape", "sentence"),
    [
        ((), "input shape () must be ints of at least 1, channels first, without the batch axis"),
        ((3, 0, 5), "input shape (3, 0, 5) must be ints of at least 1, channels first, without the batch axis"),
        ((3, -1), "input shape (3, -1) must be ints of at least 1, channels first, without the batch axis"),
        ((3, 8.0), "input shape (3, 8.0) must be ints of at least 1, channels first, without the batch axis"),
        ((None, 3, 8), "input shape (None, 3, 8) must be ints of at least 1, channels first, without the batch axis"),
        ((1, 2**31), "input shape 1x2147483648 has an axis longer than 2147483647"),
    ],
)
def test_an_input_shape_is_positive_ints(shape: Any, sentence: str):
    with pytest.raises(fv.ShapeError, match=says(sentence)):
        fv.Sequential(fv.Flatten()).build(shape)


def test_an_input_shape_that_is_a_single_int_is_understood_or_refused_in_a_sentence():
    try:
        graph = fv.Sequential(fv.Linear(10)).build(784)  # type: ignore[arg-type]
    except fv.ShapeError as error:
        assert "784" in str(error)  # noqa: PT017
    else:
        assert graph.input_shape == (784,)


def test_a_graph_needs_an_output():
    builder = fv.GraphBuilder()
    builder.add(fv.ReLU(), builder.input((3,)))
    sentence = "a graph needs at least one output: pass the value that the last layer returned to build()"
    with pytest.raises(fv.GraphError, match=says(sentence)):
        builder.build()


def test_a_value_of_another_builder_is_no_input():
    builder, other = fv.GraphBuilder(), fv.GraphBuilder()
    builder.input((3,), "mine")
    value = other.input((3,), "theirs")
    with pytest.raises(fv.GraphError, match="theirs"):
        builder.add(fv.ReLU(), value)


def test_a_value_of_another_builder_is_no_output():
    builder, other = fv.GraphBuilder(), fv.GraphBuilder()
    builder.add(fv.ReLU(), builder.input((3,)))
    value = other.add(fv.Tanh(), other.input((3,)))
    with pytest.raises(fv.GraphError, match="tanh1"):
        builder.build(value)


def test_a_mistake_names_the_layer_its_place_and_the_shapes_so_far():
    network = fv.Sequential(fv.Named("stem", fv.Conv2d(8, 3)), fv.ReLU(), fv.Linear(10))
    expected = (
        "layer 3, linear1 (Linear 10): needs a flat input, but gets 8x7x7. Put Flatten before it, or GlobalAvgPool2d "
        "to keep only the channels\nShapes so far: input 1x9x9 -> stem 8x7x7 -> relu1 8x7x7"
    )
    with pytest.raises(fv.ShapeError, match=says(expected)):
        network.build((1, 9, 9))


def test_a_long_trace_shows_the_input_and_the_last_six_layers():
    network = fv.Sequential(*(fv.Conv2d(4, 3) for _ in range(9)), fv.Linear(10))
    expected = (
        "Shapes so far: input 1x30x30 -> ... -> conv4 4x22x22 -> conv5 4x20x20 -> conv6 4x18x18 -> conv7 4x16x16 -> "
        "conv8 4x14x14 -> conv9 4x12x12"
    )
    with pytest.raises(fv.ShapeError, match=f"{re.escape(expected)}$"):
        network.build((1, 30, 30))


def test_a_mistake_carries_the_graph_as_far_as_it_was_built():
    with pytest.raises(fv.ShapeError) as refused:
        fv.Sequential(fv.Conv2d(8, 3), fv.ReLU(), fv.Linear(10)).build((1, 9, 9))
    partial = refused.value.partial
    assert isinstance(partial, Graph)
    assert [node.name for node in partial.nodes] == ["conv1", "relu1"]
    assert partial.output_shape == (8, 7, 7)
    assert partial.summary().total_parameters == 80


def test_a_mistake_in_the_first_layer_carries_the_input_alone():
    with pytest.raises(fv.ShapeError) as refused:
        fv.Sequential(fv.Linear(10)).build((1, 9, 9))
    assert refused.value.partial.nodes == ()
    assert refused.value.partial.input_shape == (1, 9, 9)


# Sharing


def test_two_nodes_share_parameters_by_naming_the_same_key():
    builder = fv.GraphBuilder()
    x = builder.input((4, 8, 8))
    first = builder.add(fv.Conv2d(4, 3, padding=1), x, parameters="shared")
    second = builder.add(fv.Conv2d(4, 3, padding=1), first, parameters="shared")
    graph = builder.build(second)
    assert list(graph.parameters) == ["shared.weight", "shared.bias"]
    assert [node.name for node in graph.owners] == ["conv1"]
    assert graph.summary().total_parameters == 4 * 4 * 9 + 4


def test_two_equal_layers_share_nothing_by_themselves():
    layer = fv.Conv2d(4, 3, padding=1)
    graph = fv.Sequential(layer, layer).build((4, 8, 8), quiet=True)
    assert list(graph.parameters) == ["conv1.weight", "conv1.bias", "conv2.weight", "conv2.bias"]


def test_sharing_needs_equal_shapes():
    builder = fv.GraphBuilder()
    first = builder.add(fv.Conv2d(4, 3), builder.input((1, 8, 8)), parameters="shared")
    expected = (
        'conv2 (Conv2d 3x3) shares the parameters "shared" with conv1 (Conv2d 3x3), whose are weight 4x1x3x3, '
        "bias 4, but its own are weight 4x4x3x3, bias 4; give both the same layer and input"
    )
    with pytest.raises(fv.GraphError, match=says(expected)):
        builder.add(fv.Conv2d(4, 3), first, parameters="shared")


def test_sharing_with_a_layer_of_no_parameters_is_refused():
    builder = fv.GraphBuilder()
    first = builder.add(fv.Linear(4), builder.input((4,)), parameters="shared")
    with pytest.raises(fv.GraphError, match=r"whose are weight 4x4, bias 4, but its own are none; give both"):
        builder.add(fv.ReLU(), first, parameters="shared")


def test_sharing_needs_equal_statistics_too():
    builder = fv.GraphBuilder()
    first = builder.add(fv.BatchNorm2d(affine=False), builder.input((3, 8, 8)), parameters="shared")
    wider = builder.add(fv.Conv2d(5, 1), first)
    with pytest.raises(fv.GraphError, match="shared"):
        builder.add(fv.BatchNorm2d(affine=False), wider, parameters="shared")


# Graphs


def diamond() -> Graph:
    builder = fv.GraphBuilder(name="diamond")
    x = builder.input((3, 8, 8))
    stem = builder.add(fv.Conv2d(8, 3, padding=1), x, name="stem")
    left, right = builder.add(fv.ReLU(), stem, name="left"), builder.add(fv.Tanh(), stem, name="right")
    return builder.build(builder.add(fv.Add(), left, right, name="sum"))


def test_a_graph_knows_its_shapes_consumers_and_ends():
    graph = diamond()
    assert (graph.only_input, graph.input_shape) == ("input", (3, 8, 8))
    assert (graph.only_output, graph.output_shape) == ("sum", (8, 8, 8))
    assert graph.shapes["left"] == (8, 8, 8)
    assert {name: [node.name for node in nodes] for name, nodes in graph.consumers.items()} == {
        "input": ["stem"],
        "stem": ["left", "right"],
        "left": ["sum"],
        "right": ["sum"],
        "sum": [],
    }


def test_a_node_that_reads_a_value_twice_is_one_consumer():
    builder = fv.GraphBuilder()
    x = builder.input((3,))
    graph = builder.build(builder.add(fv.Add(), x, x))
    assert len(graph.consumers["input"]) == 1


def test_an_unknown_layer_is_refused_with_the_nearest_names():
    with pytest.raises(fv.GraphError, match=says('there is no layer "rigt". Nearest: right')):
        diamond().node("rigt")


def test_names_that_resemble_nothing_list_the_first_five():
    assert nearest("zzz", ["a1", "b1", "c1", "d1", "e1", "f1"]) == " Nearest: a1, b1, c1, d1, e1"
    assert nearest("zzz", []) == ""


def test_one_of_several_outputs_must_be_named():
    builder = fv.GraphBuilder()
    x = builder.input((3,))
    graph = builder.build(builder.add(fv.ReLU(), x), builder.add(fv.Tanh(), x))
    with pytest.raises(fv.GraphError, match=says("the network has 2 outputs (relu1, tanh1); name one of them")):
        graph.output_shape  # noqa: B018 (the property raises)


def test_one_of_several_inputs_must_be_named():
    builder = fv.GraphBuilder()
    total = builder.add(fv.Add(), builder.input((3,), "left"), builder.input((3,), "right"))
    with pytest.raises(fv.GraphError, match=says("the network has 2 inputs (left, right); name one of them")):
        builder.build(total).input_shape  # noqa: B018 (the property raises)


def test_graphs_are_equal_when_their_nodes_are_whatever_they_are_called():
    network = fv.Sequential(fv.Conv2d(8, 3), fv.ReLU())
    assert network.build((1, 9, 9), name="one") == network.build((1, 9, 9), name="two")
    assert network.build((1, 9, 9)) != network.build((1, 8, 8))


def test_a_graph_and_its_nodes_are_frozen():
    graph = diamond()
    with pytest.raises(AttributeError):
        graph.nodes = ()  # type: ignore[misc]
    with pytest.raises(AttributeError):
        graph.nodes[0].name = "other"  # type: ignore[misc]


def test_a_node_prints_its_name_and_its_layer():
    assert str(diamond().node("stem")) == "stem (Conv2d 3x3, padding 1)"
