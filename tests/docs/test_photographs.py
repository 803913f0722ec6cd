"""The page on one's own photographs, word for word: its commands run one after another, as a new user types them."""

import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from tests.docs_blocks import commands, run
from tests.docs_figures import BLOCK, DOCS

PAGE = DOCS / "photographs.md"
NUMBER = re.compile(r"\d[\d,.]*")
WAITING = re.compile(r", waiting for data: \d+%")


def shape(text: str) -> str:
    """The words, with every number the same: accuracy and time differ between processors."""
    return re.sub(r" +", " ", NUMBER.sub("0", WAITING.sub("", text)))


def assert_like(shown: str, printed: str) -> None:
    """The output as the page shows it, where a line of three dots stands for any lines."""
    parts = [re.escape(shape(part)) for part in re.split(r"^\.\.\.\n", shown, flags=re.MULTILINE)]
    assert re.fullmatch(r"(?:.*\n)*".join(parts), shape(printed)), printed


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FOVEATE_CACHE", "cache")
    return tmp_path


@pytest.mark.filterwarnings("ignore::foveate.data.datasets.SkippedImagesWarning")  # the page says that it comes
@pytest.mark.parametrize("explained", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_what_the_page_says_happens(place: Path, explained: bool):
    text = PAGE.read_text(encoding="utf-8")
    first, last = (found["code"] for found in BLOCK.finditer(text))
    exec(compile(first, str(PAGE), "exec"), {})
    for command, shown in commands(text):
        if explained or not command.startswith("explain"):
            assert_like(shown, run(command))
    names: dict[str, object] = {}
    exec(compile(last, str(PAGE), "exec"), names)
    model = fv.load("runs/photos/model.safetensors")
    splits, sheet = names["splits"], names["sheet"]
    assert model.splits == splits.record
    assert splits.found.startswith("240 images in 4 classes")
    held = fv.datasets.held_out("held-out", model.preprocessing, classes=model.classes, record=model.splits)
    assert held.part == "all"
    assert model.evaluate(held.dataset).accuracy > 0.7
    with Image.open("small-sheet.png") as image:
        assert np.array_equal(np.asarray(image), np.asarray(sheet.image))
    page = place / "runs" / "explain" / "index.html"
    assert page.exists() == explained
    if explained:
        assert "and was scaled and cropped to the network's 48x48." in unescape(page.read_text("utf-8"))


def test_another_output_is_noticed():
    assert_like("a 1\n...\nb 2.5\n", "a 7\nx\ny\nb 1,000\n")
    for printed in ("a 7\nb 1\nc\n", "a\nb 1\n", "a 7\n"):
        with pytest.raises(AssertionError):
            assert_like("a 1\n...\nb 2.5\n", printed)
