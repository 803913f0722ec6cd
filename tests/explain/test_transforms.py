"""Moving, turning and scaling against NumPy's roll, Pillow and PyTorch's grid_sample."""

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional

from foveate.errors import DataError, ShapeError
from foveate.explain.measure.transforms import border_colour, move, scale, turn
from tests.support import normal

SHAPES = {1: (3, 2, 40), 2: (3, 3, 20, 20), 3: (2, 1, 9, 12, 12)}


def images(axes: int) -> NDArray[np.float32]:
    return normal(SHAPES[axes], seed=axes).astype(np.float32)


def sampled(values: NDArray[np.float32], matrix: list[list[float]]) -> NDArray[np.float32]:
    """PyTorch's own resampling, zeros outside; `matrix` takes outputs to inputs, (x, y[, z], 1)."""
    theta = torch.tensor(matrix, dtype=torch.float64)[None].repeat(len(values), 1, 1)
    tensor = torch.from_numpy(values.astype(np.float64))
    grid = functional.affine_grid(theta, list(values.shape), align_corners=False)
    out = functional.grid_sample(tensor, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return np.asarray(out.numpy(), np.float32)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_move_is_a_roll_whose_wrapped_part_is_filled(axes: int, sign: int) -> None:
    x = images(axes)
    offset = tuple(sign * step for step in (2, 3, 1)[:axes])
    rolled = np.roll(x, offset, tuple(range(2, x.ndim)))
    for axis, step in enumerate(offset, start=2):
        wrapped = slice(0, step) if step > 0 else slice(step, None)
        rolled[(slice(None),) * axis + (wrapped,)] = 7
    np.testing.assert_array_equal(move(x, offset, fill=7), rolled)


def test_a_number_alone_moves_to_the_right_and_further_than_the_frame_leaves_only_fill() -> None:
    x = images(2)
    np.testing.assert_array_equal(move(x, 3), move(x, (0, 3)))
    assert (move(x, 25, fill=[1, 2, 3]) == np.array([1, 2, 3]).reshape(1, 3, 1, 1)).all()
    assert (move(x, (-20, 0), fill=5) == 5).all()


def test_the_border_colour_is_the_median_of_the_frame_of_each_image_and_channel() -> None:
    x = images(2)
    frame = [x[:, :, 0], x[:, :, -1], x[:, :, 1:-1, 0], x[:, :, 1:-1, -1]]
    np.testing.assert_array_equal(border_colour(x), np.median(np.concatenate(frame, 2), axis=2))
    assert (move(x, 1)[:, :, :, 0] == border_colour(x)[:, :, None]).all()


def test_the_border_of_a_long_signal_is_wider() -> None:
    wave = np.ones((1, 1, 320))
    wave[..., :10] = wave[..., -9:] = 4
    assert border_colour(wave) == 4
    wave[..., 10:12] = wave[..., 5:9] = 1
    assert border_colour(wave) == 4


@pytest.mark.parametrize("degrees", [-130.0, -30.0, 0.0, 17.0, 90.0, 180.0])
def test_turning_equals_grid_sample(degrees: float) -> None:
    x, angle = images(2), np.deg2rad(degrees)
    matrix = [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0]]
    np.testing.assert_allclose(turn(x, degrees, fill=0), sampled(x, matrix), atol=2e-5)


def test_turning_by_a_quarter_is_numpys_counter_clockwise() -> None:
    x = images(2)
    np.testing.assert_allclose(turn(x, 90), np.rot90(x, axes=(2, 3)), atol=1e-5)


def test_turning_equals_pillow_inside() -> None:
    x = images(2)
    centre = (slice(5, -5), slice(5, -5))
    for degrees in (20.0, -75.0):
        turned = turn(x, degrees)
        for sample in range(len(x)):
            oracle = np.asarray(Image.fromarray(x[sample, 1]).rotate(degrees, Image.Resampling.BILINEAR))
            np.testing.assert_allclose(turned[sample, 1][centre], oracle[centre], atol=1e-4)


def test_volumes_are_turned_in_the_plane_of_their_last_two_axes() -> None:
    x = images(3)
    turned = turn(x, 33, fill=0.5)
    for depth in range(x.shape[2]):
        np.testing.assert_allclose(turned[:, :, depth], turn(x[:, :, depth], 33, fill=0.5), atol=1e-6)


@pytest.mark.parametrize("axes", [1, 2, 3])
@pytest.mark.parametrize("factor", [0.5, 0.8, 1.0, 1.4])
def test_scaling_equals_grid_sample(axes: int, factor: float) -> None:
    x = images(axes)
    as_image = x[:, :, None] if axes == 1 else x
    count = max(axes, 2)
    steps = [1 / factor] * count if axes > 1 else [1 / factor, 1.0]
    oracle = sampled(as_image, (np.eye(count, count + 1) * [[step] for step in steps]).tolist())
    np.testing.assert_allclose(scale(x, factor, fill=0), oracle.reshape(x.shape), atol=2e-5)


def test_the_fill_blends_in_as_if_the_image_went_on() -> None:
    x = images(2)
    offset = np.array([1.0, -2.0, 3.0], np.float32)
    shifted = x + offset.reshape(1, 3, 1, 1)
    for changed, plain in ((turn(shifted, 25, fill=offset), turn(x, 25, fill=0)),
                           (scale(shifted, 0.7, fill=offset), scale(x, 0.7, fill=0))):  # fmt: skip
        np.testing.assert_allclose(changed - offset.reshape(1, 3, 1, 1), plain, atol=1e-5)


def test_bytes_stay_bytes_and_nothing_is_a_view() -> None:
    x = np.random.default_rng(0).integers(0, 256, (2, 1, 8, 8), dtype=np.uint8)
    before = x.copy()
    for changed in (move(x, 0), turn(x, 0), scale(x, 1)):
        assert changed.dtype == np.uint8
        np.testing.assert_array_equal(changed, x)
        changed[...] = 0
    np.testing.assert_array_equal(x, before)
    np.testing.assert_allclose(turn(x, 40), turn(x.astype(np.float64), 40), atol=0.51)


def test_wrong_inputs_get_a_sentence() -> None:
    x = images(2)
    with pytest.raises(ShapeError, match=r"numbers N x C x L, .* but the array is 20x20 of float32"):
        move(x[0, 0], 1)
    with pytest.raises(ShapeError, match="the array is one value of <U5"):
        turn("photo", 1)
    with pytest.raises(ShapeError, match=r"offset is \(1, 2, 3\), but images move by whole pixels along 2"):
        move(x, (1, 2, 3))
    with pytest.raises(ShapeError, match="one whole number for each"):
        move(x, (0.5, 1))  # type: ignore[arg-type]
    with pytest.raises(ShapeError, match="a signal 3x2x40 has no plane to be turned in"):
        turn(images(1), 10)
    with pytest.raises(DataError, match="the angle is nan; give a finite number"):
        turn(x, float("nan"))
    with pytest.raises(DataError, match="the factor is -1; it must be positive"):
        scale(x, -1)
    with pytest.raises(DataError, match=r"fill is \[1, 2\]; give one finite value, or one for each of the 3 channels"):
        move(x, 1, fill=[1, 2])
