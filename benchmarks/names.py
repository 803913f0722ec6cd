"""Model files with hostile names, through every command that reads one: no foreign traceback, no control character.

Names are put into files as somebody would who knows the format: unchecked, checksum and all. Ten stand in one file, as
its network's, layers' and classes'; half of the files have none but printable ones, so that the commands get to work.
"""

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
from PIL import Image
from typer.testing import CliRunner

import foveate as fv
from benchmarks.errors import BenchmarkError
from benchmarks.packing import packed
from foveate.cli import app
from foveate.files.container import read_header
from foveate.files.description import FEATURES

LONGEST = 2.0
"""Seconds of the processor that a command may take; `explain`, which draws a page, is not timed."""

PATIENCE = 60.0
"""Seconds after which a process is ended."""

IN_A_FILE = 10
EXPLAINED_EVERY = 40
IN_PROCESSES_EVERY = 20
CLASSES = 4

PIECES = (
    "$", r"\frac{", "{", "}", "[", "]", "[/b]", "[red]", "[link=x]", "(", ")", "=cmd|' C'!A0", "+", "-", "@SUM(1)",
    "<b>", "<script>", "&amp;", "|", "`", "``", "*", "_", "~", "%s", "%n", "{0}", ":smile:", "\\", "'", '"', "#", ".",
    "..", " ", "\N{GRINNING FACE}", "e\N{COMBINING ACUTE ACCENT}", "\u540d", "\u05e9\u05dc", "\ufb01", "x" * 90,
    "conv1", "input", "0",
)  # fmt: skip
UNPRINTABLE = (
    "\0", "\x1b[2J", "\x1b]0;x\a", "\n", "\r", "\t", "\x7f", "\x85", "\u202e", "\u2066", "\u200f", "\u2028", "\ud800",
    "\ufeff",
)  # fmt: skip


@dataclass
class Report:
    """What came of some names."""

    names: int = 0
    refused: int = 0
    commands: int = 0
    pages: int = 0
    processes: int = 0
    slowest: float = 0.0

    def __str__(self) -> str:
        return (
            f"{self.commands:,} commands, {self.pages} of them pages, and {self.processes} in processes of their own; "
            f"{self.refused:,} ended in a sentence, the slowest took {self.slowest:.2f} s"
        )


