"""The chapter on filters: what the convolutions look for."""

from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject
from foveate.explain.plots.filters import plot_filters
from foveate.explain.probe.probe import convolutions
from foveate.model import Model


def filters(subject: Subject) -> Section:
    """The kernels of the first and of the last convolution."""
    model = subject.model
    names = list(dict.fromkeys([convolutions(model)[0].name, convolutions(model)[-1].name]))
    return Section(
        "Filters: what the convolutions look for",
        [
            "A convolution slides small kernels over its input; each value of its output is the dot product of a "
            f"kernel with what lies under it. The kernels of the first layer meet the {subject.noun} itself and often "
            f"{_first_kernels(model)}. Those of later layers meet activation maps, so they mean little by "
            "themselves: the chapter on what excites a channel shows what they react to.",
        ],
        [
            subject.draw(
                f"filters-{name}", lambda name=name: plot_filters(model, name, sample_rate=subject.sample_rate),  # type: ignore[misc]
                f"Kernels of {name} as many small images, the largest norm first.",
            )
            for name in names
        ],
    )  # fmt: skip


def _first_kernels(model: Model) -> str:
    """What the first kernels of trained networks often do."""
    channels, *sizes = model.graph.input_shape
    if len(sizes) == 1:
        return "pass some frequencies and stop others"
    return f"look like edges{', spots and colours' if channels == 3 else ' and spots'}"
