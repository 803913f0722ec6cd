"""The comparison of chosen settings with others: a short form, and its sets."""

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import foveate as fv
from benchmarks import defaults, small_sets
from benchmarks.cli import app
from benchmarks.defaults import BEFORE, Setting, around, summary
from benchmarks.errors import BenchmarkError


@pytest.mark.parametrize("small", [each for each in small_sets.SMALL_SETS if each.name not in ("sounds", "clothes")])
def test_the_sets_are_what_they_say(small):
    training, validation, test = small.load(0)
    assert len(training) == small.count
    assert training.classes == validation.classes == test.classes
    seen = {image.tobytes() for image in training.inputs}
    assert not any(image.tobytes() in seen for part in (validation, test) for image in part.inputs)
    assert set(test.labels) == set(range(len(test.classes)))
    assert not np.array_equal(training.inputs, small.load(1)[0].inputs)


def test_a_spectrogram_shows_where_the_energy_is():
    time = np.arange(8000) / 8000
    low, high = (32000 * np.sin(2 * np.pi * pitch * time) for pitch in (300, 3000))
    found = small_sets.log_spectrograms(np.stack([low, high]))
    assert found.shape == (2, 1, 32, 39)
    assert (found.min(), found.max()) == (0, 1)
    assert found[0, 0].mean(axis=1).argmax() < found[1, 0].mean(axis=1).argmax()


def test_twenty_different_settings_lie_around_the_default():
    default = Setting("vgg6", 16, 0.02, 40, True, 2)
    settings = around(default, 20)
    assert len(set(settings)) == 20
    assert default not in settings
    first = settings[0]
    assert (first.net, first.batch_size, first.learning_rate, first.epochs) == BEFORE
    assert {each.net for each in settings} == {"vgg6", "resnet20"}
    assert str(default) == "vgg6, batch 16, rate 0.02, 40 epochs, flip, shift"


def rows(told, accuracies, default=False, **setting):
    known = {"net": "vgg6", "batch_size": 8, "learning_rate": 0.1, "epochs": 3, **setting}
    known |= {"told": told, "default": default}
    return [{"split": split, "accuracy": each, **known} for split, each in enumerate(accuracies)]


def test_the_gap_is_that_of_means():
    before = dict(zip(("net", "batch_size", "learning_rate", "epochs"), BEFORE, strict=True))
    found = rows("d", (80.0, 90.0), default=True) + rows("a", (88.0, 86.0)) + rows("b", (20.0, 30.0), **before)
    found += rows("once", (99.0,))
    assert summary(found) == {"default": 85.0, "before": 25.0, "best": 87.0, "setting": "a", "gap": 2.0}


def test_a_short_form_goes_on_from_its_report(tmp_path, monkeypatch):
    def tiny(split):
        inputs = np.random.default_rng(split).integers(0, 99, (24, 1, 8, 8)).astype(np.uint8)
        inputs[::2] += 100
        data = fv.Dataset(inputs, np.arange(24) % 2, ("bright", "dark"))
        return data, data, data

    small = replace(small_sets.SMALL_SETS[0], load=tiny, count=24)
    for module in (defaults, small_sets):
        monkeypatch.setattr(module, "SMALL_SETS", (small,))
    monkeypatch.setattr(defaults, "chosen", lambda *_: Setting("vgg6", 8, 0.01, 3, False, 0))
    report = tmp_path / "report.json"
    command = ["defaults", "--settings", "1", "--splits", "2", "--json", str(report)]
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 0, result.output
    found = json.loads(report.read_text())["rows"]
    assert [(row["split"], row["default"]) for row in found] == [(0, True), (0, False), (1, True), (1, False)]
    assert "| textures: grey photographs 32x32 | 24 | " in result.output
    monkeypatch.setattr(defaults, "accuracy", lambda *_: pytest.fail("measured once more"))
    assert CliRunner().invoke(app, command).exit_code == 0
    monkeypatch.setattr(defaults, "accuracy", lambda small, setting, split, part: float(split))
    later = CliRunner().invoke(app, ["defaults", "--settings", "1", "--splits", "1", "--first-split", "5"])
    assert "| textures: grey photographs 32x32 | 24 | 5.0 | 5.0 | 5.0 | 0.0 |" in later.output


def test_what_is_not_there_is_refused(tmp_path):
    with pytest.raises(BenchmarkError, match='there is no set "cats"; there are textures, photographs, faces'):
        defaults.defaults(only="cats")
    (tmp_path / "other.json").write_text("[]")
    with pytest.raises(BenchmarkError, match="is not a report of this benchmark"):
        defaults.defaults(json_file=tmp_path / "other.json")
