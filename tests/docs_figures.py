"""What the Python of a page draws and prints: `python -m tests.docs_figures --write` runs it and keeps both.

A page's blocks of `python` run in order, in one namespace and an empty folder. A block of `text` right below one holds
what it prints; a picture `images/PAGE/NAME` is the file NAME that the last block above it has written.
"""

import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import chdir, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from PIL import Image

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS / "lecture.md",)

BLOCK = re.compile(r"^```python\n(?P<code>.*?)^```$(?:\n\n```text\n(?P<printed>.*?)^```$)?", re.MULTILINE | re.DOTALL)
PICTURE = re.compile(r"!\[(?P<alt>[^\]]*)\]\((?P<path>[^)\s]+)\)")


@dataclass(frozen=True)
class Ran:
    """A block that has run: its match in the page, what it printed, and the pictures it wrote, by name."""

    block: re.Match[str]
    printed: str
    pictures: dict[str, Path]


def run_page(path: Path, folder: Path) -> Iterator[Ran]:
    """Run the blocks of a page in `folder`; a traceback names the page's lines."""
    text = path.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": path.stem}
    seen: dict[Path, tuple[int, int]] = {}
    try:
        for block in BLOCK.finditer(text):
            code = "\n" * text.count("\n", 0, block.start("code")) + block["code"]
            with chdir(folder), redirect_stdout(StringIO()) as output:
                exec(compile(code, str(path), "exec"), names)
            printed = "\n".join(line.rstrip() for line in output.getvalue().rstrip().splitlines())
            files = {each: _stamp(each) for each in folder.rglob("*") if each.suffix in {".png", ".gif"}}
            written = {each.name: each for each, stamp in files.items() if seen.get(each) != stamp}
            seen = files
            yield Ran(block, printed + "\n" if printed else "", written)
    finally:
        names.clear()  # registered functions would keep them, and with them the models, to the end of the process


def _stamp(path: Path) -> tuple[int, int]:
    """What changes when a file is written anew."""
    status = path.stat()
    return status.st_mtime_ns, status.st_size


def pictures(page: str) -> list[re.Match[str]]:
    """The pictures that a page shows, in order."""
    return list(PICTURE.finditer(page))


def drawn(page: str, ran: list[Ran]) -> dict[str, Path]:
    """For each picture that the page shows, by its path, the file that the block above it has written.

    Raises:
        ValueError: that block writes no such file.
    """
    found = {}
    for picture in pictures(page):
        above = next(each for each in reversed(ran) if each.block.end() <= picture.start())
        name = Path(picture["path"]).name
        if name not in above.pictures:
            raise ValueError(f"{picture['path']}: the block above writes {sorted(above.pictures) or 'no picture'}")
        found[picture["path"]] = above.pictures[name]
    return found


def renewed(page: str, ran: list[Ran]) -> str:
    """The page with what its blocks have printed."""
    for each in reversed(ran):
        shown = f"\n\n```text\n{each.printed}```" if each.printed else ""
        page = f"{page[: each.block.start()]}```python\n{each.block['code']}```{shown}{page[each.block.end() :]}"
    return page


def shape_of(printed: str) -> str:
    """A print with its numbers left out: those of a trained network differ between machines."""
    return re.sub(r"[ #]+", " ", re.sub(r"\d+([.,]\d+)*(e[-+]?\d+)?", "#", printed))


def keep(source: Path, target: Path) -> None:
    """Copy a picture; a PNG is packed as tightly as it goes."""
    if source.suffix == ".png":
        with Image.open(source) as image:
            image.convert("RGB").save(target, optimize=True)
        return
    shutil.copyfile(source, target)


def main() -> None:
    """Run the pages, and write what they print and draw, or say whether what they print is stale."""
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        with TemporaryDirectory() as folder:
            ran = list(run_page(path, Path(folder)))
            found = drawn(page, ran)
            fresh = renewed(page, ran)
            if "--write" in sys.argv:
                target = path.parent / "images" / path.stem
                shutil.rmtree(target, ignore_errors=True)
                target.mkdir(parents=True)
                for shown, source in found.items():
                    keep(source, path.parent / shown)
                path.write_text(fresh, encoding="utf-8")
        sys.stdout.write(
            f"{path.name}: {'unchanged' if fresh == page else 'renewed' if '--write' in sys.argv else 'stale'}\n"
        )


if __name__ == "__main__":
    main()
