"""The chapter on receptive fields: how far a value sees."""

from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject
from foveate.explain.plots.receptive_fields import plot_receptive_fields


def receptive_fields(subject: Subject) -> Section:
    """Theoretical boxes on the image, and the effective field."""
    return Section(
        "Receptive fields: how far a value sees",
        [
            "Each convolution or pooling layer of size K adds K - 1, times its dilation, to the receptive field, and "
            "each stride multiplies what later layers add. The boxes are what one value in the middle of each layer "
            "can depend on. What it actually depends on is usually less: the effective field, here the root of the "
            "mean squared gradient, fades towards the box's border.",
        ],
        [
            subject.draw(
                "receptive-fields", lambda: plot_receptive_fields(subject.model, subject.image),
                f"What layers of growing depth see of the {subject.noun}, and the effective field of one of them.",
            )
        ],
    )  # fmt: skip
