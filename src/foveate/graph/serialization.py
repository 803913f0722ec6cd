"""Graphs as plain data for files: layer types by name, hyper-parameters by value, nothing executable."""

from collections.abc import Mapping
from typing import Any, TypeVar

from foveate.errors import FileError, FoveateError
from foveate.graph.joining import Joining
from foveate.graph.nodes import Nodes
from foveate.layers.registry import make_layer
from foveate.text import printable

Made = TypeVar("Made", bound=Nodes)

FORMAT_VERSION = 1
"""Increased when older readers would misread a change; older versions are converted in `_upgrade`."""


def graph_to_json(graph: Nodes) -> dict[str, Any]:
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


def graph_from_json(data: Mapping[str, Any], made: type[Made]) -> Made:
    """The graph that `graph_to_json` described, as type `made`; layers and shapes are checked as if written by hand."""
    data = _upgrade(data)
    try:
        joining = Joining(made, str(data.get("name", "network")))
        for name, shape in data["inputs"].items():
            joining.input(tuple(shape), name)
        for node in data["nodes"]:
            layer = make_layer(node["type"], {name: _tuples(value) for name, value in node["options"].items()})
            if not isinstance(node["name"], str):
                raise TypeError(f"the name of a layer is {node['name']!r}")
            joining.claim(node["name"])
            joining.join(joining.fitted(node["name"], layer, node["inputs"], node["parameters"]))
        for name in data["outputs"]:
            joining.shape(name)
        return joining.whole(data["outputs"])
    except FoveateError:
        raise
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise FileError(f"its network description is damaged: {type(error).__name__} {printable(error)}") from None


def _upgrade(data: Mapping[str, Any]) -> Mapping[str, Any]:
    version = data.get("format_version") if isinstance(data, Mapping) else None
    if version != FORMAT_VERSION:
        raise FileError(
            f"its network has format version {version!r}, but this foveate reads version {FORMAT_VERSION}; "
            "install the foveate that wrote it, or a newer one"
        )
    return data


def _tuples(value: Any) -> Any:
    """Turn lists back into the tuples that layers hold."""
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
