"""The commands in the guide: `python -m tests.docs_blocks --write` runs them again and writes down what they print.

A block that begins with three backticks and `console` holds one line `$ foveate ...`, and under it the output of that
command, in a terminal of 100 columns.
"""

import re
import shlex
import sys
from pathlib import Path

from typer.testing import CliRunner

from foveate.cli import app

DOCS = Path(__file__).parents[1] / "docs"
PAGES = (DOCS / "arithmetic.md", DOCS / "lecture.md")
COLUMNS = "100"

_CONSOLE = re.compile(r"^(`{3,})console\n\$ foveate (?P<command>[^\n]*)\n(?P<output>.*?)^\1$", re.MULTILINE | re.DOTALL)


def commands(page: str) -> list[tuple[str, str]]:
    """(command, output) of each block."""
    return [(found["command"], found["output"]) for found in _CONSOLE.finditer(page)]


def run(command: str) -> str:
    """What a command prints, its errors included."""
    result = CliRunner(env={"COLUMNS": COLUMNS, "LINES": "50", "NO_COLOR": "1"}).invoke(app, shlex.split(command))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return "\n".join(line.rstrip() for line in result.output.rstrip().splitlines()) + "\n"


def renewed(page: str) -> str:
    """The page with the output of every command as it is now."""
    return _CONSOLE.sub(
        lambda found: f"{found[1]}console\n$ foveate {found['command']}\n{run(found['command'])}{found[1]}", page
    )


def main() -> None:
    """Write the pages anew, or say which are stale."""
    for path in PAGES:
        page = path.read_text(encoding="utf-8")
        fresh = renewed(page)
        if "--write" in sys.argv:
            path.write_text(fresh, encoding="utf-8")
        sys.stdout.write(
            f"{path.name}: {'unchanged' if fresh == page else 'renewed' if '--write' in sys.argv else 'stale'}\n"
        )


if __name__ == "__main__":
    main()
