"""A page that a newcomer reads from top to bottom: one HTML file with its figures inside, without scripts or links."""

import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from foveate.errors import DataError
from foveate.files import write_atomically

_NUMBER = re.compile(r"[-+]?[\d.,]+(e[-+]?\d+)?( ?[%a-z]{1,2})?")

_STYLE = """
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1f2328; --soft: #57606a; --faint: #d0d7de; --link: #0550ae }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --soft: #9da7b3; --faint: #30363d; --link: #6cb6ff }
}
body { margin: 0 auto; max-width: 62rem; padding: 1.5rem 1.25rem 4rem; background: var(--paper); color: var(--ink);
  font: 1.0625rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif }
h1 { font-size: 1.9rem; line-height: 1.25; margin: 1rem 0 }
h2 { font-size: 1.35rem; line-height: 1.3; margin: 2.75rem 0 0.75rem }
p, nav, ul { max-width: 44rem }
p, li { overflow-wrap: break-word }
a { color: var(--link) }
nav { margin: 1.5rem 0; padding: 0.5rem 1.25rem; border-left: 3px solid var(--faint) }
nav h2 { font-size: 1rem; margin: 0.25rem 0 }
nav ol { margin: 0.25rem 0; padding-left: 1.5rem }
figure { margin: 1.5rem 0; overflow-x: auto }
img { display: block; max-width: 100%; height: auto }
@media (max-width: 62rem) { figure img { max-width: max(100%, 60rem) } }
figcaption, caption { color: var(--soft); font-size: 0.95rem; text-align: left; max-width: 44rem }
figcaption { margin-top: 0.5rem }
caption { margin-bottom: 0.5rem }
.table { overflow-x: auto; margin: 1.5rem 0 }
table { border-collapse: collapse; font-size: 0.95rem; font-variant-numeric: tabular-nums }
th, td { padding: 0.35rem 0.9rem 0.35rem 0; border-bottom: 1px solid var(--faint); text-align: left;
  vertical-align: top }
th.number, td.number { text-align: right; white-space: nowrap }
"""


@dataclass(frozen=True)
class Picture:
    """A PNG or GIF with a description, and perhaps a twin for dark pages.

    Args:
        alt: what it shows, for those who cannot see it.
        light: the file's bytes.
        dark: the bytes of its twin for a dark background (default: the light one is shown there too).
        caption: a sentence below it.
    """

    alt: str
    light: bytes
    dark: bytes | None = None
    caption: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text under the names of the columns; columns of numbers are right-aligned."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""

    def __post_init__(self) -> None:
        for number, row in enumerate(self.rows, start=1):
            if len(row) != len(self.columns):
                raise DataError(
                    f"row {number} of the table has {len(row)} cells, but the header has {len(self.columns)}"
                )


@dataclass(frozen=True)
class Section:
    """A part of the page: its title, then paragraphs of plain text, figures and a table."""

    title: str
    paragraphs: Sequence[str] = ()
    figures: Sequence[Picture] = ()
    table: Table | None = None


def write_page(path: str | Path, title: str, sections: Sequence[Section]) -> None:
    """Write the page that `page` builds, atomically."""
    write_atomically(Path(path), page(title, sections).encode())


def page(title: str, sections: Sequence[Section]) -> str:
    """A whole HTML5 document, dark if the reader's system is: title, table of contents, sections.

    Text is escaped: anything in it that looks like HTML is shown as written.

    Args:
        title: the title of the page.
        sections: its parts, in order.

    Raises:
        DataError: a figure is neither PNG nor GIF.
    """
    names = _anchors([section.title for section in sections])
    entries = [
        f'<li><a href="#{name}">{escape(section.title)}</a></li>' for name, section in zip(names, sections, strict=True)
    ]
    contents = ["<nav>", '<h2 id="contents">Contents</h2>', "<ol>", *entries, "</ol>", "</nav>"]
    parts = [_section(name, section) for name, section in zip(names, sections, strict=True)]
    lines = [
        "<!DOCTYPE html>", '<html lang="en">', "<head>", '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title>", f"<style>{_STYLE}</style>", "</head>", "<body>", "<main>",
        f"<h1>{escape(title)}</h1>", *(contents if entries else []), *parts, "</main>", "</body>", "</html>",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _anchors(titles: Sequence[str]) -> list[str]:
    """A unique anchor for each title, for the table of contents."""
    names: list[str] = []
    for number, title in enumerate(titles, start=1):
        words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
        names.append(f"part-{number}-{words}".rstrip("-"))
    return names


def _section(name: str, section: Section) -> str:
    lines = [f'<section id="{name}">', f"<h2>{escape(section.title)}</h2>"]
    lines += [f"<p>{escape(paragraph)}</p>" for paragraph in section.paragraphs]
    lines += [_figure(picture) for picture in section.figures]
    if section.table is not None:
        lines.append(_table(section.table))
    return "\n".join([*lines, "</section>"])


def _figure(picture: Picture) -> str:
    kind, width, height = _kind_and_size(picture.light)
    image = f'<img src="{_data(kind, picture.light)}" alt="{escape(picture.alt)}" width="{width}" height="{height}">'
    if picture.dark is not None:
        dark = _data(_kind_and_size(picture.dark)[0], picture.dark)
        image = f'<picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">{image}</picture>'
    caption = f"<figcaption>{escape(picture.caption)}</figcaption>" if picture.caption else ""
    return f"<figure>{image}{caption}</figure>"


def _table(table: Table) -> str:
    aligned = [
        ' class="number"' if all(_NUMBER.fullmatch(cell) or cell == "-" for cell in column) and column else ""
        for column in (tuple(row[number] for row in table.rows) for number in range(len(table.columns)))
    ]
    head = "".join(f'<th scope="col"{a}>{escape(name)}</th>' for name, a in zip(table.columns, aligned, strict=True))
    body = [
        "<tr>" + "".join(f"<td{a}>{escape(cell)}</td>" for cell, a in zip(row, aligned, strict=True)) + "</tr>"
        for row in table.rows
    ]
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    inside = [f"<thead><tr>{head}</tr></thead>", "<tbody>", *body, "</tbody>"]
    return "\n".join([f'<div class="table"><table>{caption}', *inside, "</table></div>"])


def _kind_and_size(content: bytes) -> tuple[str, int, int]:
    """The media type, width and height given by the first bytes."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 24:
        return "image/png", int.from_bytes(content[16:20], "big"), int.from_bytes(content[20:24], "big")
    if content[:6] in (b"GIF87a", b"GIF89a") and len(content) >= 10:
        return "image/gif", int.from_bytes(content[6:8], "little"), int.from_bytes(content[8:10], "little")
    raise DataError(f"a figure of the page begins with {content[:6]!r}; give the bytes of a PNG or a GIF")


def _data(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{b64encode(content).decode()}"
