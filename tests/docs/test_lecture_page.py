"""The page that walks the lecture: its blocks run, print what it says, and draw every picture that it shows."""

from pathlib import Path

import pytest
from PIL import Image

from tests.docs_figures import DOCS, PAGES, Ran, drawn, pictures, renewed, run_page, shape_of

PAGE = DOCS / "lecture.md"
FOLDER = DOCS / "images" / "lecture"
TEXT = PAGE.read_text(encoding="utf-8")
SHOWN = pictures(TEXT)
STALE = "docs/lecture.md is stale: python -m tests.docs_figures --write"


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> list[Ran]:
    """The whole page, once for all tests."""
    return list(run_page(PAGE, tmp_path_factory.mktemp("lecture")))


def test_every_block_prints_what_the_page_says_but_for_the_numbers_of_trained_networks(ran: list[Ran]):
    assert shape_of(renewed(TEXT, ran)) == shape_of(TEXT), STALE


def test_every_picture_is_drawn_by_the_block_above_it_in_the_size_that_is_kept(ran: list[Ran]):
    found = drawn(TEXT, ran)
    assert len(found) == len(SHOWN)
    for path, source in found.items():
        with Image.open(source) as fresh, Image.open(DOCS / path) as kept:
            assert kept.size == pytest.approx(fresh.size, rel=0.05), f"{path}: {STALE}"
            assert getattr(kept, "n_frames", 1) == getattr(fresh, "n_frames", 1), f"{path}: {STALE}"


def test_the_folder_holds_the_pictures_of_the_page_and_no_others():
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(Path(picture["path"]).name for picture in SHOWN)
    assert {Path(picture["path"]).parent.as_posix() for picture in SHOWN} == {"images/lecture"}


@pytest.mark.parametrize("picture", SHOWN, ids=lambda picture: Path(picture["path"]).name)
def test_a_picture_is_large_enough_to_read_and_described_in_words(picture):
    assert len(picture["alt"].split()) >= 6
    with Image.open(DOCS / picture["path"]) as image:
        assert min(image.size) >= 300
        image.seek(getattr(image, "n_frames", 1) - 1)
        assert len(set(image.convert("L").resize((200, 200)).tobytes())) > 4  # not one plain colour


def test_the_pictures_are_few_megabytes():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 3e6


def test_the_page_can_be_found():
    assert "(docs/lecture.md)" in (DOCS.parent / "README.md").read_text(encoding="utf-8")
    assert "(lecture.md)" in (DOCS / "guide.md").read_text(encoding="utf-8")
    assert PAGE in PAGES


def page(folder: Path, text: str) -> Path:
    """A page of its own."""
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    return path


def test_what_a_block_prints_is_written_below_it(tmp_path: Path):
    stale = "```python\nprint('a', 1 + 1)\n```\n\n```text\nold\n```\n\nwords\n\n"
    silent = "```python\nx = 1\n```\n"
    text = stale + silent + "\n```text\nold\n```\n"
    blocks = list(run_page(page(tmp_path, text), tmp_path))
    assert renewed(text, blocks) == stale.replace("old", "a 2") + silent


def test_numbers_may_differ_but_words_may_not():
    assert shape_of("right: 87.1% of 10,000, off by 2.3e-06") == shape_of("right:  9% of 500, off by 1e-5")
    assert shape_of("3 folded") != shape_of("3 refused")


@pytest.mark.parametrize(
    ("code", "problem"),
    [
        ("pass", "writes no picture"),
        ("open('b.png', 'w').close()", r"writes \['b.png'\]"),
    ],
    ids=["none", "another"],
)
def test_a_picture_that_the_block_above_does_not_write_is_noticed(tmp_path: Path, code: str, problem: str):
    text = f"```python\nopen('a.png', 'w').close()\n```\n\n```python\n{code}\n```\n\n![words](images/page/a.png)\n"
    blocks = list(run_page(page(tmp_path, text), tmp_path))
    with pytest.raises(ValueError, match=f"^images/page/a.png: the block above {problem}$"):
        drawn(text, blocks)


def test_a_picture_written_anew_counts_for_the_later_block(tmp_path: Path):
    block = "```python\nfrom pathlib import Path\nPath('a.png').write_text({!r})\n```\n\n"
    blocks = list(run_page(page(tmp_path, block.format("x") + block.format("xy")), tmp_path))
    assert [list(each.pictures) for each in blocks] == [["a.png"], ["a.png"]]


@pytest.mark.parametrize(
    "words",
    ["Stanford University's cs231n", "better scalability to large datasets", "acts as regularization during training",
     "can be used in recurrent networks", "N x D features"],
)  # fmt: skip
def test_the_page_says_what_the_slides_say(words: str):
    assert words in " ".join(TEXT.split())
