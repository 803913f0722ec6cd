"""The training by hand in PyTorch that `loop --epochs` compares with foveate's."""

import numpy as np
import pytest
import torch

import foveate as fv
from benchmarks import recipes
from benchmarks.errors import BenchmarkError
from foveate.data import Preprocessing


def test_images_are_moved_and_mirrored():
    torch.manual_seed(0)
    image = np.random.default_rng(0).integers(1, 256, (1, 4, 5), np.uint8)
    padded = np.pad(image, ((0, 0), (2, 2), (2, 2)))
    windows = [padded[:, top : top + 4, left : left + 5] for top in range(5) for left in range(5)]
    wanted = {each.tobytes() for window in windows for each in (window, window[..., ::-1])}
    found = recipes.changed(torch.from_numpy(np.repeat(image[None], 2000, axis=0))).numpy()
    assert {each.tobytes() for each in found} == wanted


@pytest.mark.parametrize("train", [recipes.in_foveate, recipes.in_pytorch])
def test_both_learn(train):
    inputs = np.zeros((640, 1, 28, 28), np.uint8)
    inputs[320:] = 200
    data = fv.Dataset(inputs, np.arange(640) // 320, ("dark", "bright"))
    graph = fv.zoo.make("lenet5", input_shape=data.shape, classes=2)
    model = fv.Model(graph, classes=data.classes, preprocessing=Preprocessing.measure(data), seed=0)
    cpu, accuracy = train(model, data, data, 1)
    assert cpu > 0
    assert accuracy == 1


def test_a_training_that_fails_is_told():
    told: list[str] = []
    with pytest.raises(BenchmarkError, match="no-net"):
        recipes.compared("no-net", 128, 1, told.append)
    assert told == ["training no-net in foveate, 128 images, epochs: 1"]
