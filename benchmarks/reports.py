"""The file that --json names."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError


def check_writable(path: Path | None) -> None:
    """Minutes of measuring should not end at a folder that is not there."""
    if path is not None and not path.resolve().parent.is_dir():
        raise BenchmarkError(f"{path} cannot be written: there is no folder {path.resolve().parent}")


def write_report(path: Path | None, report: Mapping[str, Any]) -> None:
    """Write what has been measured so far, if there is a file for it."""
    if path is not None:
        path.write_text(json.dumps(report, indent=2) + "\n")
