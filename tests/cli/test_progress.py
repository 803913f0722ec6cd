"""The bar of commands that take long, on a terminal of the system's own; their output stays as it is."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import foveate.data.published as module
from foveate import DataError
from foveate.data.idx_sets import FASHION_MNIST

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals on this system", exc_type=ImportError)

AT_ONCE = (
    "import foveate.progress as p; p.PATIENCE_SECONDS = p.REFRESH_SECONDS = 0.0; from foveate.cli import main; main()"
)


def run(out: Path, *arguments: object, code: str = AT_ONCE) -> tuple[int, str, str]:
    """The command's exit status, its output, which goes to the file `out`, and what the terminal was sent."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "100", "PYTHONWARNINGS": "ignore"}
    with out.open("w") as file:
        running = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)], stdout=file, stderr=theirs, env=environment
        )
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 4096):
            seen += part
    except OSError:  # how Linux says that the other end was closed
        pass
    os.close(ours)
    return running.wait(), out.read_text(encoding="utf-8"), seen.decode()


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_a_bar_while_the_output_goes_to_a_file(command, form, trained, images, process, tmp_path):
    given = sorted((images / "dark").glob("*.png")) if command == "predict" else [images]
    arguments = [command, trained[0] / "model.safetensors", *given, "--engine", "reference"]
    arguments += ["--json"] * (form == "json")
    status, output, seen = run(tmp_path / "out", *arguments)
    plain = process(*arguments)
    assert (status, output, plain.stderr) == (0, plain.stdout, "")
    # Drawn at the start and the end, and after each image or each batch.
    assert seen.count({"predict": "predicting", "evaluate": "evaluating"}[command]) >= 2 + max(1, len(given) - 1)
    assert seen.endswith("\x1b[2K")  # the bar is wiped away


def test_errors_come_at_the_end_when_the_bar_is_gone(trained, images, tmp_path):
    good = sorted((images / "dark").glob("*.png"))[0]
    (tmp_path / "bad.png").write_text("no image")
    status, output, seen = run(
        tmp_path / "out", "predict", trained[0] / "model.safetensors", tmp_path / "bad.png", good
    )
    assert status == 1
    assert output.startswith(f"{good}: ")
    assert len(output.splitlines()) == 1
    bar, _, error = seen.rpartition("foveate: ")
    assert bar.count("predicting") >= 2
    assert bar.endswith("\x1b[2K")
    assert error.startswith(f'"{tmp_path / "bad.png"}" is not an image that can be read;')


def test_what_is_done_within_two_seconds_shows_no_bar(trained, images, tmp_path):
    code = "import foveate.progress as p; p.PATIENCE_SECONDS = 1e9; from foveate.cli import main; main()"
    status, _, seen = run(tmp_path / "out", "evaluate", trained[0] / "model.safetensors", images, code=code)
    assert (status, seen) == (0, "")


@pytest.mark.parametrize("progress", [True, False])
def test_fetching_shows_the_way_that_is_tried(progress, tmp_path, monkeypatch):
    told = []

    class Watched(module.Bar):
        def __init__(self, stream, **options):
            told.append((stream, options["text"], options["ticks"], options["patience"]))
            super().__init__(stream, **options)

    monkeypatch.setattr(module, "Bar", Watched)
    monkeypatch.setattr(module, "cache", lambda: tmp_path)
    monkeypatch.delenv("FOVEATE_DATA", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    absent = replace(FASHION_MNIST, publishers=("http://127.0.0.1:9/nobody",), system=tmp_path)
    with pytest.raises(DataError, match=r"apt-get failed: there is no apt-get on this computer"):
        absent.load(progress=progress)
    stream = sys.stderr if progress else None
    assert told == [(stream, f"Fashion-MNIST: {name}", True, 2.0) for name in ("download", "apt-get")]
