"""Results as tables for people."""

from collections.abc import Mapping, Sequence
from math import exp, log
from statistics import fmean
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from benchmarks.compare import FOVEATE
from benchmarks.environment import sentence
from benchmarks.modes import MODES
from benchmarks.peaks import Peaks
from benchmarks.peers import PEERS

NOISY = 0.5
"""A spread between rounds, in medians, from which on the table says that something else was running."""


def print_comparison(console: Console, report: Mapping[str, Any]) -> None:
    """One row for each network and batch size, and beneath it what makes the numbers comparable."""
    results = [result for result in report["results"] if "error" not in result]
    modes = report["settings"]["modes"]
    if not results:
        return
    table = _table(report["title"])
    table.add_column("network", no_wrap=True)
    for heading in ("batch", "foveate", *((MODES.get(mode) or PEERS[mode]).heading for mode in modes)):
        table.add_column(heading, justify="right")
    for heading in ("ratio to\nbest", "ratio to\nwritten"):
        table.add_column(heading, justify="right", style="bold")
    for result in results:
        table.add_row(*_comparison_row(result, modes))
    console.print(table)
    _say(console, "Times in milliseconds; ratios are the other's time by foveate's: above 1, foveate is faster.")
    _say(console, _agreement(results))
    _say(console, sentence(report["environment"]))
    for result in results:
        _warn_of_noise(console, result)


def row_sentence(result: Mapping[str, Any]) -> str:
    """What to say of a row as soon as it is there."""
    if "error" in result:
        return str(result["error"])
    place = f"{result['net']}, batch {result['batch_size']}"
    times = (
        f"{place}: foveate {_milliseconds(result['medians'][FOVEATE])} ms, {_ratio(result['ratio_to_best'])} to best"
    )
    return "\n".join([times, *result.get("errors", {}).values()])


def print_startup(console: Console, report: Mapping[str, Any]) -> None:
    """One row for each command, with the design's limit where there is one."""
    table = _table(report["title"])
    table.add_column("command")
    for heading in ("median s", "fastest s", "slowest s", "limit s"):
        table.add_column(heading, justify="right")
    results = report["results"]
    for title, seconds in results["rounds"].items():
        limit = results["limits"].get(title)
        numbers = [results["medians"][title], min(seconds), max(seconds)]
        table.add_row(title, *(f"{number:.3f}" for number in numbers), f"{limit:.2f}" if limit else "")
    console.print(table)
    _say(console, sentence(report["environment"]))


def print_layers(console: Console, report: Mapping[str, Any]) -> None:
    """One row for each layer, the slowest beside PyTorch first, and the geometric mean."""
    rows = sorted((each for each in report["results"] if "ratio" in each), key=lambda each: each["ratio"])
    if not rows:
        return
    table = _table(report["title"])
    table.add_column("layer")
    for heading in ("", "foveate", "PyTorch", "GFLOP/s", "GB/s", "peak", "ratio"):
        table.add_column(heading, justify="right", style="bold" if heading == "ratio" else "")
    for each in rows:
        theirs = min(seconds for name, seconds in each["added"].items() if name != FOVEATE)
        times = (_milliseconds(max(0.0, seconds)) for seconds in (each["added"][FOVEATE], theirs))
        table.add_row(
            f"{each['layer']}, batch {each['batch_size']}{'' if each['alone'] else ' *'}",
            each["kind"],
            *times,
            *_rates(each, report["peaks"]),
            _ratio(each["ratio"]),
        )
    console.print(table)
    most = Peaks(**report["peaks"])
    _say(
        console,
        f"Peak: the larger share of {most.flops / 1e9:.0f} GFLOP/s and {most.bytes / 1e9:.0f} GB/s, both measured.",
    )
    mean = exp(fmean(log(each["ratio"]) for each in rows))
    _say(console, f"{len(rows)} rows, geometric mean {mean:.2f}. Milliseconds that the layer adds to two convolutions.")
    if not all(each["alone"] for each in rows):
        _say(console, "* with both convolutions, as it leaves fewer positions to the second.")
    _say(console, sentence(report["environment"]))


def _rates(row: Mapping[str, Any], peaks: Mapping[str, float]) -> tuple[str, str, str]:
    """Operations and bytes in a second, and the share of the machine's peaks; only of what has a time of its own."""
    seconds = row["added"][FOVEATE]
    if not row["alone"] or seconds <= 0:
        return "-", "-", "-"
    share = Peaks(**peaks).share(row["flops"], row["bytes"], seconds)
    return f"{row['flops'] / seconds / 1e9:.1f}", f"{row['bytes'] / seconds / 1e9:.1f}", f"{share:.0%}"


def layer_sentence(row: Mapping[str, Any]) -> str:
    """What to say of a layer as soon as it is timed."""
    place = f"{row['layer']}, {row['kind']}"
    if "error" in row:
        return f"{place}: {row['error']}"
    return f"{place}: foveate {_milliseconds(max(0.0, row['added'][FOVEATE]))} ms, ratio {_ratio(row['ratio'])}"


def _table(title: str) -> Table:
    """Narrow enough for eighty columns."""
    return Table(title=title, title_justify="left", box=SIMPLE_HEAD, padding=0, show_edge=False)


def _comparison_row(result: Mapping[str, Any], modes: Sequence[str]) -> list[str]:
    medians = result["medians"]
    times = [_milliseconds(medians[name]) if name in medians else "-" for name in (FOVEATE, *modes)]
    ratios = [_ratio(result["ratio_to_best"]), _ratio(result["ratio_to_as_written"])]
    return [result["net"], str(result["batch_size"]), *times, *ratios]


def _milliseconds(seconds: float) -> str:
    """Three digits: 0.0512, 7.31, 114."""
    number = seconds * 1000
    decimals = max(0, 3 - len(str(int(number)))) if number >= 1 else 3
    return f"{number:.{decimals}f}"


def _ratio(ratio: float | None) -> str:
    return "-" if ratio is None else f"{ratio:.2f}x"


def _agreement(results: Sequence[Mapping[str, Any]]) -> str:
    """The largest difference of each kind that the check found and allowed."""
    worst: dict[str, float] = {}
    for result in results:
        for differences in result["differences"].values():
            for name, difference in differences.items():
                worst[name] = max(worst.get(name, 0.0), difference)
    words = ", ".join(f"{name.replace('_', ' ')} {difference:.1e}" for name, difference in worst.items())
    all_modes = "Every mode with a time" if any(result.get("errors") for result in results) else "Every mode"
    return f"{all_modes} computed what foveate did; largest relative differences: {words}."


def _warn_of_noise(console: Console, result: Mapping[str, Any]) -> None:
    spread = max(result["spread"].values())
    if spread > NOISY:
        place = f"{result['net']}, batch {result['batch_size']}"
        _say(
            console,
            f"{place}: rounds differ by {spread:.0%} of their median. Was something else running? Measure again.",
        )


def _say(console: Console, words: str) -> None:
    """A line that is not broken where it goes into a file."""
    console.print(words, soft_wrap=True, highlight=False)
