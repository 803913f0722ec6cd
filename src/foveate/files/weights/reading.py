"""Named arrays out of a file or a dictionary, whatever wraps them, and a sentence on each thing found on the way."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from foveate.errors import FileError
from foveate.files.container import LARGEST_HEADER
from foveate.files.weights.tensors import module_arrays, read_torch_file
from foveate.log import logger
from foveate.opening import open_regular
from foveate.text import printable

Array = NDArray[Any]

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "params", "weights", "module", "ema")
"""Entries in which training programs keep the weights, the likeliest first."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
"""What data-parallel and compiled models, and those inside another, put before every name."""

_COUNTERS = ".num_batches_tracked"


@dataclass(frozen=True)
class Weights:
    """Arrays by their names in the file, and what was found on the way to them, in sentences."""

    source: str
    arrays: Mapping[str, Array]
    said: tuple[str, ...] = ()
    ordered: bool = True
    """Whether their order may be that of the layers."""


def read_weights(path: Path) -> Weights:
    """The arrays in a safetensors file, or in one that torch.save wrote; no code in it runs.

    Raises:
        FileError: it is missing, of another kind, or damaged.
    """
    try:
        file = open_regular(path)
    except FileNotFoundError:
        raise FileError(f"{path} does not exist; expected a safetensors file, or one of torch.save's") from None
    except OSError as error:
        raise FileError(f"{path} cannot be read: {error.strerror or error}") from None
    with file:
        content = _content(path, file)
    logger.info("read %s", path)
    return named_arrays(str(path), content)


def _content(path: Path, file: BinaryIO) -> Any:
    start = file.read(9)
    file.seek(0)
    if start[8:] == b"{":
        if not _is_whole(file, int.from_bytes(start[:8], "little")):
            raise FileError(f"{path} is damaged: its header is not that of a file of {file.seek(0, 2):,} bytes")
        try:
            return dict(sorted(load(file.read()).items()))
        except (SafetensorError, ValueError, TypeError, KeyError) as error:
            raise FileError(f"{path} is damaged: {error}") from None
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return read_torch_file(path, file)
    raise FileError(f"{path} is neither a safetensors file nor one that torch.save wrote")


def _is_whole(file: BinaryIO, length: int) -> bool:
    """Whether a file is as long as its header of `length` bytes says: known before gigabytes are read."""
    size = file.seek(0, 2)
    if length > min(LARGEST_HEADER, size - 8):
        return False
    file.seek(8)
    try:
        entries = json.loads(file.read(length))
        ends = [int(entry["data_offsets"][1]) for name, entry in entries.items() if name != "__metadata__"]
    except (ValueError, RecursionError, TypeError, KeyError, IndexError, AttributeError, OverflowError):
        return False
    file.seek(0)
    return size == 8 + length + max(ends, default=0)


def named_arrays(source: str, content: Any) -> Weights:
    """The arrays in a dictionary, a module saved whole, or a dictionary around one; counters of batches are left out.

    Args:
        source: what to call it in sentences.
        content: the dictionary; its arrays may be PyTorch's tensors.

    Raises:
        FileError: there are no arrays.
    """
    said: list[str] = []
    inner = _unwrapped(content, said)
    arrays = dict(_flat(inner))
    ordered = not _are_sorted(arrays)
    counters = [name for name in arrays if name.endswith(_COUNTERS) or name == _COUNTERS[1:]]
    if counters:
        said.append(f"{len(counters)} counters of batches ({_COUNTERS[1:]}) are not needed")
    arrays = {name: array for name, array in arrays.items() if name not in set(counters)}
    if not arrays:
        raise FileError(f"{source} has no arrays by name; give a state_dict, or a file that holds one")
    return Weights(source, {name: _as_array(array) for name, array in arrays.items()}, tuple(said), ordered)


def _are_sorted(arrays: Mapping[str, Any]) -> bool:
    """Whether names are in alphabetical order, those of each type by themselves: so safetensors has them.

    A state_dict of PyTorch has the weight of a layer before its bias.
    """
    by_type = defaultdict[str, list[str]](list)
    for name, array in arrays.items():
        by_type[str(array.dtype)].append(name)
    return all(names == sorted(names) for names in by_type.values())


def _unwrapped(content: Any, said: list[str]) -> Any:
    """What is inside the entry that holds the weights, as deep as there are such entries."""
    for _ in range(4):
        if not isinstance(content, Mapping) or any(_is_array(value) for value in content.values()):
            return content
        held = {name: value for name, value in content.items() if _holds_arrays(value)}
        entry = next((name for name in WRAPPERS if name in held), next(iter(held), None))
        if entry is None or (len(held) > 1 and entry not in WRAPPERS):
            return content
        said.append(f'the weights are in the entry "{printable(entry)}"')
        content = held[entry]
    return content


def _holds_arrays(value: Any) -> bool:
    return any(True for _ in _flat(value))


def _flat(value: Any, prefix: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    """Every array or tensor below `value` with its dotted name."""
    inside = value if isinstance(value, Mapping) else module_arrays(value)
    if inside is None or depth > 64:
        return
    for name, item in inside.items():
        if _is_array(item):
            yield f"{prefix}{name}", item
        else:
            yield from _flat(item, f"{prefix}{name}.", depth + 1)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "shape"))


def _as_array(value: Any) -> Array:
    """A NumPy array of an array or a PyTorch tensor; bfloat16, which NumPy does not know, becomes float32."""
    if isinstance(value, np.ndarray):
        return value
    plain = value.detach().cpu()
    return np.asarray(plain.float() if plain.is_floating_point() else plain)
