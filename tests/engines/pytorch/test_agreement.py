"""What the processes of a training decide, they decide alike; each is tried alone."""

import numpy as np
import pytest

import foveate as fv
from foveate.engines.group import Group
from foveate.engines.torch import TorchEngine


def data(count: int) -> fv.Dataset:
    return fv.Dataset(np.random.default_rng(0).standard_normal((count, 1, 4, 4)), np.arange(count) % 2, ("a", "b"))


@pytest.mark.parametrize("rank", [0, 1])
def test_shares_of_one_sample_are_refused_if_they_would_be_normalised(rank: int):
    """By every process at the start, not in mid-training by the one that has the small share."""
    graph = fv.Sequential(fv.Flatten(), fv.Linear(3), fv.BatchNorm1d(), fv.Linear(2)).build((1, 4, 4))
    model = fv.Model(graph, engine=TorchEngine("cpu", group=Group(rank, 2)))
    sentence = (
        "the last batch of an epoch has 3 of 11 samples, too few for 2 processes to share, as batch normalisation"
    )
    with pytest.raises(fv.TrainingError, match=sentence):
        model.fit(data(11), batch_size=8, progress=False)
