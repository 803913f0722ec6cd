"""A network that cannot be built: its summary so far, the reason, and changes with which it builds."""

import pickle
from collections.abc import Sequence

import pytest

import foveate as fv
from foveate.graph import Rebuilt, Value
from foveate.graph.analysis.repair import Change, offer
from foveate.zoo import make

Case = tuple[list[fv.Layer], tuple[int, ...], bool, list[str]]

CASES: dict[str, Case] = {
    "the design's example": (
        [fv.Conv2d(8, 3), fv.Conv2d(8, 3, stride=3)], (1, 9, 9), True,
        ["conv2: stride 2", "conv2: stride 1", "conv2: padding 1", "conv2: padding (2, 3)"],
    ),
    "a window longer than its input": (
        [fv.Conv2d(8, 3), fv.Conv2d(8, 9), fv.Flatten(), fv.Linear(3)], (1, 9, 9), False,
        ["conv2: kernel_size 7x7", 'conv2: padding "same"', "an input of 1x11x11"],
    ),
    "a linear layer on maps": (
        [fv.Conv2d(8, 3), fv.Linear(3)], (1, 9, 9), False,
        ["Flatten before linear1", "GlobalAvgPool2d before linear1"],
    ),
    "groups that do not divide": ([fv.Conv2d(8, 3, groups=4)], (6, 9, 9), False, ["conv1: groups 1"]),
    "another number of axes": ([fv.Conv1d(8, 3)], (1, 9, 9), False, ["conv1: Conv2d", "an input of 1x81"]),
    "another number of axes all along": (
        [fv.Conv1d(8, 3), fv.BatchNorm1d()], (1, 9, 9), False, ["an input of 1x81"]
    ),
    "fewer axes than its layers": ([fv.Conv3d(8, 3), fv.BatchNorm3d()], (1, 9, 9), False, ["an input of 1x9x9x9"]),
    "a convolution after flattening": ([fv.Flatten(), fv.Conv2d(3, 3)], (1, 9, 9), False, ["without conv1"]),
    "a strict pooling": ([fv.MaxPool2d(2), fv.MaxPool2d(2)], (1, 6, 8), True, ["pool2: stride 1x2"]),
}  # fmt: skip


def refused(network: fv.Sequential | fv.Residual | fv.Concat, shape: Sequence[int], strict: bool) -> fv.FoveateError:
    with pytest.raises(fv.FoveateError) as caught:
        network.build(shape, strict=strict)
    return caught.value


@pytest.mark.parametrize(("layers", "shape", "strict", "texts"), CASES.values(), ids=CASES)
def test_each_change_applied_by_hand_builds(layers: list, shape: tuple[int, ...], strict: bool, texts: list[str]):
    error = refused(fv.Sequential(*layers), shape, strict)
    assert [str(change) for change in error.changes][: len(texts)] == texts
    built = len(error.partial.nodes)
    for change in error.changes:
        applied = list(layers)
        if change.layers:
            (replacement,) = change.layers.values()
            applied[built : built + 1] = replacement
        graph = fv.Sequential(*applied).build(change.input_shape, strict=strict, quiet=True)
        assert graph.output_shape == change.build().output_shape


def test_a_shortcut_is_offered_where_a_block_changes_its_shape():
    error = refused(fv.Sequential(fv.Residual(fv.Conv2d(8, 3, stride=2, padding=1), fv.ReLU())), (1, 9, 9), False)
    assert [str(change) for change in error.changes] == ["residual1.shortcut: Conv2d 1x1, stride 2 to 8 channels"]
    shortcut = fv.Conv2d(8, 1, stride=2)
    applied = fv.Residual(fv.Conv2d(8, 3, stride=2, padding=1), fv.ReLU(), shortcut=shortcut).build((1, 9, 9))
    assert applied.output_shape == error.changes[0].build().output_shape == (8, 5, 5)


