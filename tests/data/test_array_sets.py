"""Files of arrays as datasets."""

import numpy as np
import pytest

import foveate as fv
from foveate.data.datasets import array_set, load

random = np.random.default_rng(0)


@pytest.fixture
def saved(tmp_path):
    """Save arrays: saved(inputs=..., labels=...) -> the path of the file."""

    def save(**arrays):
        np.savez(tmp_path / "sounds.npz", **arrays)
        return tmp_path / "sounds.npz"

    return save


def rows(dataset):
    return {each.tobytes() for each in dataset.inputs}


def test_each_class_is_in_every_part(saved):
    inputs = random.random((200, 1, 50)).astype(np.float32)
    labels = np.repeat(["no", "yes"], [150, 50])
    data = load(saved(inputs=inputs, labels=labels))
    assert (data.name, data.classes, data.train.shape) == ("sounds", ("no", "yes"), (1, 50))
    counts = [np.bincount(part.labels).tolist() for part in (data.train, data.validation, data.test)]
    assert counts == [[120, 40], [15, 5], [15, 5]]
    whole = {each.tobytes(): label for each, label in zip(inputs, labels, strict=True)}
    for part in (data.train, data.validation, data.test):
        pairs = zip(part.inputs, part.labels, strict=True)
        assert all(whole[each.tobytes()] == data.classes[label] for each, label in pairs)
    assert len(rows(data.train) | rows(data.validation) | rows(data.test)) == 200


def test_the_test_is_the_same_for_every_seed(saved):
    path = saved(inputs=random.random((60, 1, 8, 8)), labels=np.arange(60) % 3)
    first, second = array_set(path, seed=0), array_set(path, seed=1)
    assert rows(first.test) == rows(second.test)
    assert rows(first.validation) != rows(second.validation)


def test_a_file_with_a_test_of_its_own_as_keras_has_it(saved):
    images = random.integers(0, 256, (30, 9, 8)).astype(np.uint8)
    data = load(saved(x_train=images[:20], y_train=np.arange(20) % 2, x_test=images[20:], y_test=np.arange(10) % 2))
    assert data.train.shape == (1, 9, 8)
    assert np.array_equal(data.test.inputs[:, 0], images[20:])
    assert (len(data.train), len(data.validation)) == (18, 2)


def test_colour_images_with_channels_last(saved):
    images = random.integers(0, 256, (12, 9, 8, 3)).astype(np.uint8)
    data = load(saved(x=images, y=np.arange(12)[:, None] % 2, classes=["cat", "dog"]))
    assert (data.train.shape, data.classes) == ((3, 9, 8), ("cat", "dog"))
    kept = {np.moveaxis(each, 2, 0).tobytes() for each in images}
    assert rows(data.train) <= kept


def test_three_of_a_class_are_enough(saved):
    data = load(saved(inputs=random.random((6, 1, 8, 8)), labels=[0, 1] * 3))
    assert [len(part) for part in (data.train, data.validation, data.test)] == [2, 2, 2]


ARRAYS = random.random((6, 1, 8, 8))


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"inputs": ARRAYS, "label": [0, 1] * 3}, "has the arrays inputs, label; inputs and labels are needed"),
        ({"input": ARRAYS, "labels": [0, 1] * 3}, "inputs and labels are needed. Nearest: input"),
        ({"inputs": ARRAYS, "labels": [0] * 6}, "has one class only, 0; a network learns to tell classes apart"),
        ({"inputs": ARRAYS, "labels": [0.5, 1.5] * 3}, "labels are 6 float64; give one whole number or name for each"),
        ({"inputs": ARRAYS, "labels": np.eye(6)}, "labels are 6x6 float64"),
        ({"inputs": ARRAYS, "labels": [1, 2] * 3, "classes": ["a", "b"]}, "has 2 classes, but labels from 1 to 2"),
        ({"inputs": ARRAYS, "labels": [0, 1]}, "6"),
        ({"inputs": ARRAYS, "labels": np.arange(6)}, "has 6 samples, fewer than 3 of each class"),
        ({"inputs": ARRAYS, "labels": np.array([0, None] * 3)}, "holds Python objects, which are not read"),
    ],
)
def test_what_is_no_dataset_is_refused(saved, arrays, sentence):
    with pytest.raises((fv.DataError, fv.FileError), match=sentence):
        load(saved(**arrays))


def test_what_is_no_archive_is_refused(tmp_path, monkeypatch):
    (tmp_path / "a.npz").write_bytes(b"no archive")
    with pytest.raises(fv.FileError, match=r"a.npz\" is not a file that numpy.savez wrote: File is not a zip file"):
        load(tmp_path / "a.npz")
    (tmp_path / "b.npz").mkdir()
    with pytest.raises(fv.FileError, match="cannot be read: Is a directory"):
        load(tmp_path / "b.npz")
    np.savez(tmp_path / "c.npz", inputs=ARRAYS)
    monkeypatch.setattr("foveate.data.array_sets.LARGEST_ARRAYS", 100)
    with pytest.raises(fv.FileError, match="claims 3,200 bytes of arrays; at most 100 are read"):
        load(tmp_path / "c.npz")


def test_damaged_files_end_in_a_sentence(saved):
    path = saved(inputs=random.integers(0, 9, (6, 1, 2, 2)).astype(np.uint8), labels=[0, 1] * 3)
    content = path.read_bytes()
    refused = 0
    for place in range(len(content)):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0x55]) + content[place + 1 :])
        try:
            load(path)
        except (fv.FileError, fv.DataError):
            refused += 1
    assert refused > len(content) / 2
