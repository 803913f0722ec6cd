"""Everything in a model but its arrays, as JSON: the document of its file, in each format so far.

format 1   graph, classes, preprocessing, training
format 2   graph, task, preprocessing, frozen, splits, names, remarks, training; features, all of which the reader
                      must know; a checksum
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from foveate.errors import DataError, FileError, FoveateError
from foveate.files.container import Header
from foveate.graph import Graph
from foveate.tasks import AnyTask, Classification, from_json, heads
from foveate.text import printable

MODEL = "model"
CHECKPOINT = "checkpoint"

FEATURES = ("task", "preprocessing", "frozen", "splits", "names")
"""Entries that change what a file means. A file lists those that it has; a reader refuses one that it does not know."""

LONGEST_NAME = 1_000
"""The most characters in an array's original name."""

MOST_NODES = 100_000
"""The most layers in a file's network."""

LARGEST_SAMPLE = 2**31
"""The most numbers in any layer's output for one sample: 8 GB."""


@dataclass(frozen=True)
class ModelDescription:
    """A model without its arrays.

    Args:
        graph: the network.
        task: what its outputs mean.
        preprocessing: what `Preprocessing.to_json` returned.
        frozen: names of the frozen parameters and statistics.
        splits: how the data were split, in the words of whoever did it.
        names: the name that each array had where it was imported from.
        remarks: any notes of a person or a program; kept unchanged.
        training: facts about how the model was trained.
    """

    graph: Graph
    task: AnyTask | None = None
    preprocessing: Mapping[str, Any] | None = None
    frozen: frozenset[str] = frozenset()
    splits: Mapping[str, Any] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    remarks: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data of format 2; empty entries are left out."""
        entries = {
            "task": None if self.task is None else self.task.to_json(),
            "preprocessing": None if self.preprocessing is None else dict(self.preprocessing),
            "frozen": sorted(self.frozen),
            "splits": dict(self.splits),
            "names": dict(self.names),
        }
        used = {name: value for name, value in entries.items() if value}
        kept = {name: dict(value) for name in ("remarks", "training") if (value := getattr(self, name))}
        return {"graph": self.graph.to_json(), **used, **kept, "features": list(used)}


def description_from(path: Path, header: Header) -> ModelDescription:
    """The model description in a file's header, with every rule of its network and its task checked again.

    Raises:
        FileError: something is not valid in a file of its version, or larger than in any network.
    """
    if header.kind not in (MODEL, CHECKPOINT):
        raise FileError(f"{path} holds a {header.kind}; expected a model or a checkpoint")
    document = header.document
    graph = _graph(path, document)
    task = _task(path, document, graph) if header.version > 1 else _task_of_classes(path, document, graph)
    return ModelDescription(
        graph,
        task,
        preprocessing=_object(path, document, "preprocessing") or None,
        frozen=_frozen(path, document, graph),
        splits=_object(path, document, "splits"),
        names=_names(path, document, graph),
        remarks=_object(path, document, "remarks"),
        training=_object(path, document, "training"),
    )


def _graph(path: Path, document: Mapping[str, Any]) -> Graph:
    plain = document.get("graph")
    if not isinstance(plain, Mapping):
        raise FileError(f"{path} is damaged: it has no network")
    nodes = plain.get("nodes")
    if isinstance(nodes, list) and len(nodes) > MOST_NODES:
        raise FileError(
            f"{path} cannot be used: its network has {len(nodes):,} layers; at most {MOST_NODES:,} are read"
        )
    try:
        graph = Graph.from_json(plain)
    except (FoveateError, RecursionError) as error:
        raise _unusable(path, error) from None
    for name, shape in graph.shapes.items():
        if prod(shape) > LARGEST_SAMPLE:
            raise FileError(
                f"{path} cannot be used: {name} of its network outputs {prod(shape):,} numbers for one sample; at most "
                f"{LARGEST_SAMPLE:,} are computed"
            )
    return graph


def _task(path: Path, document: Mapping[str, Any], graph: Graph) -> AnyTask | None:
    plain = document.get("task")
    if plain is None:
        return None
    try:
        task = from_json(plain)
        heads(task, graph)
    except (DataError, RecursionError) as error:
        raise _unusable(path, error) from None
    return task


def _task_of_classes(path: Path, document: Mapping[str, Any], graph: Graph) -> AnyTask | None:
    """The task in format 1, which had only class names."""
    classes = document.get("classes")
    if classes is None:
        return None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise FileError(f"{path} is damaged: its class names are not a list of words")
    outputs = sum(prod(graph.shapes[name]) for name in graph.outputs)
    if len(classes) != outputs:
        raise FileError(f"{path} is damaged: it has {len(classes):,} class names for a network of {outputs:,} outputs")
    try:
        return Classification(tuple(classes))
    except DataError as error:
        raise _unusable(path, error) from None


def _frozen(path: Path, document: Mapping[str, Any], graph: Graph) -> frozenset[str]:
    given = document.get("frozen", [])
    known = {*graph.parameters, *graph.statistics}
    if not isinstance(given, list) or not all(isinstance(name, str) and name in known for name in given):
        raise FileError(f"{path} is damaged: what it calls frozen is not a list of its parameters and statistics")
    return frozenset(given)


def _names(path: Path, document: Mapping[str, Any], graph: Graph) -> dict[str, str]:
    given, known = _object(path, document, "names"), {*graph.parameters, *graph.statistics}
    if not all(name in known and isinstance(other, str) for name, other in given.items()):
        raise FileError(f"{path} is damaged: its names are not a map from its arrays to words")
    return {name: printable(other, LONGEST_NAME) for name, other in given.items()}


def _object(path: Path, document: Mapping[str, Any], entry: str) -> dict[str, Any]:
    """An entry that is a JSON object, empty if there is none."""
    given = document.get(entry)
    if not isinstance(given, dict | None):
        raise FileError(f"{path} is damaged: its {entry} is not a JSON object")
    return given or {}


def _unusable(path: Path, error: Exception) -> FileError:
    reason = str(error).splitlines()[0] if str(error) else "too deep"
    return FileError(f"{path} cannot be used: {reason}")
