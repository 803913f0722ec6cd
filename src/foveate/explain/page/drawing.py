"""A figure of a page: drawn on light and on dark backgrounds, written as PNG files, and returned for the page."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from zlib import crc32

from foveate.explain.draw.style import Theme, png, theme
from foveate.explain.page.html import Picture
from foveate.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OTHER = re.compile(r"[^\w.-]", re.ASCII)
_LONGEST_NAME = 100

THEMES: tuple[Theme, ...] = ("light", "dark")


@dataclass(frozen=True)
class Drawing:
    """A figure to be drawn: the name of its files, how it is drawn, and what it shows in words."""

    name: str
    draw: "Callable[[], Figure]"
    alt: str
    caption: str


def write_drawing(drawing: Drawing, folder: Path) -> Picture:
    """Draw in both themes, and write NAME-light.png and NAME-dark.png into `folder`.

    Raises:
        FileError: a file cannot be written.
    """
    return write_picture(drawing.name, "png", lambda: png(drawing.draw()), folder, drawing.alt, drawing.caption)


def write_picture(
    name: str, ending: str, content: Callable[[], bytes], folder: Path, alt: str, caption: str
) -> Picture:
    """The same for a picture whose bytes `content` returns in the current theme."""
    files: dict[Theme, bytes] = {}
    for paper in THEMES:
        with theme(paper):
            files[paper] = content()
        write_atomically(folder / f"{_as_file(name)}-{paper}.{ending}", files[paper])
    return Picture(alt, files["light"], files["dark"], caption)


def _as_file(name: str) -> str:
    """A file name that is valid on any system; if it had to be changed, a checksum keeps it distinct."""
    plain = _OTHER.sub("_", name)[:_LONGEST_NAME]
    return plain if plain == name else f"{plain}-{crc32(name.encode()):08x}"
