"""How commands end, as the guide says: 0 done, 1 a sentence, 2 wrong usage, 128 and more by a signal."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

GUIDE = (Path(__file__).parents[2] / "docs/guide.md").read_text(encoding="utf-8")
CTRL_C = """
import signal
import foveate.{module}
foveate.{module}.{name} = lambda *_, **__: signal.raise_signal(signal.SIGINT)
from foveate.cli import main
main()
"""


def interrupted(module, name, *arguments):
    """A process to which Ctrl-C comes when it calls that function."""
    command = [sys.executable, "-c", CTRL_C.format(module=module, name=name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_guide_lists_them():
    assert re.findall(r"^\| (\d+) \| (\w+)", GUIDE, re.MULTILINE) == [
        ("0", "done"), ("1", "not"), ("2", "wrong"), ("129", "ended"), ("130", "ended"), ("143", "ended")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["summary", "lenet5", "--json"], 0),
        (["summary", "vgg7"], 1),
        (["evaluate", "nowhere.safetensors", "fashion-mnist"], 1),
        ([], 2),
        (["sumary"], 2),
        (["summary", "lenet5", "--colour"], 2),
        (["summary", "lenet5", "--batch-size", "0"], 2),
    ],
)
def test_done_a_sentence_or_wrong_usage(foveate, arguments, status):
    result = foveate(*arguments)
    assert result.exit_code == status
    if status == 1:
        assert result.stderr.startswith("foveate: ")
        assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("module", "name", "arguments"),
    [
        ("zoo", "make", ["summary", "lenet5"]),
        ("model", "load", ["predict", "model.safetensors", "image.png"]),
        ("data.datasets", "load", ["train", "images"]),  # before there is anything to keep
    ],
)
def test_ctrl_c(module, name, arguments):
    done = interrupted(module, name, *arguments)
    assert done.returncode == 130
    assert "Traceback" not in done.stderr
