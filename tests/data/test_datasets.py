"""The registry of data sets."""

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
        match=r'there is no data set and no folder "fashon_mnist". Nearest: fashion-mnist; or give the path',
    ):
        datasets.load("fashon_mnist")
    with pytest.raises(fv.DataError, match=r'no folder ".*none"'):
        datasets.load(tmp_path / "none")


def test_the_status_says_where_each_is(fashion: Splits, tmp_path, monkeypatch: pytest.MonkeyPatch):
    (found,) = datasets.status()
    assert found.name == "fashion-mnist"
    assert found.title == "Fashion-MNIST"
    assert found.found
    assert found.folder is not None
    assert found.folder.is_dir()
    monkeypatch.setattr("foveate.data.fashion_mnist.places", lambda: [("nowhere", tmp_path), ("unset", None)])
    (lost,) = datasets.status()
    assert not lost.found
    assert lost.folder is None


def test_the_library_offers_the_registry():
    assert fv.datasets is datasets
    assert list(fv.datasets.DATASETS) == ["fashion-mnist"]
