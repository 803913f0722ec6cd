"""What the experiment on generalisation shows: findings, figures and the page."""

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from foveate.explain.draw.style import MARKERS, colour, drawn, new_figure, tint
from foveate.explain.experiments.generalization import KINDS, Result, Settings
from foveate.explain.experiments.report import Finding, Report, listed, percent
from foveate.explain.experiments.running import settings_table
from foveate.explain.page.drawing import Drawing
from foveate.explain.page.html import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def findings(result: Result) -> tuple[Finding, ...]:
    """The lecture's claim and two readings of it, each with whether these numbers show it."""
    return _generalizes(result), _needs_fewer_images(result), _smaller_gap(result)


def _generalizes(result: Result) -> Finding:
    sizes = result.settings.sizes
    clear = [size for size in sizes if _advantage(result, size) > 0 and _is_clear(result, size)]
    told = [
        f"{percent(float(np.mean(result.test('convolutional', size))))} against "
        f"{percent(float(np.mean(result.test('dense', size))))} with {size:,} images"
        for size in sizes
    ]
    return Finding(
        "Better generalization",
        len(clear) == len(sizes),
        f"Mean test accuracy, convolutional against dense: {'; '.join(told)}. The convolutional network is better, "
        f"with its worst seed above the dense network's best, for {len(clear)} of {len(sizes)} training-set sizes.",
    )


def _needs_fewer_images(result: Result) -> Finding:
    sizes = result.settings.sizes
    told, ahead = [], 0
    for size, larger in pairwise(sizes):
        goal, other = float(np.mean(result.test("convolutional", size))), float(np.mean(result.test("dense", larger)))
        ahead += goal >= other
        told.append(f"{percent(goal)} with {size:,} images against {percent(other)} with {larger:,}")
    return Finding(
        "Fewer images are enough",
        ahead == len(told) > 0,
        f"Mean test accuracy of the convolutional network against that of a dense one with more images: "
        f"{'; '.join(told)}. The convolutional network is as good or better in {ahead} of {len(told)} comparisons.",
    )


def _smaller_gap(result: Result) -> Finding:
    sizes = result.settings.sizes
    smaller = sum(result.gap("convolutional", size) < result.gap("dense", size) for size in sizes)
    told = [
        f"{100 * result.gap('convolutional', size):.1f} against {100 * result.gap('dense', size):.1f} points with "
        f"{size:,} images"
        for size in sizes
    ]
    return Finding(
        "Less overfitting",
        smaller == len(sizes),
        "Training accuracy minus test accuracy, convolutional against dense: "
        f"{'; '.join(told)}. The gap is smaller for the convolutional network with {smaller} of {len(sizes)} "
        "training-set sizes.",
    )


def _advantage(result: Result, size: int) -> float:
    return float(np.mean(result.test("convolutional", size)) - np.mean(result.test("dense", size)))


def _is_clear(result: Result, size: int) -> bool:
    """Whether no seed of one network lies among those of the other."""
    one, other = result.test("convolutional", size), result.test("dense", size)
    return min(one) > max(other) or min(other) > max(one)


@drawn
def plot_accuracies(result: Result) -> "Figure":
    """Test and training accuracy, and the gap between them, against the number of training images."""
    sizes = result.settings.sizes
    figure = new_figure(10.5, 4.4, "Dense against convolutional, with the same number of parameters")
    accuracy, gap = figure.subplots(1, 2, width_ratios=(3, 2))
    for number, (kind, count) in enumerate(zip(KINDS, result.parameters, strict=True)):
        style: dict[str, Any] = {"color": tint(1 - number), "marker": MARKERS[number]}
        for values, line, name in ((result.test, "-", "test"), (result.training, "--", "training")):
            means = [100 * float(np.mean(values(kind, size))) for size in sizes]
            accuracy.plot(sizes, means, line, label=f"{kind}, {count:,} parameters: {name} images", **style)
            for size in sizes:
                points = [100 * value for value in values(kind, size)]
                accuracy.plot([size] * len(points), points, "_", color=style["color"], markersize=9)
        gap.plot(sizes, [100 * result.gap(kind, size) for size in sizes], label=kind, **style)
    accuracy.set_ylabel("accuracy (%)")
    gap.set_ylabel("training minus test accuracy (points)")
    gap.axhline(0, color=colour("soft"), linewidth=0.9)
    for axes in (accuracy, gap):
        _number_of_images(axes, sizes)
    figure.legend(*accuracy.get_legend_handles_labels(), loc="outside lower center", ncols=2, handlelength=4)
    return figure


