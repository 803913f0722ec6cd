"""Packing data into shards, training on them and measuring them, on the command line."""

import json

import numpy as np
import pytest

import foveate as fv


@pytest.fixture(scope="module")
def packed(images, tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed") / "shades"
    fv.datasets.pack(images, folder, shard_size=0.04)
    return folder


def test_a_folder_is_packed_and_what_is_in_it_told(foveate, images, tmp_path):
    result = foveate("data", "pack", images, tmp_path / "shards", "--shard-size", 0.04, "--split", "0.6/0.2/0.2")
    assert result.exit_code == 0, result.output
    assert result.stdout == (
        f"{tmp_path / 'shards'}: 90 images in 3 classes, 54 train, 18 validation, 18 test, in 8 shards\n"
    )


def test_packing_tells_json_too(foveate, images, tmp_path):
    result = foveate("data", "pack", images, tmp_path / "shards", "--json")
    assert json.loads(result.stdout) == {
        "folder": str(tmp_path / "shards"),
        "found": "90 images in 3 classes, 72 train, 9 validation, 9 test, in 3 shards",
        "classes": ["dark", "grey", "light"],
        "train": 72,
        "validation": 9,
        "test": 9,
    }


def train(foveate, data, out, *options):
    given = ("--net", "lenet5", "--epochs", 1, "--batch-size", 8, "--no-augment", "--engine", "reference", "--out", out)
    result = foveate("train", data, *given, *options)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_shards_train_as_the_folder_does(foveate, images, packed, tmp_path):
    """Samples in another order, so not to the bit; the preprocessing, the split and the test part are the same."""
    said = train(foveate, packed, tmp_path / "streamed", "--size", "32")
    assert said.splitlines()[0] == "shades: 90 images in 3 classes, 72 train, 9 validation, 9 test, in 8 shards"
    assert said.splitlines()[1] == "network lenet5, input 1x32x32 (crop)"
    train(foveate, images, tmp_path / "folder", "--size", "32")
    streamed, folder = (fv.load(tmp_path / name / "model.safetensors") for name in ("streamed", "folder"))
    assert streamed.preprocessing == folder.preprocessing
    assert streamed.splits == folder.splits


def test_a_model_is_measured_on_the_test_part_and_on_the_folder_likewise(foveate, images, packed, tmp_path):
    train(foveate, packed, tmp_path, "--size", "32", "--buffer", "0.01")
    model = tmp_path / "model.safetensors"
    on_shards, on_folder = (json.loads(foveate("evaluate", model, data, "--json").stdout) for data in (packed, images))
    assert on_shards["part"] == on_folder["part"] == "test"
    assert on_shards["samples"] == on_folder["samples"] == 9
    assert on_shards["loss"] == pytest.approx(on_folder["loss"], rel=1e-12)
    assert on_shards["found"].startswith("shades: the test part of 90 images in 3 classes")


def test_a_model_learns_on_from_shards(foveate, packed, tmp_path):
    train(foveate, packed, tmp_path / "first", "--size", "32")
    given = ("--from", tmp_path / "first" / "model.safetensors", "--epochs", 1, "--out", tmp_path / "second")
    result = foveate("train", packed, *given)
    assert result.exit_code == 0, result.output
    first, second = (fv.load(tmp_path / name / "model.safetensors") for name in ("first", "second"))
    assert first.preprocessing == second.preprocessing
    assert not np.array_equal(first.read("conv1.weight"), second.read("conv1.weight"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split", "0.8/0.1/0.1"], "--split belongs to `foveate data pack`: shards are split already"),
        (["--validation", "x"], "--validation belongs to `foveate data pack`: shards are split already"),
        (["--buffer", "-1"], "buffer is -1.0; give a positive number of megabytes, such as 256"),
    ],
)
def test_options_that_do_not_fit_shards_are_refused(foveate, packed, options, message):
    result = foveate("train", packed, *options)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_a_buffer_is_for_shards(foveate, images):
    result = foveate("train", images, "--buffer", "10")
    assert result.exit_code == 2
    assert "--buffer is for shards, but" in " ".join(result.stderr.replace("│", " ").split())


def test_a_url_that_cannot_be_opened_is_one_sentence(foveate):
    result = foveate("train", "nosuch://bucket/shards")
    assert result.exit_code == 1
    assert result.stderr.startswith('foveate: "nosuch://bucket/shards" cannot be opened: Protocol not known: nosuch')


@pytest.mark.parametrize(("name", "flips"), [("mnist", False), ("fashion-mnist", True), ("pets", True)])
def test_digits_are_not_mirrored_in_shards_either(foveate, tmp_path, name, flips, monkeypatch):
    random = np.random.default_rng(0)
    data = fv.Dataset(random.integers(0, 256, (60, 1, 12, 12), np.uint8), np.arange(60) % 2, ("cat", "dog"))
    parts = fv.Splits(data, data, data, fv.Preprocessing.measure(data), name=name)
    fv.datasets.pack(parts, tmp_path / "shards")
    given = []
    fit = fv.Model.fit
    monkeypatch.setattr(fv.Model, "fit", lambda *args, **options: given.append(options) or fit(*args, **options))
    result = foveate("train", tmp_path / "shards", "--epochs", 1, "--out", tmp_path / "run", "--engine", "reference")
    assert result.exit_code == 0, result.output
    assert given[0]["augmentation"].flip == flips
    assert "network vgg6, input 1x12x12\n" in result.stdout
    assert "median size" not in result.stdout
