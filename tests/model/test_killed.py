"""A training killed at any instant, and resumed, ends with the same bits as one that never stopped."""

import os
import signal
import subprocess
import sys

import numpy as np
import pytest

import foveate as fv
from benchmarks.kills import small_task
from foveate.training import RunFolder

KILL = """
import os, pathlib, signal, sys
from foveate.engines import Program
from tests.model.test_killed import train

def killing(function, count):
    calls = iter(range(count))
    def called(*arguments, **options):
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)
    return called

engine, folder, instant, count = sys.argv[1:]
if instant == "step":
    Program.step = killing(Program.step, int(count))
elif instant == "fsync":
    os.fsync = killing(os.fsync, int(count))
elif instant == "rename":
    pathlib.Path.replace = killing(pathlib.Path.replace, int(count))
train(engine, folder, resume=(pathlib.Path(folder) / "checkpoint.safetensors").exists())
"""


def train(engine, folder, resume):
    """Two epochs of four steps; a checkpoint after every third step and every epoch."""
    if engine == "native":
        fv.set_threads(2)
    model, data = small_task(engine, 26)
    model.fit(
        data,
        epochs=2,
        batch_size=8,
        augmentation=fv.Augmentation(shift=1, flip=True),
        out=folder,
        progress=False,
        resume=resume,
        checkpoint_every=3,
    )


def run(engine, folder, instant="never", count=0):
    """Train in a process of its own, killed by itself just before its `count`th such call."""
    command = [sys.executable, "-c", KILL, engine, str(folder), instant, str(count)]
    # Two threads that wait by spinning would stand in each other's way on a machine that runs other tests too.
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    done = subprocess.run(command, check=False, capture_output=True, env=environment)
    assert done.returncode == (0 if instant == "never" else -signal.SIGKILL), done.stderr.decode()


def arrays(folder):
    model = fv.load(RunFolder(folder).model, engine="reference")
    return {name: model.read(name) for name in model.state.names()}


@pytest.fixture(scope="module", params=["reference", "native"])
def uninterrupted(request, tmp_path_factory):
    """An engine, and what it ends with when nothing happens."""
    folder = tmp_path_factory.mktemp(request.param)
    run(request.param, folder)
    return request.param, arrays(folder)


@pytest.mark.parametrize(("instant", "count"), [("step", 1), ("step", 7), ("fsync", 4), ("rename", 8)])
def test_killed_and_resumed(uninterrupted, tmp_path, instant, count):
    engine, expected = uninterrupted
    run(engine, tmp_path, instant, count)
    run(engine, tmp_path)
    for name, array in arrays(tmp_path).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)
