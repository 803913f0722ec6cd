"""Datasets: what is checked at the border, subsets and splits."""

import numpy as np
import pytest

import foveate as fv
from foveate import DataError, Dataset, Preprocessing, Splits
from foveate.data.dataset import split
from foveate.tasks import Classification, Regression, Several
from tests.data.support import noise, small_dataset


def test_arrays_are_brought_to_one_form():
    dataset = Dataset(noise(4, 5, 6, 1).transpose(0, 3, 1, 2), [0, 1, 0, 1], ["cat", "dog"])
    assert dataset.inputs.flags.c_contiguous
    assert dataset.labels.dtype == np.int64
    assert dataset.classes == ("cat", "dog")
    assert len(dataset) == 4
    assert dataset.shape == (1, 5, 6)
    assert repr(dataset) == "Dataset(4 samples of 1x5x6 uint8, 2 classes)"
    assert Dataset(np.zeros((1, 3)), [0], ("cat",)).inputs.dtype == np.float32


def test_a_subset_keeps_order_labels_and_names():
    dataset = small_dataset(10)
    chosen = dataset.subset([7, 2, 2])
    assert np.array_equal(chosen.inputs, dataset.inputs[[7, 2, 2]])
    assert chosen.labels.tolist() == [1, 2, 2]
    assert chosen.classes == dataset.classes
    assert dataset.subset(dataset.labels == 0).labels.tolist() == [0, 0, 0, 0]
    assert len(dataset.subset(range(3))) == 3


def test_a_split_is_fixed_by_its_seed_and_loses_nothing():
    dataset = Dataset(np.arange(50, dtype=np.uint8)[:, None], np.zeros(50, int), ("one",))
    rest, held_out = split(dataset, 10, seed=0)
    assert (len(rest), len(held_out)) == (40, 10)
    values = np.concatenate([rest.inputs, held_out.inputs]).ravel()
    assert sorted(values.tolist()) == list(range(50))
    assert np.all(np.diff(rest.inputs.ravel().astype(int)) > 0)
    assert np.array_equal(split(dataset, 10, seed=0)[1].inputs, held_out.inputs)
    assert not np.array_equal(split(dataset, 10, seed=1)[1].inputs, held_out.inputs)


IMAGES = noise(3, 1, 2, 2)
LABELS = [0, 1, 0]
NAMES = ("cat", "dog")
WITH_NAN = np.ones((3, 1, 2, 2), np.float32)
WITH_NAN[2, 0, 1, 1] = np.nan
TOO_LARGE = np.full((2, 1, 2, 2), 1e300)

WRONG_DATASETS = {
    "count": (IMAGES, [0, 1], NAMES, "there are 3 samples, but 2 labels; each sample needs one"),
    "empty": (IMAGES[:0], [], NAMES, "the dataset is empty: its inputs are 0x1x2x2; give at least one sample"),
    "no-pixels": (IMAGES[:, :, :0], LABELS, NAMES, "the dataset is empty: its inputs are 3x1x0x2"),
    "nan": (WITH_NAN, LABELS, NAMES, "sample 2 of 3 holds NaN or infinity"),
    "infinite": (TOO_LARGE, [0, 0], NAMES, "sample 0 of 2 holds NaN or infinity"),
    "type": (IMAGES.astype(int), LABELS, NAMES, "inputs of type int64 cannot be used; give uint8 from 0 to 255"),
    "axes": (np.zeros(3, np.uint8), LABELS, NAMES, r"inputs have the shape 3; they need a batch axis and channels"),
    "above": (IMAGES, [0, 2, 0], NAMES, "sample 1 has the label 2, but the 2 classes are numbered 0 to 1"),
    "below": (IMAGES, [0, 1, -1], NAMES, "sample 2 has the label -1, but the 2 classes"),
    "fractions": (
        IMAGES,
        [0.0, 1.0, 0.0],
        NAMES,
        r"labels must be whole numbers \(class indices\), but they are float64",
    ),
    "one-hot": (
        IMAGES,
        np.eye(3),
        NAMES,
        r"labels have the shape 3x3; give one class index for each sample, or \(N, K\)",
    ),
    "no-classes": (IMAGES, LABELS, (), r"classes are \(\); give the name of each class"),
    "letters": (IMAGES, LABELS, "ab", "classes are 'ab'; give the name of each class, as a tuple of strings"),
    "numbers": (IMAGES, LABELS, (0, 1), r"classes are \(0, 1\); give the name of each class"),
    "twins": (IMAGES, LABELS, ("cat", "cat"), 'two classes are called "cat"; give each its own name'),
}


@pytest.mark.parametrize(("inputs", "labels", "classes", "message"), WRONG_DATASETS.values(), ids=WRONG_DATASETS)
def test_a_wrong_data_set_is_a_sentence(inputs, labels, classes, message: str):
    with pytest.raises(DataError, match=message):
        Dataset(inputs, labels, classes)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        ([], "none of the 10 samples was chosen"),
        ([3, 10], "there is no sample 10: the 10 samples are numbered 0 to 9"),
        ([-1], "there is no sample -1"),
        ([0.5], "indices have the shape 1 and the type float64; give a list of whole numbers, or 10 booleans"),
        (3, "indices have the shape of one number"),
        ([True, False], "indices have the shape 2 and the type bool"),
        ([False] * 10, "none of the 10 samples was chosen"),
    ],
)
def test_a_wrong_subset_is_a_sentence(indices, message: str):
    with pytest.raises(DataError, match=message):
        small_dataset(10).subset(indices)


