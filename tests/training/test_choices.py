"""How to train, chosen from the data."""

import numpy as np
import pytest

import foveate as fv
from foveate import zoo
from foveate.training.choices import FEWEST_STEPS, choose, choose_pace

VGG6 = zoo.make("vgg6")
LENET = zoo.make("lenet5")


def data(*shape, classes=3, dtype=np.uint8):
    random = np.random.default_rng(0)
    inputs = random.integers(0, 256, shape).astype(dtype)
    if dtype != np.uint8:
        inputs /= 255
    return fv.Dataset(inputs, np.arange(shape[0]) % classes, [f"kind {number}" for number in range(classes)])


def test_the_recipe_of_fashion_mnist_stays():
    pace = choose_pace(55_000, VGG6)
    assert (pace.batch_size, pace.epochs, pace.learning_rate) == (128, 6, 0.15)
    pace = choose_pace(45_000, VGG6)
    assert (pace.batch_size, pace.epochs, pace.learning_rate) == (128, 6, 0.15)


@pytest.mark.parametrize("samples", [1, 2, 9, 48, 60, 150, 320, 400, 1000, 5000, 20_000, 100_000, 1_000_000])
def test_few_samples_get_enough_steps_in_small_batches(samples):
    pace = choose_pace(samples, VGG6)
    steps = pace.epochs * -(-samples // pace.batch_size)
    assert steps >= FEWEST_STEPS
    assert 8 <= pace.batch_size <= 128
    assert pace.batch_size == 8 or pace.batch_size <= samples**0.5
    assert f"{steps:,} steps" in str(pace)


def test_more_samples_get_fewer_epochs_and_larger_batches():
    paces = [choose_pace(samples, VGG6) for samples in (10, 100, 1000, 10_000, 100_000)]
    assert [pace.epochs for pace in paces] == sorted({pace.epochs for pace in paces}, reverse=True)
    assert [pace.batch_size for pace in paces] == sorted(pace.batch_size for pace in paces)
    assert [pace.learning_rate for pace in paces] == sorted(pace.learning_rate for pace in paces)


def test_what_is_given_stays_and_the_rest_goes_with_it():
    pace = choose_pace(400, VGG6, batch_size=128)
    assert (pace.batch_size, pace.learning_rate) == (128, 0.15)
    assert pace.epochs * 4 >= FEWEST_STEPS
    assert "fewer than 300 seldom train well" in pace.reasons["epochs"]
    assert set(pace.reasons) == {"epochs", "learning rate"}
    pace = choose_pace(400, VGG6, epochs=2, batch_size=4, learning_rate=0.5)
    assert (pace.epochs, pace.batch_size, pace.learning_rate, str(pace)) == (2, 4, 0.5, "")
    assert choose_pace(400, VGG6, batch_size=4096).learning_rate == 0.15


def test_rates_are_lower_where_training_is_less_stable():
    plain = choose_pace(400, VGG6)
    assert choose_pace(400, LENET).learning_rate < plain.learning_rate / 2
    assert "as the network has no normalisation" in str(choose_pace(400, LENET))
    assert choose_pace(400, VGG6, trained=True).learning_rate < plain.learning_rate / 2
    assert "to keep what the network has learnt" in str(choose_pace(400, VGG6, trained=True))
    assert choose_pace(400, VGG6, optimizer=fv.AdamW()).learning_rate == 0.003


@pytest.mark.parametrize(
    ("shape", "net"),
    [
        ((9, 3, 24, 24), "vgg6"),
        ((9, 3, 32, 40), "resnet20"),
        ((9, 1, 5, 30), "resnet20"),
        ((9, 2, 500), "audio4"),
        ((9, 1, 16, 16, 16), "volume3d"),
    ],
)
def test_the_network_follows_the_shape(shape, net):
    choices = choose(data(*shape, dtype=np.float32))
    assert choices.net == net
    assert choices.reasons["network"].startswith(f"network {net}: ")
    zoo.make(choices.net, input_shape=shape[1:], classes=3)


def test_a_network_may_be_given_by_its_name_or_as_a_graph():
    samples = data(30, 1, 28, 28)
    for network, name in (("lenet5", "lenet5"), (LENET, "")):
        choices = choose(samples, network=network)
        assert (choices.net, "network" in choices.reasons) == (name, False)
        assert choices.learning_rate == choose_pace(30, LENET).learning_rate


def test_samples_that_no_network_takes():
    with pytest.raises(fv.DataError, match="a sample is 7, without an axis to move a window along"):
        choose(data(9, 7, dtype=np.float32))
    with pytest.raises(fv.ShapeError, match="does not fit its input of length 1"):
        choose(data(9, 1, 100, dtype=np.float32))
    numbers = fv.Dataset(np.zeros((4, 1, 8, 8)), [0.0, 0.5, 1.0, 1.5], fv.tasks.Regression(("angle",)))
    with pytest.raises(fv.DataError, match="the data are for Regression, for which the zoo has no network; give your"):
        choose(numbers)


def test_each_choice_has_one_line():
    choices = choose(data(48, 3, 24, 24))
    assert str(choices).splitlines() == list(choices.reasons.values())
    assert list(choices.reasons) == ["network", "batch size", "epochs", "learning rate", "mirroring", "shift"]
    assert choices.reasons["batch size"] == (
        "batch size 8: 48 training samples would give 1 step an epoch at 128, and give 6"
    )


def test_the_choices_train():
    random = np.random.default_rng(0)
    labels = np.arange(40) % 2
    inputs = random.integers(0, 100, (40, 1, 8, 8)).astype(np.uint8)
    inputs[labels == 1, :, :4] += 100
    samples = fv.Dataset(inputs, labels, ("plain", "lit above"))
    choices = choose(samples, epochs=5)
    model = fv.Model(zoo.make(choices.net, input_shape=(1, 8, 8), classes=2), engine="reference")
    history = model.fit(samples, **choices.fit_options, progress=False)
    assert (len(history), model.evaluate(samples).accuracy) == (5, 1.0)
    assert model.training["recipe"]["batch_size"] == choices.batch_size
