"""What `foveate train` chooses from the data, and what it says of a training that has not learnt."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.cli import choosing
from foveate.data import datasets
from foveate.training import History


@pytest.fixture
def drawn(tmp_path):
    """Make a folder of grey images: drawn({"one": pixels (N, H, W), ...}) -> its path."""

    def draw(classes):
        for name, images in classes.items():
            folder = tmp_path / "images" / name
            folder.mkdir(parents=True)
            for number, pixels in enumerate(images):
                Image.fromarray(pixels).save(folder / f"{number}.png")
        return tmp_path / "images"

    return draw


def noise(count, side=8, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side)).astype(np.uint8)


def lines(result):
    assert result.exit_code == 0, result.output
    return {line.partition(": ")[0]: line.partition(": ")[2] for line in result.output.splitlines()}


def test_each_choice_has_a_line_and_what_is_typed_has_none(foveate, images, tmp_path):
    options = ("--engine", "reference", "--out", tmp_path / "run", "--overwrite")
    told = lines(foveate("train", images, "--epochs", 1, *options))
    assert told["input 1x8x8"] == "the images' median size, at most 128 pixels on the longer side"
    assert told["network vgg6"] == "the zoo's small network for images"
    assert told["batch size 8"] == "72 training samples would give 1 step an epoch at 128, and give 9"
    assert told["learning rate 0.0094"] == "0.15 at a batch of 128, in proportion to the batch"
    assert told["moved at random by up to 1 position"] == "a twelfth of 8"
    assert "1 epoch" not in told
    result = foveate(
        "train", images, "--epochs", 1, "--batch-size", 16, "--learning-rate", 0.01, "--net", "vgg6", "--size", 8,
        "--no-augment", *options,
    )  # fmt: skip
    assert result.output.splitlines()[2].startswith("epoch 1: ")


def test_enough_steps_are_chosen_for_few_images(foveate, images, tmp_path, monkeypatch):
    seen = {}

    def fit(self, *_, **options):
        seen.update(options)
        raise fv.TrainingError("enough")

    monkeypatch.setattr(fv.Model, "fit", fit)
    foveate("train", images, "--engine", "reference", "--out", tmp_path / "run")
    assert (seen["batch_size"], seen["epochs"]) == (8, 85)
    assert seen["epochs"] * 9 >= 300


def test_images_of_a_side_are_not_mirrored(foveate, drawn, tmp_path):
    folder = drawn({"left": noise(20), "right": noise(20, seed=1)})
    told = lines(foveate("train", folder, "--epochs", 1, "--engine", "reference", "--out", tmp_path / "run"))
    assert told["images are not mirrored at random"] == "the class left has a side"


@pytest.mark.parametrize(("name", "mirrored"), [("fashion-mnist", True), ("mnist", False)])
def test_named_datasets_keep_their_recipe(monkeypatch, name, mirrored):
    samples = fv.Dataset(np.zeros((55_000, 1, 8, 8), np.uint8), np.arange(55_000) % 10, list("0123456789"))
    plain = fv.Preprocessing((1, 8, 8), (0.5,), (0.5,))
    data = fv.Splits(samples, samples.subset(range(10)), samples.subset(range(10)), plain, name=name)
    given = dict.fromkeys(("net", "origin", "size", "epochs", "batch_size", "learning_rate", "augment", "shift"))
    given["erase"] = 0
    model = fv.Model(fv.zoo.make("vgg6", input_shape=(1, 8, 8)), engine="reference")
    choices = choosing.chosen_for(name, data, model, fv.SGD(), given)
    assert choosing.default_network(samples) == "vgg6"
    assert choices.fit_options == {
        "epochs": 6, "batch_size": 128, "schedule": fv.OneCycle(0.15), "augmentation": fv.Augmentation(flip=mirrored),
    }  # fmt: skip
    assert datasets.DATASETS[name].mirrored is mirrored
    assert ("images are mirrored" in str(choices)) is mirrored
    asked = choosing.chosen_for(name, data, model, fv.SGD(), {**given, "augment": not mirrored})
    assert asked.augmentation.flip is not mirrored


def test_a_training_that_ends_at_chance_says_so_and_what_to_try(foveate, drawn, tmp_path):
    """Pure noise: nothing can be learnt of it that helps with other noise."""
    folder = drawn({"one": noise(40), "two": noise(40, seed=1)})
    options = (
        "--epochs",
        2,
        "--batch-size",
        64,
        "--engine",
        "reference",
        "--seed",
        1,
        "--out",
        tmp_path / "run",
        "--overwrite",
    )
    result = foveate("train", folder, *options)
    assert result.exit_code == 0
    assert "of 8 samples is no better than guessing (50.0 %)" in result.output
    assert "try a learning rate of 0.0075, batches of 16 or more epochs than these 2 steps" in result.output
    report = json.loads(foveate("train", folder, *options, "--json").stdout)
    assert report["advice"].startswith("validation accuracy ")


def test_a_good_training_gets_no_advice(foveate, images, tmp_path):
    options = ("--epochs", 8, "--batch-size", 8, "--engine", "reference", "--out", tmp_path / "run")
    assert "advice" not in json.loads(foveate("train", images, *options, "--json").stdout)


def test_a_training_far_better_than_its_validation_says_so(foveate, images, tmp_path, monkeypatch):
    real = fv.Model.fit

    def overfitted(self, *arguments, **options):
        history = real(self, *arguments, **options)
        last = replace(history.epochs[-1], train_accuracy=1.0, validation_accuracy=0.7, validation_metric=0.7)
        return History([replace(last, validation_loss=0.9)])

    monkeypatch.setattr(fv.Model, "fit", overfitted)
    result = foveate("train", images, "--epochs", 1, "--engine", "reference", "--out", tmp_path / "run")
    assert result.exit_code == 0
    assert (
        "validation accuracy 70.0 % is far below the training's 100.0 %: the network knows its samples" in result.output
    )


def test_one_class_is_refused(foveate, drawn, tmp_path):
    result = foveate("train", drawn({"cat": noise(30)}), "--engine", "reference", "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "has one class only, cat; a network learns to tell classes apart" in result.output


def test_a_file_of_arrays_is_trained_on_and_evaluated(foveate, tmp_path):
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    waves = np.sin(np.arange(400) * np.where(labels, 0.7, 0.2)[:, None]) + 0.1 * random.standard_normal((60, 400))
    np.savez(tmp_path / "tones.npz", inputs=waves[:, None].astype(np.float32), labels=np.where(labels, "high", "low"))
    options = ("--engine", "native", "--epochs", 6, "--out", tmp_path / "run")
    told = lines(foveate("train", tmp_path / "tones.npz", *options))
    assert told["network audio4"] == "the zoo's small network for signals over one axis"
    assert told["images are not mirrored at random"] == "only images have a left and a right to exchange"
    assert told["moved at random by up to 33 positions"] == "a twelfth of 400"
    assert told["test accuracy"] == "100.00 %"
    said = foveate("evaluate", tmp_path / "run" / "model.safetensors", tmp_path / "tones.npz")
    assert said.output.startswith("accuracy: 100.00 % of 6 samples"), said.output
    np.savez(tmp_path / "one.npz", inputs=waves[:, None], labels=np.zeros(60, int))
    result = foveate("train", tmp_path / "one.npz", "--out", tmp_path / "other")
    assert result.exit_code == 1
    assert "has one class only, 0" in result.stderr
