"""The chapter on normalisation."""

from collections.abc import Sequence

from foveate.explain.draw.normalization import plot_normalization_cubes
from foveate.explain.page.html import Picture, Section
from foveate.explain.page.subject import Subject, evenly_chosen
from foveate.explain.plots.normalization import plot_normalization_effect
from foveate.explain.probe.probe import Images
from foveate.layers.normalization import Normalization
from foveate.model import Model


def normalization(subject: Subject) -> Section:
    """Which axes normalisations average over, and what they do to this network's activations."""
    images: Images = subject.image
    if subject.data is not None:
        images = evenly_chosen(subject.data.test, subject.passes(256, 16)).inputs
    model = subject.model
    return Section(
        "Normalisation: forcing activations to be nicely scaled",
        [
            "Each kind of normalisation subtracts a mean and divides by a standard deviation; they differ in what they "
            "average over. Batch normalisation averages one channel over all samples and positions, so it behaves "
            "differently in training and afterwards; the others look at each sample by itself.",
        ],
        [
            subject.draw(
                "normalization-axes", plot_normalization_cubes,
                "Four blocks of values, with those that share a mean in batch, layer, instance and group norm.",
            ),
            *_effect(subject, model, images),
        ],
    )  # fmt: skip


def _effect(subject: Subject, model: Model, images: Images) -> Sequence[Picture]:
    """The effect of the network's own normalisations, if it has any."""
    if not any(isinstance(node.layer, Normalization) for node in model.graph.nodes):
        return []
    return [
        subject.draw(
            "normalization-effect", lambda: plot_normalization_effect(model, images),
            "Histograms of activations before and after the normalisations of the network.",
        )
    ]  # fmt: skip
