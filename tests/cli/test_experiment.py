"""`foveate experiment`."""

import json
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import pytest

import foveate as fv
from foveate.explain import experiments
from foveate.explain.experiments import batch_statistics


@dataclass(frozen=True, kw_only=True)
class Small(batch_statistics.Settings):
    """An experiment of a moment, on tiny images."""

    batch_sizes: tuple[int, ...] = (2, 3)
    images_per_class: int = 6
    companions: int = 1
    training_images: int = 48
    epochs: int = 2
    channels: tuple[int, ...] = (4,)
    batch_size: int = 16

    @classmethod
    def quick(cls, **changes: Any) -> "Small":
        return cls(**({"epochs": 1} | changes))


NAME = "batch-statistics-at-test-time"


@pytest.fixture
def small(images, monkeypatch):
    """The experiment on the tiny images; gives the settings with which it was run."""
    seen = []

    def run(settings, progress):
        seen.append(settings)
        data = fv.datasets.image_folder(images)
        return batch_statistics.run(settings, progress, replace(data, test=data.train))

    monkeypatch.setitem(experiments.EXPERIMENTS, NAME, replace(experiments.EXPERIMENTS[NAME], settings=Small, run=run))
    return seen


def test_without_a_name_they_are_listed(foveate):
    result = foveate("experiment")
    assert result.exit_code == 0, result.output
    for entry in experiments.EXPERIMENTS.values():
        assert f"{entry.name}\n  {entry.question}\n  About {entry.minutes:g} min" in result.stdout
    assert "foveate experiment NAME --out FOLDER" in result.stdout
    listed = json.loads(foveate("experiment", "--json").stdout)
    assert [row["name"] for row in listed] == list(experiments.EXPERIMENTS)
    assert set(listed[0]) == {"name", "question", "minutes", "quick_minutes"}


def test_an_unknown_name_is_one_sentence(foveate, tmp_path):
    result = foveate("experiment", "batchnorm", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr == 'foveate: there is no experiment "batchnorm". Nearest: batch-normalization\n'
    assert not (tmp_path / "out").exists()


def test_help_has_an_example(foveate):
    assert "Example: foveate experiment batch-normalization" in " ".join(foveate("experiment", "--help").stdout.split())


def test_it_writes_a_report_and_says_what_it_shows(foveate, small, tmp_path):
    result = foveate("experiment", NAME, "--out", tmp_path, "--engine", "reference", "--seed", 4)
    assert result.exit_code == 0, result.output
    assert small[0] == Small(seed=4, engine="reference")
    lines = result.stdout.splitlines()
    assert lines[0].startswith("1/5 training: loss ")
    assert lines[4].startswith("5/5 sorted by class, batches of 3: accuracy ")
    assert sum("seen here" in line for line in lines) == 5
    assert lines[-1].startswith(f"report: {tmp_path / 'report.html'} (")
    names = {
        f"{figure}-{theme}.png" for figure in ("accuracies", "aftermath", "companies") for theme in ("light", "dark")
    }
    assert {path.name for path in tmp_path.iterdir()} == {*names, "report.html", "result.json"}


def test_as_json_with_a_model_of_ones_own(foveate, small, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = fv.datasets.image_folder(images)
    model = fv.Model(batch_statistics.network((1, 8, 8), 3, (4,)), classes=data.classes, engine="reference")
    model.fit(data.train, epochs=1, progress=False)
    model.save("m.safetensors")
    result = foveate("experiment", NAME, "--quick", "--model", "m.safetensors", "--engine", "reference", "--json")
    assert result.exit_code == 0, result.output
    assert small[0] == Small(epochs=1, engine="reference", model="m.safetensors")
    report = json.loads(result.stdout)
    assert len(report["findings"]) == 5
    assert set(report["findings"][0]) == {"claim", "holds", "numbers"}
    assert report["result"] == f"runs/{NAME}/result.json"
    saved = json.loads((tmp_path / report["result"]).read_text())
    assert saved["settings"]["model"] == "m.safetensors"
    assert result.stderr.startswith("1/4 shuffled, batches of 2: accuracy ")
    assert "m.safetensors" in (tmp_path / report["report"]).read_text(encoding="utf-8")


def test_a_model_for_an_experiment_that_trains_its_own(foveate, tmp_path):
    result = foveate("experiment", "generalization", "--model", "m.safetensors", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert result.stderr == "foveate: generalization trains its own networks; leave --model out\n"
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_made(foveate, small, tmp_path):
    (tmp_path / "file").write_text("")
    result = foveate("experiment", NAME, "--out", tmp_path / "file")
    assert result.exit_code == 1
    assert "cannot be a folder: File exists; give another --out" in result.stderr
    assert not small


def test_threads_are_set(foveate, small, tmp_path, monkeypatch):
    counts = []
    monkeypatch.setattr("foveate.engines.set_threads", counts.append)
    assert foveate("experiment", NAME, "--engine", "reference", "--threads", 1, "--out", tmp_path).exit_code == 0
    assert counts == [1]


def test_ctrl_c_between_trainings(foveate, monkeypatch, tmp_path):
    def run(settings, progress):
        raise KeyboardInterrupt

    monkeypatch.setitem(experiments.EXPERIMENTS, NAME, replace(experiments.EXPERIMENTS[NAME], run=run))
    result = foveate("experiment", NAME, "--out", tmp_path)
    assert result.exit_code == 1
    assert result.stderr == "foveate: interrupted; nothing was written\n"


def test_ctrl_c_within_a_training(tmp_path):
    """A real process and a real signal, long before the last of twelve runs."""
    command = [
        "-m",
        "foveate",
        "experiment",
        "generalization",
        "--quick",
        "--engine",
        "reference",
        "--out",
        str(tmp_path),
    ]
    with subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout.readline().startswith("1/12 dense, 250 images, seed 0: test accuracy ")
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=60)
    assert running.returncode == 1
    assert error.startswith("foveate: interrupted; nothing was written")
    assert len(error.splitlines()) == 1
    assert not list(tmp_path.iterdir())
