"""How well networks train with the learning rate that the finder suggests, beside fixed rates."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.console import Console

import foveate as fv
from benchmarks import environment
from benchmarks.defaults import Setting, accuracy, chosen
from benchmarks.options import Sets, Threads
from benchmarks.reports import check_writable, write_report
from benchmarks.small_sets import SmallSet, small_sets
from foveate import zoo

FIXED = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
"""Learning rates that are tried besides the suggested one."""

SUGGESTION = "suggestion"


def rates(
    splits: Annotated[int, typer.Option(min=1, help="Divisions of each set into training and validation.")] = 1,
    only: Sets = "",
    threads: Threads = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every rate and accuracy to this file.")
    ] = None,
) -> None:
    """Compare the learning rates that the finder suggests for small sets of samples with fixed ones.

    Example: python -m benchmarks rates --only faces,digits --json rates.json
    """
    check_writable(json_file)
    sets = small_sets(only)
    if threads is not None:
        fv.set_threads(threads)
    tell = partial(Console(stderr=True).print, highlight=False)
    report: dict[str, Any] = {"benchmark": "rates", "environment": environment.describe(threads), "results": []}
    print("| set | suggestions | validation, % | best fixed rate | validation, % |")
    print("|---|---|---:|---:|---:|")
    for small in sets:
        found = [measured(small, split, tell) for split in range(splits)]
        report["results"] += found
        write_report(json_file, report)
        print(row(small.name, found), flush=True)
    print(environment.sentence(report["environment"]))


def measured(small: SmallSet, split: int, tell: Callable[[str], object] = lambda _: None) -> dict[str, Any]:
    """The suggestion for a set, and the accuracies in validation with it and with each fixed rate."""
    setting = chosen(small, small.load(split)[0])
    suggestion = suggested(small, setting, split)
    tried = {SUGGESTION: suggestion, **{f"{rate:g}": rate for rate in FIXED}}
    found = {}
    for name, rate in tried.items():
        found[name] = accuracy(small, replace(setting, learning_rate=rate), split, "validation")
        tell(f"{small.name} {split + 1}: {found[name]:.1f} % with a rate of {rate:.2g}")
    return {"set": small.name, "split": split, "suggestion": suggestion, "accuracies": found}


def suggested(small: SmallSet, setting: Setting, split: int) -> float:
    """What the finder suggests for this training."""
    training = small.load(split)[0]
    graph = zoo.make(setting.net, input_shape=training.shape, classes=len(training.classes))
    changes = fv.Augmentation(flip=setting.flip, shift=setting.shift)
    model = fv.Model(graph, classes=training.classes, seed=split)
    found = model.find_learning_rate(training, batch_size=setting.batch_size, augmentation=changes, progress=False)
    return found.suggestion


def row(name: str, found: list[dict[str, Any]]) -> str:
    """Suggestions, and the mean accuracies over the splits with them and with the best fixed rate, in Markdown."""
    means = {rate: fmean(each["accuracies"][rate] for each in found) for rate in found[0]["accuracies"]}
    own = means.pop(SUGGESTION)
    best = max(means, key=means.__getitem__)
    suggestions = ", ".join(f"{each['suggestion']:.2g}" for each in found)
    return f"| {name} | {suggestions} | {own:.1f} | {best} | {means[best]:.1f} |"
