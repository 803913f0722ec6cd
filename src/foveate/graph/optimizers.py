"""Optimisers as descriptions; the engines know how to apply them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import ClassVar, TypeAlias

from foveate.calls import Called
from foveate.errors import TrainingError

CALL_HINTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("", "lr", "learning_rate"), "the learning rate belongs to the schedule, fit(schedule=OneCycle(0.1))"
    ),
    "betas": "they are called momentum and second_momentum",
    "params": "fit gives it the parameters",
}


class Updating(metaclass=Called):
    """What both share: engines know them by their type, so what a class derived from them did would never run."""

    def __init_subclass__(cls) -> None:
        """Refuse a class derived from an optimiser."""
        if cls.__mro__[1] is not Updating:
            raise TrainingError(
                f"{cls.__name__} is derived from {cls.__mro__[1].__name__}, but engines compute the updates of SGD and "
                "AdamW only; use one of them, and change the learning rate with a schedule"
            )


@dataclass(frozen=True, kw_only=True)
class SGD(Updating):
    """Stochastic gradient descent with momentum.

        g = gradient + weight_decay w;   v = momentum v + g;   w = w - learning_rate (g + momentum v if nesterov else v)

    Args:
        momentum: fraction of the last step that is kept, at least 0 and below 1.
        nesterov: whether to look ahead along the momentum.
        weight_decay: pull of the weights towards zero; biases and normalisation parameters are exempt.

    Sutskever et al.: On the importance of initialization and momentum in deep learning, 2013.
    """

    call_hints: ClassVar[Mapping[str, str]] = CALL_HINTS

    slots: ClassVar[tuple[str, ...]] = ("momentum",)

    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        _check_share("SGD", "momentum", self.momentum)
        _check_decay("SGD", self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class AdamW(Updating):
    """Adam with decoupled weight decay.

        m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
        w = w - learning_rate (weight_decay w + (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps))

    Args:
        momentum: b1, the decay rate of the mean gradient.
        second_momentum: b2, the decay rate of the mean squared gradient.
        eps: added to the square root.
        weight_decay: pull of the weights towards zero; biases and normalisation parameters are exempt.

    Loshchilov, Hutter: Decoupled weight decay regularization, 2017.
    """

    call_hints: ClassVar[Mapping[str, str]] = CALL_HINTS

    slots: ClassVar[tuple[str, ...]] = ("mean", "mean_square")

    momentum: float = 0.9
    second_momentum: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        _check_share("AdamW", "momentum", self.momentum)
        _check_share("AdamW", "second_momentum", self.second_momentum)
        if not 0 < self.eps < inf:
            raise TrainingError(f"AdamW: eps is {self.eps}; it must be positive and finite (1e-8 is usual)")
        _check_decay("AdamW", self.weight_decay)


Optimizer: TypeAlias = SGD | AdamW
"""Any optimiser."""


def _check_share(owner: str, name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise TrainingError(f"{owner}: {name} is {value}; it must be at least 0 and below 1")


def _check_decay(owner: str, value: float) -> None:
    if not 0 <= value < inf:
        raise TrainingError(f"{owner}: weight_decay is {value}; it must be at least 0 and finite")
