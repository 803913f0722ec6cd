"""From a network's outputs to probabilities; an activation that the network has is not applied twice."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.errors import DataError
from foveate.tasks.output import Output


def check_finite(values: NDArray[Any], output: Output, *, masked: bool = False) -> None:
    """Refuse (N, ...) outputs that hold NaN or infinity.

    Args:
        values: the network's outputs.
        output: which output they are from.
        masked: whether minus infinity may mark an impossible class; each row must still have a possible one.

    Raises:
        DataError: some do; the message gives the number of the first such sample.
    """
    # The largest logit of a row is finite unless one is NaN, or all are impossible.
    rows = values.max(axis=1) if masked and values.size else values
    good = np.isfinite(rows).reshape(len(values), -1).all(axis=1)
    if good.all():
        return
    raise DataError(
        f"the network's output {output.name} is NaN or infinite for {int((~good).sum()):,} of {len(values):,} samples, "
        f"first for sample {int(good.argmin())}; train it again with a lower learning rate, or scale its inputs down"
    )


def softmax(logits: NDArray[Any]) -> NDArray[np.float64]:
    """Probabilities over axis 1 of (N, K, ...) logits, without overflow.

    >>> softmax(np.array([[0.0, 1000.0]])).tolist()
    [[0.0, 1.0]]
    """
    exact = np.asarray(logits, np.float64)
    powers = np.exp(exact - exact.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def sigmoid(logits: NDArray[Any]) -> NDArray[np.float64]:
    """1 / (1 + exp(-x)), without overflow.

    >>> sigmoid(np.array([-1000.0, 0.0, 1000.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    exact = np.asarray(logits, np.float64)
    power = np.exp(-np.abs(exact))
    return np.asarray(np.where(exact >= 0, 1, power) / (1 + power))


def exclusive(values: NDArray[Any], output: Output, classes: int) -> NDArray[np.float32]:
    """Probabilities (N, K, ...) of mutually exclusive classes.

    With two classes and one output, the output is the second class's: p = [1 - sigmoid(x), sigmoid(x)].

    Args:
        values: (N, K, ...) outputs, or (N, 1, ...) for two classes.
        output: which output they are from.
        classes: K.

    Raises:
        DataError: a value is NaN or infinite; minus infinity will do as the logit of an impossible class.
    """
    check_finite(values, output, masked=output.activation in ("none", "log_softmax"))
    if is_single_logit(output, classes):
        given = output.activation == "sigmoid"
        second = values.astype(np.float64) if given else sigmoid(values)
        first = 1 - second if given else sigmoid(-values)
        return np.concatenate([first, second], axis=1).astype(np.float32)
    if output.activation == "softmax":
        return np.asarray(values, np.float32)
    return softmax(values).astype(np.float32)


def independent(values: NDArray[Any], output: Output) -> NDArray[np.float32]:
    """Probabilities (N, K) of labels that are not mutually exclusive: sigmoid(x).

    Raises:
        DataError: a value is NaN or infinite.
    """
    check_finite(values, output)
    return np.asarray(values if output.activation == "sigmoid" else sigmoid(values), np.float32)


def is_single_logit(output: Output, classes: int) -> bool:
    """Whether one number stands for two classes."""
    return classes == 2 and output.shape[:1] == (1,)
