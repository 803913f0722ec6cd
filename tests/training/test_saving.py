"""Checkpoints as training goes on: when they are written, which are kept, and what happens if one cannot be."""

import errno
import itertools
import os
from dataclasses import replace

import numpy as np
import pytest

import foveate as fv
from foveate import OneCycle
from foveate.errors import FileError, TrainingError
from foveate.files import read_checkpoint, write_checkpoint
from foveate.training import CheckpointWarning, History, Progress, Recipe, RunFolder, fit, saving
from tests.training.test_loop import Seen, assert_same

RECIPE = Recipe(epochs=2, batch_size=8, schedule=OneCycle(0.05))


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


@pytest.fixture
def full(monkeypatch):
    """A disk that is full when `full.append` has said so."""
    state, real = [], os.open

    def opened(path, flags, *arguments, **options):
        if state and flags & os.O_CREAT and str(path).endswith(".partial"):
            raise OSError(state[-1], os.strerror(state[-1]))
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", opened)
    return state


def places(folder):
    """Epoch and batch of each checkpoint, the latest first."""
    return [(each.epoch, each.position) for each in map(read_checkpoint, folder.checkpoints())]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_last_ones_are_kept(make_job, folder, truth, keep):
    fit(make_job(truth, recipe=RECIPE, folder=folder, checkpoint_every=3, keep_checkpoints=keep), Progress())
    assert places(folder) == [(2, 0), (1, 2), (1, 0)][:keep]
    names = ["checkpoint.safetensors", "checkpoint-1.safetensors", "checkpoint-2.safetensors"]
    assert [path.name for path in folder.checkpoints()] == names[:keep]


def test_fewer_are_kept_from_now_on(make_job, folder, truth):
    fit(make_job(truth, recipe=RECIPE, folder=folder, checkpoint_every=1, keep_checkpoints=4), Seen(interrupt_at=5))
    assert places(folder) == [(1, 1), (1, 1), (1, 0), (0, 3)]
    fit(make_job(truth, recipe=RECIPE, folder=folder, checkpoint_every=1, keep_checkpoints=2), Progress(), resume=True)
    assert places(folder) == [(2, 0), (1, 3)]


def test_those_of_a_run_that_is_replaced_go_with_the_first_of_the_new_one(make_job, folder, truth):
    fit(make_job(truth, recipe=RECIPE, folder=folder, checkpoint_every=1, keep_checkpoints=3), Progress())
    other = replace(RECIPE, seed=1, epochs=1)
    fit(make_job(truth, recipe=other, folder=folder, keep_checkpoints=3), Progress())
    assert places(folder) == [(1, 0)]


