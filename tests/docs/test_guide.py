"""Every block of Python in the documentation runs: those of a page in order, in one namespace and an empty folder."""

from pathlib import Path

import pytest

from tests.docs_figures import BLOCK, DOCS, run_page
from tests.docs_figures import PAGES as LECTURE

ELSEWHERE = (*LECTURE, DOCS / "photographs.md")
"""Pages that are run by tests of their own."""

PAGES = sorted(path.name for path in DOCS.glob("*.md") if path not in ELSEWHERE)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_of_the_page_runs(page: str, tmp_path: Path):
    assert BLOCK.search((DOCS / page).read_text(encoding="utf-8"))
    assert list(run_page(DOCS / page, tmp_path))


def test_the_block_that_draws_pictures_runs_a_second_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    blocks = [found["code"] for found in BLOCK.finditer((DOCS / "guide.md").read_text(encoding="utf-8"))]
    (drawing,) = [code for code in blocks if "mkdir" in code]
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        exec("import foveate as fv\n" + drawing, {})


def test_a_wrong_block_is_noticed_at_its_line(tmp_path: Path):
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```python\nx = 1\n```\n\ntext\n\n```python\nassert x == 2\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError) as caught:
        list(run_page(page, tmp_path))
    assert caught.traceback[-1].lineno + 1 == 10