def _number_of_images(axes: "Axes", sizes: Sequence[int]) -> None:
    axes.set_xscale("log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("training images")
    axes.grid(visible=True)


def report(result: Result) -> Report:
    """The page: the question, what was done, figures, numbers, what they show, and the limits."""
    settings = result.settings
    return Report(
        title="Dense against convolutional: which generalises better?",
        question=(
            "A convolutional network looks at small neighbourhoods and uses the same weights everywhere. The lecture "
            "says that features in images are local and the same wherever they are, and that a network built on that "
            "generalises better: it does better on images that it has not seen. Is that so when a dense network has "
            "just as many parameters?",
        ),
        method=_method(result),
        settings=settings_table(settings, Settings.WORDS, result.engine),
        drawings=(
            Drawing(
                "accuracies", lambda: plot_accuracies(result),
                "Left, test and training accuracy of both networks against the number of training images; right, the "
                "gap between them.",
                "Lines are means over the seeds, small bars individual seeds.",
            ),
        ),
        numbers=_numbers(result),
        findings=findings(result),
        limits=_limits(result),
    )  # fmt: skip


def _method(result: Result) -> tuple[str, ...]:
    settings = result.settings
    dense, convolutional = result.parameters
    channels = listed([str(count) for count in settings.channels])
    sizes = listed([f"{size:,}" for size in settings.sizes])
    return (
        f"The convolutional network has {len(settings.channels)} convolutions of 3x3 ({channels} channels) "
        f"with ReLU, each followed by max pooling, and a linear layer: {convolutional:,} parameters. The "
        f"dense network has hidden layers of {listed([str(units) for units in result.hidden])} units with ReLU, chosen "
        f"to give as many parameters: {dense:,}. Neither has normalisation, dropout or augmentation.",
        f"Both were trained by the same recipe, fixed in advance, on {sizes} training images; "
        "fewer images are seen in more epochs. The smaller sets are subsets of the larger ones, drawn "
        "anew for each seed, and the inputs are scaled by the mean and the deviation of the training images alone. "
        f"The {result.test_images:,} test images were used for the figure only, after each training.",
    )


def _limits(result: Result) -> tuple[str, ...]:
    settings = result.settings
    return (
        "One recipe for all: each network might do better with its own, and a dense network with other widths, "
        "dropout or more training. Equal parameters are not equal work: the convolutional network computes more for "
        "each image, because it uses each weight at many places.",
        f"{settings.seeds} seed{'s' if settings.seeds > 1 else ''} and one dataset of small, centred, grey images. "
        "That individual runs lie apart suggests that luck did not decide; it is not a statistical test.",
    )


def _numbers(result: Result) -> Table:
    rows = []
    for size, epochs in zip(result.settings.sizes, result.settings.epochs, strict=True):
        for kind in KINDS:
            test, training = result.test(kind, size), result.training(kind, size)
            diverged = sum(run.test_accuracy is None for run in result.cell(kind, size))
            gap = f"{100 * result.gap(kind, size):.1f}"
            rows.append((f"{size:,}", str(epochs), kind, _percents(test), _percents(training), gap, str(diverged)))
    return Table(
        (
            "training images",
            "epochs",
            "network",
            "test accuracy (%)",
            "training accuracy (%)",
            "gap (points)",
            "diverged",
        ),
        rows,
        "Mean over the seeds, with the worst and the best seed in brackets.",
    )


def _percents(values: Sequence[float]) -> str:
    return f"{100 * float(np.mean(values)):.1f} ({100 * min(values):.1f} to {100 * max(values):.1f})"
