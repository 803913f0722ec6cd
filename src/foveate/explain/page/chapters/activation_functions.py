"""The chapter on activation functions, and how deep a signal survives under each."""

from foveate.explain.draw.activation_functions import draw_signal_survival
from foveate.explain.measure.activation_functions import STARTS, SURVIVORS
from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject
from foveate.explain.plots.activation_functions import plot_activation_functions
from foveate.explain.probe.activation_functions import signal_survival


def activation_functions(subject: Subject) -> Section:
    """The functions with their derivatives, and how deep signals survive under each."""
    survival = [signal_survival(SURVIVORS, initializer=each) for each in STARTS]
    return Section(
        "Activation functions, and how deep a signal survives",
        [
            "A nonlinear function stands between the linear layers; without it, all layers together would be one "
            "matrix. In a deep network with random weights the signal, and the gradient on its way back, must neither "
            "die out nor explode: that depends on the function and on how the weights start.",
        ],
        [
            subject.draw(
                "activation-functions", plot_activation_functions,
                "A grid of activation functions, each with its derivative and formula.",
            ),
            subject.draw(
                "signal-survival", lambda: draw_signal_survival(survival),
                "The variance of signal and gradient by depth for several activation functions.",
            ),
        ],
    )  # fmt: skip
