"""The images of a folder that a model has not seen: all of a folder unknown to it, the test part of its own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from foveate.calls import path_from
from foveate.data.dataset import Dataset
from foveate.data.folders import list_images
from foveate.data.found import relative, skipped_words
from foveate.data.image_folder import Found, check_takes_images, examined
from foveate.data.preprocessing import Preprocessing
from foveate.data.splitting import Placement
from foveate.errors import DataError
from foveate.text import printable


@dataclass(frozen=True, eq=False)
class HeldOut:
    """What a model is measured on in a folder.

    `part` is "all", "test" or "unseen"; `told` says in words what that is, and what was skipped; `files` has each
    image's path below the folder.
    """

    dataset: Dataset
    part: str
    told: str
    files: tuple[str, ...] = ()


def held_out(
    folder: str | Path,
    preprocessing: Preprocessing,
    *,
    classes: Sequence[str] | None = None,
    record: Mapping[str, Any] | None = None,
    progress: bool = True,
    threads: int | None = None,
) -> HeldOut:
    """The images in `folder` that a model has not seen.

    That is each image of a folder on which it was not trained, and the test part of the one on which it was, where an
    image added since is placed by its content.

    Args:
        folder: as for `image_folder`; a class may be missing.
        preprocessing: the model's, which brings the images to its shape.
        classes: the model's, in their order (default: the folder's).
        record: the model's `splits`, which say what it was trained on.
        progress: whether to show a live bar, on a terminal or in a notebook, if reading takes over two seconds.
        threads: threads that read images (default: one for each core).

    Raises:
        FileError: there is no such folder.
        DataError: it has other classes, no image that can be read, or none that the model has not seen.
    """
    root = path_from(folder, "folder")
    check_takes_images(preprocessing)
    found = examined([list_images(root, classes)], {}, threads, progress)
    if not found.files:
        raise DataError(f'"{root}" has no image that can be read: {skipped_words(found.named_skipped())}')
    part, places = _unseen(found, Placement.from_json(record or {}))
    if not places:
        raise DataError(
            f'the model was trained or validated on each of the {len(found.files)} images in "{root}"; give a folder '
            "that it has not seen"
        )
    inputs, kept = found.read(places, preprocessing, threads, progress)
    if not kept:
        raise DataError(f'"{root}" has no image that can be read: {skipped_words(found.named_skipped())}')
    labels = np.asarray([found.files[places[place]].label for place in kept], np.int64)
    told = _told(root, part, len(kept), len(found.files), known=bool(record))
    skipped = f", {skipped_words(found.named_skipped())}" if found.skipped else ""
    files = tuple(relative(found.files[places[place]].path, found.roots) for place in kept)
    return HeldOut(Dataset(inputs, labels, found.classes), part, told + skipped, files)


def _unseen(found: Found, placement: Placement | None) -> tuple[str, list[int]]:
    """What to measure, and the places of its files."""
    if placement is None:
        return "all", list(range(len(found.files)))
    known = [placement.parts.get(facts.content) for facts in found.facts]
    if not any(known):
        return "all", list(range(len(known)))
    unseen = [place for place, part in enumerate(known) if part in (None, "test")]
    if not placement.is_of([facts.content for facts in found.facts]):
        return "unseen", unseen
    pairs = zip(found.files, found.facts, known, strict=True)
    parts = [part or file.part or placement.part(facts.content) for file, facts, part in pairs]
    tested = [place for place, part in enumerate(parts) if part == "test"]
    return ("test", tested) if tested else ("unseen", unseen)


def _told(root: Path, part: str, count: int, total: int, *, known: bool) -> str:
    name = printable(root.resolve().name)
    if part == "test":
        return f"{name}: the test part, {count:,} of {total:,} images; the others were for training and validation"
    if part == "unseen":
        return f"{name}: {count:,} of {total:,} images; the others were for training and validation"
    never = "none of which the model was trained on" if known else "the model does not say which it was trained on"
    return f"{name}: all {count:,} images; {never}"