@pytest.mark.parametrize("count", [0, 10, -1])
def test_a_split_that_leaves_nothing_is_refused(count: int):
    with pytest.raises(DataError, match=f"{count} of 10 samples cannot be held out; at least one must be"):
        split(small_dataset(10), count, seed=0)


def test_several_inputs_are_a_mapping():
    data = Dataset({"table": np.zeros((3, 4)), "picture": IMAGES}, LABELS, NAMES)
    assert repr(data) == "Dataset(3 samples of table 4 float32, picture 1x2x2 uint8, 2 classes)"
    assert (len(data), data.image_input, data.shape) == (3, "picture", (1, 2, 2))
    assert Preprocessing.measure(data) == Preprocessing.measure(Dataset(IMAGES, LABELS, NAMES))
    assert {name: len(array) for name, array in data.subset([2, 0]).by_input.items()} == {"table": 2, "picture": 2}
    with pytest.raises(DataError, match=r"a sample has 2 inputs \(table, picture\); take one from dataset\.by_input"):
        data.inputs  # noqa: B018 (the attribute raises)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "the mapping of inputs is empty; give an array for each input of the network, by its name"),
        ({"a": IMAGES, "b": IMAGES[:2]}, "the input a has 3 samples, but b has 2; each sample needs every input"),
        ({"a": IMAGES, "b": WITH_NAN}, "input b: sample 2 of 3 holds NaN or infinity"),
    ],
)
def test_wrong_mappings_of_inputs_are_a_sentence(inputs, message: str):
    with pytest.raises(DataError, match=message):
        Dataset(inputs, LABELS, NAMES)


def test_other_tasks_and_their_targets():
    both = Several({"kind": Classification(NAMES), "age": Regression(("years",))})
    data = Dataset(IMAGES, {"kind": LABELS, "age": [1.0, 2.0, 3.0]}, both)
    assert data.subset([1]).targets["age"].tolist() == [[2.0]]
    rest, held_out = split(data, 1, seed=0)
    assert (len(rest), len(held_out), rest.task) == (2, 1, both)
    shares = Dataset(IMAGES, [[0.25, 0.75], [0.5, 0.5], [1, 0]], NAMES)
    assert shares.labels.tolist() == [1, 0, 0]
    assert Dataset(IMAGES, np.eye(2)[LABELS], NAMES).targets.tolist() == LABELS
    with pytest.raises(DataError, match=r"output age: there are 3 samples, but 1 targets"):
        Dataset(IMAGES, {"kind": LABELS, "age": [1.0]}, both)
    ages = Dataset(IMAGES, [1.0, 2.0, 3.0], Regression(("years",)))
    with pytest.raises(DataError, match=r"toy: the test part has a different task from the training part \(Regression"):
        Splits(Dataset(IMAGES, LABELS, NAMES), Dataset(IMAGES, LABELS, NAMES), ages, Preprocessing.measure(ages), "toy")


def test_the_parts_of_a_data_set_must_fit_together():
    dataset, other = small_dataset(), small_dataset(shape=(1, 6, 6))
    fitting = Preprocessing.measure(dataset)
    assert Splits(dataset, dataset, dataset, fitting, "toy").classes == dataset.classes
    with pytest.raises(DataError, match="toy: a test sample is 1x6x6, but a training sample is 1x6x5"):
        Splits(dataset, dataset, other, fitting, "toy")
    with pytest.raises(DataError, match=r"toy: the validation part has different classes .* the same 3 names"):
        Splits(dataset, small_dataset(classes=4), dataset, fitting, "toy")
    with pytest.raises(DataError, match=r"toy: the preprocessing is for 1x6x6, but a sample is 1x6x5; make it with"):
        Splits(dataset, dataset, dataset, Preprocessing.measure(other), "toy")


def test_masks_may_have_an_axis_for_their_one_channel():
    task = fv.tasks.Segmentation(("no", "yes"))
    masks = np.arange(2 * 4 * 5).reshape(2, 1, 4, 5) % 2
    data = fv.Dataset(np.zeros((2, 3, 4, 5), np.uint8), masks, task)
    np.testing.assert_array_equal(data.targets, masks[:, 0])
    both = fv.tasks.Several({"a": task, "b": fv.tasks.Regression(("n",))})
    named = fv.Dataset(np.zeros((2, 3, 4, 5), np.uint8), {"a": masks, "b": [1.0, 2.0]}, both)
    np.testing.assert_array_equal(named.targets["a"], masks[:, 0])
    volumes = fv.Dataset(np.zeros((2, 3, 1, 4, 5), np.uint8), masks, task)  # of one layer: nothing is to be left out
    assert volumes.targets.shape == (2, 1, 4, 5)