def test_without_hard_links_the_last_ones_are_kept_too(make_job, folder, truth, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    fit(make_job(truth, recipe=RECIPE, folder=folder, checkpoint_every=3, keep_checkpoints=2), Progress())
    assert places(folder) == [(2, 0), (1, 2)]


@pytest.mark.parametrize("damage", ["cut short", "flipped", "wrong facts"])
def test_a_damaged_one_falls_back_to_the_one_before(engine, make_job, folder, damage):
    whole = make_job(engine, recipe=RECIPE)
    fit(whole, Progress())
    options = {"recipe": RECIPE, "folder": folder, "checkpoint_every": 3, "keep_checkpoints": 2}
    fit(make_job(engine, **options), Seen(interrupt_at=7))
    assert places(folder) == [(1, 3), (1, 2)]
    content = folder.checkpoint.read_bytes()
    if damage == "cut short":
        folder.checkpoint.write_bytes(content[:-7])
    elif damage == "flipped":
        folder.checkpoint.write_bytes(content[:-7] + bytes([content[-7] ^ 1]) + content[-6:])
    else:
        write_checkpoint(folder.checkpoint, replace(read_checkpoint(folder.checkpoint), history=[{"nothing": 1}]))
    second, seen = make_job(engine, **options), Seen()
    with pytest.warns(
        CheckpointWarning,
        match=r"checkpoint\.safetensors is (damaged|cut short): .*Training goes on from an earlier one instead, "
        r'".*checkpoint-1\.safetensors"$',
    ):
        fit(second, seen, resume=True)
    assert seen.calls[0] == ("start", 2, 8, 6)
    assert_same(second, whole)
    assert places(folder) == [(2, 0), (1, 2)]


def test_after_two_damaged_ones_the_good_ones_move_down(make_job, folder, truth):
    options = {"recipe": RECIPE, "folder": folder, "checkpoint_every": 1, "keep_checkpoints": 5}
    fit(make_job(truth, **options), Seen(interrupt_at=6))
    kept = places(folder)
    for path in folder.checkpoints()[:3]:
        path.write_bytes(b"")
    with pytest.warns(CheckpointWarning, match=r"checkpoint-3\.safetensors"):
        fit(make_job(truth, **options), Seen(interrupt_at=1), resume=True)
    now = [path.name for path in folder.checkpoints()]
    assert now == ["checkpoint.safetensors", *(f"checkpoint-{age}.safetensors" for age in range(1, len(now)))]
    assert places(folder)[-2:] == kept[3:]


def test_if_all_are_damaged_it_is_told_of_the_latest(make_job, folder, truth):
    fit(make_job(truth, recipe=RECIPE, folder=folder, checkpoint_every=3, keep_checkpoints=2), Progress())
    for path in folder.checkpoints():
        path.write_bytes(b"")
    with pytest.raises(FileError, match=r"checkpoint\.safetensors is empty"):
        fit(make_job(truth, recipe=RECIPE, folder=folder), Progress(), resume=True)


def test_another_recipe_does_not_fall_back(make_job, folder, truth):
    fit(make_job(truth, recipe=RECIPE, folder=folder, checkpoint_every=3, keep_checkpoints=2), Progress())
    with pytest.raises(TrainingError, match=r"/checkpoint\.safetensors\" is from another training"):
        fit(make_job(truth, recipe=replace(RECIPE, seed=2), folder=folder), Progress(), resume=True)


def test_a_checkpoint_every_few_minutes(make_job, folder, truth, monkeypatch):
    """Of a clock that says half a minute more whenever it is asked; it is asked after each step and each writing."""
    clock, written = itertools.count(step=30), []
    real = saving.write_checkpoint
    monkeypatch.setattr(saving, "monotonic", lambda: next(clock))
    monkeypatch.setattr(saving, "write_checkpoint", lambda *a: written.append(places_of(a[1])) or real(*a))

    def places_of(checkpoint):
        return checkpoint.epoch, checkpoint.position

    fit(make_job(truth, recipe=RECIPE, folder=folder, checkpoint_minutes=1), Progress())
    assert written == [(0, 2), (1, 0), (1, 2), (2, 0)]


@pytest.mark.parametrize(("number", "words"), [(errno.ENOSPC, "No space left"), (errno.EROFS, "Read-only file system")])
def test_one_that_cannot_be_written_is_told_once_and_training_goes_on(make_job, folder, truth, full, number, words):
    whole, job = make_job(truth, recipe=RECIPE), make_job(truth, recipe=RECIPE, folder=folder, checkpoint_every=1)
    fit(whole, Progress())

    class Filling(Progress):
        count = 0

        def step(self, *_):
            self.count += 1
            if self.count == 3:
                full.append(number)
            if self.count == 7:
                full.clear()

    with pytest.warns(CheckpointWarning) as told:
        fit(job, Filling())
    assert len(told) == 1
    assert str(told[0].message) == (
        f"step 3: {folder.checkpoint} cannot be written: {os.strerror(number)}. What was there before is untouched. "
        f'"{folder.checkpoint}" is still the last one; training goes on and tries again'
    )
    assert words in str(told[0].message)
    assert_same(job, whole)
    assert places(folder) == [(2, 0)]
    assert len(History.from_csv(folder.history)) == 2


def test_the_first_one_that_cannot_be_written(make_job, folder, truth, full):
    full.append(errno.ENOSPC)
    with pytest.warns(CheckpointWarning, match="There is no checkpoint yet; training goes on and tries again$"):
        fit(make_job(truth, recipe=RECIPE, folder=folder), Progress())


def test_a_history_that_cannot_be_written_leaves_the_checkpoint(make_job, folder, truth):
    folder.history.mkdir(parents=True)
    said = f'"{folder.checkpoint}" has been written; training goes on and tries again$'
    with pytest.warns(CheckpointWarning, match=said) as told:
        fit(make_job(truth, recipe=RECIPE, folder=folder), Progress())
    assert len(told) == 1
    assert places(folder)


def test_a_model_that_cannot_be_written_is_in_memory(graph, folder, full, data, tmp_path):
    model = fv.Model(graph, engine="reference")

    class Filling(Progress):
        def step(self, *_):
            full.append(errno.ENOSPC)

    with (
        pytest.warns(CheckpointWarning),
        pytest.raises(
            FileError,
            match=r"model\.safetensors cannot be written: No space left on device\. What was there before is untouched"
            r"\. What was learnt is in the model: model\.save\(path\) writes it elsewhere$",
        ),
    ):
        model.fit(data, epochs=1, batch_size=8, out=tmp_path, progress=Filling())
    full.clear()
    model.save(tmp_path / "elsewhere.safetensors")
    again = fv.Model(graph, engine="reference")
    again.fit(data, epochs=1, batch_size=8, progress=False)
    saved = fv.load(tmp_path / "elsewhere.safetensors", engine="reference")
    for name in again.state.names():
        np.testing.assert_array_equal(saved.read(name), again.read(name))


def test_parameters_that_are_no_numbers_are_found_at_their_step(make_job, folder, engine, monkeypatch):
    """The loss of that step is still one."""
    recipe = replace(RECIPE, schedule=fv.Constant(1e-3))
    job = make_job(engine, recipe=recipe, folder=folder, checkpoint_every=1)

    class Ruining(Progress):
        def step(self, *_):
            ruined = job.state.read("linear1.bias")
            ruined[1] = np.nan if self.count == 2 else 0
            self.count += 1
            if np.isnan(ruined[1]):
                job.state.load("linear1.bias", ruined)

        count = 0

    with pytest.raises(TrainingError, match=r"linear1\.bias became NaN or infinite at step 3 of 8 .*is as it was\.$"):
        fit(job, Ruining())
    assert places(folder)[0] == (0, 2)


@pytest.mark.parametrize("name", ["reference", "native"])
def test_an_update_that_overflows_is_found_at_its_step(make_job, name):
    recipe = replace(RECIPE, schedule=fv.Constant(1e38), optimizer=fv.SGD(momentum=0.9, weight_decay=1e5))
    with pytest.raises(TrainingError, match=r"^\w+\.\w+ became NaN or infinite at step 1 of 8 \(epoch 1"):
        fit(make_job(fv.engines.get_engine(name), recipe=recipe), Progress())


def test_large_numbers_are_not_taken_for_infinite(engine, make_job):
    """Their squares overflow float32."""
    job = make_job(engine)
    job.state.load("linear1.bias", np.full(3, 1e30))
    assert len(fit(job, Progress())) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"checkpoint_minutes": 0}, "checkpoint_minutes is 0; it must be a positive number of minutes, or None"),
        ({"checkpoint_minutes": float("nan")}, "checkpoint_minutes is nan; it must be a positive number"),
        ({"checkpoint_minutes": "10"}, "checkpoint_minutes is '10'; it must be a positive number"),
        ({"keep_checkpoints": 0}, "keep_checkpoints is 0; it must be an int of at least 1"),
        ({"keep_checkpoints": True}, "keep_checkpoints is True; it must be an int of at least 1"),
    ],
)
def test_options_that_cannot_be_meant(graph, data, options, sentence):
    with pytest.raises(TrainingError, match=sentence):
        fv.Model(graph, engine="reference").fit(data, **options)
