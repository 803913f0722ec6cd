"""Processes that train together compute what one does on whole batches."""

import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import foveate as fv
from benchmarks.scaling import started
from foveate.data import batch_indices
from foveate.engines.group import Group
from foveate.engines.torch import TorchEngine
from foveate.engines.torch.distributed import TorchGroup
from foveate.training.sharing import Shares
from tests.engines.pytorch import distributed_worker as worker


def begun(size: int, *command: str, **options: Any) -> list[subprocess.Popen[str]]:
    """Start `python -m` of this command in `size` processes that say what they say in long lines."""
    return started(size, "-m", *command, variables={"COLUMNS": "200"}, stderr=subprocess.PIPE, **options)


def ended(processes: list[subprocess.Popen[str]]) -> list[subprocess.CompletedProcess[str]]:
    """What they said, and how they ended."""
    found = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        found.append(subprocess.CompletedProcess(process.args, process.returncode, out, err))
    return found


def together(size: int, *command: str, **options: Any) -> list[subprocess.CompletedProcess[str]]:
    """Run `python -m` of this command in `size` processes to its end."""
    return ended(begun(size, *command, **options))


def dark_and_light(folder: Path, count: int) -> None:
    """A folder of `count` dark images and as many light ones."""
    random = np.random.default_rng(0)
    for name, level in (("dark", 40), ("light", 200)):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.clip(random.normal(level, 20, (16, 16, 3)), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.mark.parametrize("way", worker.WAYS)
def test_two_processes_end_with_the_parameters_of_one(tmp_path: Path, way: str):
    """After 54 or 55 steps with dropout, weighted classes, uneven shares and synchronised batch normalisation."""
    alone = worker.ended(*worker.train(TorchEngine("cpu", np.float64), way))
    for process in together(2, "tests.engines.pytorch.distributed_worker", str(tmp_path), way):
        assert process.returncode == 0, process.stderr
    first, second = (dict(np.load(tmp_path / f"{rank}.npz")) for rank in range(2))
    assert set(first) == set(alone)
    for name, array in first.items():
        np.testing.assert_array_equal(array, second[name])
        atol = 2e-6 if name == "metrics" else 1e-9  # metrics are rounded to 6 places
        np.testing.assert_allclose(array, alone[name], rtol=0, atol=atol, err_msg=name)
    seen = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2)]
    epochs = len(alone["metrics"])
    count = worker.STEPS * worker.BATCH - 5
    whole = [
        batch.tolist()
        for epoch in range(epochs)
        for batch in batch_indices(count, worker.BATCH, seed=1, epoch=epoch, merge_single=False)
    ]
    assert [sorted(a + b) for a, b in zip(*seen, strict=True)] == [sorted(batch) for batch in whole]
    written = {path.name for path in (tmp_path / "run").iterdir()}
    assert {"model.safetensors", "history.csv"} < written


@pytest.mark.slow
def test_what_two_processes_began_one_ends(tmp_path: Path):
    """A callback of the first process stops both in the middle of an epoch; one goes on from their checkpoint."""
    for process in together(2, "tests.engines.pytorch.distributed_worker", str(tmp_path), "rich", "--stop", "12"):
        assert process.returncode == 0, process.stderr
    assert [len(json.loads((tmp_path / f"{rank}.json").read_text())) >= 21 for rank in range(2)] == [True, True]
    resumed = worker.ended(*worker.train(TorchEngine("cpu", np.float64), "rich", tmp_path / "run", resume=True))
    whole = worker.ended(*worker.train(TorchEngine("cpu", np.float64), "rich"))
    for name, array in whole.items():
        atol = 2e-6 if name == "metrics" else 1e-9
        np.testing.assert_allclose(resumed[name], array, rtol=0, atol=atol, err_msg=name)


def test_a_process_that_dies_ends_the_others(tmp_path: Path):
    """At once, in a sentence, with the checkpoint of the last epoch whole."""
    left, died = together(2, "tests.engines.pytorch.distributed_worker", str(tmp_path), "plain", "--die", "20")
    assert died.returncode == -9
    assert "process 0 of 2 cannot go on, because another one has ended" in left.stderr
    assert fv.files.read_checkpoint(tmp_path / "run" / "checkpoint.safetensors").epoch == 2


@pytest.mark.slow
def test_the_commands_first_process_alone_writes_and_speaks(tmp_path: Path):
    images = tmp_path / "images"
    dark_and_light(images, 20)
    command = ["foveate", "train", str(images), "--engine", "torch", "--device", "cpu", "--net", "lenet5", "--epochs"]
    options = ["--batch-size", "8", "--size", "32", "--out"]
    first, second = together(2, *command, "2", *options, str(tmp_path / "two"), cwd=tmp_path)
    assert first.returncode == 0, first.stderr
    assert second.returncode == 0, second.stderr
    assert "test accuracy" in first.stdout
    assert second.stdout == second.stderr == ""
    (alone,) = together(1, *command, "2", *options, str(tmp_path / "one"), cwd=tmp_path)
    assert alone.returncode == 0, alone.stderr
    one, two = (fv.load(tmp_path / run / "model.safetensors") for run in ("one", "two"))
    for name in one.state.names():
        np.testing.assert_allclose(one.state.read(name), two.state.read(name), rtol=0, atol=1e-4)


def test_the_native_engine_does_not_train_in_several_processes(tmp_path: Path):
    command = ["foveate", "train", "digits", "--engine", "native", "--out", str(tmp_path / "run")]
    for process in together(2, *command, cwd=tmp_path):
        assert process.returncode == 2
        assert "only --engine torch trains in several" in " ".join(process.stderr.split())


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ("[/a/pair.cc:537] Read error [::1]:1: Connection reset by peer. This is typically", "another one has ended"),
        ("[/a/unbound_buffer.cc:81] Timed out waiting 600000ms for recv", "the others have not come as far for 10 min"),
    ],
)
def test_a_process_that_cannot_go_on_says_why(monkeypatch, told: str, sentence: str):
    def reduce(_: Any) -> None:
        raise RuntimeError(told)

    monkeypatch.setattr(torch.distributed, "all_reduce", reduce)
    with pytest.raises(fv.EngineError, match=f"process 1 of 2 cannot go on, because {sentence}") as error:
        TorchGroup(1, 2).total([1.0])
    assert ".cc:" not in str(error.value)
    assert "typically" not in str(error.value)


@pytest.mark.parametrize("size", [1, 2, 3, 5])
def test_every_sample_is_one_processs(size: int):
    parts = [Shares(Group(rank, size)).own(np.arange(11)) for rank in range(size)]
    assert sorted(np.concatenate(parts).tolist()) == list(range(11))


def test_a_batch_too_small_to_share_is_refused():
    sentence = "the last batch of an epoch has 1 of 5 samples, too few for 2 processes to share. Use fewer processes"
    with pytest.raises(fv.TrainingError, match=sentence):
        Shares(Group(0, 2)).checked([[np.arange(4)], [np.arange(1)]])
