"""The index of shards: which classes there are, and for each sample its part, its class, its place and its checksum."""

import json
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from foveate.data.folders import PARTS
from foveate.data.shards.places import Place
from foveate.data.shards.tars import LARGEST_SAMPLE
from foveate.errors import DataError, FileError
from foveate.layers import Shape
from foveate.tasks import Classification
from foveate.text import printable

INDEX = "index.json"
"""The name of the index, beside the shards."""

FORMAT = "foveate shards"
VERSION = 1

_COLUMNS = {"offsets": "<u8", "sizes": "<u4", "labels": "<u4", "checksums": "<u4"}
"""What is known of each sample, and its type: base64 of little-endian numbers in the file."""

_DTYPES = ("uint8", "float32")


@dataclass(frozen=True, eq=False)
class Shard:
    """The samples of one part in one tar file: where each one's bytes begin, how many there are, their class and
    CRC-32. `bytes` is the size of the file."""

    file: str
    part: str
    bytes: int
    offsets: NDArray[np.uint64]
    sizes: NDArray[np.uint32]
    labels: NDArray[np.uint32]
    checksums: NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.offsets)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        columns = {name: b64encode(getattr(self, name).astype(kind)).decode() for name, kind in _COLUMNS.items()}
        counts = np.bincount(self.labels).tolist()
        known = {"file": self.file, "part": self.part, "bytes": self.bytes, "samples": len(self)}
        return {**known, "of_class": counts, **columns}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Shard":
        """The shard that `to_json` described; a ValueError if it is damaged."""
        columns = {name: np.frombuffer(b64decode(data[name], validate=True), kind) for name, kind in _COLUMNS.items()}
        shard = Shard(str(data["file"]), str(data["part"]), int(data["bytes"]), **columns)
        if shard.file != shard.file.replace("\\", "/").rsplit("/", 1)[-1] or shard.file in ("", ".", ".."):
            raise ValueError(f'its shard "{printable(shard.file)}" is no name of a file beside it')
        if shard.part not in PARTS:
            raise ValueError(f'{printable(shard.file)} is of the part "{printable(shard.part)}"')
        if {len(column) for column in columns.values()} != {data["samples"]} or not len(shard):
            raise ValueError(f"{printable(shard.file)} has {data['samples']} samples, but another number of places")
        if int(shard.sizes.max()) > LARGEST_SAMPLE:
            raise ValueError(f"a sample of {printable(shard.file)} has {shard.sizes.max():,} bytes")
        if max(int(shard.offsets.max()), int((shard.offsets + shard.sizes).max())) > shard.bytes:
            raise ValueError(f"a sample ends behind the {shard.bytes:,} bytes of {printable(shard.file)}")
        return shard


@dataclass(frozen=True, eq=False)
class Index:
    """What is known of the shards at a place.

    Args:
        classes: names of the classes.
        shape: of a sample of arrays, or one that suits most images.
        dtype: that of arrays, or "image" for files of images.
        shards: those with samples, each of one part; a file may be in several.
        measured: mean and deviation of the training part by how images are brought to a shape.
        record: which sample is in which part by its content, as for a folder.
        origin: the name of the data.
        skipped: why files were left out.
        remark: what else to say of the data.
    """

    classes: tuple[str, ...]
    shape: Shape
    dtype: str
    shards: tuple[Shard, ...]
    measured: Mapping[str, Any] = field(default_factory=dict)
    record: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""
    skipped: Mapping[str, str] = field(default_factory=dict)
    remark: str = ""

    @property
    def of_images(self) -> bool:
        """Whether samples are files of images, which have to be decoded."""
        return self.dtype == "image"

    def part(self, part: str) -> "Part":
        """The samples of one part."""
        return Part(tuple(shard for shard in self.shards if shard.part == part))

    def with_measured(self, key: str, mean: Sequence[float], std: Sequence[float]) -> "Index":
        """The same with what was measured for one way of bringing images to a shape."""
        return replace(self, measured={**self.measured, key: {"mean": list(mean), "std": list(std)}})

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "origin": self.origin,
            "classes": list(self.classes),
            "shape": list(self.shape),
            "dtype": self.dtype,
            "samples": {part: len(self.part(part)) for part in PARTS},
            "measured": dict(self.measured),
            "split": dict(self.record),
            "skipped": dict(self.skipped),
            "remark": self.remark,
            "shards": [shard.to_json() for shard in self.shards],
        }

    @staticmethod
    def begin(place: Place) -> None:
        """Write an index that says that the shards are not all there yet."""
        place.write(INDEX, json.dumps({"format": FORMAT, "version": VERSION, "unfinished": True}).encode())

    def save(self, place: Place) -> None:
        """Write it beside the shards."""
        place.write(INDEX, json.dumps(self.to_json(), indent=0).encode())


