"""Tiny data and a tiny network."""

import numpy as np
import pytest

from foveate import BatchNorm2d, Conv2d, Dataset, GlobalAvgPool2d, Linear, Model, ReLU, Sequential


def blobs(count, seed=0):
    """Grey 6x6 images of three classes that differ in brightness."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    noise = random.normal(0, 25, (count, 1, 6, 6))
    inputs = np.clip(60 + 60 * labels[:, None, None, None] + noise, 0, 255).astype(np.uint8)
    return Dataset(inputs, labels, ("dark", "grey", "light"))


@pytest.fixture
def data():
    return blobs(60)


@pytest.fixture
def graph():
    return Sequential(Conv2d(4, 3, padding=1), BatchNorm2d(), ReLU(), GlobalAvgPool2d(), Linear(3)).build((1, 6, 6))


@pytest.fixture
def trained(engine, graph, data):
    model = Model(graph, engine=engine)
    model.fit(data, epochs=8, batch_size=8, progress=False)
    return model
