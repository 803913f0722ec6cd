"""Augmentation against a plain definition of each change, and that it depends on nothing but its draws."""

from itertools import product

import numpy as np
import pytest

from foveate import Augmentation, DataError
from foveate.data.augmentation import random_draws
from tests.data.support import noise

EVERYTHING = Augmentation(shift=2, flip=True, erase=3)


def translated(image, offsets):
    """`image` (C, *spatial) moved by `offsets`, zeros coming in; written with plain loops."""
    moved = np.zeros_like(image)
    for place in product(*(range(size) for size in image.shape[1:])):
        source = tuple(position - offset for position, offset in zip(place, offsets, strict=True))
        if all(0 <= position < size for position, size in zip(source, image.shape[1:], strict=True)):
            moved[(slice(None), *place)] = image[(slice(None), *source)]
    return moved


@pytest.mark.parametrize("shape", [(2, 11), (1, 7, 6), (3, 5, 6), (2, 4, 5, 3)], ids=str)
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_shift_is_a_translation_that_brings_in_zeros(shape, dtype):
    inputs = (noise(40, *shape) % 255 + 1).astype(dtype)
    outputs = Augmentation(shift=2).apply(inputs, np.arange(40), seed=0, epoch=0)
    assert outputs.dtype == dtype
    assert outputs.shape == inputs.shape
    seen = set()
    for before, after in zip(inputs, outputs, strict=True):
        matching = [
            offsets
            for offsets in product(range(-2, 3), repeat=len(shape) - 1)
            if np.array_equal(translated(before, offsets), after)
        ]
        assert len(matching) == 1
        seen.add(matching[0])
    for axis in range(len(shape) - 1):
        assert {offsets[axis] for offsets in seen} == {-2, -1, 0, 1, 2}


def test_half_of_the_images_are_mirrored_left_to_right():
    inputs = noise(1000, 1, 2, 5)
    outputs = Augmentation(flip=True).apply(inputs, np.arange(1000), seed=0, epoch=0)
    mirrored = (outputs == inputs[..., ::-1]).all(axis=(1, 2, 3))
    same = (outputs == inputs).all(axis=(1, 2, 3))
    assert np.all(mirrored ^ same)
    assert 430 < mirrored.sum() < 570


@pytest.mark.parametrize("side", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_a_square_about_any_pixel_is_blanked_in_every_channel(side: int, dtype):
    inputs = np.full((600, 2, 6, 5), np.nan if dtype == np.float32 else 7, dtype)
    blank = Augmentation(erase=side).apply(inputs, np.arange(600), seed=0, epoch=0) == 0
    assert np.array_equal(blank[:, 0], blank[:, 1])
    centres = set()
    for mask in blank[:, 0]:
        matching = []
        for row, column in product(range(6), range(5)):
            expected = np.zeros((6, 5), bool)
            top, left = row - side // 2, column - side // 2
            expected[max(0, top) : top + side, max(0, left) : left + side] = True
            if np.array_equal(mask, expected):
                matching.append((row, column))
        assert len(matching) == 1
        centres.add(matching[0])
    assert len(centres) == 30


def test_a_sample_changes_alike_in_whichever_batch_it_comes():
    inputs = noise(3000, 1, 8, 8)
    whole = EVERYTHING.apply(inputs, np.arange(3000), seed=5, epoch=2)
    chosen = np.random.default_rng(0).permutation(3000)[:64]
    assert np.array_equal(EVERYTHING.apply(inputs[chosen], chosen, seed=5, epoch=2), whole[chosen])
    random_draws.cache_clear()
    assert np.array_equal(EVERYTHING.apply(inputs[17:18], [17], seed=5, epoch=2), whole[17:18])


def test_other_seeds_and_epochs_change_otherwise():
    inputs = noise(200, 1, 8, 8)
    first, other_epoch, other_seed = (
        EVERYTHING.apply(inputs, np.arange(200), seed=seed, epoch=epoch) for seed, epoch in ((0, 0), (0, 1), (1, 0))
    )
    for other in (other_epoch, other_seed):
        assert (first != other).any(axis=(1, 2, 3)).mean() > 0.9


def test_the_changes_are_drawn_independently():
    inputs = np.tile(np.arange(1, 65, dtype=np.uint8).reshape(1, 1, 8, 8), (4000, 1, 1, 1))
    moved = Augmentation(shift=1, flip=True).apply(inputs, np.arange(4000), seed=0, epoch=0)
    states = np.unique(moved.reshape(4000, -1), axis=0, return_counts=True)[1]
    assert len(states) == 18
    assert states.min() > 4000 / 18 * 0.75


def test_inputs_are_never_written_to():
    inputs = noise(20, 1, 8, 8)
    before = inputs.copy()
    EVERYTHING.apply(inputs, np.arange(20), seed=0, epoch=0)
    Augmentation(erase=4).apply(inputs, np.arange(20), seed=0, epoch=0)
    assert np.array_equal(inputs, before)
    assert Augmentation().apply(inputs, np.arange(20), seed=0, epoch=0) is inputs


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"shift": -1}, "Augmentation: shift is -1; it must be an int of at least 0"),
        ({"shift": True}, "Augmentation: shift is True; it must be an int"),
        ({"erase": 2.5}, "Augmentation: erase is 2.5; it must be an int of at least 0"),
        ({"flip": 1}, "Augmentation: flip is 1; it must be True or False"),
    ],
)
def test_wrong_options_are_a_sentence(options, message: str):
    with pytest.raises(DataError, match=message):
        Augmentation(**options)


@pytest.mark.parametrize(
    ("augmentation", "shape", "indices", "message"),
    [
        (Augmentation(shift=5), (2, 1, 9, 5), [0, 1], "shift 5 can move a sample of 9x5 out of sight; use at most 4"),
        (Augmentation(erase=6), (2, 1, 9, 5), [0, 1], "erase 6 is larger than a sample of 9x5; use at most 5"),
        (Augmentation(flip=True), (2, 1, 9), [0, 1], r"flip and erase are for images \(N, C, H, W\), but .* 2x1x9"),
        (Augmentation(erase=1), (2, 1, 4, 4, 4), [0, 1], "flip and erase are for images .* shift works on them"),
        (Augmentation(shift=1), (2, 9), [0, 1], "needs inputs with 1 to 3 spatial axes, .* but they are 2x9"),
        (Augmentation(shift=1), (2, 1, 9, 5), [0], "the index of each of the 2 samples .* the indices are 1 int64"),
        (Augmentation(shift=1), (2, 1, 9, 5), [0, -1], "whole numbers from 0, but the indices are 2 int64"),
        (Augmentation(shift=1), (2, 1, 9, 5), [0.0, 1.0], "whole numbers from 0, but the indices are 2 float64"),
        (Augmentation(shift=1), (2, 1, 9, 5), 0, "but the indices are one number int64"),
    ],
)
def test_inputs_that_cannot_be_changed_are_a_sentence(augmentation, shape, indices, message: str):
    with pytest.raises(DataError, match=message):
        augmentation.apply(noise(*shape), indices, seed=0, epoch=0)
