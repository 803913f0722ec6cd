"""What the experiment on batch normalisation shows: findings, figures and the page."""

from collections.abc import Sequence
from math import log10
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate.explain.draw.style import MARKERS, SEQUENTIAL, colour, drawn, new_figure, tint
from foveate.explain.experiments.batch_normalization import Result, Settings
from foveate.explain.experiments.report import Finding, Report, listed, percent
from foveate.explain.experiments.running import settings_table
from foveate.explain.page.drawing import Drawing
from foveate.explain.page.html import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LEARNS = 0.5
"""The mean validation accuracy at which a network counts as learning; five times chance with ten classes."""

REACHED = 1.0
"""The training loss, as a mean over WINDOW steps, that measures how fast a network converges."""

WINDOW = 10


def findings(result: Result) -> tuple[Finding, ...]:
    """The lecture's claims, each with whether these numbers show it."""
    return _easier(result), _flow(result), _rates(result), _speed(result), _robust(result)


def _easier(result: Result) -> Finding:
    settings = result.settings
    cells = [(name, rate) for name in settings.initializations for rate in settings.learning_rates]
    plain, normalized = (sum(result.accuracy(n, *cell) >= LEARNS for cell in cells) for n in (False, True))
    diverged = [sum(run.accuracy is None for run in result.runs if run.normalized is n) for n in (False, True)]
    total = len(result.runs) // 2
    return Finding(
        "Makes deep networks much easier to train",
        normalized > plain,
        f"Of {len(cells)} combinations of initialisation and learning rate, {plain} learn without batch "
        f"normalisation and {normalized} with it (a mean validation accuracy of at least {percent(LEARNS)}). "
        f"{diverged[0]} of {total} training runs diverged without it, {diverged[1]} of {total} with it.",
    )


def _flow(result: Result) -> Finding:
    names = result.settings.initializations
    spreads = [(result.flow(False, name).spread, result.flow(True, name).spread) for name in names]
    # The difference exceeds that between seeds only if no seed's factor with it reaches one without it.
    better = sum(normalized[1] < plain[0] for plain, normalized in spreads)
    worse = sum(normalized[0] > plain[1] for plain, normalized in spreads)
    told = [
        f"{_initialization_words(name)}: {_span(plain)} without, {_span(normalized)} with"
        for name, (plain, normalized) in zip(names, spreads, strict=True)
    ]
    of = f"{result.settings.seeds} seed{'' if result.settings.seeds == 1 else 's'}"
    return Finding(
        "Improves gradient flow",
        better == len(names),
        "At initialisation, the largest gradient norm over the depth exceeds the smallest by a factor (from the "
        f"smallest to the largest of {of}) of: {'; '.join(told)}. Beyond the spread of the seeds, "
        f"batch normalisation makes the gradient more even for {better} of {len(names)} initialisations, and less even "
        f"for {worse}.",
    )


def _rates(result: Result) -> Finding:
    names = result.settings.initializations
    pairs = [(_largest_rate(result, False, name), _largest_rate(result, True, name)) for name in names]
    higher = sum((normalized or 0) > (plain or 0) for plain, normalized in pairs)
    lower = sum((normalized or 0) < (plain or 0) for plain, normalized in pairs)
    told = [
        f"{_initialization_words(name)}: {_rate(plain)} without, {_rate(normalized)} with"
        for name, (plain, normalized) in zip(names, pairs, strict=True)
    ]
    return Finding(
        "Allows higher learning rates",
        higher > lower,
        f"The highest of the learning rates tried at which the network still learns: {'; '.join(told)}. It is higher "
        f"with batch normalisation for {higher} of {len(names)} initialisations, lower for {lower}.",
    )


def _speed(result: Result) -> Finding:
    plain, normalized = (_fewest_steps(result, kind) for kind in (False, True))
    words = ["never reaches it" if steps is None else f"needs {steps:g} steps" for steps in (plain, normalized)]
    return Finding(
        "Faster convergence",
        normalized is not None and (plain is None or normalized < plain),
        f"Training loss below {REACHED:g} (mean of {WINDOW} steps): the network without batch normalisation "
        f"{words[0]}, the one with it {words[1]}, each in its best combination of initialisation and learning rate and "
        "as a mean over the seeds.",
    )


