"""The learning-rate range test, against `fit` with a schedule that grows in the same way."""

from dataclasses import dataclass

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter1d

import foveate as fv
from foveate.engines import Program, StepResult
from foveate.graph.schedules import Schedule
from foveate.training import Progress
from foveate.training.rate_finder import smooth, suggested


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 90)
    images = (random.integers(0, 120, (90, 1, 8, 8)) + 100 * labels[:, None, None, None]).astype(np.uint8)
    return fv.Dataset(images, labels, ("dark", "light"))


def make(engine="reference", seed=3):
    layers = (fv.Conv2d(4, 3), fv.BatchNorm2d(), fv.ReLU(), fv.Dropout(0.2), fv.GlobalAvgPool2d(), fv.Linear(2))
    return fv.Model(fv.Sequential(*layers).build((1, 8, 8)), seed=seed, engine=engine)


@dataclass(frozen=True)
class Growing(Schedule):
    tried: tuple

    def at(self, step, steps):
        return self.tried[step]


class Losses(Progress):
    def __init__(self):
        self.found = []

    def step(self, epoch, samples, loss, accuracy, step_loss):
        self.found.append(step_loss)


@pytest.mark.parametrize("engine", ["reference", "native"])
@pytest.mark.parametrize("optimizer", [fv.SGD(momentum=0.8), fv.AdamW()])
@pytest.mark.parametrize("options", [{}, {"clip_norm": 0.2}, {"accumulate": 4, "clip_norm": 0.1}])
def test_each_step_is_that_of_a_training_whose_learning_rate_grows(data, engine, optimizer, options):
    options = {
        "batch_size": 16,
        "optimizer": optimizer,
        "augmentation": fv.Augmentation(shift=1, flip=True),
        "learning_rate_factors": {"conv1*": 0.5},
        "loss": fv.CrossEntropy(label_smoothing=0.1),
        **options,
    }
    found = make(engine).freeze("bn1").find_learning_rate(data, steps=12, lowest=1e-3, highest=0.1, **options)
    assert found.rates == pytest.approx(np.geomspace(1e-3, 0.1, 12))
    seen = Losses()
    other = make(engine).freeze("bn1")
    epochs = 6 if "accumulate" in options else 2
    other.fit(data, epochs=epochs, schedule=Growing(tuple(found.rates.tolist())), progress=seen, **options)
    assert len(seen.found) == 12  # in epochs of six batches
    assert found.losses.tolist() == seen.found


def test_the_model_stays_as_it_was(data):
    model = make()
    before = {name: model.read(name) for name in model.state.names()}
    found = [model.find_learning_rate(data, batch_size=16, steps=20) for _ in range(2)]
    assert all(np.array_equal(before[name], model.read(name)) for name in before)
    assert model.task is None
    assert model.preprocessing is None
    assert model.training == {}
    assert found[0].to_json() == found[1].to_json()


def test_it_ends_once_the_loss_explodes(data):
    layers = (fv.Conv2d(4, 3), fv.ReLU(), fv.Conv2d(4, 3), fv.ReLU(), fv.Flatten(), fv.Linear(2))
    plain = fv.Model(fv.Sequential(*layers).build((1, 8, 8)), seed=0, engine="reference")
    found = plain.find_learning_rate(data, batch_size=16, highest=1e7)
    assert len(found.rates) == len(found.losses) == len(found.smoothed) < 100
    assert np.isfinite(found.losses).all()
    assert found.suggestion < found.rates[-1] / 3
    assert str(found).startswith(f"learning rate {found.suggestion:.2g}, of ")


def test_an_explosion_at_once_says_to_begin_lower(data):
    layers = (fv.Conv2d(4, 3), fv.ReLU(), fv.Conv2d(4, 3), fv.ReLU(), fv.Flatten(), fv.Linear(2))
    model = fv.Model(fv.Sequential(*layers).build((1, 8, 8)), engine="reference")
    with pytest.raises(fv.TrainingError, match=r"the loss exploded in step \d, at a learning rate of .*lowest=1e"):
        model.find_learning_rate(data, lowest=1e4, highest=1e9)
    assert model.find_learning_rate(data, lowest=1e4 / 1e9, highest=1).suggestion < 1


