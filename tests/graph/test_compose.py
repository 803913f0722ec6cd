"""Sequential, Residual, Concat and Named lower to nodes with names, shapes and joins."""

import re
from typing import Any

import pytest

import foveate as fv
from foveate.graph import Graph


def says(sentence: str) -> str:
    """A pattern that a whole message must match."""
    return f"^{re.escape(sentence)}$"


def joins(graph: Graph) -> dict[str, tuple[str, ...]]:
    """Each node with what it reads."""
    return {node.name: node.inputs for node in graph.nodes}


def same() -> fv.Conv2d:
    return fv.Conv2d(4, 3, padding=1)


def test_a_sequence_joins_each_layer_to_the_one_before():
    graph = fv.Sequential(same(), fv.ReLU(), fv.Sequential(same(), fv.Tanh())).build((4, 8, 8))
    assert joins(graph) == {"conv1": ("input",), "relu1": ("conv1",), "conv2": ("relu1",), "tanh1": ("conv2",)}
    assert graph.outputs == ("tanh1",)


def test_a_residual_block_adds_its_input():
    graph = fv.Sequential(fv.ReLU(), fv.Residual(same(), fv.ReLU(), same(), after=fv.Tanh())).build((4, 8, 8))
    assert joins(graph) == {
        "relu1": ("input",),
        "residual1.conv1": ("relu1",),
        "residual1.relu1": ("residual1.conv1",),
        "residual1.conv2": ("residual1.relu1",),
        "residual1.add": ("residual1.conv2", "relu1"),
        "residual1.tanh1": ("residual1.add",),
    }


def test_a_shortcut_goes_the_other_way():
    block = fv.Residual(fv.Conv2d(8, 3, stride=2, padding=1), shortcut=fv.Conv2d(8, 1, stride=2))
    assert joins(block.build((4, 8, 8), quiet=True)) == {
        "residual1.conv1": ("input",),
        "residual1.shortcut.conv1": ("input",),
        "residual1.add": ("residual1.conv1", "residual1.shortcut.conv1"),
    }


def test_a_shortcut_can_be_a_sequence_and_so_can_what_comes_after():
    block = fv.Residual(
        same(), shortcut=fv.Sequential(fv.AvgPool2d(3, stride=1, padding=1), fv.Named("project", fv.Conv2d(4, 1))),
        after=fv.Sequential(fv.ReLU(), fv.MaxPool2d(2)),
    )  # fmt: skip
    assert list(joins(block.build((4, 8, 8)))) == [
        "residual1.conv1", "residual1.shortcut.pool1", "residual1.shortcut.project", "residual1.add",
        "residual1.relu1", "residual1.pool1",
    ]  # fmt: skip


def test_a_named_residual_block_has_no_second_scope():
    graph = fv.Named("0", fv.Residual(same())).build((4, 8, 8))
    assert list(joins(graph)) == ["0.conv1", "0.add"]


def test_residual_blocks_nest_and_are_numbered():
    graph = fv.Sequential(fv.Residual(fv.Residual(same())), fv.Residual(same())).build((4, 8, 8))
    assert list(joins(graph)) == [
        "residual1.residual1.conv1",
        "residual1.residual1.add",
        "residual1.add",
        "residual2.conv1",
        "residual2.add",
    ]


def test_branches_are_joined_along_the_channels():
    graph = fv.Concat(fv.Conv2d(8, 1), fv.Sequential(fv.Conv2d(4, 1), fv.Conv2d(16, 3, padding=1))).build((3, 8, 8))
    assert joins(graph) == {
        "concat1.branch1.conv1": ("input",),
        "concat1.branch2.conv1": ("input",),
        "concat1.branch2.conv2": ("concat1.branch2.conv1",),
        "concat1.concat": ("concat1.branch1.conv1", "concat1.branch2.conv2"),
    }
    assert graph.output_shape == (24, 8, 8)


def test_named_branches_keep_their_names():
    graph = fv.Named("mixed", fv.Concat(fv.Named("1x1", fv.Conv2d(8, 1)), fv.MaxPool2d(1))).build((3, 8, 8))
    assert list(joins(graph)) == ["mixed.1x1", "mixed.branch2.pool1", "mixed.concat"]


def test_a_composite_can_be_built_twice():
    network = fv.Sequential(same(), fv.Residual(same()))
    assert network.build((4, 8, 8)) == network.build((4, 8, 8))
    assert network.build((3, 6, 6)).input_shape == (3, 6, 6)


# Residual shapes