def _robust(result: Result) -> Finding:
    told, gaps = [], []
    for normalized in (False, True):
        rate = _best_rate(result, normalized)
        values = {name: result.accuracy(normalized, name, rate) for name in result.settings.initializations}
        worst, best = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
        gaps.append(values[best] - values[worst])
        told.append(
            f"{'With' if normalized else 'Without'} batch normalisation, at its best learning rate {rate:g}, the mean "
            f"validation accuracy goes from {percent(values[worst])} ({_initialization_words(worst)}) to "
            f"{percent(values[best])} ({_initialization_words(best)}): a gap of {100 * gaps[-1]:.1f} points."
        )
    return Finding("Networks become more robust to initialization", gaps[1] < gaps[0], " ".join(told))


def _span(spread: tuple[float, float]) -> str:
    least, most = map(_factor, spread)
    return least if least == most else f"{least} to {most}"


def _factor(factor: float) -> str:
    if factor == float("inf"):
        return "infinite (it vanishes)"
    return f"{factor:.1f}" if factor < 100 else f"10^{log10(factor):.1f}"


def _rate(rate: float | None) -> str:
    return "none" if rate is None else f"{rate:g}"


def _largest_rate(result: Result, normalized: bool, initialization: str) -> float | None:
    rates = result.settings.learning_rates
    return max((rate for rate in rates if result.accuracy(normalized, initialization, rate) >= LEARNS), default=None)


def _best_rate(result: Result, normalized: bool) -> float:
    names = result.settings.initializations
    return max(
        result.settings.learning_rates, key=lambda rate: sum(result.accuracy(normalized, n, rate) for n in names)
    )


def _fewest_steps(result: Result, normalized: bool) -> float | None:
    """The fewest steps, as a mean over the seeds, of the combinations in which every seed gets there."""
    settings, found = result.settings, []
    for name in settings.initializations:
        for rate in settings.learning_rates:
            steps = [_steps_to(run.losses) for run in result.cell(normalized, name, rate)]
            reached = [step for step in steps if step is not None]
            if len(reached) == len(steps):
                found.append(sum(reached) / len(reached))
    return min(found, default=None)


def _steps_to(losses: Sequence[float]) -> int | None:
    """The first step at which the mean of the last WINDOW losses is below REACHED, counted from 1."""
    smooth = running_mean(losses)
    below = np.flatnonzero(smooth[WINDOW - 1 :] < REACHED)
    return int(below[0]) + WINDOW if len(below) else None


def running_mean(losses: Sequence[float]) -> Any:
    """For each step the mean of the last WINDOW losses, or of fewer at the beginning."""
    return np.array([np.mean(losses[max(0, end - WINDOW) : end]) for end in range(1, len(losses) + 1)])


@drawn
def plot_accuracies(result: Result) -> "Figure":
    """The mean validation accuracy of each combination: a grid without, and one with batch normalisation."""
    settings = result.settings
    names, rates = settings.initializations, settings.learning_rates
    figure = new_figure(
        3.2 + 1.7 * len(rates), 1.7 + 0.55 * len(names), "Validation accuracy after the same number of steps"
    )
    panels = figure.subplots(1, 2, sharey=True)
    for axes, normalized in zip(panels, (False, True), strict=True):
        values = np.array([[result.accuracy(normalized, name, rate) for rate in rates] for name in names])
        image = axes.imshow(100 * values, cmap=SEQUENTIAL, vmin=0, vmax=100, aspect="auto")
        for row, name in enumerate(names):
            for column, rate in enumerate(rates):
                ink = "#000000" if values[row, column] > 0.6 else "#ffffff"
                words = _cell_words(result, normalized, name, rate)
                axes.text(column, row, words, ha="center", va="center", color=ink, fontsize=9)
        axes.set_xticks(range(len(rates)), [f"{rate:g}" for rate in rates])
        axes.set_yticks(range(len(names)), [_initialization_words(name) for name in names])
        axes.set(xlabel="learning rate", title=_style(normalized=normalized)["label"])
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
    panels[0].set_ylabel("initialisation")
    bar = figure.colorbar(image, ax=panels, aspect=18, pad=0.02)
    bar.set_label("accuracy (%)")
    return figure


