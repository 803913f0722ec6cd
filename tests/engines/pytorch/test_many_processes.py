"""Two and four processes in both precisions, killed and resumed, signalled through torchrun, and on shards."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

import foveate as fv
from foveate.data import Preprocessing, batch_indices
from foveate.engines.torch import TorchEngine
from foveate.files import read_checkpoint
from tests.engines.pytorch import distributed_worker as worker
from tests.engines.pytorch.test_distributed import begun, dark_and_light, ended, together

WORKER = "tests.engines.pytorch.distributed_worker"

pytestmark = pytest.mark.slow


def arrays_of(folder: Path, size: int) -> dict[str, Any]:
    """What all processes ended with, the same bits in each."""
    first, *others = (dict(np.load(folder / f"{rank}.npz")) for rank in range(size))
    for other in others:
        for name, array in first.items():
            np.testing.assert_array_equal(array, other[name], err_msg=name)
    return first


def trained(size: int, folder: Path, *options: str) -> dict[str, Any]:
    for process in together(size, WORKER, str(folder), *options):
        assert process.returncode == 0, process.stderr
    return arrays_of(folder, size)


def check_close(found: dict[str, Any], expected: dict[str, Any], atol: float) -> None:
    assert set(found) == set(expected)
    for name, array in expected.items():
        rounded = max(atol, 2e-6) if name == "metrics" else atol  # metrics are rounded to 6 places
        np.testing.assert_allclose(found[name], array, rtol=0, atol=rounded, err_msg=name)


@pytest.mark.parametrize(("dtype", "atol"), [("float64", 1e-9), ("float32", 1e-4)])
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("way", ["plain", "unnormalised"])
def test_many_processes_end_with_the_parameters_of_one(tmp_path: Path, way: str, size: int, dtype: str, atol: float):
    """After 54 steps; and in each step they have seen exactly the samples of one process."""
    found = trained(size, tmp_path, way, "--dtype", dtype)
    check_close(found, worker.ended(*worker.train(TorchEngine("cpu", np.dtype(dtype).type), way)), atol)
    seen = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(size)]
    count = worker.STEPS * worker.BATCH - 5
    whole = [
        batch.tolist()
        for epoch in range(worker.EPOCHS)
        for batch in batch_indices(count, worker.BATCH, seed=1, epoch=epoch, merge_single=False)
    ]
    assert len(whole) == 54
    assert [sorted(chain(*parts)) for parts in zip(*seen, strict=True)] == [sorted(batch) for batch in whole]


def test_without_synchronisation_each_share_is_normalised_apart(tmp_path: Path):
    """Running statistics are the mean of those that PyTorch measures on the shares of the first batch."""
    found = trained(2, tmp_path, "plain", "--apart", "--stop", "1")
    data = worker.data(worker.STEPS * worker.BATCH - 5, 0)
    weight = fv.Model(worker.network(), seed=1, engine=TorchEngine("cpu", np.float64)).state.read("conv1.weight")
    batch = next(iter(batch_indices(len(data), worker.BATCH, seed=1, epoch=0, merge_single=False)))
    variances = []
    for share in (batch[::2], batch[1::2]):
        inputs = torch.from_numpy(Preprocessing.measure(data).apply(data.inputs[share]))
        variances.append(functional.conv2d(inputs.double(), torch.from_numpy(weight), padding=1).var((0, 2, 3)).numpy())
    assert not np.allclose(*variances, rtol=1e-3)
    np.testing.assert_allclose(found["bn1.running_var"], 0.9 + 0.1 * np.mean(variances, axis=0), rtol=0, atol=1e-9)


@pytest.mark.parametrize(("first", "then"), [(1, 2), (2, 4), (4, 1)])
def test_what_some_processes_began_others_end(tmp_path: Path, first: int, then: int):
    trained(first, tmp_path, "plain", "--stop", "20")
    found = trained(then, tmp_path, "plain")
    check_close(found, worker.ended(*worker.train(TorchEngine("cpu", np.float64), "plain")), 1e-9)


def test_killed_at_ten_random_moments_they_end_with_the_same_bits(tmp_path: Path):
    """Either process; the other one ends with a sentence within 30 seconds, and the checkpoint is always whole."""
    whole = tmp_path / "whole"
    whole.mkdir()
    processes = begun(2, WORKER, str(whole), "rich")
    assert processes[0].stdout is not None
    processes[0].stdout.readline()
    began = time.monotonic()
    assert all(process.returncode == 0 for process in ended(processes))
    seconds = time.monotonic() - began
    expected = arrays_of(whole, 2)
    random = np.random.default_rng(0)
    ends = 0
    for number in range(10):
        folder = tmp_path / str(number)
        folder.mkdir()
        processes = begun(2, WORKER, str(folder), "rich")
        victim = int(random.integers(2))
        assert processes[victim].stdout is not None
        processes[victim].stdout.readline()
        time.sleep(random.uniform(0, 0.6 * seconds))
        processes[victim].kill()
        killed = time.monotonic()
        found = ended(processes)
        assert time.monotonic() - killed < 30
        other = found[1 - victim]
        if other.returncode:  # else it had taken its last step with the one that was killed
            ends += 1
            assert f"process {1 - victim} of 2 cannot go on, because another one has ended" in other.stderr
        if (folder / "run" / "checkpoint.safetensors").exists():
            read_checkpoint(folder / "run" / "checkpoint.safetensors")
        for name, array in trained(2, folder, "rich").items():
            np.testing.assert_array_equal(array, expected[name], err_msg=name)
    assert ends


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """Sixty dark and sixty light images."""
    dark_and_light(tmp_path / "images", 60)
    return tmp_path / "images"


@pytest.mark.parametrize(
    ("number", "sentence"), [(signal.SIGINT, "interrupted in epoch"), (signal.SIGTERM, "ended by SIGTERM")]
)
def test_a_signal_to_torchrun_saves_the_training(tmp_path: Path, images: Path, number: int, sentence: str):
    """The first process says once what was saved; the same command with --resume goes on."""
    train = ["foveate", "train", str(images), "--engine", "torch", "--device", "cpu", "--net", "lenet5", "--size", "32"]
    train += ["--batch-size", "16", "--out", "run", "--epochs", "100000"]
    done = 0
    for more in ([], ["--resume"]):
        process = subprocess.Popen(
            [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "-m", *train, *more],
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "300"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 100
        while len(epochs_in(tmp_path / "run")) <= done and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        _, told = process.communicate(timeout=60)
        assert process.returncode != 0
        assert told.count(sentence) == 1, told
        assert "with --resume continues" in told
        found = epochs_in(tmp_path / "run")
        assert found == list(range(1, len(found) + 1))
        assert read_checkpoint(tmp_path / "run/checkpoint.safetensors").epoch == len(found) > done
        done = len(found)


def epochs_in(run: Path) -> list[int]:
    """The epochs that a run has written down."""
    path = run / "history.csv"
    return [int(row.split(",")[0]) for row in path.read_text().splitlines()[1:]] if path.exists() else []


def test_processes_train_from_shards_as_one_does(tmp_path: Path, images: Path):
    packed = subprocess.run(
        [sys.executable, "-m", "foveate", "data", "pack", str(images), str(tmp_path / "shards")],
        check=False,
        capture_output=True,
        text=True,
    )
    assert packed.returncode == 0, packed.stderr
    command = ["foveate", "train", str(tmp_path / "shards"), "--engine", "torch", "--device", "cpu", "--net", "lenet5"]
    command += ["--epochs", "3", "--batch-size", "8", "--size", "32", "--out"]
    for size in (1, 2, 4):
        for process in together(size, *command, str(tmp_path / str(size)), cwd=tmp_path):
            assert process.returncode == 0, process.stderr
    one, *others = (fv.load(tmp_path / str(size) / "model.safetensors") for size in (1, 2, 4))
    for other in others:
        for name in one.state.names():
            np.testing.assert_allclose(other.state.read(name), one.state.read(name), rtol=0, atol=1e-4, err_msg=name)


def test_processes_look_for_a_learning_rate_together(tmp_path: Path, images: Path):
    command = ["foveate", "train", str(images), "--engine", "torch", "--device", "cpu", "--net", "lenet5"]
    command += ["--size", "32", "--epochs", "1", "--batch-size", "8", "--find-learning-rate", "--out"]
    rates = []
    for size in (1, 2):
        first, *others = together(size, *command, str(tmp_path / str(size)), cwd=tmp_path)
        assert [each.returncode for each in (first, *others)] == [0] * size, first.stderr
        rates.append(next(line for line in first.stdout.splitlines() if "found by trying" in line).split(":")[0])
    assert rates[0] == rates[1]