@pytest.mark.parametrize(
    ("block", "shape", "sentence"),
    [
        (
            fv.Conv2d(8, 3, padding=1),
            (4, 8, 8),
            "the block turns 4x8x8 into 8x8x8, so the input cannot be added to it. shortcut=Conv2d(8, 1) would do",
        ),
        (
            fv.Conv2d(8, 3, stride=2, padding=1),
            (4, 9, 9),
            "the block turns 4x9x9 into 8x5x5, so the input cannot be added to it. "
            "shortcut=Conv2d(8, 1, stride=2) would do",
        ),
        (
            fv.Conv2d(8, 3, stride=(2, 1), padding=1),
            (4, 8, 8),
            "the block turns 4x8x8 into 8x4x8, so the input cannot be added to it. "
            "shortcut=Conv2d(8, 1, stride=(2, 1)) would do",
        ),
        (
            fv.Conv1d(8, 3, stride=3, padding=1),
            (4, 9),
            "the block turns 4x9 into 8x3, so the input cannot be added to it. "
            "shortcut=Conv1d(8, 1, stride=3) would do",
        ),
        (
            fv.Conv2d(4, 3),
            (4, 8, 8),
            "the block turns 4x8x8 into 4x6x6, so the input cannot be added to it. Its sizes do not match by any "
            'stride: use padding="same" in the block, and shortcut=Conv2d(4, 1)',
        ),
        (
            fv.Linear(3),
            (4,),
            "the block turns 4 into 3, so the input cannot be added to it. "
            "Give it a shortcut whose output has the same shape",
        ),
        (
            fv.GlobalAvgPool2d(),
            (4, 3, 3),
            "the block turns 4x3x3 into 4, so the input cannot be added to it. "
            "Give it a shortcut whose output has the same shape",
        ),
    ],
    ids=["channels", "stride 2", "strides 2 and 1", "1-D", "no stride", "features", "other axes"],
)
def test_a_block_whose_shape_changes_says_which_shortcut_would_do(
    block: fv.Layer, shape: tuple[int, ...], sentence: str
):
    with pytest.raises(fv.ShapeError, match=says(f"residual1.add: {sentence}")) as refused:
        fv.Residual(block).build(shape, quiet=True)
    assert [node.name.split(".")[0] for node in refused.value.partial.nodes] == ["residual1"]


@pytest.mark.parametrize(
    ("block", "size"),
    [(fv.MaxPool2d(2), 5), (fv.MaxPool2d(4), 9), (fv.Conv2d(4, 3, stride=2, padding=1), 7), (fv.MaxPool2d(3), 11)],
    ids=["5 to 2", "9 to 2", "7 to 4", "11 to 3"],
)
def test_where_some_stride_matches_the_shortcut_that_is_offered_would_do(block: fv.Layer, size: int):
    with pytest.raises(fv.ShapeError) as refused:
        fv.Residual(block).build((4, size, size), quiet=True)
    offered = re.search(r"shortcut=Conv2d\(4, 1, stride=(\d+)\) would do", str(refused.value))
    assert offered, str(refused.value)
    shortcut = fv.Conv2d(4, 1, stride=int(offered[1]))
    assert fv.Residual(block, shortcut=shortcut).build((4, size, size), quiet=True).nodes


def test_a_shortcut_of_another_shape_than_the_block_is_refused():
    sentence = "residual1.add: the block's output is 4x8x8, but its shortcut's is 8x8x8; make them equal"
    with pytest.raises(fv.ShapeError, match=says(sentence)):
        fv.Residual(same(), shortcut=fv.Conv2d(8, 1)).build((4, 8, 8))


# What is not a layer


COMPOSITES: dict[str, Any] = {"Sequential": fv.Sequential, "Residual": fv.Residual, "Concat": fv.Concat}


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_composite_of_nothing_is_refused(composite: str):
    with pytest.raises(fv.GraphError, match=says(f"{composite} has no layers; give it at least one")):
        COMPOSITES[composite]()


@pytest.mark.parametrize("composite", COMPOSITES)
def test_a_class_without_its_parentheses_is_refused(composite: str):
    with pytest.raises(fv.GraphError, match=says(f"{composite}: number 2 is the class ReLU; write ReLU()")):
        COMPOSITES[composite](same(), fv.ReLU)


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("block", [None, "relu", 3, [fv.ReLU()], lambda x: x, dict], ids=str)
def test_what_is_no_layer_is_refused(composite: str, block: Any):
    sentence = f"{composite}: number 1 is {block!r}, which is neither a layer nor a composite of layers"
    with pytest.raises(fv.GraphError, match=says(sentence)):
        COMPOSITES[composite](block)


@pytest.mark.parametrize("option", ["shortcut", "after"])
@pytest.mark.parametrize("block", [fv.ReLU, "relu", 3], ids=str)
def test_a_shortcut_or_what_comes_after_must_be_a_layer_too(option: str, block: Any):
    with pytest.raises(fv.GraphError, match="Residual"):
        fv.Residual(same(), **{option: block}).build((4, 8, 8))


@pytest.mark.parametrize("name", ["", " stem", "stem ", "a.b"])
def test_a_name_is_a_word_without_dots(name: str):
    sentence = f'"{name}" cannot be a name: it must be a word without dots (dots join nested names)'
    with pytest.raises(fv.GraphError, match=says(sentence)):
        fv.Named(name, fv.ReLU())


def test_a_name_needs_a_layer():
    with pytest.raises(fv.GraphError, match=says("Named: number 1 is the class ReLU; write ReLU()")):
        fv.Named("stem", fv.ReLU)  # type: ignore[arg-type]
