"""The chapter on what convolution and pooling are good for: the network against others of equal size."""

from foveate.errors import DataError
from foveate.explain.draw.invariance import at_chance
from foveate.explain.page.html import Picture, Section
from foveate.explain.page.subject import Subject
from foveate.explain.plots.baselines import plot_comparison
from foveate.explain.probe.baselines import WITHOUT_POOLING, InvarianceComparison, compare_invariance

FEWEST_SAMPLES = 1_000
"""With fewer, a comparison of trained networks would say nothing."""


_COUNTS = {2: "Two", 3: "Three"}


def comparison(subject: Subject) -> Section:
    """The lecture's argument for convolution and pooling: the network against others of equal size."""
    data = subject.needed("comparing networks")
    # Two networks of this size learn from each sample twice, and a step costs three passes.
    samples = subject.passes(12 * 4_000, 0) // 12
    if samples < FEWEST_SAMPLES:
        raise DataError(
            f"training networks that compute {subject.macs:,} multiply-accumulates for each image takes too long for a "
            "page; explain.compare_invariance does it for as many samples and epochs as you like"
        )
    compared = compare_invariance(subject.model, data, samples=samples, epochs=2, test_samples=500, progress=False)
    parameters = compared.baselines.parameters
    counts = ", ".join(f"{name}: {count:,}" for name, count in parameters.items())
    others = "and a fully connected network of equal size (it has no pooling to remove)"
    if WITHOUT_POOLING in parameters:
        others = (
            "the same without its pooling (each window passes on its middle value, so all sizes stay), and a fully "
            "connected network of equal size"
        )
    what = (
        f"{_COUNTS[len(parameters)]} networks were trained from scratch for this page, all on the same "
        f"{compared.baselines.samples:,} {subject.noun}s for {compared.baselines.epochs} epochs: this architecture, "
        f"{others}. Parameters: {counts}."
    )
    return Section("What convolution and pooling are good for", *_told(subject, compared, what))


def _told(subject: Subject, compared: InvarianceComparison, what: str) -> tuple[list[str], list[Picture]]:
    """Paragraphs and a figure, or sentences in its place if no network has learnt anything."""
    if not any(share.learnt for share in compared.shares.values()):
        return [what, *(at_chance(f"The network {name}", share) for name, share in compared.shares.items())], []
    how = "Such a short training makes none of them good: look at how the curves fall, not at how high they start."
    picture = subject.draw(
        "comparison", lambda: plot_comparison(compared),
        f"The fraction of predictions that survive a shift of 0 to 8 {subject.elements}, and the accuracy, for each "
        "network.",
    )  # fmt: skip
    return [f"{what} {how}"], [picture]
