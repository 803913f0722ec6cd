"""A figure of a page: drawn on light and on dark paper, written as PNG files, and handed on as a picture."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from foveate.explain.draw.style import Theme, png, theme
from foveate.explain.page.html import Picture
from foveate.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    """The same for a picture that `content` makes in the present theme as the bytes of a file."""
    files: dict[Theme, bytes] = {}
    for paper in THEMES:
        with theme(paper):
            files[paper] = content()
        write_atomically(folder / f"{name}-{paper}.{ending}", files[paper])
    return Picture(alt, files["light"], files["dark"], caption)
