"""The suggestions of the learning-rate finder beside fixed rates: a short form on one small set."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import foveate as fv
from benchmarks import rates, small_sets
from benchmarks.cli import app
from benchmarks.defaults import Setting
from benchmarks.errors import BenchmarkError


@pytest.fixture
def tiny(monkeypatch):
    """A set of bright and dark images, which is trained on for one epoch with two rates besides the suggestion."""

    def load(split):
        inputs = np.random.default_rng(split).integers(0, 99, (24, 1, 8, 8)).astype(np.uint8)
        inputs[::2] += 100
        data = fv.Dataset(inputs, np.arange(24) % 2, ("bright", "dark"))
        return data, data, data

    small = replace(small_sets.SMALL_SETS[0], load=load, count=24)
    monkeypatch.setattr(small_sets, "SMALL_SETS", (small,))
    monkeypatch.setattr(rates, "chosen", lambda *_: Setting("vgg6", 8, 0.01, 1, False, 1))
    monkeypatch.setattr(rates, "FIXED", (1e-9, 0.01))
    return small


def test_a_short_form(tiny, tmp_path):
    report = tmp_path / "rates.json"
    result = CliRunner().invoke(app, ["rates", "--splits", "2", "--json", str(report)])
    assert result.exit_code == 0, result.output
    first, second = json.loads(report.read_text())["results"]
    assert (first["split"], second["split"]) == (0, 1)
    assert (
        first["suggestion"] == rates.suggested(tiny, Setting("vgg6", 8, 0.01, 1, False, 1), 0) != second["suggestion"]
    )
    assert list(first["accuracies"]) == ["suggestion", "1e-09", "0.01"]
    assert rates.row("textures", [first, second]) in result.output
    assert result.stderr.count("textures 1: ") == result.stderr.count("textures 2: ") == 3


def test_each_rate_is_trained_with(tiny, monkeypatch):
    monkeypatch.setattr(rates, "suggested", lambda *_: 0.5)
    monkeypatch.setattr(
        rates, "accuracy", lambda *given: given[1].learning_rate if given[2:] == (3, "validation") else 0
    )
    tried = {"suggestion": 0.5, "1e-09": 1e-9, "0.01": 0.01}
    assert rates.measured(tiny, 3)["accuracies"] == tried


def test_the_best_fixed_rate_is_that_of_means():
    found = [
        {"suggestion": 0.02, "accuracies": {"suggestion": 80.0, "0.1": 90.0, "0.3": 60.0}},
        {"suggestion": 0.25, "accuracies": {"suggestion": 90.0, "0.1": 70.0, "0.3": 95.0}},
    ]
    assert rates.row("faces", found) == "| faces | 0.02, 0.25 | 85.0 | 0.1 | 80.0 |"


def test_a_set_that_is_not_there_is_refused():
    with pytest.raises(BenchmarkError, match='there is no set "cats"; there are textures, photographs, faces'):
        rates.rates(only="cats")
