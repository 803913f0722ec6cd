"""The bytes of samples, read from their shards: a few for now, or round by round for an epoch, a round ahead."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TypeAlias
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from foveate.data.images import Held
from foveate.data.shards.index import Part
from foveate.data.shards.places import Place
from foveate.errors import FileError

Indices: TypeAlias = NDArray[np.int64]

_Span: TypeAlias = tuple[tuple[int, int], range]
"""Where a piece begins and ends, and which of the wanted samples are in it."""

_GAP = 1 << 14
"""Bytes that are read although nobody wants them, rather than begin a new piece."""

_PIECE = 1 << 23
"""Bytes from which a new piece begins."""


class Shards:
    """The samples of one part at a place."""

    def __init__(self, place: Place, part: Part) -> None:
        self.place, self.part = place, part

    def read(self, samples: Indices) -> dict[int, memoryview]:
        """The bytes of samples, in any order, by their numbers; each shard is read from front to back."""
        found: dict[int, memoryview] = {}
        ordered = np.unique(samples)
        of_shard = np.searchsorted(self.part.starts, ordered, "right") - 1
        for number in np.unique(of_shard):
            wanted = ordered[of_shard == number]
            found |= self._of_shard(int(number), wanted)
        return found

    def checked(self, samples: Indices, found: Mapping[int, memoryview]) -> list[Held]:
        """Samples with their names; a FileError if the bytes of one are not those that the index knows."""
        held = []
        for sample, known in zip(samples.tolist(), self.part.checksums[samples].tolist(), strict=True):
            content = found[sample]
            if crc32(content) != known:
                raise FileError(
                    f"{self.name_of(sample)} is damaged: its checksum is not that of the index; copy the shard again, "
                    "or pack the data again"
                )
            held.append(Held(_Name(self, sample), content))
        return held

    def name_of(self, sample: int) -> str:
        """What sentences call a sample."""
        number = int(np.searchsorted(self.part.starts, sample, "right")) - 1
        shard, row = self.part.shards[number], sample - int(self.part.starts[number])
        return f"the sample at byte {shard.offsets[row]:,} of {self.place.called(shard.file)}"

    def _of_shard(self, number: int, samples: Indices) -> dict[int, memoryview]:
        shard = self.part.shards[number]
        rows = samples - self.part.starts[number]
        rows = rows[np.argsort(shard.offsets[rows], kind="stable")]
        begins = shard.offsets[rows].astype(np.int64)
        ends = begins + shard.sizes[rows]
        found: dict[int, memoryview] = {}
        start = int(self.part.starts[number])
        numbers, begin_of, end_of = (rows + start).tolist(), begins.tolist(), ends.tolist()
        for (first, last), chosen, piece in self._pieces(shard.file, _spans(begin_of, end_of)):
            if len(piece) != last - first:
                raise FileError(
                    f"{self.place.called(shard.file)} is cut short: bytes {first:,} to {last:,} were wanted, but it "
                    f"gave {len(piece):,} of them; copy it again"
                )
            # A piece with gaps is not kept for what little is wanted of it.
            sparse = 2 * sum(end_of[each] - begin_of[each] for each in chosen) < len(piece)
            whole = memoryview(piece)
            for each in chosen:
                content = whole[begin_of[each] - first : end_of[each] - first]
                found[numbers[each]] = memoryview(bytes(content)) if sparse else content
        return found

    def _pieces(self, file: str, spans: Sequence[_Span]) -> Iterator[tuple[tuple[int, int], range, bytes]]:
        """The pieces with their bytes; small ones are asked for together, which a server answers at once."""
        waiting: list[_Span] = []
        for place, span in enumerate(spans):
            waiting.append(span)
            if place + 1 == len(spans) or sum(end - begin for (begin, end), _ in waiting) >= _PIECE // 2:
                pieces = self.place.pieces(file, [ends for ends, _ in waiting])
                yield from ((*each, piece) for each, piece in zip(waiting, pieces, strict=True))
                waiting = []


@dataclass(frozen=True)
class _Name:
    """The name of a sample, which few sentences need."""

    shards: Shards
    sample: int

    def __str__(self) -> str:
        return self.shards.name_of(self.sample)


def _spans(begins: Sequence[int], ends: Sequence[int]) -> list[_Span]:
    """The pieces to read for samples in order of their places, each with the samples in it.

    >>> _spans([0, 200, 1 << 20], [100, 300, (1 << 20) + 5])
    [((0, 300), range(0, 2)), ((1048576, 1048581), range(2, 3))]
    """
    spans: list[_Span] = []
    for place, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if spans:
            (first, last), chosen = spans[-1]
            if begin - last <= _GAP and end - first <= _PIECE:
                spans[-1] = ((first, max(end, last)), range(chosen.start, place + 1))
                continue
        spans.append(((begin, end), range(place, place + 1)))
    return spans


class Rounds:
    """The samples of some batches, read round by round while those before are used, and dropped afterwards.

    Args:
        shards: where they are.
        batches: the samples of each batch, in the order in which they will be taken.
        rounds: the round of each sample of the part.
    """

    def __init__(self, shards: Shards, batches: Sequence[Indices], rounds: NDArray[np.int32]) -> None:
        self._shards, self._rounds = shards, rounds
        wanted = np.concatenate(batches) if batches else np.zeros(0, np.int64)
        numbers = rounds[wanted]
        self._wanted = {int(number): wanted[numbers == number] for number in np.unique(numbers)}
        self._left = {number: len(samples) for number, samples in self._wanted.items()}
        self._waiting: dict[int, Future[dict[int, memoryview]]] = {}
        self._order = list(self._wanted)
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(1, "foveate-shards")

    def take(self, batch: Indices) -> list[Held]:
        """The samples of a batch, once they are read; each is taken once."""
        numbers = self._rounds[batch]
        found: dict[int, memoryview] = {}
        for number in np.unique(numbers).tolist():
            of_round = self._started(number).result()
            for sample in batch[numbers == number].tolist():
                content = of_round[sample]
                # A copy of the last samples of a round lets go of the pieces that they were read in.
                found[sample] = content if number == numbers[-1] else memoryview(bytes(content))
            del of_round, content
            self._count(number, int((numbers == number).sum()))
        return self._shards.checked(batch, found)

    def close(self) -> None:
        """Stop reading."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _started(self, number: int) -> Future[dict[int, memoryview]]:
        """A round being read, and after it the next one."""
        with self._lock:
            place = self._order.index(number)
            for each in self._order[place : place + 2]:
                if each not in self._waiting:
                    self._waiting[each] = self._pool.submit(self._shards.read, self._wanted[each])
            return self._waiting[number]

    def _count(self, number: int, taken: int) -> None:
        """Forget a round of which everything was taken."""
        with self._lock:
            self._left[number] -= taken
            if not self._left[number]:
                del self._waiting[number]
                self._order.remove(number)
