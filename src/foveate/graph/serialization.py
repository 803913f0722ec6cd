"""Graphs as plain data for files: layer types by name, hyper-parameters by value, nothing that could run."""

from collections.abc import Mapping
from typing import Any

from foveate.errors import FileError, FoveateError
from foveate.graph.builder import GraphBuilder, Value
from foveate.graph.graph import Graph
from foveate.layers import make_layer

FORMAT_VERSION = 1
"""Raised when a change would make older readers misread; older versions are converted in `_upgrade`."""


def graph_to_json(graph: Graph) -> dict[str, Any]:
    """Plain data: the inputs, each node with its layer's type and options, and the outputs."""
    return {
        "format_version": FORMAT_VERSION,
        "name": graph.name,
        "inputs": {name: list(shape) for name, shape in graph.inputs.items()},
        "nodes": [
            {
                "name": node.name,
                "type": type(node.layer).__name__,
                "options": node.layer.options(),
                "inputs": list(node.inputs),
                "parameters": node.parameters,
            }
            for node in graph.nodes
        ],
        "outputs": list(graph.outputs),
    }


def graph_from_json(data: Mapping[str, Any]) -> Graph:
    """The graph that `graph_to_json` described; each layer and shape is checked as if written by hand."""
    data = _upgrade(data)
    try:
        builder = GraphBuilder(name=str(data.get("name", "network")))
        values: dict[str, Value] = {}
        for name, shape in data["inputs"].items():
            values[name] = builder.input(tuple(shape), name)
        for node in data["nodes"]:
            layer = make_layer(node["type"], {name: _tuples(value) for name, value in node["options"].items()})
            inputs = [values[name] for name in node["inputs"]]
            values[node["name"]] = builder.add(layer, *inputs, name=node["name"], parameters=node["parameters"])
        return builder.build(*(values[name] for name in data["outputs"]), quiet=True)
    except FoveateError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileError(f"its network description is damaged: {type(error).__name__} {error}") from None


def _upgrade(data: Mapping[str, Any]) -> Mapping[str, Any]:
    version = data.get("format_version") if isinstance(data, Mapping) else None
    if version != FORMAT_VERSION:
        raise FileError(
            f"its network has format version {version!r}, but this foveate reads version {FORMAT_VERSION}; "
            "install the foveate that wrote it, or a newer one"
        )
    return data


def _tuples(value: Any) -> Any:
    """Lists back to the tuples that layers hold."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