@dataclass(frozen=True, eq=False)
class Part:
    """The samples of one part, numbered through all its shards."""

    shards: tuple[Shard, ...]

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    @cached_property
    def starts(self) -> NDArray[np.int64]:
        """The number of the first sample of each shard."""
        return np.cumsum([0, *map(len, self.shards)], dtype=np.int64)[:-1]

    @cached_property
    def sizes(self) -> NDArray[np.uint32]:
        """The bytes of each sample."""
        return self._column("sizes")

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """The class of each sample."""
        return self._column("labels").astype(np.int64)

    @cached_property
    def checksums(self) -> NDArray[np.uint32]:
        """The CRC-32 of each sample's bytes."""
        return self._column("checksums")

    @property
    def checksum(self) -> int:
        """That of all samples and their classes."""
        return crc32(self.labels.tobytes(), crc32(self.checksums.tobytes()))

    def _column(self, name: str) -> NDArray[Any]:
        columns = [getattr(shard, name) for shard in self.shards]
        return np.concatenate(columns) if columns else np.zeros(0, np.uint32)


def read_index(place: Place) -> Index | None:
    """The index at a place, every rule checked; None if there is none.

    Raises:
        FileError: it is damaged, of a later version, or does not match the shards.
    """
    if place.size(INDEX) is None:
        return None
    name = place.called(INDEX)
    with place.open(INDEX) as file:
        try:
            data = json.load(file)
        except (ValueError, RecursionError) as error:
            raise FileError(f"{name} is damaged: it is no JSON ({error}); {_again(place)}") from None
        except OSError as error:
            raise FileError(f"{name} cannot be read: {error}") from None
    if not isinstance(data, Mapping) or data.get("format") != FORMAT:
        return None
    if data.get("version") != VERSION:
        raise FileError(
            f"{name} is of version {printable(str(data.get('version')))}; this foveate reads version {VERSION}"
        )
    if data.get("unfinished"):
        raise FileError(f'packing "{place}" was broken off; delete it and pack the data again')
    try:
        index = _parsed(data)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError, DataError) as error:
        why = f"it lacks {error}" if isinstance(error, KeyError) else printable(str(error))
        raise FileError(f"{name} is damaged: {why}; {_again(place)}") from None
    _check_files(place, index)
    return index


def _parsed(data: Mapping[str, Any]) -> Index:
    shards = tuple(Shard.from_json(each) for each in data["shards"])
    classes = Classification(data["classes"]).classes
    shape = tuple(data["shape"])
    if not shape or not all(type(size) is int and 0 < size < 1 << 32 for size in shape):
        raise ValueError(f"the shape of a sample is {shape}")
    if data["dtype"] not in (*_DTYPES, "image"):
        raise ValueError(f"samples are of type {data['dtype']}")
    highest = max((int(shard.labels.max()) for shard in shards), default=-1)
    if highest >= len(classes):
        raise ValueError(f"a sample is of class {highest}, but there are {len(classes)} classes")
    measured, record, skipped = (dict(data[name]) for name in ("measured", "split", "skipped"))
    index = Index(classes, shape, data["dtype"], shards, measured, record, str(data["origin"]), skipped)
    index = replace(index, remark=str(data["remark"]))
    counts = {part: len(index.part(part)) for part in PARTS}
    if counts != data["samples"]:
        raise ValueError(f"it speaks of {data['samples']} samples, but places {counts}")
    return index


def _check_files(place: Place, index: Index) -> None:
    """Compare the sizes of the files with those that the index knows; of other places only that of the first."""
    sizes = {shard.file: shard.bytes for shard in index.shards}
    for file, size in sizes.items():
        there = place.size(file)
        if there is None:
            raise FileError(f"{place.called(file)} is missing, but the index speaks of it; copy it again")
        if there != size:
            raise FileError(
                f"{place.called(file)} has {there:,} bytes, but the index says {size:,}: one of them is from another "
                f"time; copy both again, or {_again(place)}"
            )
        if not place.is_near:
            return


def _again(place: Place) -> str:
    return f"delete {place.called(INDEX)}, and it is made anew from the shards"