@drawn
def plot_losses(result: Result) -> "Figure":
    """The training loss over the steps, a panel for each combination, a line for each seed."""
    settings = result.settings
    names, rates = settings.initializations, settings.learning_rates
    figure = new_figure(
        1 + 2.3 * len(rates), 0.9 + 1.75 * len(names), f"Training loss, mean of {WINDOW} steps; a line for each seed"
    )
    grid = figure.subplots(len(names), len(rates), sharex=True, sharey=True, squeeze=False)
    for row, name in enumerate(names):
        for column, rate in enumerate(rates):
            _draw_losses(grid[row, column], result, name, rate)
            if row == 0:
                grid[row, column].set_title(f"learning rate {rate:g}", fontsize=10)
        grid[row, 0].set_ylabel(f"{_initialization_words(name)}\nloss")
    for axes in grid[-1]:
        axes.set_xlabel("step")
    figure.legend(*_legend(diverged=True), loc="outside lower center", ncols=3)
    return figure


@drawn
def plot_gradient_flow(result: Result) -> "Figure":
    """At initialisation, the gradient's norm at each convolution, a line for each initialisation."""
    figure = new_figure(9.5, 4, "How the gradient gets through, before the first step")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, normalized in zip(panels, (False, True), strict=True):
        for number, name in enumerate(result.settings.initializations):
            norms = result.flow(normalized, name).norms
            axes.plot(
                range(1, len(norms) + 1), [norm if norm > 0 else None for norm in norms],
                marker=MARKERS[number % len(MARKERS)], color=tint(number),
                label=_initialization_words(name), markersize=10 - 2 * (number % 4), linewidth=3.6 - 0.8 * (number % 4),
            )  # fmt: skip
        axes.set(yscale="log", xlabel="convolution, counted from the input")
        axes.set_title(_style(normalized=normalized)["label"])
        axes.set_xticks(range(1, len(norms) + 1))
        axes.grid(visible=True)
    panels[0].set_ylabel("norm of the loss's gradient at its output")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), title="initialisation")
    return figure


def _cell_words(result: Result, normalized: bool, initialization: str, rate: float) -> str:
    runs = result.cell(normalized, initialization, rate)
    diverged = sum(run.accuracy is None for run in runs)
    if diverged == len(runs):
        return "diverged"
    value = f"{100 * result.accuracy(normalized, initialization, rate):.1f}"
    return f"{value}\n{diverged} of {len(runs)} div." if diverged else value


def _initialization_words(name: str) -> str:
    return {"he": "He", "xavier": "Xavier"}.get(name, name)


def _style(*, normalized: bool) -> dict[str, Any]:
    """How a line looks, with or without batch normalisation."""
    if normalized:
        return {"color": tint(0), "linestyle": "-", "label": "with batch normalisation"}
    return {"color": tint(1), "linestyle": "--", "label": "without batch normalisation"}


def _draw_losses(axes: "Axes", result: Result, initialization: str, rate: float) -> None:
    top = 1.35 * float(np.log(result.classes))
    for normalized in (False, True):
        for number, run in enumerate(result.cell(normalized, initialization, rate)):
            smooth = np.minimum(running_mean(run.losses), top)
            steps = np.arange(1, len(smooth) + 1)
            axes.plot(steps, smooth, **{**_style(normalized=normalized), "linewidth": 1.4, "label": None})
            if run.accuracy is None:
                at = (len(smooth) or 1, top * (0.95 - 0.09 * number))
                axes.plot(*at, marker="X", markersize=7, color=_style(normalized=normalized)["color"])
    axes.set_ylim(0, top)
    axes.grid(visible=True)
    axes.axhline(float(np.log(result.classes)), color=colour("soft"), linewidth=0.9, linestyle=":")


def _legend(*, diverged: bool) -> tuple[list[Any], list[str]]:
    from matplotlib.lines import Line2D

    lines = [Line2D([], [], **_style(normalized=normalized)) for normalized in (False, True)]
    lines.append(Line2D([], [], color=colour("soft"), marker="X", linestyle="none", label="diverged"))
    return lines, [str(line.get_label()) for line in lines]


