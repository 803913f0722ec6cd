"""The configuration that the guide shows trains, and the run leaves one that trains the same again."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import foveate as fv
from foveate.cli import app
from tests.docs_figures import DOCS


def train(*options: str) -> None:
    result = CliRunner().invoke(app, ["train", *options])
    assert result.exit_code == 0, result.output


def test_the_configuration_of_the_guide_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    (shown,) = re.findall(r"^```toml\n(.*?)^```$", (DOCS / "guide.md").read_text("utf-8"), re.MULTILINE | re.DOTALL)
    Path("mine.toml").write_text(shown, encoding="utf-8")
    random = np.random.default_rng(0)
    for name, level in (("night", 30), ("day", 200)):
        folder = Path("photos", name)
        folder.mkdir(parents=True)
        for number in range(20):
            pixels = np.clip(random.normal(level, 20, (20, 24, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{number}.png")
    train("--config", "mine.toml", "--engine", "native")
    train("--config", "runs/photos/run.toml", "--out", "runs/again")
    given, kept = (tomllib.loads(Path(path).read_text("utf-8")) for path in ("mine.toml", "runs/photos/run.toml"))
    chosen = {"size": "32x32", "fit": "crop", "seed": 0, "engine": "native", "shift": 0, "schedule": "one-cycle"}
    assert {**given, **chosen}.items() <= kept.items()
    one, other = (fv.load(f"runs/{name}/model.safetensors") for name in ("photos", "again"))
    assert one.graph.name == "resnet20"
    assert all(np.array_equal(one.read(name), other.read(name)) for name in one.state.names())
