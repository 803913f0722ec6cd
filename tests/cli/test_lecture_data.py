"""MNIST and CIFAR from the command line: small ones in the published formats, found and trained."""

import json
from dataclasses import replace

import pytest

import foveate as fv
from foveate.data.cifar_sets import CIFAR10, CIFAR100
from foveate.data.idx_sets import MNIST
from tests.data.small_sets import small_cifar, small_idx, write_cifar, write_small

OPTIONS = ("--net", "lenet5", "--epochs", "1", "--engine", "reference")


@pytest.fixture
def lecture(tmp_path, monkeypatch):
    """A folder with the three datasets, which FOVEATE_DATA names."""
    folder = tmp_path / "data"
    write_small(folder / "mnist")
    small = [small_idx(MNIST)]
    for whole, kind in ((CIFAR10, "python"), (CIFAR100, "binary")):
        small.append(small_cifar(whole))
        write_cifar(small[-1], folder / whole.name, kind, "archive")
    for each in (replace(each, system=tmp_path) for each in small):
        entry = replace(fv.datasets.DATASETS[each.name], load=each.load, find=each.find, is_at=each.is_at)
        monkeypatch.setitem(fv.datasets.DATASETS, each.name, entry)
    monkeypatch.setattr("foveate.data.published.cache", lambda: tmp_path / "cache")
    monkeypatch.setenv("FOVEATE_DATA", str(folder))
    monkeypatch.chdir(tmp_path)
    return folder


def test_they_are_listed_and_fetched(foveate, lecture):
    listed = {each["name"]: each["folder"] for each in json.loads(foveate("data", "list", "--json").stdout)}
    for name, counts in (("mnist", (50, 10, 20)), ("cifar10", (95, 5, 20)), ("cifar100", (15, 5, 20))):
        assert listed[name] == str(lecture / name)
        told = "{} train, {} validation, {} test".format(*counts)
        assert foveate("data", "fetch", name).stdout == f"{name}: {told} samples in {lecture / name}\n"


@pytest.mark.parametrize("name", ["mnist", "cifar10", "cifar100"])
def test_one_is_trained_evaluated_and_predicted(foveate, lecture, name):
    result = foveate("train", name, *OPTIONS)
    assert result.exit_code == 0, result.output
    model = f"runs/{name}/model.safetensors"
    for given in (name, lecture / name):  # by its name, and by the path of its files
        measured = json.loads(foveate("evaluate", model, given, "--engine", "reference", "--json").stdout)
        assert f"test accuracy: {100 * measured['accuracy']:.2f} %" in result.stdout
        assert measured["samples"] == 20
    assert foveate("data", "image", name, 3, "--out", "photo.png").exit_code == 0
    loaded = fv.load(model, engine="reference")
    (best, probability), *_ = loaded.classify(fv.datasets.load(name).test.inputs[3:4])
    said = foveate("predict", model, "photo.png", "--engine", "reference").stdout
    assert said.startswith(f"photo.png: {best} {100 * probability:.1f} %")


def test_an_archive_is_trained_by_its_path(foveate, lecture):
    result = foveate("train", lecture / "cifar10" / "cifar-10-python.tar.gz", *OPTIONS)
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("cifar10: 95 training, 5 validation, 20 test samples of 3x32x32 in 10 classes")


def test_digits_are_not_mirrored_unless_one_insists(foveate, lecture, monkeypatch):
    seen = []
    real = fv.Model.fit
    monkeypatch.setattr(fv.Model, "fit", lambda self, *a, **k: seen.append(k["augmentation"]) or real(self, *a, **k))
    for given in (["mnist"], [lecture / "mnist"], ["mnist", "--augment"], ["cifar10"], ["cifar10", "--no-augment"]):
        assert foveate("train", *given, *OPTIONS, "--overwrite").exit_code == 0
    assert [each.flip for each in seen] == [False, False, True, True, False]
