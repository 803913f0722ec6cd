"""What to say of a training that ended without having learnt: that it guesses, is unstable or knows by heart."""

from collections.abc import Iterator
from math import comb, log, sqrt

import numpy as np
from numpy.typing import NDArray

from foveate.training.history import Epoch, History

DOUBT = 0.05
"""The probability from which as many right answers may well be guesses."""

FAR_BELOW = 0.25
"""Training accuracy less validation accuracy from which a network is said to know its samples by heart."""

UNSTABLE = 3.0
"""Validation loss, as a multiple of that of guessing, from which a training is called unstable."""

SANE_BATCH = 16


def advice(
    history: History,
    training_labels: NDArray[np.int64],
    validation_labels: NDArray[np.int64],
    *,
    batch_size: int,
    learning_rate: float,
    flip: bool = True,
) -> str:
    """A sentence on what is wrong with a finished training of a classification and what to try; empty if all is well.

    Args:
        history: its epochs; what counts is the one whose parameters were kept.
        training_labels: (N,) the classes of the training samples.
        validation_labels: (M,) the classes of the validation samples.
        batch_size: samples in a step.
        learning_rate: the peak rate.
        flip: whether images were mirrored.
    """
    kept = history.epochs[(history.best or 0) - 1] if history.epochs else None
    if kept is None or kept.validation_accuracy is None or kept.train_accuracy is None or kept.validation_loss is None:
        return ""
    steps = -(-len(training_labels) // batch_size) * len(history)
    calmer = _calmer(batch_size, learning_rate, len(training_labels), steps)
    classes = int(max(training_labels.max(), validation_labels.max())) + 1
    guessing = largest_share(validation_labels)
    if may_be_guesses(kept.validation_accuracy, len(validation_labels), guessing):
        return _guesses(kept, len(validation_labels), guessing, largest_share(training_labels), calmer)
    if kept.validation_loss > UNSTABLE * log(max(2, classes)):
        return (
            f"validation loss {kept.validation_loss:,.3g} is far above that of guessing, {log(max(2, classes)):.2g}: "
            f"the network is sure of wrong answers; {calmer}"
        )
    if kept.train_accuracy - kept.validation_accuracy > FAR_BELOW:
        mirrored = "" if flip else ", mirrored images (--augment) if left and right mean the same"
        return (
            f"validation accuracy {_percent(kept.validation_accuracy)} is far below the training's "
            f"{_percent(kept.train_accuracy)}: the network knows its samples by heart; try more samples{mirrored}, "
            "fewer epochs, or a trained model to start from (--from)"
        )
    return ""


def largest_share(labels: NDArray[np.int64]) -> float:
    """The accuracy of always answering with the most frequent class."""
    return float(np.bincount(labels).max()) / len(labels)


def may_be_guesses(accuracy: float, count: int, guessing: float) -> bool:
    """Whether guesses that are right with probability `guessing` would often do as well.

    >>> may_be_guesses(0.4, 5, 0.2), may_be_guesses(0.4, 500, 0.2)
    (True, False)
    """
    right = round(accuracy * count)
    if guessing >= 1:
        return False
    if count > _EXACT:  # as good as normal
        deviation = sqrt(guessing * (1 - guessing) / count)
        return accuracy < guessing + 1.645 * deviation
    chances: Iterator[float] = (
        comb(count, each) * guessing**each * (1 - guessing) ** (count - each) for each in range(right, count + 1)
    )
    return float(sum(chances)) > DOUBT


_EXACT = 500


def _guesses(kept: Epoch, count: int, guessing: float, training_guessing: float, calmer: str) -> str:
    told = f"validation accuracy {_percent(kept.validation_accuracy)} of {count:,} samples is no better than guessing"
    told += f" ({_percent(guessing)})"
    if kept.train_accuracy is not None and kept.train_accuracy > training_guessing + FAR_BELOW:
        return (
            f"{told}, although the network is right on {_percent(kept.train_accuracy)} of the training samples; "
            f"{calmer}, and see whether the validation samples are of the same kind and rightly labelled"
        )
    return f"{told}: the network has learnt nothing; {calmer}"


def _calmer(batch_size: int, learning_rate: float, samples: int, steps: int) -> str:
    """What makes a training calmer, as far as it is not so already."""
    ways = [f"a learning rate of {learning_rate / 10:.2g}"]
    if batch_size > SANE_BATCH and samples < 100 * batch_size:
        ways.append(f"batches of {SANE_BATCH}")
    if steps < 1000:
        ways.append(f"more epochs than these {steps:,} steps")
    return "try " + (ways[0] if len(ways) == 1 else ", ".join(ways[:-1]) + " or " + ways[-1])


def _percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f} %"
