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
            f"Before the last layer, each {subject.noun} is a list of numbers, the output of {penultimate(model)}. "
            "Here they are projected onto the two directions in which they vary most (principal components). Those of "
            "one class lie together if the network tells them from others; where colours mix, it confuses them or two "
            "dimensions are not enough.",
        ],
        [
            subject.draw(
                "feature-space", lambda: plot_feature_space(model, data.test, samples=samples),
                f"A point for each {subject.noun}, coloured by class, with some {subject.noun}s beside their points.",
                f"{samples:,} {subject.noun}s of the data's test part.",
            )
        ],
    )  # fmt: skip
