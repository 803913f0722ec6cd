"""The registry of datasets."""

import numpy as np
import pytest

import foveate as fv
from foveate.data import Splits, datasets
from tests.data.support import write_images


def test_a_data_set_is_loaded_by_name(fashion: Splits):
    splits = datasets.load("fashion-mnist", seed=0)
    assert splits.name == "fashion-mnist"
    assert np.array_equal(splits.validation.inputs, fashion.validation.inputs)
    assert not np.array_equal(datasets.load("fashion-mnist", seed=1).validation.inputs, fashion.validation.inputs)


def test_a_folder_is_loaded_by_its_path(tmp_path):
    root = write_images(tmp_path, {"a": 10, "b": 10})
    for name in (root, str(root)):
        splits = datasets.load(name, seed=3)
        assert splits.classes == ("a", "b")
        assert np.array_equal(splits.test.inputs, datasets.image_folder(root, seed=3).test.inputs)


def test_an_unknown_name_is_a_sentence_with_the_nearest(tmp_path):
    with pytest.raises(
        fv.DataError,
        match=r'there is no dataset and no folder "fashon_mnist". Nearest: fashion-mnist, mnist; or give the path',
    ):
        datasets.load("fashon_mnist")
    with pytest.raises(fv.DataError, match=r'no folder ".*none"'):
        datasets.load(tmp_path / "none")


def test_the_status_says_where_each_is(fashion: Splits, tmp_path, monkeypatch: pytest.MonkeyPatch):
    found = next(each for each in datasets.status() if each.name == "fashion-mnist")
    assert found.title == "Fashion-MNIST"
    assert found.found
    assert found.folder is not None
    assert found.folder.is_dir()
    monkeypatch.setattr("foveate.data.published.Published.places", lambda _: [("nowhere", tmp_path), ("unset", None)])
    for lost in datasets.status():
        assert not lost.found
        assert lost.folder is None


def test_files_of_a_named_data_set_are_known_by_their_path(fashion: Splits, tmp_path):
    folder = datasets.DATASETS["fashion-mnist"].find()
    assert folder is not None
    assert datasets.named_data(folder) == datasets.named_data("fashion-mnist") == "fashion-mnist"
    splits = datasets.load(folder, seed=0)
    assert splits.name == "fashion-mnist"
    assert np.array_equal(splits.validation.inputs, fashion.validation.inputs)
    for other in (tmp_path, tmp_path / "nowhere", "fashion"):
        assert datasets.named_data(other) is None


def test_the_library_offers_the_registry():
    assert fv.datasets is datasets
    assert list(fv.datasets.DATASETS) == ["fashion-mnist", "mnist", "cifar10", "cifar100"]
    assert [name for name, entry in fv.datasets.DATASETS.items() if not entry.mirrored] == ["mnist"]
