"""A folder of tiny images, a model trained on it, and ways to run the command line."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from foveate.cli import app


@pytest.fixture(scope="session")
def images(tmp_path_factory):
    """Three classes of 30 grey 8x8 images each."""
    folder = tmp_path_factory.mktemp("data") / "shades"
    random = np.random.default_rng(0)
    for name, brightness in (("dark", 40), ("grey", 120), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            pixels = np.clip(random.normal(brightness, 20, (8, 8)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture
def foveate():
    """Run a command in this process: foveate("summary", "vgg6") -> its result."""
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(params=["reference", "native", "torch"])
def engine(request):
    """The name of each engine."""
    return request.param


@pytest.fixture(scope="session")
def trained(images, tmp_path_factory):
    """The folder of a training, and what it said."""
    out = tmp_path_factory.mktemp("runs") / "shades"
    options = ["--epochs", "2", "--batch-size", "16", "--engine", "reference", "--out", str(out)]
    result = CliRunner().invoke(app, ["train", str(images), *options])
    assert result.exit_code == 0, result.output
    return out, result.stdout


@pytest.fixture(scope="session")
def process():
    """Run a command in a process of its own."""

    def run(*arguments, **options):
        command = [sys.executable, "-m", "foveate", *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, **options)

    return run
