"""The index of shards that others wrote, WebDataset's foremost: each sample is read once, and nothing is unpacked."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any
from zlib import crc32

import numpy as np

from foveate.data.folders import PART_NAMES, PARTS, natural_key
from foveate.data.image_folder import unmeasured
from foveate.data.images import SUFFIXES, Held, read_size
from foveate.data.reading import Facts
from foveate.data.shards.decoding import read_held_array
from foveate.data.shards.index import Index, Shard
from foveate.data.shards.places import Place
from foveate.data.shards.tars import Member, members
from foveate.data.splitting import SHARES, Placement
from foveate.errors import DataError, FileError
from foveate.layers import Shape
from foveate.progress import watched
from foveate.text import printable

CLASSES = "classes.txt"
"""The file with the names of the classes, one on each line, in the order of their numbers."""

ARRAY, NUMBER, FACTS = "npy", "cls", "json"
"""Extensions of members: an array, a class, and facts among which a class may be."""

_LABEL_NAMES = ("label", "cls", "class", "class_name", "target")
_IMAGES = tuple(suffix.removeprefix(".") for suffix in SUFFIXES)


@dataclass
class _Sample:
    """A sample of a tar, as it is collected member by member."""

    key: str
    input: Member | None = None
    label: int | str | None = None


@dataclass
class _Rows:
    """What the index will say of the samples of one file."""

    file: str
    bytes: int
    offsets: list[int] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    labels: list[int | str] = field(default_factory=list)
    checksums: list[int] = field(default_factory=list)
    contents: list[str] = field(default_factory=list)


def made_index(place: Place, *, seed: int, shares: tuple[float, float, float] = SHARES, progress: bool = True) -> Index:
    """The index of the tar files at a place, each of which is read once.

    Files whose names begin with train, val or test hold these parts; without such files, validation and test get
    their shares of all samples, by their content.

    Raises:
        DataError: there are no tar files, or their samples are of different kinds.
        FileError: a file is damaged, or a sample lacks a member.
    """
    files = sorted((name for name in place.files() if name.lower().endswith(".tar")), key=natural_key)
    if not files:
        raise DataError(f'"{place}" has no shards, which are files called .tar, and no index of them')
    kinds = _Kinds()
    rows = [
        _read(place, file, kinds)
        for file in watched(files, len(files), "reading shards", progress=progress and len(files) > 1)
    ]
    names = _names(place, rows)
    numbers = {name: number for number, name in enumerate(names)}
    shards, record = _parted(rows, numbers, seed, shares)
    counts = {part: sum(len(shard) for shard in shards if shard.part == part) for part in PARTS}
    for part, count in counts.items():
        if not count:
            raise DataError(
                f'"{place}" has {sum(counts.values())} samples, and none for {part}; at least 3 different samples of a '
                "class are needed, one each for training, validation and test"
            )
    return Index(names, kinds.shape, kinds.dtype, shards, record=record, origin=place.name)


class _Kinds:
    """Of what kind the samples are: images, or arrays of one shape and type."""

    def __init__(self) -> None:
        self.dtype = ""
        self._arrays: Shape = ()
        self._facts: list[Facts] = []

    def note(self, member: Member, name: str) -> None:
        """Look at the input of a sample."""
        held = Held(name, member.content)
        if member.extension == ARRAY:
            array = read_held_array(held)
            shape, dtype = array.shape, str(array.dtype)
            if dtype not in ("uint8", "float32"):
                raise DataError(f"{name} is an array of type {dtype}; samples are uint8 from 0 to 255, or float32")
        else:
            channels, height, width = read_size(held)
            self._facts.append(Facts("", channels, height, width))
            shape, dtype = (), "image"
        if (self.dtype or dtype, self._arrays or shape) != (dtype, shape):
            raise DataError(
                f"{name} is {dtype} {shape or ''}, but samples before it are {self.dtype} {self._arrays or ''}; make "
                "the shards of samples of one kind"
            )
        self.dtype, self._arrays = dtype, shape

    @property
    def shape(self) -> Shape:
        """That of arrays, or one that suits most images."""
        if self._arrays:
            return self._arrays
        return unmeasured(self._facts, None, None, "crop").shape


def _read(place: Place, file: str, kinds: _Kinds) -> _Rows:
    name = place.called(file)
    rows = _Rows(file, place.size(file) or 0)
    with place.open(file) as opened:
        for sample in _samples(members(opened, name), name):
            member, label = sample.input, sample.label
            if member is None or label is None:
                lacking = "no image and no array" if member is None else f"no class, a member .{NUMBER} or .{FACTS}"
                raise FileError(
                    f"{name}: the sample {printable(sample.key)} has {lacking}; write the shard again with both"
                )
            kinds.note(member, f"{printable(sample.key)} in {name}")
            rows.offsets.append(member.offset)
            rows.sizes.append(len(member.content))
            rows.labels.append(label)
            rows.checksums.append(crc32(member.content))
            rows.contents.append(blake2b(member.content, digest_size=8).hexdigest())
    if not rows.offsets:
        raise FileError(f"{name} has no samples; remove it")
    return rows


def _samples(found: Iterator[Member], shard: str) -> Iterator[_Sample]:
    """Members with the same key, one after another, are one sample."""
    sample: _Sample | None = None
    for member in found:
        if sample is None or sample.key != member.key:
            if sample is not None:
                yield sample
            sample = _Sample(member.key)
        if member.extension == ARRAY or member.extension in _IMAGES:
            if sample.input is not None:
                raise FileError(
                    f"{shard}: the sample {printable(sample.key)} has two inputs, .{sample.input.extension} and "
                    f".{member.extension}; leave one out"
                )
            sample.input = member
        elif member.extension == NUMBER:
            sample.label = _label(member.content.decode("utf-8", "replace").strip(), sample.key, shard)
        elif member.extension == FACTS and sample.label is None:
            sample.label = _label_of_facts(member.content, sample.key, shard)
    if sample is not None:
        yield sample


def _label(words: object, key: str, shard: str) -> int | str:
    """A class by its number, or by its name."""
    if isinstance(words, str) and re.fullmatch(r"[0-9]{1,9}", words):
        return int(words)
    if isinstance(words, int) and not isinstance(words, bool) and 0 <= words < 10**9:
        return words
    if isinstance(words, str) and words and len(words) < 1000:
        return words
    raise FileError(
        f"{shard}: the class of {printable(key)} is {printable(repr(words))}; give the number of a class, from 0, or "
        "its name"
    )


def _label_of_facts(content: bytes, key: str, shard: str) -> int | str | None:
    """The class in a member .json, if there is one: the whole of it, or an entry such as `label`."""
    try:
        facts = json.loads(content)
    except (ValueError, RecursionError):
        raise FileError(f"{shard}: the member .json of {printable(key)} is no JSON; write it again") from None
    if isinstance(facts, Mapping):
        facts = next((facts[name] for name in _LABEL_NAMES if name in facts), None)
    return None if facts is None else _label(facts, key, shard)


def _names(place: Place, rows: Sequence[_Rows]) -> tuple[str, ...]:
    """The classes' names: those in the samples or in classes.txt, or their numbers."""
    labels = {label for each in rows for label in each.labels}
    written = {label for label in labels if isinstance(label, str)}
    listed = _listed(place)
    if written and len(written) < len(labels):
        raise DataError(
            f'"{place}" names some classes ({printable(min(written))}) and numbers others; write all in one way'
        )
    if written and not listed:
        return tuple(sorted(written, key=natural_key))
    count = 1 + max((label for label in labels if isinstance(label, int)), default=-1)
    if not listed and count > sum(len(each.labels) for each in rows) + 1000:
        raise DataError(f'"{place}" has a sample of class {count - 1:,}, but fewer samples; number classes from 0')
    names = listed or tuple(map(str, range(count)))
    if missing := [label for label in written if label not in names]:
        raise DataError(f'{place.called(CLASSES)} does not list the class "{printable(missing[0])}"; add it')
    if count > len(names):
        raise DataError(
            f"{place.called(CLASSES)} lists {len(names)} classes, but a sample is of class {count - 1}; add the missing"
        )
    return names


