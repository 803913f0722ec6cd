"""What the experiment on batch statistics at test time shows: findings, figures and the page."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from foveate.engines.base import FloatArray
from foveate.explain.draw.style import MARKERS, colour, drawn, new_figure, tint
from foveate.explain.experiments.batch_statistics import ORDERS, Company, Result, Settings, Test
from foveate.explain.experiments.report import Finding, Report, percent
from foveate.explain.experiments.running import settings_table
from foveate.explain.page.drawing import Drawing
from foveate.explain.page.html import Table
from foveate.text import shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTICED = 0.01
"""The smallest difference of accuracies or probabilities that counts: one point."""


def findings(result: Result) -> tuple[Finding, ...]:
    """What the lecture warns about and what follows from it, each with whether these numbers show it."""
    return _differs(result), _small_batches(result), _one_class(result), _company(result), _moves(result)


def _differs(result: Result) -> Finding:
    worst = min(result.tests, key=lambda test: test.accuracy)
    lost = result.accuracy - worst.accuracy
    return Finding(
        "Behaves differently during training and testing: this is a very common source of bugs",
        lost >= NOTICED,
        f"Tested correctly, with running statistics, the model has an accuracy of {percent(result.accuracy)}. With "
        f"each batch's own statistics it is {percent(worst.accuracy)} in the worst test ({worst.order}, batches of "
        f"{worst.batch_size}): {_points(lost)}. No error was raised in any of the tests.",
    )


def _small_batches(result: Result) -> Finding:
    tests = result.of(ORDERS[0])
    told = [f"{percent(test.accuracy)} with batches of {test.batch_size}" for test in tests]
    return Finding(
        "The smaller the batch, the worse",
        result.accuracy - tests[0].accuracy >= NOTICED and tests[0].accuracy < tests[-1].accuracy,
        f"Shuffled test images, normalised by their batch: {', '.join(told)}; correctly {percent(result.accuracy)}.",
    )


def _one_class(result: Result) -> Finding:
    tests = result.of(ORDERS[1])
    told = [f"{percent(test.accuracy)} with batches of {test.batch_size}" for test in tests]
    return Finding(
        "Batches of one class are a catastrophe",
        max(test.accuracy for test in tests) < result.accuracy / 2,
        f"Test images sorted by class, so each batch has one class only: {', '.join(told)}; correctly "
        f"{percent(result.accuracy)}.",
    )


def _company(result: Result) -> Finding:
    given = {company.name: company.probabilities[result.label] for company in result.companies}
    told = [f"{percent(value)} among {name}" for name, value in given.items()]
    return Finding(
        "What an image is taken for depends on its neighbours",
        max(given.values()) - min(given.values()) >= NOTICED,
        f"One image of the class {result.classes[result.label]} is given this class with a probability of "
        f"{', '.join(told)}; tested correctly it is {percent(result.probabilities[result.label])} in any company.",
    )


def _moves(result: Result) -> Finding:
    moved = [test.moved for test in result.tests]
    worst = min(result.tests, key=lambda test: test.accuracy_after)
    lost = result.accuracy - worst.accuracy_after
    return Finding(
        "The test changes the model",
        min(moved) > 0,
        f"Meanwhile the running statistics moved by {percent(min(moved))} to {percent(max(moved))} of their norm. A "
        f"correct test afterwards gives {percent(worst.accuracy_after)} at worst ({worst.order}, batches of "
        f"{worst.batch_size}): {_points(lost)}.",
    )


def _points(lost: float) -> str:
    return f"{100 * abs(lost):.1f} points {'lost' if lost >= 0 else 'gained'}"


@drawn
def plot_accuracies(result: Result) -> "Figure":
    """The accuracy of the wrong tests against the batch size, beside the correct one."""
    figure = new_figure(8, 4.4, "Tested with each batch's own statistics")
    axes = figure.subplots()
    _draw_orders(axes, result, lambda test: 100 * test.accuracy)
    _draw_right(axes, result)
    axes.set_ylabel("test accuracy (%)")
    axes.set_ylim(0, 100)
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@drawn
def plot_aftermath(result: Result) -> "Figure":
    """How far the running statistics moved during each wrong test, and the accuracy of a correct test afterwards."""
    figure = new_figure(10, 4.4, "What the wrong test leaves behind in the model")
    moved, after = figure.subplots(1, 2)
    _draw_orders(moved, result, lambda test: 100 * test.moved)
    _draw_orders(after, result, lambda test: 100 * test.accuracy_after)
    _draw_right(after, result)
    moved.set(ylabel="running statistics moved (% of their norm)")
    moved.set_ylim(bottom=0)
    after.set(ylabel="accuracy of a correct test afterwards (%)", ylim=(0, 100))
    figure.legend(*after.get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


@drawn
def plot_companies(result: Result) -> "Figure":
    """One image among several sets of companions: the companions, and what the image is taken for among them."""
    rows = [Company("any company", (), result.probabilities), *result.companies]
    images = result.images()
    count = len(result.companies[0].companions)
    title = f"One image of the class {result.classes[result.label]} in several batches: what it is taken for"
    figure = new_figure(10.5, 1.2 + 1.45 * len(rows), title)
    grid = figure.subplots(len(rows), 2, width_ratios=(5, 4), squeeze=False)
    for number, (company, (left, right)) in enumerate(zip(rows, grid, strict=True)):
        first = 1 + (number - 1) * count
        _draw_images(left, [images[0], *images[first : first + len(company.companions)]], count + 1)
        _draw_company(right, result, company, rightly=number == 0)
        words = "running statistics, in any company" if number == 0 else f"batch statistics, among {company.name}"
        left.set_title(words, fontsize=10, loc="left")
        right.tick_params(labelbottom=company is rows[-1])
    grid[-1, 1].set_xlabel("probability (%)")
    return figure


def _draw_images(axes: "Axes", images: Sequence[FloatArray], places: int) -> None:
    """The images in a row, the first one framed."""
    from matplotlib.patches import Rectangle

    for place, image in enumerate(images):
        coloured = image.shape[0] == 3
        shown = image.transpose(1, 2, 0) if coloured else image[0]
        axes.imshow(
            shown, cmap="gray", vmin=0, vmax=1, interpolation="nearest", extent=(1.1 * place, 1.1 * place + 1, 0, 1)
        )
    axes.add_patch(Rectangle((0, 0), 1, 1, fill=False, edgecolor=tint(1), linewidth=3))
    axes.set(xlim=(-0.05, 1.1 * places), ylim=(-0.05, 1.05))
    axes.axis("off")


def _draw_company(axes: "Axes", result: Result, company: Company, *, rightly: bool) -> None:
    """The three most probable classes, and the true one if it is not among them."""
    order = np.argsort(-np.asarray(company.probabilities), kind="stable")[:3].tolist()
    order = order if result.label in order else [*order[:2], result.label]
    values = [100 * company.probabilities[index] for index in order]
    names = [shortened(result.classes[index], 24) + (" (true)" if index == result.label else "") for index in order]
    bars = axes.barh(range(len(order)), values, color=tint(2) if rightly else tint(0))
    axes.bar_label(bars, fmt="%.1f", padding=3, fontsize=9)
    axes.set_yticks(range(len(order)), names)
    axes.invert_yaxis()
    axes.set_xlim(0, 115)
    axes.set_xticks(range(0, 101, 25))


def _draw_orders(axes: "Axes", result: Result, value: "Callable[[Test], float]") -> None:
    for number, order in enumerate(ORDERS):
        tests = result.of(order)
        sizes = [test.batch_size for test in tests]
        axes.plot(
            sizes, [value(test) for test in tests], marker=MARKERS[number], color=tint(number),
            label=f"wrong test, images {order}",
        )  # fmt: skip
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.minorticks_off()
    axes.set_xlabel("images in a batch of the wrong test")
    axes.grid(visible=True)


def _draw_right(axes: "Axes", result: Result) -> None:
    label = "correct test of the untouched model"
    axes.axhline(100 * result.accuracy, color=colour("ink"), linestyle="--", linewidth=1.5, label=label)


def report(result: Result) -> Report:
    """The page: the question, what was done, figures, numbers, what they show, and the limits."""
    return Report(
        title="Batch normalisation left in training mode at test time",
        question=(
            "In training, batch normalisation uses the mean and the variance of the batch; at test time it should use "
            "their running averages, so an answer depends on the image alone. The lecture warns: “Behaves "
            "differently during training and testing: this is a very common source of bugs!” What happens to those who "
            "forget to switch?",
        ),
        method=_method(result),
        settings=_settings(result),
        drawings=_drawings(result),
        numbers=_numbers(result),
        findings=findings(result),
        limits=_limits(result),
    )


def _settings(result: Result) -> Table:
    settings = result.settings
    words = dict(Settings.WORDS)
    training = ("training_images", "epochs", "channels", "learning_rate", "batch_size")
    for name in training if settings.model is not None else ("model",):
        del words[name]
    return settings_table(settings, words, result.engine)


def _method(result: Result) -> tuple[str, ...]:
    settings = result.settings
    images = settings.images_per_class * len(result.classes)
    made = (
        f"the network was trained on {settings.training_images:,} images"
        if settings.model is None else f"the network was given ({settings.model})"
    )  # fmt: skip
    return (
        f"The model: {result.network}; {made}. It was tested on {images:,} test images, the same number of each class, "
        "in the reference engine, whose programs in “training” mode do exactly what PyTorch does when model.eval() is "
        "forgotten: they normalise by the batch and move the running statistics.",
        "Each wrong test looks at every image once, in batches of one size: shuffled, or sorted by class, so all "
        "images of a batch are of one class, as in a test that goes through folder after folder. Each starts from the "
        "original model. Afterwards the same images are tested correctly, with the running statistics that are left.",
        "One image, the one with the median probability among those classified correctly, is then put into batches of "
        f"{settings.companions + 1}, among other images chosen by the seed.",
    )


def _limits(result: Result) -> tuple[str, ...]:
    dropped = ("The network has dropout, which “training” mode leaves on too: part of the loss comes from it.",)
    return (
        "How much is lost depends on the network: on how many values each mean is taken over, and on what follows. "
        "If a global mean follows the last normalisation, as here or in a ResNet, a batch of one class loses "
        "exactly what its images have in common; with --model the experiment examines yours."
        if result.settings.model is None else
        "How much is lost depends on the network: on how many values each mean is taken over, and on what follows.",
        "foveate fixes the mode when a program is compiled, and predict and evaluate always use running statistics, so "
        "that this mistake cannot be made with them; it was made here on purpose.",
        *(dropped if result.dropout else ()),
    )  # fmt: skip


def _drawings(result: Result) -> tuple[Drawing, ...]:
    return (
        Drawing(
            "accuracies", lambda: plot_accuracies(result),
            "Test accuracy against the batch size, for shuffled images and for images sorted by class, beside the "
            "correct accuracy as a dashed line.",
            "The same parameters and the same images in every point; only the batches differ.",
        ),
        Drawing(
            "companies", lambda: plot_companies(result),
            "One image in five rows, each with other companions on the left and bars of the most probable classes on "
            "the right.",
            "The framed image is always the same. Above, the right answer; below, what it is taken for when the "
            "batch's statistics are used.",
        ),
        Drawing(
            "aftermath", lambda: plot_aftermath(result),
            "Two plots against the batch size: how far the running statistics moved, and the accuracy of a correct "
            "test afterwards.",
            "Every batch of the wrong test moves the running statistics towards its own; the smaller the batches, "
            "the more of them there are.",
        ),
    )  # fmt: skip


def _numbers(result: Result) -> Table:
    rows = [
        (test.order, str(test.batch_size), f"{100 * test.accuracy:.1f}", f"{100 * test.moved:.2f}",
         f"{100 * test.accuracy_after:.1f}")
        for test in result.tests
    ]  # fmt: skip
    return Table(
        ("images", "batch size", "accuracy (%)", "running statistics moved (%)", "correct test afterwards (%)"), rows,
        f"Every wrong test; tested correctly, the accuracy is {percent(result.accuracy)}.",
    )  # fmt: skip
