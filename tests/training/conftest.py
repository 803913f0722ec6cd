"""Tiny data and a tiny network that learns them in a blink."""

import numpy as np
import pytest

from foveate import BatchNorm2d, Conv2d, Dropout, GlobalAvgPool2d, Linear, ReLU, Sequential
from foveate.data import Dataset, Preprocessing
from foveate.files import ModelDescription
from foveate.training import Job, Programs, Recipe

RECIPE = Recipe(epochs=2, batch_size=8)


def blobs(count, seed=0):
    """Grey 6x6 images of three classes that differ in brightness."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, count)
    noise = random.normal(0, 25, (count, 1, 6, 6))
    return Dataset(
        np.clip(60 + 60 * labels[:, None, None, None] + noise, 0, 255).astype(np.uint8), labels, ("a", "b", "c")
    )


@pytest.fixture
def data():
    return blobs(26)


@pytest.fixture
def graph():
    return Sequential(
        Conv2d(4, 3, padding=1, bias=False), BatchNorm2d(), ReLU(), Dropout(0.2), GlobalAvgPool2d(), Linear(3)
    ).build((1, 6, 6))


@pytest.fixture
def make_job(data, graph):
    """A job on an engine; everything but the engine has a default."""

    def make(engine, *, graph=graph, train=data, recipe=RECIPE, preprocessing=None, **options):
        preprocessing = preprocessing or Preprocessing.measure(train)
        return Job(
            state=engine.new_state(graph, recipe.optimizer, recipe.seed),
            programs=Programs(engine, graph),
            recipe=recipe,
            train=train,
            preprocessing=preprocessing,
            description=ModelDescription(graph, train.task, preprocessing.to_json()),
            **options,
        )

    return make
