"""The options of `foveate train` that say how parameters are updated, and what is kept."""

import json
import tomllib

import pytest

import foveate as fv
from foveate.cli.recipe_options import OptimizerName, ScheduleName


@pytest.fixture
def fitted(foveate, images, tmp_path, monkeypatch):
    """Trains with these options for one epoch; returns what `fit` was given, and the run's folder."""

    def run(*options):
        seen, real = {}, fv.Model.fit
        monkeypatch.setattr(fv.Model, "fit", lambda self, *a, **k: seen.update(k) or real(self, *a, **k))
        result = foveate("train", images, "--out", tmp_path / "run", "--engine", "reference", "--epochs", 1, *options)
        assert result.exit_code == 0, result.output
        return seen, tmp_path / "run"

    return run


@pytest.mark.parametrize(
    ("options", "schedule"),
    [
        ([], fv.OneCycle(0.02)),
        (["--warmup", 0.1], fv.OneCycle(0.02, warmup=0.1)),
        (["--momentum", 0.8], fv.OneCycle(0.02, momentum=None)),
        (["--schedule", "cosine", "--warmup", 0.1], fv.Cosine(0.02, warmup=0.1)),
        (["--schedule", "step"], fv.Step(0.02, milestones=(0.5, 0.75))),
        (["--schedule", "constant"], fv.Constant(0.02)),
        (["--schedule", "plateau"], fv.ReduceOnPlateau(0.02, patience=3)),
    ],
    ids=lambda each: " ".join(map(str, each)) if isinstance(each, list) else "",
)
def test_schedules(fitted, options, schedule):
    assert fitted("--learning-rate", 0.02, *options)[0]["schedule"] == schedule


@pytest.mark.parametrize(
    ("options", "optimizer"),
    [
        ([], fv.SGD()),
        (["--momentum", 0.8, "--weight-decay", 0], fv.SGD(momentum=0.8, weight_decay=0.0)),
        (["--optimizer", "adamw", "--weight-decay", 0.1], fv.AdamW(weight_decay=0.1)),
        (["--optimizer", "lion"], fv.Lion()),
    ],
    ids=lambda each: " ".join(map(str, each)) if isinstance(each, list) else "",
)
def test_optimisers_each_with_its_usual_rate(fitted, options, optimizer):
    seen, folder = fitted(*options)
    assert seen["optimizer"] == optimizer
    usual = 0.0094 if isinstance(optimizer, fv.SGD) else optimizer.usual_learning_rate
    assert tomllib.loads((folder / "run.toml").read_text())["learning-rate"] == usual


def test_every_name_on_the_command_line_is_known():
    assert {each.value for each in OptimizerName} == {"sgd", "adamw", "lion"}
    assert {each.value for each in ScheduleName} == {"one-cycle", "cosine", "step", "constant", "plateau"}


def test_the_others_reach_the_training(fitted, tmp_path):
    seen, folder = fitted(
        "--label-smoothing", 0.1, "--clip-norm", 2, "--accumulate", 2, "--ema", 0.9, "--patience", 3, "--keep-last",
        "--erase", 2, "--log", tmp_path / "log.jsonl", "--tensorboard", tmp_path / "board",
    )  # fmt: skip
    assert seen["loss"] == fv.CrossEntropy(label_smoothing=0.1)
    given = {name: seen[name] for name in ("clip_norm", "accumulate", "ema", "patience", "keep_best")}
    assert given == {"clip_norm": 2.0, "accumulate": 2, "ema": 0.9, "patience": 3, "keep_best": False}
    assert seen["augmentation"].erase == 2
    assert json.loads((tmp_path / "log.jsonl").read_text())["epoch"] == 1
    assert any((tmp_path / "board").iterdir())
    kept = tomllib.loads((folder / "run.toml").read_text())
    assert (kept["ema"], kept["erase"], kept["keep-best"]) == (0.9, 2, False)
    assert not kept.keys() & {"log", "tensorboard", "extend"}


def test_a_finished_run_goes_on_if_it_may_be_extended(foveate, images, tmp_path):
    run = ["train", images, "--out", tmp_path, "--engine", "reference", "--learning-rate", 0.01]
    assert foveate(*run, "--epochs", 1).exit_code == 0
    longer = [*run, "--epochs", 2, "--resume"]
    refused = foveate(*longer)
    assert refused.exit_code == 1
    said = f'epochs: 1 then, 2 now. Use the same, as with --config "{tmp_path}/run.toml" --resume, let it go on with'
    assert said in refused.stderr
    assert "with --extend, or start anew" in refused.stderr
    extended = foveate(*longer, "--extend")
    assert extended.exit_code == 0, extended.output
    assert "extended from 1 to 2 epochs" in extended.output
    assert len(fv.load(tmp_path / "model.safetensors").training["history"]) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--momentum", 2], "SGD: momentum is 2.0; it must be at least 0 and below 1"),
        (["--warmup", 1], "OneCycle: warmup is 1.0; it must be a fraction of the steps"),
        (["--label-smoothing", 1], "label_smoothing is 1.0"),
    ],
)
def test_what_cannot_be_is_told_before_anything_is_written(foveate, images, tmp_path, options, sentence):
    result = foveate("train", images, "--out", tmp_path / "run", *options)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_that_waits_for_plateaus_may_be_extended_far(foveate, images, tmp_path):
    run = ["train", images, "--schedule", "plateau", "--batch-size", 64, "--out", tmp_path]
    assert foveate(*run, "--epochs", 1).exit_code == 0
    extended = foveate(*run, "--epochs", 20, "--resume", "--extend")
    assert extended.exit_code == 0, extended.output
