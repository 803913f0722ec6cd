"""What an experiment reports: the question, what was done, figures, numbers, what they show, and its limits."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from foveate.explain.page.drawing import Drawing, write_drawing
from foveate.explain.page.html import Picture, Section, Table, write_page
from foveate.files import write_atomically


@dataclass(frozen=True)
class Finding:
    """A claim, whether the numbers of this experiment show it, and a sentence with these numbers."""

    claim: str
    holds: bool
    numbers: str

    def __str__(self) -> str:
        return f"“{self.claim}”: {'seen here' if self.holds else 'not seen here'}. {self.numbers}"


@dataclass(frozen=True)
class Report:
    """Everything on the page of an experiment; `method`, `notes` and `limits` are paragraphs."""

    title: str
    question: Sequence[str]
    method: Sequence[str]
    settings: Table
    drawings: Sequence[Drawing]
    numbers: Table
    findings: Sequence[Finding]
    limits: Sequence[str]


class Result(Protocol):
    """The result of any experiment."""

    def to_json(self) -> dict[str, Any]:
        """Plain data from which the result can be rebuilt."""


def write_report(result: Result, report: Report, folder: str | Path) -> Path:
    """Write result.json, each figure as PNG for light and dark backgrounds, and report.html; returns the page's path.

    Raises:
        FileError: a file cannot be written.
    """
    folder = Path(folder)
    write_atomically(folder / "result.json", (json.dumps(result.to_json(), indent=1, allow_nan=False) + "\n").encode())
    pictures = [write_drawing(drawing, folder) for drawing in report.drawings]
    write_page(folder / "report.html", report.title, sections(report, pictures))
    return folder / "report.html"


def sections(report: Report, pictures: Sequence[Picture]) -> list[Section]:
    """The page in its parts, from the question to the limits."""
    return [
        Section("The question", report.question),
        Section("In short", [str(finding) for finding in report.findings]),
        Section("What was done", report.method, table=report.settings),
        Section("Figures", figures=pictures),
        Section("The numbers", table=report.numbers),
        Section("Limits", report.limits),
    ]


def percent(share: float) -> str:
    """A fraction from 0 to 1 in per cent, with one decimal.

    >>> percent(0.8766)
    '87.7 %'
    """
    return f"{100 * share:.1f} %"


def listed(words: Sequence[str]) -> str:
    """Words joined as in a sentence.

    >>> listed(["1", "2", "4"])
    '1, 2 and 4'
    """
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
