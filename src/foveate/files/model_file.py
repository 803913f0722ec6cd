"""Model files: a network, its parameters and statistics, class names and preprocessing. Data only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from foveate.errors import FileError, FoveateError
from foveate.files.container import FloatArray, Header, check_shapes, read_container, read_header, write_container
from foveate.graph import Graph
from foveate.layers import Shape

MODEL = "model"
CHECKPOINT = "checkpoint"


@dataclass(frozen=True)
class ModelDescription:
    """A model without its arrays.

    `preprocessing` is what `Preprocessing.to_json` gave, `training` any facts about how the model was trained.
    """

    graph: Graph
    classes: tuple[str, ...] | None = None
    preprocessing: Mapping[str, Any] | None = None
    training: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "graph": self.graph.to_json(),
            "classes": None if self.classes is None else list(self.classes),
            "preprocessing": None if self.preprocessing is None else dict(self.preprocessing),
            "training": dict(self.training),
        }


def write_model(path: Path, arrays: Mapping[str, FloatArray], description: ModelDescription) -> None:
    """Write a model atomically.

    Args:
        path: the file, by custom "*.safetensors".
        arrays: every parameter and statistic of the graph by its name.
        description: the rest.

    Raises:
        FileError: an array holds NaN or infinity, or the file cannot be written; what was there is untouched.
    """
    write_container(path, MODEL, arrays, description.to_json())


def read_model(path: Path) -> tuple[dict[str, FloatArray], ModelDescription]:
    """Read a model, or the model inside a checkpoint.

    Returns:
        every parameter and statistic by its name, and the description.

    Raises:
        FileError: the file is missing, cut short, damaged, of another kind or of another version.
    """
    description = read_description(path)
    _, arrays = read_container(path)
    return {name: array for name, array in arrays.items() if "/" not in name}, description


def read_description(path: Path) -> ModelDescription:
    """Read a model's description alone; the arrays' shapes are checked, their values are not.

    Raises:
        FileError: as for `read_model`.
    """
    header = read_header(path)
    description = description_from(path, header)
    check_shapes(
        path, {name: shape for name, shape in header.shapes.items() if "/" not in name}, shapes_of(description)
    )
    return description


def description_from(path: Path, header: Header) -> ModelDescription:
    """The model description in a file's header, every rule of its network checked again."""
    if header.kind not in (MODEL, CHECKPOINT):
        raise FileError(f"{path} holds a {header.kind}; expected a model or a checkpoint")
    try:
        graph = Graph.from_json(header.document["graph"])
    except KeyError:
        raise FileError(f"{path} is damaged: it has no network") from None
    except (FoveateError, RecursionError) as error:
        reason = str(error).splitlines()[0] if str(error) else "too deep"
        raise FileError(f"{path} cannot be used: {reason}") from None
    classes = _class_names(path, header.document.get("classes"), graph)
    preprocessing, training = header.document.get("preprocessing"), header.document.get("training", {})
    if not isinstance(preprocessing, dict | None) or not isinstance(training, dict):
        raise FileError(f"{path} is damaged: its preprocessing or training facts are not a JSON object")
    return ModelDescription(graph, classes, preprocessing, training)


def shapes_of(description: ModelDescription, slots: Sequence[str] = ()) -> dict[str, Shape]:
    """The arrays that a file of this model has, with the optimiser's `slots` if there are any."""
    graph = description.graph
    shapes = {name: parameter.shape for name, parameter in graph.parameters.items()}
    of_slots = {f"{slot}/{name}": shape for slot in slots for name, shape in shapes.items()}
    return {**shapes, **{name: statistic.shape for name, statistic in graph.statistics.items()}, **of_slots}


def _class_names(path: Path, classes: object, graph: Graph) -> tuple[str, ...] | None:
    if classes is None:
        return None
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes):
        raise FileError(f"{path} is damaged: its class names are not a list of words")
    outputs = sum(prod(graph.shapes[name]) for name in graph.outputs)
    if len(classes) != outputs:
        raise FileError(f"{path} is damaged: it has {len(classes):,} class names for a network of {outputs:,} outputs")
    return tuple(classes)