def test_same_is_offered_where_a_block_shrinks_its_input():
    error = refused(fv.Residual(fv.Conv2d(8, 3), fv.Conv2d(8, 3)), (8, 9, 9), False)
    shortcut, same = error.changes
    assert (str(shortcut), shortcut.build().output_shape) == (
        "residual1.shortcut: Conv2d 1x1, stride 2 to 8 channels",
        (8, 5, 5),
    )
    assert (str(same), same.build().output_shape) == (
        'padding "same" in residual1.conv1 and residual1.conv2',
        (8, 9, 9),
    )


def test_same_is_offered_where_branches_differ():
    error = refused(fv.Concat(fv.Conv2d(8, 3), fv.Conv2d(8, 1)), (1, 9, 9), False)
    assert error.changes[0].build().output_shape == (16, 9, 9)
    assert error.changes[0].text.startswith('padding "same" in concat1.branch1.conv1 and')


@pytest.mark.parametrize(("name", "shape"), [("lenet5", (1, 5, 5)), ("vgg11", (3, 16, 16)), ("alexnet", (3, 32, 32))])
def test_a_zoo_network_on_too_small_an_image_names_one_that_is_large_enough(name: str, shape: tuple[int, ...]):
    with pytest.raises(fv.ShapeError) as caught:
        make(name, input_shape=shape)
    assert caught.value.partial.summary().rows
    larger = [change.input_shape for change in caught.value.changes if change.text.startswith("an input of")]
    assert len(larger) == 1
    assert make(name, input_shape=larger[0]).input_shape == larger[0]
    smaller = (shape[0], *(size - 1 for size in larger[0][1:]))
    with pytest.raises(fv.ShapeError):
        make(name, input_shape=smaller)


def test_a_strict_network_of_any_shape_names_an_input_that_fits():
    graph = make("vgg6", input_shape=(1, 28, 27))
    error = refused(Rebuilt(graph), graph.input_shape, True)
    shapes = [change.input_shape for change in error.changes if not change.layers]
    assert shapes == [(1, 24, 24)]
    assert make("vgg6", input_shape=shapes[0]).nodes[0].dropped == (0, 0)


def test_a_graph_can_be_built_again_under_its_own_names():
    graph = make("resnet20")
    assert Rebuilt(graph).build(graph.input_shape, quiet=True) == graph


def test_an_error_without_a_network_has_no_changes():
    builder = fv.GraphBuilder()
    with pytest.raises(fv.ShapeError) as caught:
        builder.add(fv.Linear(3), builder.input((1, 9, 9)))
    assert caught.value.changes == ()
    assert caught.value.place.path == "linear1"
    assert offer(()) == ""


class Counted(fv.Sequential):
    """Counts how often it is built."""

    built = 0

    def lower(self, builder: fv.GraphBuilder, value: Value) -> Value:
        self.built += 1
        return super().lower(builder, value)


def test_changes_are_looked_for_when_first_asked_for_and_once():
    network = Counted(fv.Conv2d(8, 3), fv.Linear(3))
    error = refused(network, (1, 9, 9), False)
    assert network.built == 1
    assert [str(change) for change in error.changes[:1]] == ["Flatten before linear1"]
    tried = network.built
    assert len(error.changes) == len(list(error.changes)) == 2
    assert network.built == tried > 1


def test_an_error_with_its_changes_can_be_sent_to_another_process():
    error = refused(fv.Sequential(fv.Conv2d(8, 3), fv.Linear(3)), (1, 9, 9), False)
    sent = pickle.loads(pickle.dumps(error))
    assert str(sent) == str(error)
    assert (sent.place, sent.partial) == (error.place, error.partial)
    assert list(sent.changes) == list(error.changes)
    assert sent.changes[0].build().output_shape == (3,)


def test_the_offer_is_a_sentence():
    network = fv.Sequential(fv.ReLU())
    changes = [Change("a", (1,), network=network), Change("b", (1,), network=network)]
    assert offer(changes) == "It builds with a, or b."
