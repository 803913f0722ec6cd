"""The chapter on feature space: how the network sorts its inputs."""

from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject
from foveate.explain.plots.features import plot_feature_space
from foveate.explain.probe.features import penultimate


def feature_space(subject: Subject) -> Section:
    """The penultimate features of the data in two dimensions."""
    data = subject.needed("the feature space")
    model = subject.model
    samples = min(len(data.test), subject.passes(1_000, 100))
    return Section(
        "Feature space: how the network sorts its inputs",
        [
            f"Before the last layer each {subject.noun} is the list of numbers that {penultimate(model)} gives. Here "
            "they are projected onto the two directions in which they vary most (principal components). Those of one "
            "class lie together where the network tells them from others; where colours mix, it confuses them, or two "
            "dimensions do not suffice.",
        ],
        [
            subject.draw(
                "feature-space", lambda: plot_feature_space(model, data.test, samples=samples),
                f"A point for each {subject.noun}, coloured by class, with some {subject.noun}s at their places.",
                f"{samples:,} {subject.noun}s of the data's test part.",
            )
        ],
    )  # fmt: skip
