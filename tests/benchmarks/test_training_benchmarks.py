"""Scripts that train: short forms of `side-by-side`, `overhead`, `loop` and `regularization`."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import foveate as fv
from benchmarks import loop, overhead, regularization, scaling, side_by_side
from benchmarks.cli import app
from benchmarks.errors import BenchmarkError
from foveate.data import Preprocessing


def test_each_case_is_timed_in_each_round():
    told: list[str] = []
    rates = side_by_side.side_by_side("lenet5", 8, 2, 2, told.append)
    assert {case: len(each) for case, each in rates.items()} == dict.fromkeys(side_by_side.CASES, 2)
    assert all(rate > 0 for each in rates.values() for rate in each)
    assert told[0].startswith("round 1, images/s: one thread alone ")
    assert told[-1].endswith("of one thread alone (median of 2 rounds)")


def test_a_training_that_fails_is_told(monkeypatch):
    monkeypatch.setattr(side_by_side, "TRAIN", "raise SystemExit(1)")
    with pytest.raises(BenchmarkError, match="a training ended before it was measured"):
        side_by_side.side_by_side("lenet5", 8, 2, 1)


def test_what_callbacks_do_counts_as_overhead(monkeypatch):
    assert all(0 <= share < 1 for share in overhead.overhead("lenet5", 8, 3).values())

    def slow(self, training):
        np.linalg.svd(np.random.default_rng(0).standard_normal((200, 200)))

    monkeypatch.setattr(overhead.Metric, "on_step", slow)
    plain, slowed, _ = overhead.overhead("lenet5", 8, 3).values()
    assert slowed > plain


@pytest.fixture
def noise() -> fv.Splits:
    inputs = np.random.default_rng(0).integers(0, 256, (60, 1, 28, 28), np.uint8)
    data = fv.Dataset(inputs, np.arange(60) % 10, tuple("abcdefghij"))
    return fv.Splits(data, data, data, Preprocessing.measure(data), name="noise")


def test_an_epoch_is_timed_against_its_bare_steps(noise, monkeypatch, tmp_path):
    monkeypatch.setattr(fv.datasets, "fashion_mnist", lambda: noise)
    report = tmp_path / "report.json"
    command = ["loop", "--net", "lenet5", "--batch-size", "8", "--steps", "3", "--rounds", "2", "--json", str(report)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    assert "lenet5, median of 2 rounds of 3 steps: an epoch takes " in result.output
    rounds = json.loads(report.read_text())["rounds"]
    assert len(rounds) == 2
    assert all(seconds > 0 for each in rounds for seconds in each.values())


def test_preparing_batches_counts_in_the_epoch_alone(noise, monkeypatch):
    apply = Preprocessing.apply

    def slow(self, inputs):
        np.linalg.svd(np.random.default_rng(0).standard_normal((200, 200)))
        return apply(self, inputs)

    monkeypatch.setattr(Preprocessing, "apply", slow)
    _, cpu = loop.ratios(loop.loop("lenet5", 8, 5, 3, noise))
    assert cpu > 2


def test_steps_that_give_other_losses_alone_are_found(noise, monkeypatch):
    monkeypatch.setattr(loop._Training, "bare", loop._Training.epoch)
    loop.loop("lenet5", 8, 2, 1, noise)
    monkeypatch.setattr(loop._Training, "bare", lambda self: loop._Measured())
    with pytest.raises(BenchmarkError, match="other losses when they are called alone"):
        loop.loop("lenet5", 8, 2, 1, noise)
    with pytest.raises(BenchmarkError, match="8 steps of 8 images are more than the 60 there are"):
        loop.loop("lenet5", 8, 8, 1, noise)


def test_a_step_of_two_processes_is_explained_by_its_parts():
    told: list[str] = []
    found = scaling.scaling("lenet5", 8, 2, 2, told.append)
    assert all(value > 0 for value in found.values())
    assert told[0].startswith("all-reduce of 2 processes: ")
    assert "61,706 parameters, batch 8: " in told[1]
    assert scaling.fitted({"4": 1.0, "8": 2.0}) == (1.0, 4.0)


def test_a_step_has_two_sums_and_five_for_each_batch_normalisation():
    found = scaling.measured(2, "vgg6", 8, 1)
    layers = [type(node.layer).__name__ for node in fv.zoo.make("vgg6").nodes]
    assert found["calls"] == 2 + 5 * layers.count("BatchNorm2d") == 32


def test_a_batch_without_equal_shares_is_refused():
    with pytest.raises(BenchmarkError, match="a batch of 2 has no equal shares for 4 processes; take --batch-size 4"):
        scaling.scaling("lenet5", 2, 1, 4)


def test_ways_are_compared_on_images_that_no_training_uses(monkeypatch, tmp_path):
    inputs = np.zeros((120, 1, 28, 28), np.uint8)
    inputs[:, 0, 0, 0] = np.arange(120)
    data = fv.Dataset(inputs, np.arange(120) % 10, tuple("abcdefghij"))
    parts = fv.Splits(data, data, data, Preprocessing.measure(data), name="numbered")
    monkeypatch.setattr(fv.datasets, "fashion_mnist", lambda: parts)
    monkeypatch.setattr(regularization, "JUDGED_BY", 20)
    monkeypatch.setattr(regularization, "WAYS", dict(list(regularization.WAYS.items())[:2]))
    seen: dict[str, set[int]] = {"fit": set(), "evaluate": set()}
    for name in seen:
        real = getattr(fv.Model, name)

        def noting(model, samples, *, _name=name, _real=real, **options):
            seen[_name] |= {int(each) for each in samples.inputs[:, 0, 0, 0]}
            return _real(model, samples, **options)

        monkeypatch.setattr(fv.Model, name, noting)
    command = ["regularization", "--net", "lenet5", "--count", "100", "--epochs", "1", "--seeds", "1"]
    result = CliRunner().invoke(app, [*command, "--json", str(tmp_path / "report.json")])
    assert result.exit_code == 0, result.output
    assert "| nothing | " in result.output
    assert len(seen["fit"]) == 100
    assert len(seen["evaluate"]) == 20
    assert not seen["fit"] & seen["evaluate"]
    with pytest.raises(BenchmarkError, match="101 of 120 images leave fewer than 20 to judge by; take 100"):
        regularization.regularization("lenet5", 101, 1, 1)
