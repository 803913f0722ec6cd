"""Each example runs as users run it, and learns."""

import os
import re
import subprocess
import sys
from pathlib import Path

import espeakng_loader
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, *options: str, folder: Path) -> str:
    """What the example printed. One thread for the short forms: threads that wait for each other cost time."""
    threads = {"OMP_NUM_THREADS": "1"} if "--quick" in options else {}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name), *options],
        cwd=folder,
        env=os.environ | {"PYTHONIOENCODING": "utf-8"} | threads,
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def accuracy(printed: str) -> float:
    """The last percentage that is called an accuracy."""
    return float(re.findall(r"^(?:test )?accuracy.*: ([0-9.]+)%$", printed, re.MULTILINE)[-1]) / 100


def every_training_voice() -> list[str]:
    """The names in the example, all of them."""
    return re.findall(r"\w+", re.findall(r"TRAINING_VOICES = \((.*?)\)", (EXAMPLES / "sound.py").read_text(), re.S)[0])


def settings(voice: str) -> set[str]:
    """The lines of a voice's definition that change its sound."""
    path = Path(espeakng_loader.get_data_path()) / "voices/!v" / voice
    lines = [line.split("//")[0].split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines()]
    silent = ("name", "language", "gender", "maintainer", "status")
    return {" ".join(line) for line in lines if line and line[0] not in silent and not line[0].startswith("#")}


def likeness(one: str, other: str) -> float:
    """The share of two voices' settings that they have in common."""
    return len(settings(one) & settings(other)) / len(settings(one) | settings(other))


def test_images(tmp_path: Path):
    printed = run("images.py", "--quick", folder=tmp_path)
    assert accuracy(printed) > 0.4  # chance: 0.1
    assert "the first test image: Ankle boot; the model says " in printed
    assert (tmp_path / "runs/images/model.safetensors").exists()


def test_fashion_mnist(tmp_path: Path):
    printed = run("fashion_mnist.py", "--quick", folder=tmp_path)
    assert accuracy(printed) > 0.4  # chance: 0.1
    assert (tmp_path / "runs/fashion-mnist-40/accuracy.png").stat().st_size > 10_000


def test_new_classes(tmp_path: Path):
    printed = run("new_classes.py", "--quick", folder=tmp_path)
    images, frozen, scratch = re.findall(r"^ +(\d+) +([0-9.]+)% +([0-9.]+)%$", printed, re.MULTILINE)[-1]
    assert images == "5"
    assert float(frozen) > max(50, float(scratch))  # chance: 33


def number(pattern: str, printed: str) -> float:
    """What stands at the pattern's group."""
    return float(re.findall(pattern, printed, re.MULTILINE)[-1])


def test_attributes(tmp_path: Path):
    printed = run("attributes.py", "--quick", folder=tmp_path)
    assert number(r"^average precision: ([0-9.]+)$", printed) > 0.8
    assert number(r"^explained variance \(R2\): (-?[0-9.]+)$", printed) > 0.2


def test_segmentation(tmp_path: Path):
    printed = run("segmentation.py", "--quick", folder=tmp_path)
    found, background = (
        number(pattern, printed) for pattern in (r"^pixel accuracy: ([0-9.]+)%", r"background: ([0-9.]+)%")
    )
    assert found > background + 5
    assert number(r"^mean intersection over union: ([0-9.]+)$", printed) > 0.18  # always the background: 0.13
    assert (tmp_path / "runs/segmentation/scenes.png").stat().st_size > 10_000


def test_two_heads(tmp_path: Path):
    printed = run("two_heads.py", "--quick", folder=tmp_path)
    assert accuracy(printed) > 0.25  # chance: 0.1
    assert number(r"^place: off by ([0-9.]+) pixels", printed) < 2.5  # always the middle: 3.2
    assert (tmp_path / "runs/two-heads/model.safetensors").exists()


def test_image_and_table(tmp_path: Path):
    printed = run("image_and_table.py", "--quick", folder=tmp_path)
    assert accuracy(printed) > number(r"^accuracy with the image alone: ([0-9.]+)%$", printed) / 100
    assert "the first test image: Ankle boot; the model says " in printed


def test_volumes(tmp_path: Path):
    printed = run("volumes.py", "--quick", folder=tmp_path)
    assert "synthetic" in printed
    assert accuracy(printed) > 0.45  # chance: 0.25


def test_sound(tmp_path: Path):
    printed = run("sound.py", "--quick", folder=tmp_path)
    assert accuracy(printed) > 0.25  # chance: 0.1
    data = tmp_path / "runs/spoken-digits"
    train, test = ({path.name.split("-")[0] for path in data.glob(f"*/{part}/*/*.wav")} for part in ("train", "test"))
    assert len(train) == len(test) == 8
    assert not train & test
    twins = {(a, b) for a in test for b in every_training_voice() if likeness(a, b) > 1 / 3}
    assert twins == set()


@pytest.mark.slow
def test_sound_understands_voices_it_never_heard(tmp_path: Path):
    assert accuracy(run("sound.py", folder=tmp_path)) >= 0.95
