"""Graphs as JSON: what is written is read again, and what is damaged is refused in a sentence."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

import foveate as fv
from foveate.graph import Graph
from foveate.zoo import NETWORKS, make
from tests.layers.examples import EXAMPLES


def again(graph: Graph) -> Graph:
    """Through text, as in a file."""
    return Graph.from_json(json.loads(json.dumps(graph.to_json())))


def branching() -> Graph:
    builder = fv.GraphBuilder(name="branching")
    image, mask = builder.input((3, 8, 8), "image"), builder.input((3, 8, 8), "mask")
    both = builder.add(fv.Add(), image, mask)
    first = builder.add(fv.Conv2d(4, 3, padding="same"), both, name="stage1.0.conv", parameters="shared")
    second = builder.add(fv.Conv2d(4, 3, padding="same"), both, name="stage1.1.conv", parameters="shared")
    return builder.build(builder.add(fv.Concatenate(), first, second), first)


NETWORK = fv.Sequential(
    fv.Conv2d(8, 3, padding=((1, 2), 0)), fv.BatchNorm2d(momentum=0.2), fv.LeakyReLU(0.2), fv.MaxPool2d(2),
    fv.Residual(fv.Conv2d(8, 3, padding="same")), fv.Pad(((0, 0), (1, 1), (1, 1))), fv.Dropout(0.25),
    fv.Flatten(), fv.Linear(10),
)  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_the_zoo_survives(name: str):
    graph = make(name)
    assert again(graph) == graph
    assert again(graph).name == name


@pytest.mark.parametrize(
    "graph", [branching(), NETWORK.build((3, 9, 9), quiet=True)], ids=["several ends, shared", "options"]
)
def test_a_graph_survives(graph: Graph):
    assert again(graph) == graph


def test_the_options_of_every_layer_survive_json():
    for layer in EXAMPLES:
        options = json.loads(json.dumps(layer.options()))
        tupled = {name: _tuples(value) for name, value in options.items()}
        assert type(layer)(**tupled) == layer


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value


def test_what_is_written_is_plain_data():
    graph = fv.Sequential(fv.Conv2d(2, 3), fv.ReLU()).build((1, 5, 5), name="tiny")
    assert graph.to_json() == {
        "format_version": 1,
        "name": "tiny",
        "inputs": {"input": [1, 5, 5]},
        "nodes": [
            {
                "name": "conv1",
                "type": "Conv2d",
                "options": {
                    "out_channels": 2,
                    "kernel_size": (3, 3),
                    "stride": (1, 1),
                    "padding": ((0, 0), (0, 0)),
                    "dilation": (1, 1),
                    "groups": 1,
                    "bias": True,
                    "initializer": "auto",
                    "frozen": False,
                    "padding_mode": "zeros",
                },
                "inputs": ["input"],
                "parameters": "conv1",
            },
            {"name": "relu1", "type": "ReLU", "options": {}, "inputs": ["conv1"], "parameters": "relu1"},
        ],
        "outputs": ["relu1"],
    }


def written() -> dict[str, Any]:
    return json.loads(json.dumps(fv.Sequential(fv.Conv2d(2, 3), fv.ReLU()).build((1, 5, 5)).to_json()))


def test_reading_gives_no_warning_for_dropped_borders():
    graph = fv.Sequential(fv.MaxPool2d(2)).build((1, 5, 5), quiet=True)
    assert again(graph) == graph


@pytest.mark.parametrize("version", [0, 2, "1", None, 1.5])
def test_another_format_version_is_refused(version: Any):
    sentence = (
        f"its network has format version {version!r}, but this foveate reads version 1; "
        "install the foveate that wrote it, or a newer one"
    )
    with pytest.raises(fv.FileError, match=f"^{re.escape(sentence)}$"):
        Graph.from_json(written() | {"format_version": version})


@pytest.mark.parametrize("data", [None, [], "network", 3, {}], ids=repr)
def test_what_is_no_description_is_refused(data: Any):
    with pytest.raises(fv.FileError, match=r"^its network has format version None, "):
        Graph.from_json(data)


DAMAGE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no inputs": lambda data: data.pop("inputs"),
    "no nodes": lambda data: data.pop("nodes"),
    "no outputs": lambda data: data.pop("outputs"),
    "inputs a list": lambda data: data.update(inputs=[["input", [1, 5, 5]]]),
    "a shape that is no list": lambda data: data["inputs"].update(input=5),
    "nodes a number": lambda data: data.update(nodes=3),
    "a node that is no mapping": lambda data: data["nodes"].append(None),
    "a node without a type": lambda data: data["nodes"][0].pop("type"),
    "a node whose type is a list": lambda data: data["nodes"][0].update(type=[]),
    "a node without options": lambda data: data["nodes"][0].pop("options"),
    "options that are no mapping": lambda data: data["nodes"][0].update(options=[1]),
    "a node without inputs": lambda data: data["nodes"][0].pop("inputs"),
    "an input that does not exist": lambda data: data["nodes"][1].update(inputs=["conv7"]),
    "an input that comes later": lambda data: data["nodes"].reverse(),
    "a node whose name is a number": lambda data: data["nodes"][1].update(name=7),
    "an output that does not exist": lambda data: data.update(outputs=["relu7"]),
    "outputs a number": lambda data: data.update(outputs=1),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_description_is_refused_in_a_sentence(damage: Callable[[dict[str, Any]], Any]):
    data = written()
    damage(data)
    with pytest.raises(fv.FileError, match=r"^its network description is damaged: \w+Error "):
        Graph.from_json(data)


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        (lambda data: data["nodes"][0].update(type="Capsule"), fv.LayerError, "there is no layer type 'Capsule'"),
        (lambda data: data["nodes"][0]["options"].update(colour=1), fv.LayerError, "no option colour"),
        (lambda data: data["nodes"][0]["options"].update(groups=0), fv.LayerError, "groups is 0"),
        (lambda data: data["inputs"].update(input=[1, 2, 2]), fv.ShapeError, "layer 1, conv1 .* does not fit its 2x2"),
        (lambda data: data["inputs"].update(input=[1, "5", 5]), fv.ShapeError, "must be ints of at least 1"),
        (lambda data: data["nodes"][1].update(name="conv1"), fv.GraphError, 'two layers are called "conv1"'),
        (lambda data: data["nodes"][1].update(inputs=[]), fv.ShapeError, "takes exactly 1 input, but 0 are connected"),
        (lambda data: data.update(outputs=[]), fv.GraphError, "a graph needs at least one output"),
    ],
    ids=["type", "option", "value", "input shape", "input axis", "name", "joins", "outputs"],
)
def test_every_rule_is_checked_again(change: Callable[[dict[str, Any]], Any], error: type[Exception], words: str):
    data = written()
    change(data)
    with pytest.raises(error, match=words):
        Graph.from_json(data)


def test_an_upsampling_that_was_written_before_it_could_align_corners_is_read():
    graph = fv.Sequential(fv.Upsample(2, mode="linear")).build((1, 4, 4))
    written = graph.to_json()
    del written["nodes"][0]["options"]["align_corners"]
    assert fv.Graph.from_json(written) == graph
