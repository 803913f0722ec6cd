"""Packing a folder of images, a dataset or arrays into shards."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import Any, Protocol, TypeAlias
from zlib import crc32

import numpy as np

from foveate.calls import path_from
from foveate.data.batches import permutation
from foveate.data.dataset import Dataset, Splits
from foveate.data.folders import PARTS, list_images
from foveate.data.image_folder import Found, check_readable, examined, in_two_classes, placement_of, unmeasured
from foveate.data.images import SUFFIXES, Held, read_pixels
from foveate.data.measuring import ByteSums
from foveate.data.preprocessing import Preprocessing
from foveate.data.reading import data_threads, in_order
from foveate.data.shards.decoding import array_head
from foveate.data.shards.index import INDEX, Index, Shard
from foveate.data.shards.indexing import ARRAY, CLASSES, NUMBER
from foveate.data.shards.opening import measured_key
from foveate.data.shards.places import Folder
from foveate.data.shards.tars import LARGEST_SAMPLE, TarWriter
from foveate.data.splitting import Placement
from foveate.errors import DataError, FileError
from foveate.opening import open_regular
from foveate.progress import watched
from foveate.tasks import Classification
from foveate.text import named

SHARD_MB = 256
"""Megabytes of a shard, unless another number is given."""

Packed: TypeAlias = tuple[int, str, bytes]
"""What is written of a sample: its class, the extension of its bytes, and these."""


class Source(Protocol):
    """Where samples come from."""

    classes: tuple[str, ...]

    def count(self, part: str) -> int:
        """How many samples there may be."""

    def samples(self, part: str) -> Iterator[Packed | None]:
        """The samples of a part in a random order; None for each that cannot be read."""

    def index(self, shards: Sequence[Shard], name: str) -> Index:
        """The index of the shards that were written."""


@dataclass
class Arrays:
    """A dataset in memory.

    Args:
        splits: its parts.
        seed: for the order.
        record: what is known of the split.
    """

    splits: Splits
    seed: int
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        train = self.splits.train
        if not isinstance(train.task, Classification) or np.asarray(train.targets).ndim != 1:
            raise DataError(
                f"shards hold samples with a class each, but the data are for {type(train.task).__name__}"
                f"{' with fractions' * isinstance(train.task, Classification)}; train on them from memory"
            )
        self.classes = train.classes

    def count(self, part: str) -> int:
        """As for any source."""
        return len(self._part(part))

    def samples(self, part: str) -> Iterator[Packed | None]:
        """As for any source."""
        data = self._part(part)
        inputs, labels = data.inputs, data.labels
        head = array_head(data.shape, inputs.dtype)
        for row in permutation(len(data), self.seed, f"pack {part}").tolist():
            yield int(labels[row]), ARRAY, head + np.ascontiguousarray(inputs[row]).tobytes()

    def index(self, shards: Sequence[Shard], name: str) -> Index:
        """As for any source."""
        train, known = self.splits.train, self.splits.preprocessing
        plain = Preprocessing(train.shape, known.mean, known.std)
        scaling = plain if replace(known, fit=plain.fit) == plain else Preprocessing.measure(train)
        index = Index(
            self.classes, train.shape, str(train.inputs.dtype), tuple(shards), record=self.record, origin=name
        )
        return index.with_measured(measured_key(plain), scaling.mean, scaling.std)

    def _part(self, part: str) -> Dataset:
        return {"train": self.splits.train, "validation": self.splits.validation, "test": self.splits.test}[part]


class Images:
    """The images of a folder: their bytes as they are, each decoded once to see whether it can be."""

    def __init__(
        self,
        root: Path,
        *,
        given: Mapping[str, Path],
        seed: int,
        shares: tuple[float, float, float],
        threads: int | None,
        progress: bool,
    ) -> None:
        listing = list_images(root)
        others = {part: list_images(path, listing.classes) for part, path in given.items()}
        self._found: Found = examined([listing, *others.values()], others, threads, progress)
        check_readable(root, listing.classes, self._found)
        self._placement: Placement = placement_of(None, seed, shares, self._found)
        self._parts = self._found.parts(self._placement)
        self._preprocessing = unmeasured(self._found.facts, None, None, "crop")
        self._seed, self._threads = seed, data_threads(threads)
        self._sums, self._good = ByteSums(), set[str]()
        self.classes = listing.classes

    def count(self, part: str) -> int:
        """As for any source."""
        return self._parts.count(part)

    def samples(self, part: str) -> Iterator[Packed | None]:
        """As for any source."""
        places = [place for place, own in enumerate(self._parts) if own == part]
        order = permutation(len(places), self._seed, f"pack {part}").tolist() if places else []
        ordered = [places[each] for each in order]
        for place, (content, pixels) in zip(ordered, in_order(self._read, ordered, self._threads), strict=True):
            file = self._found.files[place]
            if isinstance(pixels, str):
                self._found.skipped[file.path] = pixels
                yield None
                continue
            self._good.add(self._found.facts[place].content)
            if part == "train":
                self._sums.add(pixels[None])
            yield file.label, _extension(file.path), content

    def index(self, shards: Sequence[Shard], name: str) -> Index:
        """As for any source."""
        parts = {content: part for content, part in self._placement.parts.items() if content in self._good}
        skipped = self._found.named_skipped()
        index = Index(
            self.classes,
            self._preprocessing.shape,
            "image",
            tuple(shards),
            record=replace(self._placement, parts=parts).to_json(),
            origin=name,
            skipped=skipped,
            remark=in_two_classes(self._found),
        )
        return index.with_measured(measured_key(self._preprocessing), *self._sums.mean_and_std())

    def _read(self, place: int) -> tuple[bytes, Any]:
        """The bytes of an image and its pixels, or the reason why there are none."""
        path = self._found.files[place].path
        try:
            with open_regular(path, LARGEST_SAMPLE) as file:
                content = file.read()
            if blake2b(content, digest_size=8).hexdigest() != self._found.facts[place].content:
                return b"", f"{named(path)} has changed while it was read"
            shape = self._preprocessing.shape
            return content, read_pixels(Held(str(path), content), shape[0], self._preprocessing.resizing)
        except FileError as error:
            return b"", str(error)
        except OSError as error:
            return b"", f"{named(path)} cannot be read: {error.strerror}"


def read_npz(path: Path, seed: int, shares: tuple[float, float, float]) -> Arrays:
    """The arrays `inputs` (N, C, *spatial), `labels` (N,) and, if there, `classes` of a .npz file, split by content.

    Raises:
        FileError: there is no such file, or it does not hold these arrays.
        DataError: they make no dataset.
    """
    try:
        with open_regular(path) as file, np.load(file, allow_pickle=False) as held:
            missing = [name for name in ("inputs", "labels") if name not in held]
            if missing:
                raise FileError(
                    f"{named(path)} holds {', '.join(held) or 'nothing'}; the arrays inputs (N, C, H, W) and labels "
                    "(N,), and if you like classes, their names, were expected: numpy.savez(path, inputs=..., "
                    "labels=...)"
                )
            inputs, labels = held["inputs"], held["labels"]
            names = held.get("classes")
    except FileNotFoundError:
        raise FileError(f"there is no file {named(path)}; a .npz file was expected") from None
    except FileError:
        raise
    except Exception as error:  # zipfile and NumPy raise a dozen types on damaged files
        raise FileError(f"{named(path)} is no .npz file that can be read: {error}") from None
    if names is None and labels.dtype.kind in "iu" and labels.size:
        names = range(int(labels.max()) + 1)
    data = Dataset(inputs, labels, [str(name) for name in ([] if names is None else names)])
    contents = [blake2b(np.ascontiguousarray(row).tobytes(), digest_size=8).hexdigest() for row in data.inputs]
    placement = Placement(seed, shares).chosen(
        (int(label), content, None) for label, content in zip(data.labels, contents, strict=True)
    )
    rows = {part: [row for row, each in enumerate(contents) if placement.part(each) == part] for part in PARTS}
    for part, chosen in rows.items():
        if not chosen:
            raise DataError(
                f"{named(path)} has {len(data)} samples, and none for {part}; at least 3 different samples of a class "
                "are needed, one each for training, validation and test"
            )
    train, validation, test = (data.subset(chosen) for chosen in rows.values())
    splits = Splits(train, validation, test, Preprocessing.measure(train), name=path.stem)
    return Arrays(splits, seed, placement.to_json())


def write_shards(source: Source, folder: str | os.PathLike[str], name: str, *, size: object, progress: bool) -> None:
    """Write the samples of a source as shards with their index; nothing remains if that fails.

    Args:
        source: the samples.
        folder: a folder that does not exist yet, or is empty.
        name: that of the data.
        size: megabytes of a shard; one sample more may be in it.
        progress: whether to show a bar.
    """
    if isinstance(size, bool) or not isinstance(size, int | float) or not 0 < size < 1e9:
        raise DataError(f"shard_size is {size!r}; give a positive number of megabytes, such as {SHARD_MB}")
    root = path_from(folder, "folder")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise FileError(f"{named(root)} is there already and not empty; give a new folder for the shards")
    written: list[Path] = []
    try:
        root.mkdir(parents=True, exist_ok=True)
        Index.begin(Folder(root))
        written.append(root / INDEX)
        total = sum(source.count(part) for part in PARTS)
        samples = chain.from_iterable(((part, each) for each in source.samples(part)) for part in PARTS)
        shards = _write(root, watched(samples, total, "packing", progress=progress), int(size * 1e6), written)
        _check_parts(source, shards, root)
        (root / CLASSES).write_text("".join(f"{name}\n" for name in source.classes), "utf-8")
        written.append(root / CLASSES)
        source.index(shards, name).save(Folder(root))
    except BaseException as error:
        for path in written:
            path.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise FileError(f"{named(root)} cannot be written: {error.strerror or error}") from None
        raise


def _write(root: Path, samples: Iterator[tuple[str, Packed | None]], most: int, written: list[Path]) -> list[Shard]:
    shards: list[Shard] = []
    counts: Counter[str] = Counter()
    current: _Growing | None = None
    try:
        for part, sample in samples:
            if sample is None:
                continue
            if current is not None and (current.part != part or current.size_with(sample[2]) > most):
                shards.append(current.finish())
                current = None
            if current is None:
                number = sum(shard.part == part for shard in shards)
                current = _Growing(root / f"{part}-{number:06d}.tar", part)
                written.append(current.path)
            current.add(counts[part], *sample)
            counts[part] += 1
        if current is not None:
            shards.append(current.finish())
            current = None
    finally:
        if current is not None:
            current.abandon()
    return shards


class _Growing:
    """A shard that is being written."""

    def __init__(self, path: Path, part: str) -> None:
        self.path, self.part = path, part
        self._tar = TarWriter(path)
        self._rows: list[tuple[int, int, int, int]] = []

    def size_with(self, content: bytes) -> int:
        """The bytes of the finished file if this were the last sample."""
        return self._tar.size_with(len(content), 1)

    def add(self, number: int, label: int, extension: str, content: bytes) -> None:
        key = f"{number:09d}"
        begin = self._tar.add(f"{key}.{extension}", content)
        self._tar.add(f"{key}.{NUMBER}", str(label).encode())
        self._rows.append((begin, len(content), label, crc32(content)))

    def finish(self) -> Shard:
        size = self._tar.finish()
        offsets, sizes, labels, checksums = zip(*self._rows, strict=True)
        return Shard(
            self.path.name,
            self.part,
            size,
            np.asarray(offsets, np.uint64),
            *(np.asarray(column, np.uint32) for column in (sizes, labels, checksums)),
        )

    def abandon(self) -> None:
        self._tar.abandon()


def _check_parts(source: Source, shards: Sequence[Shard], root: Path) -> None:
    for part in PARTS:
        own = [shard for shard in shards if shard.part == part]
        if not own:
            raise DataError(
                f"no sample is left for {part}, so {named(root)} is not written; at least 3 different samples of a "
                "class are needed, one each for training, validation and test"
            )
        if part == "train" and (
            missing := set(range(len(source.classes))) - {int(each) for shard in own for each in shard.labels}
        ):
            raise DataError(f'no sample of the class "{source.classes[min(missing)]}" is left for training; add some')


def _extension(path: Path) -> str:
    """That of an image; what is called otherwise is an image all the same, and decoders look at the content."""
    suffix = path.suffix.lower()
    return suffix.removeprefix(".") if suffix in SUFFIXES else "jpg"
