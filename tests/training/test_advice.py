"""What is said of a training that ended without having learnt."""

import numpy as np
import pytest
from scipy.stats import binom

from foveate.training.advice import advice, may_be_guesses
from foveate.training.history import Epoch, History

TRAINING, VALIDATION = np.arange(400) % 5, np.arange(100) % 5


def after(
    train_accuracy, validation_accuracy, validation_loss=1.0, *, training=TRAINING, validation=VALIDATION, **options
):
    row = Epoch(1, 0.5, train_accuracy, validation_loss, validation_accuracy, 0.0, 1.0, 1.0)
    return advice(History([row]), training, validation, **{"batch_size": 128, "learning_rate": 0.15, **options})


@pytest.mark.parametrize("validation_accuracy", [0.9, 0.75])
def test_nothing_is_said_of_a_good_training(validation_accuracy):
    assert after(0.95, validation_accuracy) == ""


def test_a_network_that_has_learnt_nothing():
    assert after(0.21, 0.2) == (
        "validation accuracy 20.0 % of 100 samples is no better than guessing (20.0 %): the network has learnt "
        "nothing; try a learning rate of 0.015, batches of 16 or more epochs than these 4 steps"
    )


def test_a_network_that_guesses_although_it_knows_its_samples():
    said = after(0.99, 0.22, 4e6)
    assert "although the network is right on 99.0 % of the training samples" in said
    assert said.endswith("and see whether the validation samples are of the same kind and rightly labelled")


def test_always_answering_with_the_frequent_class_is_guessing():
    most = np.repeat([0, 1], [90, 10])
    assert "no better than guessing (90.0 %)" in after(0.91, 0.9, validation=most, training=most)
    assert after(0.99, 0.97, 0.2, validation=most, training=most) == ""


def test_an_unstable_training():
    assert after(0.9, 0.7, 4_443_570.0, batch_size=16, learning_rate=0.02) == (
        "validation loss 4.44e+06 is far above that of guessing, 1.6: the network is sure of wrong answers; "
        "try a learning rate of 0.002 or more epochs than these 25 steps"
    )


def test_a_network_that_knows_its_samples_by_heart():
    said = after(0.99, 0.6, flip=False)
    assert said.startswith(
        "validation accuracy 60.0 % is far below the training's 99.0 %: the network knows its samples"
    )
    assert "mirrored images (--augment)" in said
    assert "--augment" not in after(0.99, 0.6, flip=True)


def test_the_epoch_that_is_kept_counts_not_the_last():
    good, bad = (Epoch(epoch, 0.5, 0.9, 0.5, share, 0.0, 1.0, 1.0) for epoch, share in ((1, 0.9), (2, 0.2)))
    options = {"batch_size": 128, "learning_rate": 0.15}
    assert advice(History([good, bad], best=1), TRAINING, VALIDATION, **options) == ""
    assert "no better than guessing" in advice(History([good, bad]), TRAINING, VALIDATION, **options)


def test_nothing_is_said_without_a_measurement():
    assert after(0.9, None, None) == ""
    assert advice(History(), TRAINING, VALIDATION, batch_size=1, learning_rate=1.0) == ""


@pytest.mark.parametrize("count", [6, 40, 499, 501, 2000])
@pytest.mark.parametrize("guessing", [0.1, 0.5, 0.9])
def test_chance_is_that_of_the_binomial_distribution(count, guessing):
    for right in range(0, count + 1, max(1, count // 40)):
        chance = binom.sf(right - 1, count, guessing)
        if abs(chance - 0.05) > 0.02:
            assert may_be_guesses(right / count, count, guessing) == (chance > 0.05)
