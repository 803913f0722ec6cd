"""`--config`: options from a TOML file, and the file that a run leaves behind."""

import string
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import foveate as fv
from foveate.cli.configuration import as_toml
from foveate.training import History, RunFolder

KEYS = st.text(string.ascii_lowercase + "-", min_size=1)
VALUES = st.text() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.booleans()


@given(st.dictionaries(KEYS, VALUES | st.lists(st.text())))
def test_options_are_read_back_as_they_were_written(options):
    assert tomllib.loads(as_toml(options)) == options


def test_half_a_character_does_not_end_a_run():
    assert tomllib.loads(as_toml({"dataset": "photos\udcff"})) == {"dataset": "photos?"}


@pytest.fixture
def configured(foveate, tmp_path):
    """Run `foveate train` with the lines of a configuration."""

    def run(lines, *options):
        path = tmp_path / "options.toml"
        path.write_bytes(lines if isinstance(lines, bytes) else lines.encode())
        return foveate("train", "--config", path, *options)

    return run


@pytest.fixture
def seen(monkeypatch):
    """What `Model.fit` was called with."""
    given = {}
    real = fv.Model.fit
    monkeypatch.setattr(fv.Model, "fit", lambda self, *a, **k: given.update(k, seed=self.seed) or real(self, *a, **k))
    return given


def test_a_configuration_has_any_option_and_the_dataset(configured, images, tmp_path, seen):
    lines = f"""
        dataset = '{images}'
        out = '{tmp_path / "run"}'
        epochs = 1
        batch_size = 32
        learning-rate = 1
        learning-rate-factor = ["conv*=0.5", "bn*=2"]
        freeze = "conv1*"
        seed = 5
        engine = "reference"
        augment = false
        size = 9
        fit = "pad"
        json = true
    """
    result = configured(lines)
    assert result.exit_code == 0, result.output
    assert (seen["epochs"], seen["batch_size"], seen["seed"], seen["augmentation"]) == (1, 32, 5, fv.Augmentation())
    assert seen["schedule"] == fv.OneCycle(1)
    assert seen["learning_rate_factors"] == {"conv*": 0.5, "bn*": 2}
    assert result.stdout.startswith("{")
    model = fv.load(tmp_path / "run" / "model.safetensors")
    assert model.graph.input_shape == (1, 9, 9)
    assert model.frozen


def test_what_is_typed_wins(configured, images, tmp_path, seen):
    result = configured(
        "epochs = 7\nseed = 3\naugment = true\nengine = 'reference'", images, "--epochs", 1, "--no-augment",
        "--out", tmp_path / "run",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (seen["epochs"], seen["seed"], seen["augmentation"]) == (1, 3, fv.Augmentation())


def test_without_a_dataset_anywhere_the_usage_is_shown(configured):
    result = configured("epochs = 1")
    assert result.exit_code == 2
    assert "Missing argument" in result.output


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("epocs = 3", 'options.toml": there is no option epocs. Nearest: epochs'),
        ("Batch_sise = 3", "there is no option Batch_sise. Nearest: batch-size"),
        ("config = 'a.toml'", "there is no option config."),
        ('epochs = "3"', 'epochs is "3"; it must be a whole number'),
        ("epochs = 3.5", "epochs is 3.5; it must be a whole number"),
        ("epochs = true", "epochs is true; it must be a whole number"),
        ("epochs = 0", "epochs is 0: "),
        ('learning_rate = "high"', 'learning_rate is "high"; it must be a number'),
        ("augment = 1", "augment is 1; it must be true or false"),
        ("net = ['vgg6']", "net is a list; it must be text, in quotes"),
        ("freeze = [2020-01-01]", "freeze is a date or a time; it must be text, in quotes"),
        ('fit = "squash"', "fit is \"squash\": 'squash' is not one of 'crop', 'pad', 'stretch'"),
        ("[training]\nepochs = 3", "[training] is a table, but options have none"),
        ("[epochs]\nname = 'cosine'", "epochs is a table; it must be a whole number"),
        ("batch-size = 1\nbatch_size = 2", "batch-size is given twice, with a dash and with an underscore"),
        ("epochs == 1", 'options.toml" is not TOML: Invalid value (at line 1, column 9)'),
        ("x = " + "[" * 100_000, 'options.toml" is not TOML: it is nested too deeply'),
        (b"\xff", 'options.toml" is not text in UTF-8'),
        (b"#" * 2**21, "at most 1,048,576 are read"),
    ],
)
def test_a_wrong_configuration_is_told_in_a_sentence(configured, images, lines, sentence):
    result = configured(lines, images)
    assert result.exit_code == 1
    assert sentence in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_a_missing_configuration_is_told(foveate, images, tmp_path):
    result = foveate("train", images, "--config", tmp_path / "none.toml")
    assert result.exit_code == 1
    assert 'none.toml" cannot be read as a configuration: No such file' in result.stderr


def test_a_run_saves_its_options_with_those_that_were_chosen_for_it(trained, images):
    out, _ = trained
    found = tomllib.loads(RunFolder(out).options.read_text(encoding="utf-8"))
    assert found == {
        "dataset": str(images),
        "net": "vgg6",
        "epochs": 2,
        "batch-size": 16,
        "learning-rate": 0.019,
        "seed": 0,
        "engine": "reference",
        "out": str(out),
        "augment": True,
        "shift": 1,
        "erase": 0,
        "size": "8x8",
        "fit": "crop",
        "schedule": "one-cycle",
        "optimizer": "sgd",
        "label-smoothing": 0.0,
        "accumulate": 1,
        "keep-best": True,
        "checkpoint-minutes": 10.0,
        "keep-checkpoints": 2,
    }


