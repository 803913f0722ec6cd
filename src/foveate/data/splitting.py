"""Which images are for training, validation and test: chosen once, stratified, and kept by their content."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from math import isclose, isfinite
from typing import Any

from foveate.data.folders import PARTS
from foveate.errors import DataError

SHARES = (0.8, 0.1, 0.1)
"""The shares of training, validation and test."""

_SEED_MASK = 2**64 - 1


@dataclass(frozen=True)
class Placement:
    """The part of each image by the hash of its content.

    Args:
        seed: chooses what is held out.
        shares: those of training, validation and test.
        parts: the part of each image that was there when the split was chosen; any other is placed by its hash alone.
    """

    seed: int
    shares: tuple[float, float, float] = SHARES
    parts: Mapping[str, str] = field(default_factory=dict)

    def part(self, content: str) -> str:
        """The part of the image with this hash."""
        known = self.parts.get(content)
        if known is not None:
            return known
        place = _draw(content, self.seed) / 2**64
        _, validation, test = self.shares
        return "test" if place < test else "validation" if place < test + validation else "train"

    def chosen(self, contents: Iterable[tuple[int, str, str | None]]) -> "Placement":
        """The same with the parts of these images fixed, given as (class, hash, the part whose folder it lies in).

        Images with the same content are in one part. If they are those of the folder that was split, others are placed
        by their hash; if not, they are drawn so that each class of three images or more has one in each part.
        """
        images, parts = list(contents), dict(self.parts)
        for part in PARTS:  # an image in two parts is one of the test
            parts |= {content: part for _, content, given in images if given == part}
        classes: dict[str, int] = {}
        for label, content, _ in images:
            if content not in parts:
                classes.setdefault(content, label)
        waiting: dict[int, list[str]] = {}
        for content, label in classes.items():
            waiting.setdefault(label, []).append(content)
        by_hash = self.is_of([content for _, content, _ in images])
        for group in waiting.values():
            parts |= {each: self.part(each) for each in group} if by_hash else self._stratified(group)
        return Placement(self.seed, self.shares, parts)

    def is_of(self, contents: Sequence[str]) -> bool:
        """Whether these are the images of the folder that was split, some of which may be new: at least half are known.

        >>> Placement(0, parts={"a": "train", "b": "test"}).is_of(["a", "b", "c", "d"])
        True
        """
        known = sum(content in self.parts for content in contents)
        return known > 0 and known >= len(contents) / 2

    def _stratified(self, contents: Iterable[str]) -> dict[str, str]:
        """The parts of the images of one class."""
        drawn = sorted(contents, key=lambda content: _draw(content, self.seed))
        _, validation, test = part_counts(len(drawn), self.shares)
        held = {
            content: "test" if place < test else "validation"
            for place, content in enumerate(drawn[: test + validation])
        }
        return dict.fromkeys(drawn, "train") | held

    def to_json(self) -> dict[str, Any]:
        """Plain data, for model files: the hashes of each part."""
        lists = {part: sorted(each for each, given in self.parts.items() if given == part) for part in PARTS}
        return {"by": "content", "seed": self.seed, "shares": list(self.shares), **lists}

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> "Placement | None":
        """The placement that `to_json` described, or None if the data were split in another way, or are damaged."""
        try:
            if data.get("by") != "content":
                return None
            parts = {str(content): part for part in PARTS for content in data[part]}
            return Placement(int(data["seed"]), _normalised(data["shares"]), parts)
        except (KeyError, TypeError, ValueError, AttributeError, ZeroDivisionError):
            return None


def both(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a model that was trained on the images of one record, and then on those of another."""
    before, after = Placement.from_json(earlier), Placement.from_json(later)
    if before is None or after is None:
        return dict(later or earlier)
    return replace(after, parts={**before.parts, **after.parts}).to_json()


def checked_shares(shares: Any) -> tuple[float, float, float]:
    """The shares of training, validation and test, which add up to 1.

    >>> checked_shares((80, 10, 10))
    (0.8, 0.1, 0.1)

    Raises:
        DataError: they are not three positive numbers, or fractions that do not add up to 1.
    """
    given = tuple(shares) if isinstance(shares, Sequence) and not isinstance(shares, str) else ()
    numbers = all(isinstance(each, int | float) and not isinstance(each, bool) and isfinite(each) for each in given)
    if len(given) != 3 or not numbers or min(given) <= 0:
        raise DataError(
            f"split is {shares!r}; give three positive shares for training, validation and test, such as "
            "(0.8, 0.1, 0.1)"
        )
    if max(given) < 1 and not isclose(sum(given), 1, abs_tol=0.011):  # 0.33 three times is meant
        raise DataError(
            f"split is {shares!r}, which adds up to {sum(given):.4g}; give shares that add up to 1, such as "
            "(0.8, 0.1, 0.1), or a ratio such as (8, 1, 1)"
        )
    return _normalised(given)


def _normalised(shares: Sequence[float]) -> tuple[float, float, float]:
    train, validation, test = (max(0.0, float(each)) / sum(shares) for each in shares)
    return train, validation, test


def _draw(content: str, seed: int) -> int:
    """64 random bits for an image."""
    key = (seed & _SEED_MASK).to_bytes(8, "little")
    return int.from_bytes(blake2b(content.encode(), digest_size=8, key=key).digest(), "little")


def part_counts(count: int, shares: tuple[float, float, float]) -> tuple[int, int, int]:
    """How many of a class go into each part: all three get one if they can, training first, then the test."""
    if count < 3:
        return min(1, count), 0, max(0, count - 1) if shares[2] else 0
    wanted = zip(PARTS[1:], shares[1:], strict=True)
    held = Counter({part: max(1, round(share * count)) if share else 0 for part, share in wanted})
    while held.total() >= count:
        held[max(held, key=held.__getitem__)] -= 1
    return count - held.total(), held["validation"], held["test"]
