"""A tiny network with its arrays, for files."""

import numpy as np
import pytest

from foveate import BatchNorm2d, Conv2d, Flatten, Linear, ReLU, Sequential
from foveate.files import Checkpoint, ModelDescription
from foveate.tasks import Classification


@pytest.fixture
def description():
    net = Sequential(Conv2d(2, 3, bias=False), BatchNorm2d(), ReLU(), Flatten(), Linear(3))
    preprocessing = {"shape": [1, 4, 4], "mean": [0.5], "std": [0.25]}
    return ModelDescription(
        net.build((1, 4, 4)), Classification(("a", "b", "ç")), preprocessing, training={"epochs": 2}
    )


@pytest.fixture
def arrays(description):
    random = np.random.default_rng(0)
    graph = description.graph
    return {
        name: random.standard_normal(each.shape).astype(np.float32)
        for name, each in {**graph.parameters, **graph.statistics}.items()
    }


@pytest.fixture
def checkpoint(description, arrays):
    slots = {f"momentum/{name}": arrays[name] * 2 for name in description.graph.parameters}
    return Checkpoint(
        description=description,
        arrays={**arrays, **slots},
        slots=("momentum",),
        step_count=7,
        epoch=1,
        position=3,
        totals={"loss": 0.1 + 0.2, "samples": 3.0},
        history=[{"epoch": 1, "train_loss": 0.5}],
        configuration={"seed": 0},
    )
