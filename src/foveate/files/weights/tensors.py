"""The tensors in a file that torch.save wrote, as NumPy arrays; no code in it runs, and PyTorch is not needed."""

import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from foveate.errors import FileError
from foveate.pickled import Called, Named, Stored, read_pickle
from foveate.text import named, printable

DAMAGE = (
    *(ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError, AssertionError),
    *(MemoryError, EOFError, OSError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""Errors that a changed byte causes in the libraries that read: a length, for example, that no memory holds."""

MOST_REPEATED = 1 << 24
"""Numbers of a tensor that repeats those of its storage: a small file must not exhaust memory."""

MAGIC = 0x1950A86A20F9469CFC6C
"""The first object in a file written by PyTorch before version 1.6."""

_TYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype("<u2"),  # the upper half of a float32; see `widened`
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
_UNREAD = {
    "torch._utils _rebuild_sparse_tensor": "a sparse tensor",
    "torch._utils _rebuild_nested_tensor": "a nested tensor",
    "torch._utils _rebuild_qtensor": "a quantised tensor",
    "torch._utils _rebuild_meta_tensor_no_storage": "a tensor without numbers",
}
_TYPED = "torch._utils _rebuild_tensor_v3"
"""How PyTorch writes the types newer than its storages: 8-bit floating point, and unsigned integers."""

_REBUILT = ("torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_tensor")
_OF_A_CLASS = "torch._tensor _rebuild_from_type_v2"
_WRAPPED = ("torch._utils _rebuild_parameter", "torch._utils _rebuild_parameter_with_state")

Array = NDArray[Any]


@dataclass(frozen=True)
class _Tensor:
    """A tensor as the pickle describes it: a view of a storage."""

    kind: str
    key: str
    offset: int
    sizes: tuple[int, ...]
    strides: tuple[int, ...]


def read_torch_file(path: Path, file: BinaryIO) -> Any:
    """The content of a file of torch.save: dictionaries and lists as they are, tensors as arrays, the rest as notes.

    Raises:
        FileError: it is damaged.
    """
    try:
        return _Zipped(path, file).content() if zipfile.is_zipfile(file) else _legacy(path, file)
    except DAMAGE as error:
        what = printable(error) or type(error).__name__
        if isinstance(error, UnicodeError):
            what = "a name in it is not text"
        raise damaged(path, f"its description of its tensors cannot be read ({what})") from None


class _Zipped:
    """A file written by PyTorch since version 1.6: a zip with a pickle and a file for each storage."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        self.archive = zipfile.ZipFile(file)
        self.names = {name.partition("/")[2]: name for name in self.archive.namelist()}

    def content(self) -> Any:
        """The pickled object with its tensors."""
        if "data.pkl" not in self.names:
            raise FileError(f"{named(self.path)} is a zip archive, but not one of torch.save's: it has no data.pkl")
        if "byteorder" in self.names and self._bytes("byteorder").strip() != b"little":
            raise FileError(f"{named(self.path)} was written on a big-endian machine; save it again on another")
        return _with_arrays(self.path, self._pickle(), self._storage)

    def _pickle(self) -> Any:
        return read_pickle(BytesIO(self._bytes("data.pkl")))

    def _storage(self, key: str) -> bytes:
        return self._bytes(f"data/{key}")

    def _bytes(self, name: str) -> bytes:
        if name not in self.names:
            raise damaged(self.path, f"it names a storage {printable(name)}, but does not have it")
        self._check(self.names[name])
        return self.archive.read(self.names[name])

    def _check(self, name: str) -> None:
        """Refuse compression: PyTorch compresses nothing, so nothing can be longer than the file."""
        if self.archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
            raise damaged(self.path, f"{printable(name)} is compressed, which torch.save never does")


def _legacy(path: Path, file: BinaryIO) -> Any:
    """A file written by an earlier PyTorch: five pickles, followed by the storages, each after its length."""
    file.seek(0)
    if read_pickle(file) != MAGIC:
        raise FileError(
            f"{named(path)} is a pickle, but not one of torch.save's; save the model's state_dict with torch.save"
        )
    read_pickle(file)  # the protocol
    read_pickle(file)  # sizes of C's types
    described, keys = read_pickle(file), read_pickle(file)
    if not isinstance(keys, list) or not all(isinstance(key, str | int) for key in keys):
        raise damaged(path, "its list of storages is missing or malformed")
    item_sizes = {tensor.key: _TYPES[tensor.kind].itemsize for tensor in _tensors(path, described)}
    storages = {}
    for key in keys:
        count = int.from_bytes(file.read(8), "little")
        size = count * item_sizes.get(str(key), 4)
        left = path.stat().st_size - file.tell()
        if size > left:
            raise FileError(f"{named(path)} is cut short: a storage of {size:,} bytes has only {left:,}")
        storages[str(key)] = file.read(size)
    return _with_arrays(path, described, lambda key: storages.get(key, b""))


def _tensors(path: Path, described: Any) -> list[_Tensor]:
    found: list[_Tensor] = []
    _mapped(described, lambda called: found.append(tensor) if (tensor := _tensor(path, called)) else None)
    return found


def _with_arrays(path: Path, described: Any, storage: Callable[[str], bytes]) -> Any:
    read: dict[str, bytes] = {}

    def array(called: Called) -> Any:
        tensor = _tensor(path, called)
        if tensor is None:
            return None
        if tensor.key not in read:
            read[tensor.key] = storage(tensor.key)
        return _viewed(path, tensor, read[tensor.key])

    return _mapped(described, array)


def _mapped(described: Any, replace: Callable[[Called], Any]) -> Any:
    """The same with each note replaced for which `replace` returns something; an object inside itself is left out."""
    known: dict[int, Any] = {}

    def walk(value: Any) -> Any:
        if not isinstance(value, dict | list | tuple | Called):
            return value
        if id(value) in known:
            return known[id(value)]
        known[id(value)] = None
        known[id(value)] = result = inside(value)
        return result

    def inside(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: walk(item) for key, item in value.items()}
        if isinstance(value, Called):
            replaced = replace(value)
            if replaced is None:
                value.state, value.entries = walk(value.state), walk(value.entries)
            return value if replaced is None else replaced
        return type(value)(map(walk, value))

    return walk(described)


def _tensor(path: Path, called: Called) -> _Tensor | None:
    """The tensor that a note stands for, or None if it stands for something else."""
    if not isinstance(called.what, Named):
        return None
    name = called.what.name
    if name in _WRAPPED and isinstance(called.arguments[0], Called):
        return _tensor(path, called.arguments[0])
    if name == _OF_A_CLASS:  # what to call, the class, and the arguments
        return _tensor(path, Called(called.arguments[0], called.arguments[2]))
    if name == _TYPED:
        raise not_read(path, f"a tensor of {printable(called.arguments[6].name.rpartition(' ')[2])}")
    if name in _UNREAD:
        raise not_read(path, _UNREAD[name])
    if name not in _REBUILT:
        return None
    try:
        storage, offset, sizes, strides = called.arguments[:4]
        _, kind, key, *_ = storage.reference
        kind = kind.name.rpartition(" ")[2]
        numbers = (offset, *sizes, *strides)
    except (TypeError, ValueError, AttributeError):
        raise damaged(path, "it describes a tensor wrongly") from None
    if kind not in _TYPES:
        raise not_read(path, f"a tensor of {printable(kind)}")
    plain = isinstance(storage, Stored) and isinstance(key, str | int) and len(sizes) == len(strides)
    if not plain or any(not isinstance(n, int) or n < 0 for n in numbers):
        raise damaged(path, "it describes a tensor wrongly")
    return _Tensor(kind, str(key), offset, tuple(sizes), tuple(strides))


def _viewed(path: Path, tensor: _Tensor, content: bytes) -> Array:
    """The tensor's numbers, in an array of its own."""
    kind = _TYPES[tensor.kind]
    numbers = np.frombuffer(content[: len(content) // kind.itemsize * kind.itemsize], kind)
    count = prod(tensor.sizes)
    last = tensor.offset + sum((n - 1) * step for n, step in zip(tensor.sizes, tensor.strides, strict=True))
    repeats = 0 in tensor.strides and count <= MOST_REPEATED
    if count and (last >= len(numbers) or (count > len(numbers) and not repeats)):
        raise damaged(path, f"a tensor of {count:,} numbers has a storage of {len(numbers):,}")
    if not count:
        return np.zeros(tensor.sizes, np.float32)
    steps = tuple(step * kind.itemsize for step in tensor.strides)
    view = np.lib.stride_tricks.as_strided(numbers[tensor.offset :], tensor.sizes, steps, writeable=False)
    return widened(view) if tensor.kind == "BFloat16Storage" else view.copy()


def damaged(path: Path, what: str) -> FileError:
    """An error saying that a file is not as its writer left it."""
    return FileError(f"{named(path)} is damaged: {what}")


def not_read(path: Path, what: str) -> FileError:
    """An error saying that a file has a tensor of a kind that is not read."""
    return FileError(f"{named(path)} has {what}, which is not read; make it a dense one of float32 and save it again")


def widened(halves: Array) -> Array:
    """bfloat16 as float32, whose upper half it is."""
    return (halves.astype(np.uint32) << 16).view(np.float32)


def module_arrays(value: Any) -> Mapping[str, Any] | None:
    """The parameters, buffers and modules of a whole saved module, or None if `value` is not a module."""
    state = value.state if isinstance(value, Called) else None
    if not isinstance(state, dict) or not isinstance(state.get("_modules"), dict):
        return None
    groups = [state.get(name) for name in ("_parameters", "_buffers", "_modules")]
    return {str(name): item for group in groups if isinstance(group, dict) for name, item in group.items()}
