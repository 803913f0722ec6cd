"""Model files: a network, its parameters and statistics, its task and preprocessing. Data only."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from foveate.files.container import FloatArray, check_shapes, damage_first, read_container, read_header, write_container
from foveate.files.description import FEATURES, MODEL, ModelDescription, description_from
from foveate.layers import Shape


def write_model(path: Path, arrays: Mapping[str, FloatArray], description: ModelDescription) -> None:
    """Write a model atomically.

    Args:
        path: the file, by custom "*.safetensors".
        arrays: every parameter and statistic of the graph by name.
        description: the rest.

    Raises:
        FileError: an array holds NaN or infinity, or the file cannot be written; an earlier file is untouched.
    """
    write_container(path, MODEL, arrays, description.to_json())


def read_model(path: Path) -> tuple[dict[str, FloatArray], ModelDescription]:
    """Read a model, or the model inside a checkpoint.

    Returns:
        every parameter and statistic by name, and the description.

    Raises:
        FileError: the file is missing, cut short, damaged, of another kind or version, or has unknown features.
    """
    with damage_first(path):
        description = _description(path)
        _, arrays = read_container(path, FEATURES)
    return {name: array for name, array in arrays.items() if "/" not in name}, description


def read_description(path: Path) -> ModelDescription:
    """Read only a model's description; the arrays' shapes are checked, their values and the checksum are not.

    Raises:
        FileError: as for `read_model`.
    """
    with damage_first(path):
        return _description(path)


def shapes_of(description: ModelDescription, slots: Sequence[str] = (), copies: Sequence[str] = ()) -> dict[str, Shape]:
    """The arrays that a file of this model has, with the optimiser's `slots` and further `copies` if there are any."""
    graph = description.graph
    shapes = {name: parameter.shape for name, parameter in graph.parameters.items()}
    of_slots = {f"{slot}/{name}": shape for slot in slots for name, shape in shapes.items()}
    shapes |= {name: statistic.shape for name, statistic in graph.statistics.items()}
    return {**shapes, **of_slots, **{f"{copy}/{name}": shape for copy in copies for name, shape in shapes.items()}}


def _description(path: Path) -> ModelDescription:
    header = read_header(path, FEATURES)
    description = description_from(path, header)
    found = {name: shape for name, shape in header.shapes.items() if "/" not in name}
    check_shapes(path, found, shapes_of(description))
    return description
