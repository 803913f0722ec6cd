"""Every layer of the library between two convolutions, against PyTorch in both of its layouts."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import environment, peaks, tables
from benchmarks.compare import FOVEATE, Case, Settings, Tell, compare
from benchmarks.errors import BenchmarkError
from benchmarks.modes import find_modes
from benchmarks.plots import plot_layers
from benchmarks.reports import check_writable, write_report
from benchmarks.sandwiches import PREFIX, Sandwich, sandwiches
from benchmarks.workers import Kind
from foveate.engines.machine import physical_cores

LAYOUTS = ("as_written", "channels_last")

LEAST_SHARE = 0.02
"""Of the convolutions' time: what a layer adds beyond them below this is noise, and so is a ratio of it."""


def layers(
    only: Annotated[
        str, typer.Option(help="Layers whose description has one of these words, with commas between.")
    ] = "",
    kinds: Annotated[str, typer.Option(help="What is timed, with a comma between.")] = "train,forward",
    rounds: Annotated[int, typer.Option(min=1, help="How often each worker is timed; medians are reported.")] = 5,
    seconds: Annotated[float, typer.Option(min=0.0, help="How long one timing lasts at least.")] = 0.2,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads for every framework (default: all cores).")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write every time and ratio to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Draw the ratios into this file, such as layers.png.")] = None,
) -> None:
    """Time each layer of the library.

    Example: python -m benchmarks layers --only norm,pool --json layers.json
    """
    check_writable(json_file)
    check_writable(plot)
    words = [word.strip().lower() for word in only.split(",") if word.strip()]
    chosen = [each for each in sandwiches() if not words or any(word in each.name.lower() for word in words)]
    if not chosen:
        raise BenchmarkError(f'no layer has one of the words "{only}" in its description')
    count = threads or physical_cores()
    report: dict[str, Any] = {
        "benchmark": "layers",
        "title": f"One layer between convolutions, median of {rounds} rounds",
        "environment": environment.describe(count),
        "settings": {"rounds": rounds, "seconds": seconds},
        "peaks": peaks.measured_apart(count),
        "results": [],
    }
    progress = Console(stderr=True)
    with progress.status("starting the workers") as status:
        for kind in kinds.split(","):
            settings = Settings(_kind(kind.strip()), find_modes(LAYOUTS), rounds, seconds, count)
            for row in measure(settings, chosen, status.update):
                report["results"].append(row)
                write_report(json_file, report)
                plot_layers(plot, report)
                progress.print(tables.layer_sentence(row), soft_wrap=True, highlight=False)
    tables.print_layers(Console(), report)


def _kind(word: str) -> Kind:
    if word not in ("train", "forward"):
        raise typer.BadParameter(f'"{word}" is not train or forward')
    return "train" if word == "train" else "forward"


def measure(settings: Settings, chosen: Sequence[Sandwich], tell: Tell) -> Iterator[dict[str, Any]]:
    """The row of each layer as soon as it is there, the convolutions alone timed in the same rounds."""
    bases = [each.alone() for each in chosen]
    cases = [
        Case(each.name, each.batch_size, None if base is None else base.name)
        for each, base in zip(chosen, bases, strict=True)
    ]
    for each, result in zip(chosen, compare(settings, cases, tell), strict=True):
        flops, moved = each.work(training=settings.kind == "train")
        yield row(settings.kind, result) | {"flops": flops, "bytes": moved}


def row(kind: Kind, result: Mapping[str, Any]) -> dict[str, Any]:
    """What the layer adds to the convolutions in each framework, and PyTorch's time in its better layout by ours.

    That is the median over the rounds of what both differ by. Without a base it is the time of all three.
    """
    made: dict[str, Any] = {
        "layer": result["net"].removeprefix(PREFIX), "kind": kind, "batch_size": result["batch_size"]
    }  # fmt: skip
    if "error" in result:
        return made | {"error": result["error"]}
    base = result.get("base_rounds")
    if base is None:
        added, least = dict(result["medians"]), 0.0
    else:
        added = {
            name: median(whole - alone for whole, alone in zip(rounds, base[name], strict=True))
            for name, rounds in result["rounds"].items()
        }
        least = LEAST_SHARE * median(base[FOVEATE])
    theirs = min(seconds for name, seconds in added.items() if name != FOVEATE)
    ratio = max(theirs, least) / max(added[FOVEATE], least)
    return made | {"alone": base is not None, "added": added, "ratio": ratio}
