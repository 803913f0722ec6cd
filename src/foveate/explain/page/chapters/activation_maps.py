"""The chapter on activation maps: how each layer responds to the image."""

from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject
from foveate.explain.plots.activation_maps import plot_activation_maps, plot_layers
from foveate.explain.probe.probe import convolutions


def maps(subject: Subject) -> Section:
    """Activation maps of the first convolution, and a walk through all layers."""
    model = subject.model
    first = convolutions(model)[0].name
    return Section(
        f"Activation maps: how each layer responds to the {subject.noun}",
        [
            "Every channel of a layer responds at every position: that is its activation map. One element of a map is "
            f"marked; its receptive field, {'shaded' if len(model.graph.input_shape) == 2 else 'framed'} on the "
            f"{subject.noun}, is all that this element can see.",
            "Further on, maps often become smaller, and what they react to becomes larger and more abstract.",
        ],
        [
            subject.draw(
                f"maps-{first}", lambda: plot_activation_maps(model, subject.image, first),
                f"Activation maps of {first}, and on the {subject.noun} the receptive field of the strongest element.",
            ),
            subject.draw(
                "layers", lambda: plot_layers(model, subject.image),
                "The strongest activation maps of one layer after another, from the input to the output.",
            ),
        ],
    )  # fmt: skip
