"""The script that times streaming: a short form, and that it finds other losses and errors."""

import json
import sys

import numpy as np
import pytest

import foveate as fv
from benchmarks import shards
from benchmarks.errors import BenchmarkError
from foveate.data import Preprocessing


@pytest.fixture(autouse=True)
def _few_images(monkeypatch: pytest.MonkeyPatch):
    inputs = np.random.default_rng(0).integers(0, 256, (900, 1, 28, 28), np.uint8)
    data = fv.Dataset(inputs, np.arange(900) % 10, tuple("abcdefghij"))
    parts = fv.Splits(data, data.subset(range(50)), data.subset(range(50)), Preprocessing.measure(data), name="noise")
    monkeypatch.setattr(fv.datasets, "fashion_mnist", lambda: parts)
    monkeypatch.setattr(shards, "TURN", 0.05)


def test_a_short_form():
    told: list[str] = []
    found = shards.shards(640, 2, 0.1, "lenet5", told.append)
    assert [line.split(":")[0] for line in told] == [
        "packing 640 images of Fashion-MNIST", "round 1", "round 2", "memory", "arrays", "png",
    ]  # fmt: skip
    assert told[3].startswith("memory: 1.000 of the time from memory, 1.000 of the processor time")
    for epochs in found.values():
        assert len(epochs) == 2
        assert all(each.cpu > 0 and 0 < each.seconds < 60 and 0 <= each.waiting <= 1 for each in epochs)
        assert all(3e7 < each.bytes < 1e9 for each in epochs)
    assert json.loads(json.dumps(shards.report(found)))["png"][0]["loss"] == found["png"][0].loss


def test_other_losses_are_found(monkeypatch):
    result = "{'cpu': 1, 'waiting': 0, 'loss': time.time(), 'bytes': 1}"
    monkeypatch.setattr(shards, "TRAIN", f"import json, time\nprint('begin', flush=True)\nprint(json.dumps({result}))")
    with pytest.raises(BenchmarkError, match="training from memory twice gives different losses"):
        shards.shards(64, 2, 0.1, "lenet5", lambda line: None)


@pytest.mark.parametrize("begun", [True, False])
def test_an_error_is_told(begun):
    program = ("print('begin', flush=True)\n" if begun else "") + "raise ValueError('no data')"
    with pytest.raises(BenchmarkError, match=r"^ValueError: no data$"):
        shards.in_turns({"memory": [sys.executable, "-c", program]})


def test_a_program_that_is_stopped_does_not_count():
    """Two programs that work for half a second each, in turns: neither is charged with the other's time."""
    work = (
        "import json, time\nprint('begin', flush=True)\nsince = time.process_time()\n"
        "while time.process_time() - since < 0.3: pass\n"
        "print(json.dumps({'cpu': time.process_time(), 'waiting': 0, 'loss': 0, 'bytes': 1}))"
    )
    idle = work.replace("0.3", "0.0")
    found = shards.in_turns({"work": [sys.executable, "-c", work], "idle": [sys.executable, "-c", idle]})
    assert found["work"].seconds >= 0.25
    assert found["idle"].seconds < found["work"].seconds
