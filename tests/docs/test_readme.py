"""The Python in the README runs, and what it says about mistakes is what one gets."""

import re
from pathlib import Path

import pytest

import foveate as fv
from tests.docs_figures import BLOCK, PICTURE

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
def test_the_examples_run_one_after_the_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    training, mistake, picture = (found["code"] for found in BLOCK.finditer(README))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    assert "epochs=5" in training
    exec(training.replace("epochs=5", "epochs=1"), names)
    assert Path("fashion.safetensors").exists()
    with pytest.raises(fv.ShapeError) as caught:
        exec(mistake, names)
    shown = README.split(mistake)[1].split("```\n\n", 1)[1]
    assert shown.startswith("".join(f"    {line}\n" for line in str(caught.value).splitlines()))
    exec(picture, names)
    assert Path("why.png").stat().st_size > 10_000


def test_every_file_that_it_links_to_is_there():
    links = [*re.findall(r"\]\(([^)#]+)\)", README), *(found["path"] for found in PICTURE.finditer(README))]
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []
