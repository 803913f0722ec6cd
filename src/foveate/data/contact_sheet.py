"""A contact sheet: some images of each class, as the network gets them."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foveate.calls import path_from
from foveate.data.dataset import Dataset
from foveate.data.folders import list_images
from foveate.data.found import skipped_words
from foveate.data.image_folder import Found, check_takes_images, examined, in_two_classes, unmeasured
from foveate.data.preprocessing import Preprocessing
from foveate.data.shards.opening import are_shards
from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.text import named, printable, shortened

if TYPE_CHECKING:
    from PIL import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

MOST_CLASSES = 200
"""Classes that a sheet has room for."""

_LEAST_SIDE = 96
"""Pixels that an image on the sheet has at least; smaller ones are enlarged by a whole number."""

_GAP, _MARGIN, _LETTERS = 4, 12, 14
_LONGEST_NAME = 60
_PAPER, _INK = (255, 255, 255), (30, 30, 30)


@dataclass(frozen=True, eq=False)
class ContactSheet:
    """Some images of each class.

    `image` is the sheet, `dataset` has the images on it row by row, and `found` says in one line what the folder holds.
    """

    image: "Image.Image"
    dataset: Dataset
    found: str


def contact_sheet(
    folder: str | Path,
    *,
    each: int = 8,
    size: int | tuple[int, int] | None = None,
    fit: str = "crop",
    preprocessing: Preprocessing | None = None,
    progress: bool = True,
) -> ContactSheet:
    """A picture of what a network gets of the images in `folder`: a row for each class.

    Args:
        folder: as for `image_folder`.
        each: images of each class, chosen evenly among its files.
        size: as for `image_folder`.
        fit: as for `image_folder`.
        preprocessing: a model's, to see what it gets; `size` and `fit` are not used.
        progress: whether to show a live bar, on a terminal or in a notebook, if reading takes over two seconds.

    Raises:
        FileError: there is no such folder.
        DataError: it has no classes or holds shards, none of its images can be read, or `each` is not at least 1.
    """
    if isinstance(each, bool) or not isinstance(each, int) or each < 1:
        raise DataError(f"each is {each!r}; give the number of images of a class, at least 1")
    if are_shards(path_from(folder, "folder")):
        raise DataError(
            f"{named(folder)} holds shards, and contact sheets are of folders of images; fv.datasets.shards and "
            "foveate train read shards"
        )
    found = examined([list_images(path_from(folder, "folder"))], {}, None, progress)
    if not found.files:
        raise DataError(f'none of the images in "{folder}" can be read: {skipped_words(found.named_skipped())}')
    prepared = preprocessing or unmeasured(found.facts, None, size, fit)
    check_takes_images(prepared)
    places = [place for label in range(min(len(found.classes), MOST_CLASSES)) for place in _spread(found, label, each)]
    inputs, kept = found.read(places, prepared, None, progress)
    labels = np.asarray([found.files[places[place]].label for place in kept], np.int64)
    line = found.line(range(len(found.files)), range(len(found.files)), {}) + in_two_classes(found)
    if len(found.classes) > MOST_CLASSES:
        line += f"; the sheet shows the first {MOST_CLASSES} of {len(found.classes):,} classes"
    chosen = Dataset(inputs, labels, found.classes)
    return ContactSheet(
        _drawn(chosen, _counts(found), f"{line}; shown as {format_sizes(prepared.shape)}"), chosen, line
    )


def _spread(found: Found, label: int, each: int) -> list[int]:
    """Places of a class's files, evenly among them."""
    own = [place for place, file in enumerate(found.files) if file.label == label]
    if len(own) <= each:
        return own
    return [own[number * len(own) // each] for number in range(each)]


def _counts(found: Found) -> list[int]:
    return [sum(file.label == label for file in found.files) for label in range(len(found.classes))]


def _drawn(dataset: Dataset, counts: list[int], title: str) -> "Image.Image":
    from PIL import Image, ImageDraw

    height, width = dataset.shape[1:]
    zoom = max(1, _LEAST_SIDE // max(height, width))
    rows = [np.flatnonzero(dataset.labels == label) for label in range(min(len(counts), MOST_CLASSES))]
    across, down = width * zoom + _GAP, _LETTERS + 2 * _GAP + height * zoom
    font = _font()
    columns = max(1, *(len(row) for row in rows))
    sides = (2 * _MARGIN + max(columns * across, int(font.getlength(title))), 3 * _MARGIN + _LETTERS + len(rows) * down)
    sheet = Image.new("RGB", sides, _PAPER)
    pen = ImageDraw.Draw(sheet)
    pen.text((_MARGIN, _MARGIN // 2), title, _INK, font)
    for number, row in enumerate(rows):
        top = 2 * _MARGIN + _LETTERS + number * down
        name = shortened(printable(dataset.classes[number]), _LONGEST_NAME)
        pen.text((_MARGIN, top), f"{name} ({counts[number]:,})", _INK, font)
        for column, place in enumerate(row):
            pixels = dataset.inputs[place]
            picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0).copy())
            picture = picture.convert("RGB").resize((width * zoom, height * zoom), Image.Resampling.NEAREST)
            sheet.paste(picture, (_MARGIN + column * across, top + _LETTERS + _GAP))
    return sheet


def _font() -> "FreeTypeFont | ImageFont":
    """matplotlib's DejaVu, which knows most alphabets; without importing matplotlib."""
    from PIL import ImageFont

    found = find_spec("matplotlib")
    for place in (found.submodule_search_locations if found else None) or ():
        path = Path(place) / "mpl-data" / "fonts" / "ttf" / "DejaVuSans.ttf"
        if path.is_file():
            return ImageFont.truetype(str(path), _LETTERS - 2)
    return ImageFont.load_default()
