"""What was found in a folder of images, in one line."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from foveate.data.images import SUFFIXES
from foveate.data.reading import Facts
from foveate.text import printable

NAMED = 3
"""Files that a sentence names before it counts the rest."""

_SHORT = (
    (r"is empty \(", "empty"),
    (r"HEIC image", "needs pillow-heif"),
    (r"is not an image", "no image"),
    (r"is a damaged image", "damaged"),
    (r"claims more than|at most .* are read|has .* bytes, but no image", "too large"),
    (r"has changed while", "changed while it was read"),
    (r"there is no file", "gone"),
    (r"is a broken link", "broken link"),
    (r"is a link to a folder above", "a link to a folder above"),
    (r"is a (pipe|socket|device)|is no file", "no file on a disk"),
    (r"beside the class folders", "beside the class folders"),
    (r"neither train", "neither train, val nor test"),
    (r"cannot be (?:read|opened): (?P<why>.*)", ""),
)


def found_line(facts: Sequence[Facts], classes: int, counts: Mapping[str, int], skipped: Mapping[str, str]) -> str:
    """Images, classes, sizes, parts and what was skipped.

    >>> facts = [Facts("a", 3, 64, 64), Facts("b", 3, 3000, 4000)]
    >>> found_line(facts, 2, {"train": 2}, {"a/notes.txt": "is not an image"})
    '2 images in 2 classes (64x64 to 4000x3000 pixels), 2 train, 1 skipped: a/notes.txt (no image)'
    """
    parts = "".join(f", {count:,} {part}" for part, count in counts.items())
    left = f", {skipped_words(skipped)}" if skipped else ""
    return f"{len(facts):,} images in {classes:,} classes ({_sizes(facts)} pixels){parts}{left}"


def skipped_words(skipped: Mapping[str, str]) -> str:
    """How many files were skipped, the first by their names and reasons."""
    first = ", ".join(f"{printable(name)} ({short_reason(skipped[name])})" for name in list(skipped)[:NAMED])
    more = f" and {len(skipped) - NAMED:,} more" if len(skipped) > NAMED else ""
    return f"{len(skipped):,} skipped: {first}{more}"


def short_reason(reason: str) -> str:
    """A few words for the sentence that says why a file was left out."""
    for pattern, words in _SHORT:
        if match := re.search(pattern, reason):
            return words or printable(match["why"])
    return "cannot be used"


def is_named_image(path: Path) -> bool:
    """Whether whoever named the file means it to be an image."""
    return path.suffix.lower() in SUFFIXES


def relative(path: Path, roots: Sequence[Path]) -> str:
    """The path below the first of the folders, or below another, which is then named too."""
    if path.is_relative_to(roots[0]):
        return str(path.relative_to(roots[0]))
    return str(path)


def _sizes(facts: Sequence[Facts]) -> str:
    """The smallest and the largest image, width before height."""
    sides = sorted({(each.width * each.height, each.width, each.height) for each in facts})
    first, last = (f"{width}x{height}" for _, width, height in (sides[0], sides[-1]))
    return first if len(sides) == 1 else f"{first} to {last}"
