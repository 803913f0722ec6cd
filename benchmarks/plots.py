"""Ratios as a picture."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

FASTER, SLOWER = "#2a7f62", "#b5482e"


def plot_layers(path: Path | None, report: Mapping[str, Any]) -> None:
    """A bar for each layer, from where PyTorch is as fast; the slowest beside it at the top. Nothing without a path."""
    rows = sorted((each for each in report["results"] if "ratio" in each), key=lambda each: -each["ratio"])
    if path is None or not rows:
        return
    figure = Figure(figsize=(9, 1.5 + 0.2 * len(rows)), layout="constrained")
    axes = figure.add_subplot()
    ratios = [each["ratio"] for each in rows]
    names = [f"{each['layer']}, {each['kind']}" for each in rows]
    colours = [FASTER if ratio >= 1 else SLOWER for ratio in ratios]
    axes.barh(names, [ratio - 1 for ratio in ratios], left=1, color=colours)
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 5, 10], ["0.5", "1", "2", "5", "10"])
    axes.minorticks_off()
    axes.axvline(1, color="#444444", linewidth=0.8)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.tick_params(axis="y", labelsize=7, length=0)
    axes.set_xlabel("PyTorch's time in its better layout, divided by foveate's")
    axes.set_title(report["title"], loc="left")
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    figure.savefig(path, dpi=120)
