"""Whether images may be mirrored in training."""

import numpy as np
import pytest
from sklearn.datasets import load_digits

import foveate as fv
from foveate.training.mirroring import mirroring, recognised


def dataset(inputs, labels, names=("cat", "dog")):
    return fv.Dataset(inputs, labels, names)


def noise(count=100, channels=1):
    return np.random.default_rng(0).integers(0, 256, (count, channels, 16, 16)).astype(np.uint8)


@pytest.fixture(scope="module")
def digits():
    """Real handwritten digits under names that do not tell."""
    found = load_digits()
    names = [f"kind {number}" for number in range(10)]
    return fv.Dataset(np.round(found.images * 15.9).astype(np.uint8)[:, None], found.target, names)


def test_handwritten_digits_are_not_mirrored(digits):
    found = mirroring(digits)
    assert not found.allowed
    plain, mirrored = recognised(digits.inputs, digits.labels)
    assert plain > 0.95
    assert mirrored < 0.5
    assert found.reason == (
        f"{100 * plain:.0f} % of the images look most like another of their class, {100 * mirrored:.0f} % if mirrored"
    )


def test_images_that_look_the_same_in_a_mirror_are_mirrored(digits):
    both = np.concatenate([digits.inputs, digits.inputs[..., ::-1]])
    found = mirroring(fv.Dataset(both, np.tile(digits.labels, 2), digits.classes))
    assert found.allowed
    assert "% if mirrored" in found.reason


def test_what_is_recognised_by_brute_force(digits):
    few = digits.subset(range(60))
    images = few.inputs[:, 0].astype(float).reshape(60, -1)
    mirrored = few.inputs[:, 0, :, ::-1].astype(float).reshape(60, -1)
    wanted = []
    for queries in (images, mirrored):
        right = 0
        for number, query in enumerate(queries):
            alike = [np.corrcoef(query, other)[0, 1] if place != number else -2 for place, other in enumerate(images)]
            right += few.labels[int(np.argmax(alike))] == few.labels[number]
        wanted.append(right / 60)
    assert recognised(few.inputs, few.labels) == pytest.approx(wanted)


def test_arrays_are_not_mirrored():
    labels = np.arange(100) % 2
    assert mirroring(dataset(noise(), labels), images=False).reason == "what an array means may depend on its direction"
    assert not mirroring(dataset(noise().astype(np.float32) / 255, labels)).allowed
    assert not mirroring(dataset(noise(channels=2), labels)).allowed
    found = mirroring(dataset(np.zeros((4, 1, 30), np.float32), [0, 1, 0, 1]))
    assert (found.allowed, found.reason) == (False, "only images have a left and a right to exchange")


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("turn_left", "turn_right"), "the class turn_left has a side"),
        (("stop", "Right arrow"), "the class Right arrow has a side"),
        (("a", "b"), "the classes are letters or digits"),
        (("3", "7"), "the classes are letters or digits"),
        (("one", "two"), "the classes are letters or digits"),
    ],
)
def test_names_that_a_mirror_makes_wrong(names, reason):
    found = mirroring(dataset(noise(), np.arange(100) % 2, names))
    assert (found.allowed, found.reason) == (False, reason)


@pytest.mark.parametrize("names", [("cat", "dog"), ("bright", "dark"), ("101", "102"), ("leftover", "copyright")])
def test_names_and_images_that_say_nothing(names):
    found = mirroring(dataset(noise(), np.arange(100) % 2, names))
    assert found.allowed
    assert found.reason == "neither the classes' names nor the images say that left and right differ"


def test_targets_that_lie_in_the_image():
    masks = np.zeros((4, 16, 16), np.int64)
    found = mirroring(fv.Dataset(noise(4), masks, fv.tasks.Segmentation(("sky", "ground"))))
    assert (found.allowed, found.reason) == (False, "the targets would have to be mirrored too")