@pytest.mark.parametrize("optimizer", [fv.SGD(), fv.AdamW(), fv.Lion()])
def test_the_rates_lie_around_the_usual_one_of_the_optimizer(data, monkeypatch, optimizer):
    monkeypatch.setattr(Program, "step", lambda *_, **__: StepResult(1.0, 0))
    found = make().find_learning_rate(data, optimizer=optimizer)
    assert found.rates[[0, -1]] / optimizer.usual_learning_rate == pytest.approx([1e-4, 100])


@pytest.mark.parametrize(("losses", "step"), [([1, 1, 1, 1, 1, 1, 30], 7), ([1, 1, 1, np.inf], 4)])
def test_an_explosion_is_said_to_be_where_it_was_seen(data, monkeypatch, losses, step):
    left = iter(losses)
    monkeypatch.setattr(Program, "step", lambda *_, **__: StepResult(next(left), 0))
    rate = np.geomspace(1e-3, 1, 10)[step - 1]
    with pytest.raises(fv.TrainingError, match=f"exploded in step {step}, at a learning rate of {rate:.3g};"):
        make().find_learning_rate(data, lowest=1e-3, highest=1, steps=10)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"steps": 9}, "steps is 9; it must be an int of at least 10, and 100 is usual"),
        ({"steps": True}, "steps is True"),
        (
            {"lowest": 0},
            r"cannot grow from 0 to 10\.0; give a positive lowest and a higher highest, such as 1e-05 and 10",
        ),
        ({"lowest": 1, "highest": 0.5}, r"cannot grow from 1 to 0\.5"),
        ({"lowest": "low"}, "cannot grow from 'low' to"),
        ({"highest": float("inf")}, "cannot grow from 1e-05 to inf"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"clip_norm": -1}, "clip_norm is -1; it must be positive"),
        ({"accumulate": 0}, "accumulate is 0; it must be an int of at least 1"),
        ({"learning_rate": 1}, "the learning rate belongs to the schedule"),
    ],
)
def test_wrong_options_are_told(data, options, sentence):
    with pytest.raises((fv.TrainingError, fv.CallError), match=sentence):
        make().find_learning_rate(data, **options)


def test_smoothing_is_that_of_a_gaussian():
    losses = np.random.default_rng(0).normal(2, 1, 200)
    assert smooth(losses, 3.0)[20:-20] == pytest.approx(gaussian_filter1d(losses, 3.0, truncate=8)[20:-20])
    assert smooth(np.full(7, 1.5), 2.0) == pytest.approx(np.full(7, 1.5))


def test_the_suggestion_is_the_middle_of_the_valley():
    rates = np.geomspace(1e-4, 1, 5)
    assert suggested(rates, np.array([3, 2, 1, 2, 3])) == pytest.approx(1e-2)
    assert suggested(rates, np.array([3, 1.05, 1, 1.08, 3])) == pytest.approx(1e-2)
    assert suggested(rates, np.array([3, 1.2, 1, 1.08, 3])) == pytest.approx(10**-1.5)
    assert suggested(rates, np.array([3, 3, 1, 1, 1])) == pytest.approx(1e-1)
    assert suggested(rates, np.array([1, 2, 3, 4, 5])) == pytest.approx(1e-4)
    assert suggested(rates, np.array([1, 1.0, 1, 1, 1])) == pytest.approx(1e-2)


def test_the_figure_shows_the_suggestion(data):
    found = make().find_learning_rate(data, batch_size=16, steps=30)
    figure = found.plot()
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    raw, curve, line, point = axes.lines
    assert raw.get_ydata() == pytest.approx(found.losses)
    assert curve.get_ydata() == pytest.approx(found.smoothed)
    assert line.get_xdata() == pytest.approx([found.suggestion] * 2)
    assert axes.get_ylim()[0] < found.losses.min()
    assert point.get_label().startswith("suggestion: ")
    assert figure._repr_png_().startswith(b"\x89PNG")
