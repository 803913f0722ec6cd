"""The benchmarks' README names every command, and none that is not there."""

import re
from pathlib import Path

import typer

from benchmarks.cli import app


def test_the_readme_names_every_command():
    text = Path("benchmarks/README.md").read_text()
    commands = set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]
    quoted = re.findall(r"^    python -m benchmarks ([\w-]+)", text, re.MULTILINE)
    listed = re.findall(r"^\| `([\w-]+)` \| [a-z]+s[ ,]", text, re.MULTILINE)
    assert {*quoted, *listed} == commands
