"""Scripts that train: short forms of `side-by-side`, `overhead` and `regularization`."""

import numpy as np
import pytest
from typer.testing import CliRunner

import foveate as fv
from benchmarks import overhead, regularization, side_by_side
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
    plain, slowed = overhead.overhead("lenet5", 8, 3).values()
    assert slowed > plain


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
