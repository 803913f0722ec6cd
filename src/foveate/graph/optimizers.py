"""Optimisers as descriptions; the engines know how to apply them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias

from foveate.calls import Called
from foveate.errors import TrainingError
from foveate.graph.own import check_own

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray: TypeAlias = NDArray[Any]

CALL_HINTS: Mapping[str, str] = {
    **dict.fromkeys(
        ("", "lr", "learning_rate"), "the learning rate belongs to the schedule, fit(schedule=OneCycle(0.1))"
    ),
    "betas": "they are called momentum and second_momentum",
    "params": "fit gives it the parameters",
}


RESERVED_SLOTS = ("trained", "best")
"""What checkpoints call other sets of parameters that they hold."""


class Now(NamedTuple):
    """What holds for one parameter in one update.

    `learning_rate` is its own: the schedule's, times its factor. `momentum` is the schedule's, else the optimiser's
    option of that name, else None. `decays` says whether weight decay is meant for it; `step` counts from 1.
    """

    learning_rate: float
    momentum: float | None
    decays: bool
    step: int


class Optimizer(metaclass=Called):
    """Base of every optimiser: a frozen dataclass of options that says how a parameter follows its gradient.

    Derive from it for an optimiser of your own. Its options are recorded in the model's file under the name of its
    class; reading the file does not need the class. The native engine calls `update` for each parameter.

    >>> @dataclass(frozen=True)
    ... class Momentum(Optimizer):
    ...     slots = ("velocity",)
    ...     kept: float = 0.9
    ...     def update(self, parameter, gradient, slots, now):
    ...         slots["velocity"][...] = self.kept * slots["velocity"] + gradient
    ...         return parameter - now.learning_rate * slots["velocity"]
    >>> Momentum().slots
    ('velocity',)
    """

    call_hints: ClassVar[Mapping[str, str]] = CALL_HINTS

    slots: ClassVar[tuple[str, ...]] = ()
    """Names of the arrays that it keeps for each parameter, in its shape; they begin as zeros."""

    usual_learning_rate: ClassVar[float] = 0.003
    """The peak of the default schedule."""

    def update(
        self, parameter: "FloatArray", gradient: "FloatArray", slots: "Mapping[str, FloatArray]", now: Now
    ) -> "FloatArray":
        """The parameter after one update; only optimisers of one's own have this, and change `slots` in place.

        Args:
            parameter: the parameter, in its own shape; not to be changed.
            gradient: the gradient of the loss, in that shape; not to be changed.
            slots: the arrays that it keeps for this parameter, by name.
            now: learning rate, momentum, weight decay and step.
        """
        raise NotImplementedError

    def __init_subclass__(cls) -> None:
        """Refuse a class derived from an optimiser that engines know by its type: what it did would never run."""
        for base in cls.__mro__[1:]:
            if base.__module__ == __name__ and base is not Optimizer:
                raise TrainingError(
                    f"{cls.__name__} is derived from {base.__name__}, but engines compute the updates of "
                    f"{base.__name__} themselves; derive it from foveate.Optimizer, and define update()"
                )


@dataclass(frozen=True, kw_only=True)
class SGD(Optimizer):
    """Stochastic gradient descent with momentum.

        g = gradient + weight_decay w;   v = momentum v + g;   w = w - learning_rate (g + momentum v if nesterov else v)

    Args:
        momentum: fraction of the last step that is kept, at least 0 and below 1.
        nesterov: whether to look ahead along the momentum.
        weight_decay: pull of the weights towards zero; biases and normalisation parameters are exempt.

    Sutskever et al.: On the importance of initialization and momentum in deep learning, 2013.
    """

    slots: ClassVar[tuple[str, ...]] = ("momentum",)
    usual_learning_rate: ClassVar[float] = 0.1

    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 5e-4

    def __post_init__(self) -> None:
        _check_share("SGD", "momentum", self.momentum)
        _check_decay("SGD", self.weight_decay)


@dataclass(frozen=True, kw_only=True)
class AdamW(Optimizer):
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


@dataclass(frozen=True, kw_only=True)
class Lion(Optimizer):
    """Steps of one size in each direction: the sign of a running mean of the gradient.

        u = sign(b1 m + (1 - b1) g);   w = w - learning_rate (u + weight_decay w);   m = b2 m + (1 - b2) g

    It keeps half as much as AdamW. Its learning rate is three to ten times smaller than AdamW's, its weight decay as
    much larger.

    Args:
        momentum: b1, the share of the running mean in a step.
        second_momentum: b2, the decay rate of the running mean.
        weight_decay: pull of the weights towards zero; biases and normalisation parameters are exempt.

    Chen et al.: Symbolic discovery of optimization algorithms, 2023.
    """

    slots: ClassVar[tuple[str, ...]] = ("mean",)
    usual_learning_rate: ClassVar[float] = 0.0005

    momentum: float = 0.9
    second_momentum: float = 0.99
    weight_decay: float = 0.1

    def __post_init__(self) -> None:
        _check_share("Lion", "momentum", self.momentum)
        _check_share("Lion", "second_momentum", self.second_momentum)
        _check_decay("Lion", self.weight_decay)


def check_optimizer(optimizer: object) -> None:
    """Refuse anything but an optimiser; one of one's own must be a frozen dataclass with an `update`.

    Raises:
        TrainingError: it is something else; the message says what to give.
    """
    if not isinstance(optimizer, Optimizer):
        raise TrainingError(f"optimizer is {optimizer!r}; give an optimiser such as SGD() or AdamW(weight_decay=0.01)")
    if type(optimizer).__module__ == __name__ and type(optimizer) is not Optimizer:
        return
    check_own(optimizer, Optimizer, "update")
    names = optimizer.slots
    if not isinstance(names, tuple) or not all(isinstance(each, str) and each.isidentifier() for each in names):
        raise TrainingError(
            f'{type(optimizer).__name__}: slots is {names!r}; it must be a tuple of names, such as ("mean",)'
        )
    for name in names:
        if name in RESERVED_SLOTS:
            raise TrainingError(f'{type(optimizer).__name__}: a slot may not be called "{name}"; checkpoints use it')


def _check_share(owner: str, name: str, value: float) -> None:
    if not 0 <= value < 1:
        raise TrainingError(f"{owner}: {name} is {value}; it must be at least 0 and below 1")


def _check_decay(owner: str, value: float) -> None:
    if not 0 <= value < inf:
        raise TrainingError(f"{owner}: weight_decay is {value}; it must be at least 0 and finite")