def same(one, other):
    first, second = (fv.load(RunFolder(folder).model) for folder in (one, other))
    losses = [
        [(row.train_loss, row.validation_loss, row.validation_accuracy) for row in History.from_csv(path).epochs]
        for path in (RunFolder(one).history, RunFolder(other).history)
    ]
    return losses[0] == losses[1] and all(
        np.array_equal(first.read(name), second.read(name)) for name in first.state.names()
    )


def test_the_saved_options_train_the_same_bits_again(foveate, images, tmp_path, engine):
    first, second, third = tmp_path / "first", tmp_path / "second", tmp_path / "third"
    options = ("--epochs", 2, "--batch-size", 16, "--seed", 4, "--learning-rate", 0.1, "--size", 10, "--engine", engine)
    more = ("--split", "0.7/0.2/0.1", "--freeze", "conv1", "--learning-rate-factor", "conv2=0.5")
    threads = ("--threads", 1) if engine == "native" else ()
    result = foveate("train", images, *options, *more, *threads, "--out", first)
    assert result.exit_code == 0, result.output
    result = foveate("train", "--config", first / "run.toml", "--out", second)
    assert result.exit_code == 0, result.output
    assert same(first, second)
    kept = (path.read_text(encoding="utf-8").replace(str(first), str(second)) for path in (
        first / "run.toml", second / "run.toml"
    ))  # fmt: skip
    assert len(set(kept)) == 1
    foveate("train", "--config", first / "run.toml", "--out", third, "--seed", 5)
    assert not same(first, third)


def test_a_refused_run_leaves_the_options_of_the_earlier_one(foveate, images, tmp_path):
    foveate("train", images, "--epochs", 1, "--batch-size", 16, "--engine", "reference", "--out", tmp_path)
    before = (tmp_path / "run.toml").read_bytes()
    result = foveate("train", "--config", tmp_path / "run.toml", "--batch-size", 8, "--resume")
    assert result.exit_code == 1
    assert "batch size: 16 then, 8 now" in result.stderr
    assert (tmp_path / "run.toml").read_bytes() == before


def test_a_found_learning_rate_is_trained_with_and_saved(foveate, images, tmp_path, seen):
    first, second = tmp_path / "first", tmp_path / "second"
    options = ("--epochs", 1, "--batch-size", 16, "--engine", "reference")
    result = foveate("train", images, *options, "--find-learning-rate", "--out", first)
    assert result.exit_code == 0, result.output
    rate = tomllib.loads((first / "run.toml").read_text(encoding="utf-8"))["learning-rate"]
    assert seen["schedule"] == fv.OneCycle(rate)
    assert f"learning rate {rate:.3g}: found by trying ({first / 'lr_finder.png'})" in result.stdout.splitlines()
    with Image.open(first / "lr_finder.png") as image:
        assert image.format == "PNG"
    data = fv.datasets.image_folder(images, seed=0)
    model = fv.Model(fv.zoo.make("vgg6", input_shape=(1, 8, 8), classes=3), engine="reference")
    changes = fv.Augmentation(flip=True, shift=1)
    assert model.find_learning_rate(data.train, batch_size=16, augmentation=changes).suggestion == pytest.approx(rate)
    result = foveate("train", "--config", first / "run.toml", "--out", second)
    assert result.exit_code == 0, result.output
    assert same(first, second)
    assert not (second / "lr_finder.png").exists()
    result = foveate(
        "train", "--config", first / "run.toml", "--find-learning-rate", "--out", second, "--seed", 2, "--overwrite"
    )
    assert result.exit_code == 0, result.output
    assert (second / "lr_finder.png").exists()


def test_a_learning_rate_is_given_or_looked_for_which_is_told_before_data_are_read(foveate, tmp_path):
    images = tmp_path / "none"
    result = foveate("train", images, "--find-learning-rate", "--learning-rate", 0.1, "--out", tmp_path)
    assert result.exit_code == 2
    assert "leave one of them out" in " ".join(result.stderr.replace("│", "").split())
    assert not list(tmp_path.iterdir())
    (tmp_path / "both.toml").write_text("find-learning-rate = true\nlearning-rate = 0.1\n")
    result = foveate("train", images, "--config", tmp_path / "both.toml", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert "leave one of them out" in " ".join(result.stderr.replace("│", "").split())


def test_a_rate_is_looked_for_with_the_options_that_are_trained_with(foveate, images, tmp_path, monkeypatch):
    def find(model, data, **options):
        raise fv.TrainingError(f"the loss is {options['loss']}, {options['clip_norm']}, {options['accumulate']}")

    monkeypatch.setattr(fv.Model, "find_learning_rate", find)
    run = ["train", images, "--engine", "reference", "--find-learning-rate", "--out", tmp_path / "run"]
    assert "label_smoothing=0.1" in foveate(*run, "--label-smoothing", 0.1).stderr
    assert "the loss is None, None, 1" in foveate(*run).stderr
    assert "the loss is None, 0.5, 4" in foveate(*run, "--clip-norm", 0.5, "--accumulate", 4).stderr
