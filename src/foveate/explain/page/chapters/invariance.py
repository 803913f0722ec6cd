"""The chapter on invariance: the output as the image changes, and how far layers move with it."""

from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject
from foveate.explain.plots.invariance import plot_equivariance_error, plot_response_curves


def invariance(subject: Subject) -> Section:
    """The output as the image changes, and how far layers move with it."""
    model = subject.model
    same, others, changes = _CHANGES["signal" if subject.noun == "signal" else "image"]
    return Section(
        "Invariance, measured",
        [
            f"{same} A convolution moves its maps along with the {subject.noun} (equivariance), and pooling forgets "
            f"small movements (invariance); neither says anything about {others}, which a network must learn from its "
            "data.",
            "In the second figure T moves the input and T' the map: f(Tx) = T'f(x) would be perfect equivariance. At "
            "the border, padding breaks it, and so does a shift that is not a whole number of the map's steps.",
        ],
        [
            subject.draw(
                "response-curves", lambda: plot_response_curves(model, subject.image, target=subject.target),
                f"The probabilities of classes as the {subject.noun} {changes}.",
            ),
            subject.draw(
                "equivariance", lambda: plot_equivariance_error(model, subject.image),
                f"For each layer, how far its maps are from moving along with the {subject.noun}.",
            ),
        ],
    )  # fmt: skip


_CHANGES = {
    "signal": (
        "A sound stays the same sound when it comes later or is drawn out.",
        "drawing out",
        "is delayed and stretched",
    ),
    "image": (
        "An object stays the same object when it moves, turns or grows.",
        "turning or growing",
        "moves, turns and grows",
    ),
}
"""What should change nothing, what a convolution does not help with, and what the figure shows."""
