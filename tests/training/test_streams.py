"""Training on shards: the bits of training from memory, and resuming to the bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
from foveate.data.datasets import pack, shards
from foveate.training import RunFolder
from foveate.training.feed import Feed
from tests.data.shard_files import small_splits

KILL = """
import os, signal, sys
from foveate.engines import Program
from tests.training.test_streams import train

engine, place, out, count = sys.argv[1:]
original, calls = Program.step, iter(range(int(count)))
def step(*arguments, **options):
    if next(calls, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments, **options)
Program.step = step
train(engine, place, out)
"""

BUFFER = 0.02
"""Megabytes in which a quarter of the samples has room."""


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "noise"
    pack(small_splits(), folder, shard_size=0.06)
    return folder


def network():
    return fv.Sequential(
        fv.Conv2d(4, 3, padding=1, bias=False), fv.BatchNorm2d(), fv.ReLU(), fv.Dropout(0.2),
        fv.GlobalAvgPool2d(), fv.Linear(4),
    ).build((1, 6, 5))  # fmt: skip


def train(engine, place, out=None, *, buffer=BUFFER, data=None, resume=False, validation=None):
    if engine != "reference":  # their bits depend on the number of threads, and a killed process chooses its own
        fv.set_threads(2)
    model = fv.Model(network(), engine=engine)
    model.fit(
        shards(place, buffer=buffer).train if data is None else data,
        validation=validation,
        epochs=2,
        batch_size=32,
        augmentation=fv.Augmentation(shift=1, flip=True),
        out=out,
        progress=False,
        resume=resume or (out is not None and bool(RunFolder(Path(out)).checkpoints())),
        checkpoint_every=None if out is None else 3,
    )
    return {name: model.read(name) for name in model.state.names()}


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


def in_memory(data):
    return fv.Dataset(data.inputs[:], data.labels, data.classes)


def test_samples_that_fit_the_buffer_train_as_from_memory(packed, engine):
    data = shards(packed).train
    assert same(train(engine.name, packed, buffer=256), train(engine.name, packed, data=in_memory(data)))


def test_a_stream_trains_as_the_same_samples_in_the_same_order_in_memory(packed, engine):
    """The order of a stream, imposed on an array by hand."""
    stream = shards(packed, buffer=BUFFER).train

    data = in_memory(stream)
    original = Feed.batches

    def ordered(self, batch_size, *, seed=None, epoch=0, merge_single=False):
        places = original(self, batch_size, merge_single=merge_single)
        return [stream.order(seed, epoch).samples[batch] for batch in places]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Feed, "batches", ordered)
        expected = train(engine.name, packed, data=data)
    assert same(train(engine.name, packed), expected)
    assert not same(train(engine.name, packed, data=data), expected)


def test_a_stream_is_evaluated_and_validated_as_from_memory(packed):
    parts = shards(packed, buffer=0.003)
    model = fv.Model(network(), classes=parts.classes, preprocessing=parts.preprocessing)
    assert str(model.evaluate(parts.test, progress=False)) == str(model.evaluate(in_memory(parts.test), progress=False))
    streamed = model.fit(parts.train, validation=parts.validation, epochs=1, progress=False)
    again = fv.Model(network(), classes=parts.classes, preprocessing=parts.preprocessing)
    from_memory = again.fit(parts.train, validation=in_memory(parts.validation), epochs=1, progress=False)
    assert streamed.epochs[0].validation_loss == from_memory.epochs[0].validation_loss


@pytest.mark.parametrize("count", [3, 5, 8, 13])
def test_killed_at_any_step_and_resumed_it_ends_with_the_same_bits(packed, engine, tmp_path, count):
    """Nine steps in an epoch; checkpoints after steps 3, 6, 9 and so on, most of them amid a round of reading."""
    command = [sys.executable, "-c", KILL, engine.name, str(packed), str(tmp_path), str(count)]
    done = subprocess.run(command, check=False, capture_output=True, env={**os.environ, "OMP_WAIT_POLICY": "passive"})
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    resumed = train(engine.name, packed, tmp_path, resume=True)
    assert same(resumed, train(engine.name, packed))


def test_another_buffer_is_another_order_and_does_not_resume(packed, tmp_path):
    train("reference", packed, tmp_path)
    with pytest.raises(fv.TrainingError, match="buffer of samples: 20000 then, 30000 now"):
        train("reference", packed, tmp_path, buffer=0.03, resume=True)


def test_the_rate_finder_and_the_top_losses_read_shards_too(packed):
    parts = shards(packed, buffer=0.1)
    found = []
    for train, test in ((parts.train, parts.test), (in_memory(parts.train), in_memory(parts.test))):
        model = fv.Model(network(), classes=parts.classes, preprocessing=parts.preprocessing, engine="reference")
        rates = model.find_learning_rate(train, steps=20, batch_size=16, progress=False)
        top = model.top_losses(test, 4, progress=False)
        found.append((rates.losses.tolist(), [sample.index for sample in top.samples], top.inputs.tobytes()))
    assert found[0] == found[1]


def test_other_shards_do_not_resume(packed, tmp_path):
    train("reference", packed, tmp_path / "run")
    splits = small_splits()
    splits.train.inputs[0] ^= 4
    pack(splits, tmp_path / "other", shard_size=0.06)
    with pytest.raises(fv.TrainingError, match="training data: 260 samples then and now, but with other content"):
        train("reference", tmp_path / "other", tmp_path / "run", resume=True)
