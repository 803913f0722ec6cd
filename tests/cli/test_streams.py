"""Standard streams that are closed or full: no command needs a reader, and none ends in a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(redirection: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """`foveate` with its streams redirected as a shell's words say."""
    command = ["sh", "-c", f'"$@" {redirection}', "sh", sys.executable, "-m", "foveate", *map(str, arguments)]
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=buffered)


@pytest.mark.parametrize("redirection", [">&-", "<&-", "2>&-", ">&- 2>&- <&-"])
@pytest.mark.parametrize(
    "arguments", [("receptive-field", "lenet5"), ("data", "list"), ("compare-dense",), ("--help",)], ids=" ".join
)
def test_a_command_runs_without_a_stream(arguments: tuple[str, ...], redirection: str):
    done = run(redirection, *arguments)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
@pytest.mark.parametrize("arguments", [("--help",), ("zoo",), ("train", "--help")], ids=" ".join)
def test_a_full_disk_is_one_sentence(arguments: tuple[str, ...]):
    done = run(">/dev/full", *arguments)
    assert (done.returncode, done.stderr) == (1, "foveate: [Errno 28] No space left on device\n")


@pytest.mark.parametrize("arguments", [("--help",), ("zoo",), ("receptive-field", "vgg6")], ids=" ".join)
def test_a_reader_who_leaves_is_told_nothing(arguments: tuple[str, ...]):
    assert run("| true", *arguments).stderr == ""


def test_a_training_without_streams_writes_its_model(images: Path, tmp_path: Path):
    arguments = ["train", images, "--epochs", 1, "--out", tmp_path / "run", "--engine", "reference"]
    assert run(">&- 2>&- <&-", *arguments).returncode == 0
    assert (tmp_path / "run" / "model.safetensors").exists()