def _listed(place: Place) -> tuple[str, ...]:
    if place.size(CLASSES) is None:
        return ()
    with place.open(CLASSES) as file:
        words = file.read(1 << 24).decode("utf-8", "replace")
    return tuple(line.strip() for line in words.splitlines() if line.strip())


def _parted(
    rows: Sequence[_Rows], numbers: Mapping[str, int], seed: int, shares: tuple[float, float, float]
) -> tuple[tuple[Shard, ...], dict[str, Any]]:
    """The shards of each part, and which sample is in which."""
    given = {each.file: _part_of(each.file) for each in rows}
    there = set(given.values())
    open_shares = [0.0 if part in there else share for part, share in zip(PARTS, shares, strict=True)]
    open_shares[0] = shares[0]
    train, validation, test = (share / sum(open_shares) for share in open_shares)
    contents = [
        (numbers[label] if isinstance(label, str) else label, content, None if part == "train" else part)
        for each in rows
        for part in [given[each.file]]
        for label, content in zip(each.labels, each.contents, strict=True)
    ]
    placement = Placement(seed, (train, validation, test)).chosen(contents)
    shards = []
    for part in PARTS:
        for each in rows:
            own = given[each.file]
            chosen = [
                row
                for row, content in enumerate(each.contents)
                if (own if own in PARTS[1:] else placement.part(content)) == part
            ]
            if chosen:
                shards.append(_shard(each, part, chosen, numbers))
    return tuple(shards), placement.to_json()


def _shard(rows: _Rows, part: str, chosen: Sequence[int], numbers: Mapping[str, int]) -> Shard:
    labels = [rows.labels[row] for row in chosen]
    return Shard(
        rows.file,
        part,
        rows.bytes,
        np.asarray([rows.offsets[row] for row in chosen], np.uint64),
        np.asarray([rows.sizes[row] for row in chosen], np.uint32),
        np.asarray([numbers[each] if isinstance(each, str) else each for each in labels], np.uint32),
        np.asarray([rows.checksums[row] for row in chosen], np.uint32),
    )


def _part_of(file: str) -> str | None:
    """The part that a file's name begins with, such as train-000000.tar; None if it names none."""
    match = re.match(r"[a-z]+", file.casefold())
    return PART_NAMES.get(match[0]) if match else None
