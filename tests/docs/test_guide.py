"""Every block of Python in the documentation runs: those of a page in order, in one namespace and an empty folder."""

import re
from pathlib import Path
from typing import Any

import pytest

DOCS = Path(__file__).parents[2] / "docs"
PAGES = sorted(path.name for path in DOCS.glob("*.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def run_page(path: Path) -> None:
    """Run the blocks of a page; a traceback names its lines."""
    text = path.read_text(encoding="utf-8")
    names: dict[str, Any] = {"__name__": "guide"}
    try:
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start(1))
            exec(compile("\n" * line + block[1], str(path), "exec"), names)
    finally:
        names.clear()  # registered functions would keep them, and with them the models, to the end of the process


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_runs(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    assert BLOCK.search((DOCS / page).read_text(encoding="utf-8"))
    monkeypatch.chdir(tmp_path)
    run_page(DOCS / page)


def test_a_wrong_block_is_noticed_at_its_line(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```python\nx = 1\n```\n\ntext\n\n```python\nassert x == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError) as caught:
        run_page(page)
    assert caught.traceback[-1].lineno + 1 == 10
