"""Named arrays from a file or a dictionary, whatever wraps them, and a sentence on everything found on the way."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from foveate.errors import FileError
from foveate.files.weights.safe import read_safetensors
from foveate.files.weights.tensors import module_arrays, read_torch_file
from foveate.log import logger
from foveate.opening import open_regular
from foveate.text import named, printable

Array = NDArray[Any]

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "network", "params", "weights", "module", "ema")
"""Entries in which training programs keep the weights, the likeliest first."""

PREFIXES = ("module.", "_orig_mod.", "model.", "net.", "network.", "backbone.", "encoder.")
"""Prefixes that data-parallel, compiled and nested models put before every name."""

GIVE = "give a state_dict, or a file that holds one"

DEEPEST, MOST_ENTERED = 64, 100_000
"""How deep dictionaries are entered, and how many: a file may nest each dictionary twice in the next, and so on."""

_COUNTERS = ".num_batches_tracked"


@dataclass(frozen=True)
class Weights:
    """Arrays by their names in the file, and sentences on what was found on the way to them."""

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
        raise FileError(f"{named(path)} does not exist; expected a safetensors file, or one of torch.save's") from None
    except OSError as error:
        raise FileError(f"{named(path)} cannot be read: {error.strerror or error}") from None
    with file:
        content = _content(path, file)
    logger.info("read %s", path)
    return named_arrays(named(path), content)


def _content(path: Path, file: BinaryIO) -> Any:
    start = file.read(9)
    file.seek(0)
    if start[8:] == b"{":
        return read_safetensors(path, file)
    if start[:2] == b"PK" or start[:1] == b"\x80":
        return read_torch_file(path, file)
    raise FileError(f"{named(path)} is neither a safetensors file nor one that torch.save wrote")


def named_arrays(source: str, content: Any) -> Weights:
    """The arrays in a dictionary, a whole saved module, or a dictionary around one; batch counters are left out.

    Args:
        source: what to call the source in sentences.
        content: the dictionary; its arrays may be PyTorch's tensors.

    Raises:
        FileError: there are no arrays.
    """
    said: list[str] = []
    inner = _unwrapped(content, source, said)
    arrays = dict(_flat(inner, source))
    ordered = not _are_sorted(arrays)
    counters = [name for name in arrays if name.endswith(_COUNTERS) or name == _COUNTERS[1:]]
    if counters:
        said.append(f"{len(counters)} batch counters ({_COUNTERS[1:]}) are not needed")
    arrays = {name: array for name, array in arrays.items() if name not in set(counters)}
    if not arrays:
        raise FileError(f"{source} has no arrays by name; {GIVE}")
    numbers = {name: _as_array(source, name, array) for name, array in arrays.items()}
    return Weights(source, numbers, tuple(said), ordered)


def _are_sorted(arrays: Mapping[str, Any]) -> bool:
    """Whether names are in alphabetical order within each type, as in safetensors.

    A state_dict of PyTorch has the weight of a layer before its bias.
    """
    by_type = defaultdict[str, list[str]](list)
    for name, array in arrays.items():
        by_type[str(array.dtype)].append(name)
    return all(names == sorted(names) for names in by_type.values())


def _unwrapped(content: Any, source: str, said: list[str]) -> Any:
    """The content of the entry that holds the weights, followed as deep as such entries go."""
    for _ in range(4):
        if not isinstance(content, Mapping) or any(_is_array(value) for value in content.values()):
            return content
        held = {name: value for name, value in content.items() if _holds_arrays(value, source)}
        entry = next((name for name in WRAPPERS if name in held), next(iter(held), None))
        if entry is None or (len(held) > 1 and entry not in WRAPPERS):
            return content
        said.append(f'the weights are in the entry "{printable(entry)}"')
        content = held[entry]
    return content


def _holds_arrays(value: Any, source: str) -> bool:
    return any(True for _ in _flat(value, source))


def _flat(value: Any, source: str) -> Iterator[tuple[str, Any]]:
    """Every array or tensor below `value` with its dotted name; one that is held twice has two names."""
    entered = 0

    def below(value: Any, prefix: str, depth: int) -> Iterator[tuple[str, Any]]:
        nonlocal entered
        inside = value if isinstance(value, Mapping) else module_arrays(value)
        if inside is None or depth > DEEPEST:
            return
        entered += 1
        if entered > MOST_ENTERED:
            raise FileError(f"{source} holds more than {MOST_ENTERED:,} nested dictionaries; {GIVE}")
        for name, item in inside.items():
            if _is_array(item):
                yield f"{prefix}{name}", item
            else:
                yield from below(item, f"{prefix}{name}.", depth + 1)

    return below(value, "", 0)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray) or (hasattr(value, "detach") and hasattr(value, "shape"))


def _as_array(source: str, name: str, value: Any) -> Array:
    """An array or a PyTorch tensor as a NumPy array; bfloat16, which NumPy does not have, becomes float32."""
    if isinstance(value, np.ndarray):
        return value
    try:
        plain = value.detach().cpu()
        return np.asarray(plain.float() if plain.is_floating_point() else plain)
    except (RuntimeError, TypeError, ValueError):  # it has no numbers, or not one after the other
        raise FileError(
            f"{source} cannot be used: {printable(name)} is a tensor of {value.dtype}, {value.layout}, on "
            f"{value.device}, which cannot be made an array; give dense tensors that hold numbers"
        ) from None
