"""Graphs made from others: node by node through the builder's checks, or cut down to what outputs need."""

import pytest

import foveate as fv
from foveate.graph import Graph, Node, Rebuilt, as_it_is, cut, rewrite
from foveate.zoo import make


def forked() -> Graph:
    """Two inputs, shared weights, a branch of the second input alone, and two outputs."""
    builder = fv.GraphBuilder(name="forked")
    left, right = builder.input((1, 9, 9), "left"), builder.input((1, 9, 9), "right")
    first = builder.add(fv.Conv2d(4, 3), left, name="first")
    second = builder.add(fv.Conv2d(4, 3), right, name="second", parameters="first")
    alone = builder.add(fv.ReLU(), second, name="alone")
    return builder.build(builder.add(fv.Add(), first, second, name="sum"), alone)


def without_relu(node: Node) -> dict[str, fv.Layer]:
    return {} if isinstance(node.layer, fv.ReLU) else as_it_is(node)


@pytest.mark.parametrize("name", ["lenet5", "resnet20", "squeezenet1_0", "densenet121"])
def test_rewriting_nothing_gives_an_equal_graph(name: str):
    graph = make(name)
    again = rewrite(graph)
    assert again == graph
    assert again.name == graph.name
    assert rewrite(graph, name="other").name == "other"


def test_names_inputs_outputs_and_shared_parameters_stay():
    graph = forked()
    assert rewrite(graph) == graph
    assert rewrite(graph).parameters == graph.parameters


def test_a_layer_is_replaced_and_every_shape_after_it_resolved_again():
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.ReLU(), fv.Flatten(), fv.Linear(2)).build((1, 9, 9))
    wider = rewrite(graph, lambda node: {node.name: fv.Conv2d(8, 5) if node.name == "conv1" else node.layer})
    assert wider == fv.Sequential(fv.Conv2d(8, 5), fv.ReLU(), fv.Flatten(), fv.Linear(2)).build((1, 9, 9))


def test_what_is_left_out_lets_its_input_through_even_where_it_is_an_output():
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.ReLU()).build((1, 9, 9))
    assert rewrite(graph, without_relu) == fv.Sequential(fv.Conv2d(4, 3)).build((1, 9, 9))
    assert rewrite(forked(), without_relu).outputs == ("sum", "second")


def test_several_layers_take_the_place_of_one():
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.ReLU()).build((1, 9, 9))

    def change(node: Node) -> dict[str, fv.Layer]:
        return {"norm": fv.BatchNorm2d(), **as_it_is(node)} if node.name == "relu1" else as_it_is(node)

    changed = rewrite(graph, change)
    assert [(node.name, node.inputs) for node in changed.nodes] == [
        ("conv1", ("input",)), ("norm", ("conv1",)), ("relu1", ("norm",))
    ]  # fmt: skip
    assert {key.partition(".")[0] for key in changed.parameters} == {"conv1", "norm"}


def test_a_layer_that_does_not_fit_is_refused_with_its_place():
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.Conv2d(4, 3)).build((1, 9, 9))
    with pytest.raises(fv.ShapeError, match=r"^layer 2, conv2 \(Conv2d 3x3\): ") as caught:
        rewrite(graph, lambda node: {node.name: fv.Conv2d(4, 8)} if node.name == "conv1" else as_it_is(node))
    assert [node.name for node in caught.value.partial.nodes] == ["conv1"]


def test_a_name_given_twice_is_refused():
    graph = fv.Sequential(fv.ReLU(), fv.ReLU()).build((3,))
    with pytest.raises(fv.GraphError, match='two layers are called "same"'):
        rewrite(graph, lambda node: {"same": node.layer})


def test_the_strict_rule_holds_for_graphs_of_several_inputs():
    builder = fv.GraphBuilder()
    ends = [builder.add(fv.MaxPool2d(2), builder.input((1, 5, 5), name)) for name in ("a", "b")]
    graph = builder.build(*ends, quiet=True)
    assert rewrite(graph) == graph
    with pytest.raises(fv.ShapeError, match="would never be seen"):
        rewrite(graph, strict=True)


def test_a_rewritten_graph_is_a_block_for_others():
    head = fv.Sequential(Rebuilt(cut(make("lenet5"), ["flatten1"]), without_relu), fv.Linear(3))
    graph = head.build((1, 32, 32), name="new_head")
    assert graph.output_shape == (3,)
    assert not any(isinstance(node.layer, fv.ReLU) for node in graph.nodes)


def test_cut_keeps_what_the_outputs_need_and_the_order():
    graph = forked()
    part = cut(graph, ["alone"])
    assert [node.name for node in part.nodes] == ["second", "alone"]
    assert (dict(part.inputs), part.outputs, part.name) == ({"right": (1, 9, 9)}, ("alone",), "forked")
    assert part.parameters == graph.parameters
    assert [node.name for node in cut(graph, ["first", "second"]).nodes] == ["first", "second"]
    assert cut(graph, ["first", "second"]).outputs == ("first", "second")


def test_cut_gives_the_graph_itself_where_nothing_falls_away():
    graph = make("resnet20")
    assert cut(graph, graph.outputs) is graph


def test_cut_refuses_what_is_no_layer():
    with pytest.raises(fv.GraphError, match=r'^there is no layer "frist"\. Nearest: first'):
        cut(forked(), ["frist"])
    with pytest.raises(fv.GraphError, match=r"^cut needs at least one output; give the names of layers$"):
        cut(forked(), [])
