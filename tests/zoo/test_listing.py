"""`foveate zoo` and the guide's page."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from foveate.cli import app
from foveate.cli.zoo import to_markdown
from foveate.zoo import NETWORKS, make

PAGE = Path(__file__).parents[2] / "docs" / "zoo.md"


def zoo(*options: str) -> str:
    result = CliRunner().invoke(app, ["zoo", *options])
    assert result.exit_code == 0
    return result.stdout


def test_the_list_names_every_network_with_its_figures(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "160")
    lines = [re.split(r"\s{2,}", line.strip()) for line in zoo().splitlines()]
    assert [line[0] for line in lines if line[0] in NETWORKS] == list(NETWORKS)
    assert ["resnet18", "11,689,512", "1,814,073,344", "3x224x224", "1000", "He, Zhang, Ren, Sun 2015"] in lines


def test_the_list_as_json():
    rows = {row["name"]: row for row in json.loads(zoo("--json"))}
    assert set(rows) == set(NETWORKS)
    assert rows["audio4"] == {
        "name": "audio4",
        "title": NETWORKS["audio4"].title,
        "parameters": 390_890,
        "macs": make("audio4").summary().total_macs,
        "input_shape": [1, 8000],
        "classes": 10,
        "paper": NETWORKS["audio4"].paper,
        "source": NETWORKS["audio4"].source,
        "weights": "none published",
    }


def test_the_help_shows_an_example():
    assert "Example: foveate zoo" in zoo("--help")


def test_the_guides_table_is_not_stale():
    """Where it is: replace the table of docs/zoo.md by what `foveate zoo --markdown` prints."""
    assert zoo("--markdown") == f"{to_markdown()}\n"
    assert PAGE.read_text().endswith(f"\n\n{to_markdown()}\n")


def test_the_guides_code_runs():
    names: dict[str, object] = {}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(block, names)