def report(result: Result) -> Report:
    """The page: the question, what was done, figures, numbers, what they show, and the limits."""
    settings = result.settings
    steps = settings.epochs * -(-settings.training_images // settings.batch_size)
    convolutions = settings.depth * len(settings.channels)
    return Report(
        title="Batch normalisation: what it is good for",
        question=(
            "Batch normalisation centres and scales each channel by the mean and the variance of the batch. The "
            "lecture says that this makes deep networks much easier to train: it improves gradient flow, allows higher "
            "learning rates and faster convergence, and makes networks more robust to initialisation. Is that so?",
        ),
        method=_method(result, steps, convolutions),
        settings=settings_table(settings, Settings.WORDS, result.engine),
        drawings=_drawings(result),
        numbers=_numbers(result),
        findings=findings(result),
        limits=(
            f"One network of {convolutions} convolutions and {steps} steps on small grey images: what is slow here "
            "need not fail in a longer training, and the learning rates tried are factors apart, not tuned.",
            f"Every combination was trained {settings.seeds} time{'s' if settings.seeds > 1 else ''}; another seed "
            "changes individual accuracies. Only validation images were used, never the test images.",
        ),
    )


def _method(result: Result, steps: int, convolutions: int) -> tuple[str, ...]:
    settings = result.settings
    return (
        f"The same network, {convolutions} convolutions of 3x3 with ReLU in {len(settings.channels)} stages, a global "
        f"mean and a linear layer, was trained without ({result.parameters[0]:,} parameters) and with a batch "
        f"normalisation after each convolution ({result.parameters[1]:,}), from each initialisation at each learning "
        f"rate: {steps} steps of stochastic gradient descent (Nesterov momentum 0.9, weight decay 0.0005), "
        "the rate falling along half a cosine.",
        "He draws weights with the variance 2/fan-in, Xavier with 2/(fan-in + fan-out); “normal 0.01” and “normal 0.3” "
        "draw them with this standard deviation in every layer, too small and too large for most. A training whose "
        "loss is no longer a number has diverged; it counts as chance. The gradient norms are those of the mean "
        f"cross-entropy over one batch of {settings.batch_size} before the first step, at the output of each "
        "convolution, as a mean over the seeds.",
    )


def _drawings(result: Result) -> tuple[Drawing, ...]:
    names = listed([_initialization_words(name) for name in result.settings.initializations])
    return (
        Drawing(
            "accuracies", lambda: plot_accuracies(result),
            f"Two grids of validation accuracies, without and with batch normalisation; rows are the initialisations "
            f"{names}, columns the learning rates.",
            "Validation accuracy in per cent, as a mean over the seeds. “diverged”: the loss became NaN or infinite.",
        ),
        Drawing(
            "losses", lambda: plot_losses(result),
            "A grid of loss curves: rows are initialisations, columns learning rates; each panel compares training "
            "without and with batch normalisation.",
            "The dotted line is the loss of guessing. A cross marks where a training diverged; values above "
            "the panel are drawn at its upper edge, such as the mean of an epoch so far after an enormous loss.",
        ),
        Drawing(
            "gradient-flow", lambda: plot_gradient_flow(result),
            "Two plots of the gradient's norm over the depth, without and with batch normalisation, a line for each "
            "initialisation.",
            "A level line means that early layers get as much of the gradient as late ones. The height of a line "
            "alone matters less: a learning rate could make up for it, but not for a slope. Markers within markers "
            "are lines that coincide.",
        ),
    )  # fmt: skip


def _numbers(result: Result) -> Table:
    rows = []
    for normalized in (False, True):
        for name in result.settings.initializations:
            cells = [
                _cell_words(result, normalized, name, r).replace("\n", ", ") for r in result.settings.learning_rates
            ]
            factor = _span(result.flow(normalized, name).spread)
            rows.append(("with" if normalized else "without", _initialization_words(name), *cells, factor))
    rates = [f"rate {rate:g}" for rate in result.settings.learning_rates]
    return Table(
        ("batch normalisation", "initialisation", *rates, "gradient factor"), rows,
        "Mean validation accuracy in per cent at each learning rate, and the factor between the largest and the "
        "smallest gradient norm over the depth.",
    )  # fmt: skip
