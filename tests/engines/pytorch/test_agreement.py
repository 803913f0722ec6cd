"""What the processes of a training decide, they decide alike; here threads stand for them."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Barrier
from typing import Any

import numpy as np
import pytest
import torch

import foveate as fv
from foveate.engines.group import Group
from foveate.engines.torch import TorchEngine
from foveate.training import loop


@dataclass(frozen=True)
class Threads(Group):
    """A thread of a group whose sums go through memory."""

    numbers: list[Any] = field(default_factory=list)
    meeting: Barrier = field(default_factory=lambda: Barrier(2, timeout=60))

    def total(self, numbers: Any) -> list[float]:
        self.numbers[self.rank] = np.array(numbers, float)
        self.meeting.wait()
        found = sum(self.numbers).tolist()
        self.meeting.wait()
        return found

    def all_reduce(self, tensor: Any) -> None:
        tensor.copy_(torch.tensor(self.total(tensor.detach().numpy())))


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


def test_the_first_process_measures_what_decides_on_the_learning_rate(monkeypatch: pytest.MonkeyPatch):
    """GPUs may round alike or not: here the second one's validation gets worse and worse."""
    numbers, meeting = [None, None], Barrier(2, timeout=60)
    calls = [0, 0]

    def measured(state: Any, programs: Any, *rest: Any, **options: Any) -> Any:
        found, rank = evaluate(state, programs, *rest, **options), programs.engine.group.rank
        calls[rank] += 1
        return fv.Evaluation(found.loss + rank * calls[rank], found.measured)

    def trained(rank: int) -> tuple[fv.Model, Any]:
        graph = fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 4, 4))
        engine = TorchEngine("cpu", np.float64, group=Threads(rank, 2, numbers, meeting))
        model = fv.Model(graph, engine=engine, seed=0)
        schedule = fv.ReduceOnPlateau(0.01, patience=1)
        options = {"epochs": 6, "batch_size": 8, "progress": False, "schedule": schedule, "patience": 4}
        return model, model.fit(data(16), validation=data(16), **options)

    evaluate = loop.evaluate
    monkeypatch.setattr(loop, "evaluate", measured)
    with ThreadPoolExecutor(2) as both:
        (first, rows), (second, others) = both.map(trained, range(2))
    assert len(rows) == len(others) == 6
    for row, other in zip(rows.epochs, others.epochs, strict=True):
        assert (row.validation_loss, row.learning_rate) == (other.validation_loss, other.learning_rate)
    for name in first.state.names():
        np.testing.assert_array_equal(first.state.read(name), second.state.read(name))