def hostile_names(count: int, seed: int = 0, tell: Callable[[str], object] = lambda _: None) -> Report:
    """`count` names, ten in a file, through the commands; `tell` is told the progress.

    Raises:
        BenchmarkError: a command ended otherwise than in an answer or a sentence, printed what moves a cursor, or took
            too long.
    """
    random, report = np.random.default_rng(seed), Report()
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        _images(folder)
        arrays, document = _written(folder)
        for number in range(-(-count // IN_A_FILE)):
            tell(f"{report.names:,} of {count:,} names")
            names = _names(random, printable=number % 2 == 0)
            path = folder / "model.safetensors"
            path.write_bytes(packed(*_renamed(arrays, document, names)))
            report.names += IN_A_FILE
            for arguments in _commands(path, folder, number):
                _checked(report, arguments, _in_process)
            if number % IN_PROCESSES_EVERY == 0:
                for arguments in (["summary", str(path)], ["predict", str(path), str(folder / "a.png")]):
                    _checked(report, arguments, _as_process)
    return report


def _commands(path: Path, folder: Path, number: int) -> Iterator[list[str]]:
    model, image, data = str(path), str(folder / "a.png"), str(folder / "data")
    for form in ("", "--csv", "--markdown", "--html", "--json"):
        yield ["summary", model, *form.split()]
    for form in ("", "--json"):
        yield ["steps", model, *form.split()]
        yield ["predict", model, image, *form.split()]
        yield ["receptive-field", model, *form.split()]
        yield ["evaluate", model, data, *form.split()]
    yield ["explain-arithmetic", model]
    if number % EXPLAINED_EVERY == 0:
        yield ["explain", model, image, "--out", str(folder / "page"), "--engine", "reference"]


def _checked(report: Report, arguments: list[str], run: Callable[[list[str]], tuple[int, str, str]]) -> None:
    since = process_time()
    status, printed, wrong = run(arguments)
    took = process_time() - since
    place = f"file {report.names // IN_A_FILE - 1}: foveate {' '.join(arguments)}"
    if wrong or status not in (0, 1) or "Traceback" in printed:
        raise BenchmarkError(f"{place}: status {status}, {wrong or printed[-300:]}")
    odd = next((each for each in printed if not each.isprintable() and each != "\n"), None)
    if odd is not None:
        raise BenchmarkError(f"{place}: printed {odd!r}")
    report.commands += 1
    report.refused += status
    report.processes += run is _as_process
    if arguments[0] == "explain":
        report.pages += 1
        return
    report.slowest = max(report.slowest, took)
    if took > LONGEST:
        raise BenchmarkError(f"{place}: took {took:.1f} s")


def _in_process(arguments: list[str]) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, arguments, color=True)  # else escape sequences would be taken out
    foreign = done.exception if not isinstance(done.exception, SystemExit) else None
    return done.exit_code, done.output, "" if foreign is None else f"{type(foreign).__name__} {foreign}"


def _as_process(arguments: list[str]) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "foveate", *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", check=False, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        return -1, "", f"no end in {PATIENCE:g} s"
    return done.returncode, done.stdout + done.stderr, ""


def _names(random: np.random.Generator, *, printable: bool) -> list[str]:
    """Distinct names of one to five pieces."""
    pieces = PIECES if printable else PIECES + UNPRINTABLE
    names: set[str] = set()
    while len(names) < IN_A_FILE:
        chosen = "".join(pieces[place] for place in random.integers(0, len(pieces), random.integers(1, 6)))
        if printable:  # as layers and classes may have them
            chosen = chosen.replace("/", "|")[:200]
        if chosen.strip():
            names.add(chosen)
    return sorted(names)


def _renamed(
    arrays: dict[str, Any], document: dict[str, Any], names: list[str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The file's content with the names of its network, input, layers and classes replaced."""
    graph = document["graph"]
    old = [*graph["inputs"], *(node["name"] for node in graph["nodes"])]
    new = dict(zip(old, names[: len(old)], strict=True))
    nodes = [
        {
            **node,
            "name": new[node["name"]],
            "parameters": new[node["parameters"]],
            "inputs": [new[name] for name in node["inputs"]],
        }
        for node in graph["nodes"]
    ]
    renamed = {
        **graph,
        "name": names[-1],
        "inputs": {new[name]: shape for name, shape in graph["inputs"].items()},
        "nodes": nodes,
        "outputs": [new[name] for name in graph["outputs"]],
    }
    task = {**document["task"], "classes": names[-CLASSES:]}
    found = {}
    for name, array in arrays.items():
        owner = name.split(".")[0]
        # safetensors writes no half of a letter; the file then lacks an array, which is told.
        found[name.replace(owner, new[owner], 1).encode("utf-8", "replace").decode()] = array
    return found, {**document, "graph": renamed, "task": task}


def _written(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """A small model's arrays and its document."""
    net = fv.Sequential(
        fv.Conv2d(3, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2), fv.Flatten(), fv.Linear(CLASSES)
    )  # fmt: skip
    graph = net.build((1, 8, 8), quiet=True)
    preprocessing = fv.Preprocessing((1, 8, 8), (0.5,), (0.25,))
    model = fv.Model(graph, classes=tuple("abcd"), preprocessing=preprocessing)
    model.save(folder / "plain.safetensors")
    arrays = {name: model.read(name) for name in model.state.names()}
    return arrays, dict(read_header(folder / "plain.safetensors", FEATURES).document)


def _images(folder: Path) -> None:
    """An image, and a folder of four classes of images."""
    random = np.random.default_rng(0)
    for place in ("a.png", *(f"data/{name}/{number}.png" for name in "abcd" for number in range(4))):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(random.integers(0, 256, (8, 8)).astype(np.uint8)).save(folder / place)
