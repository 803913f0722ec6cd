"""What a recipe can ask for besides steps: averages, the best epoch, early stopping, accumulation, clipping."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

import foveate as fv
from foveate.data import Dataset, batch_indices
from foveate.errors import TrainingError
from foveate.files import read_checkpoint, write_checkpoint
from foveate.training import Progress, Recipe, RunFolder, evaluate, fit
from tests.training.conftest import blobs
from tests.training.test_loop import Seen, arrays, assert_same

RECIPE = Recipe(epochs=3, batch_size=8, schedule=fv.OneCycle(0.05))


@dataclass(frozen=True)
class Ruin(fv.Schedule):
    """Learns for three epochs of four steps, then much too fast."""

    def at(self, step, steps):
        return 0.05 if step < 12 else 3.0


RUIN = replace(RECIPE, epochs=6, schedule=Ruin())


class Notes(Progress):
    """Keeps what was said, and the rate of each step."""

    def __init__(self):
        self.said, self.steps = [], []

    def note(self, text):
        self.said.append(text)

    def start(self, epochs, steps, done):
        self.steps.append((epochs, steps, done))


def snapshots(job, **options):
    """The parameters and statistics after each epoch of a training that keeps the last."""
    seen = []

    class Snap(fv.Callback):
        def on_epoch(self, training):
            seen.append({name: job.state.read(name) for name in job.state.names()})

    job = replace(job, recipe=replace(job.recipe, keep_best=False), callbacks=[Snap()])
    return fit(job, Progress()), seen


def plain(job):
    return {name: array for name, array in arrays(job).items() if "/" not in name}


def assert_equal(ours, theirs):
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


# The average of the parameters


def test_the_average_is_what_is_measured_and_kept(engine, make_job):
    """Against its definition, update by update, on the parameters of the same training without it."""
    validation, decay = blobs(9, seed=1), 0.8
    job = make_job(engine, recipe=replace(RECIPE, ema=decay), validation=validation)
    history = fit(job, Progress())
    bare = make_job(engine, recipe=RECIPE, validation=validation)
    average = {name: bare.state.read(name).astype(np.float64) for name in bare.state.names()}
    measured = []

    class Follow(fv.Callback):
        def on_step(self, training):
            kept = min(decay, training.step / (9 + training.step))
            for name, array in average.items():
                average[name] = kept * array + (1 - kept) * bare.state.read(name)

        def on_epoch(self, training):
            state = engine.new_state(bare.state.graph)
            for name, array in average.items():
                state.load(name, array.astype(np.float32))
            measured.append(round(evaluate(state, bare.programs, validation, bare.preprocessing).loss, 6))

    fit(replace(bare, recipe=replace(RECIPE, keep_best=False), callbacks=[Follow()]), Progress())
    assert [row.validation_loss for row in history.epochs] == pytest.approx(measured, rel=1e-4)
    assert history.best == 3
    for name, array in average.items():
        np.testing.assert_allclose(job.state.read(name), array, rtol=2e-4, atol=1e-6, err_msg=name)


def test_a_checkpoint_has_the_average_and_the_parameters_that_are_trained(engine, make_job, tmp_path):
    folder = RunFolder(tmp_path)
    job, bare = (make_job(engine, recipe=replace(RECIPE, ema=each), folder=folder) for each in (0.9, None))
    fit(job, Progress())
    checkpoint = read_checkpoint(folder.checkpoint)
    assert checkpoint.copies == ("trained",)
    assert_equal({name: checkpoint.arrays[name] for name in job.state.names()}, plain(job))
    fit(bare, Progress())
    assert_equal({name: checkpoint.arrays[f"trained/{name}"] for name in bare.state.names()}, plain(bare))
    loaded = fv.load(folder.checkpoint, engine=engine)
    assert_equal({name: loaded.read(name) for name in loaded.state.names()}, plain(bare))


# The best epoch


@pytest.mark.parametrize("ema", [None, 0.5])
def test_the_best_epoch_in_validation_is_kept(engine, make_job, ema):
    """A rate that is far too high makes the later epochs worse."""
    recipe = replace(RUIN, ema=ema)
    validation = blobs(30, seed=1)
    job = make_job(engine, recipe=recipe, validation=validation)
    history = fit(job, Progress())
    best = max(history.epochs, key=lambda row: (row.validation_accuracy, -row.validation_loss))
    assert history.best == best.epoch < 6
    measured = evaluate(job.state, job.programs, validation, job.preprocessing)
    assert round(measured.accuracy, 6) == best.validation_accuracy
    assert round(measured.loss, 6) == best.validation_loss


def test_the_parameters_are_those_of_that_epoch_and_it_is_said(engine, make_job):
    recipe, validation = RUIN, blobs(30, seed=1)
    job = make_job(engine, recipe=recipe, validation=validation)
    history, seen = snapshots(make_job(engine, recipe=recipe, validation=validation))
    assert history.best is None
    notes = Notes()
    best = fit(job, notes).best
    assert_equal(plain(job), seen[best - 1])
    row = history.epochs[best - 1]
    assert notes.said == [
        f"the model is that of epoch {best}, the best in validation (accuracy {row.validation_accuracy:.2%})"
    ]


def test_without_validation_the_last_epoch_is_kept(engine, make_job):
    job, seen = make_job(engine, recipe=RECIPE), snapshots(make_job(engine, recipe=RECIPE))[1]
    assert fit(job, Progress()).best is None
    assert_equal(plain(job), seen[-1])


def test_a_regression_keeps_the_epoch_of_the_lowest_error(engine, make_job):
    random = np.random.default_rng(0)
    images = random.integers(0, 255, (30, 1, 6, 6), dtype=np.uint8)
    task = fv.tasks.Regression(("light",))
    data = Dataset(images, images.mean(axis=(1, 2, 3))[:, None] / 255, task=task)
    graph = fv.Sequential(fv.Conv2d(2, 3), fv.Flatten(), fv.Linear(1)).build((1, 6, 6))
    recipe = replace(RECIPE, epochs=6, schedule=fv.Constant(0.002), loss=fv.MeanSquaredError())
    job = make_job(engine, graph=graph, train=data, recipe=recipe, validation=data)
    history = fit(job, Progress())
    assert history.best == min(history.epochs, key=lambda row: row.validation_metric).epoch


# Early stopping


def test_training_stops_when_validation_gets_no_better(engine, make_job, tmp_path):
    recipe = replace(RUIN, epochs=30, patience=2)
    notes, folder, validation = Notes(), RunFolder(tmp_path), blobs(30, seed=1)
    history = fit(make_job(engine, recipe=recipe, validation=validation, folder=folder), notes)
    assert 2 < len(history) < 30
    assert history.best == len(history) - 2
    assert history.stopped == "no better in validation for 2 epochs"
    assert not history.interrupted
    assert notes.said[0] == f"stopped after epoch {len(history)} of 30: no better in validation for 2 epochs"
    job = make_job(engine, recipe=recipe, validation=validation, folder=folder)
    again = fit(job, Progress(), resume=True)
    assert (again, again.stopped, again.best) == (history, history.stopped, history.best)


# Accumulation and clipping


def test_accumulated_batches_train_as_one_large_batch(engine, make_job, data):
    """26 samples: batches of 8, 8, 8 and 2 make updates of 16 and 10."""
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.LeakyReLU(), fv.GlobalAvgPool2d(), fv.Linear(3)).build((1, 6, 6))
    whole = make_job(engine, graph=graph, recipe=replace(RECIPE, batch_size=16))
    parts = make_job(engine, graph=graph, recipe=replace(RECIPE, batch_size=8, accumulate=2))
    histories, seen = [], Seen()
    for job, progress in ((whole, Progress()), (parts, seen)):
        histories.append(fit(job, progress))
    assert seen.samples == [16, 10] * 3
    assert seen.calls[0] == ("start", 3, 6, 0)
    for name, array in plain(whole).items():
        np.testing.assert_allclose(parts.state.read(name), array, rtol=1e-4, atol=1e-6, err_msg=name)
    assert [row.train_loss for row in histories[1].epochs] == pytest.approx(
        [row.train_loss for row in histories[0].epochs], rel=1e-5
    )


@pytest.mark.parametrize(
    ("task", "loss"),
    [
        (None, fv.CrossEntropy(class_weights=(1.0, 30.0, 0.2))),
        (
            fv.tasks.Segmentation(("a", "b", "c"), ignore_index=9),
            fv.CrossEntropy(class_weights=(1.0, 30.0, 0.2), ignore_index=9),
        ),
        (fv.tasks.Segmentation(("a", "b", "c"), ignore_index=9), fv.Dice(ignore_index=9)),
    ],
)
def test_accumulated_batches_count_as_much_as_in_one_large_batch(engine, make_job, task, loss):
    """Whatever weights the classes have, and however many targets of a batch are ignored."""
    random = np.random.default_rng(0)
    inputs, labels = random.standard_normal((24, 1, 6, 6)).astype(np.float32), random.integers(0, 3, 24)
    head = [fv.GlobalAvgPool2d(), fv.Linear(3)]
    data = fv.Dataset(inputs, labels, ("a", "b", "c"))
    if task is not None:
        masks = random.integers(0, 3, (24, 6, 6))
        masks[random.random(24) < 0.4] = 9
        masks[random.random((24, 6, 6)) < 0.3] = 9
        head, data = [fv.Conv2d(3, 1)], fv.Dataset(inputs, masks, task=task)
    graph = fv.Sequential(fv.Conv2d(4, 3, padding=1), fv.LeakyReLU(), *head).build((1, 6, 6), quiet=True)
    recipe = replace(RECIPE, loss=loss, schedule=fv.Constant(0.1), epochs=2)
    whole, parts = (
        make_job(engine, graph=graph, train=data, recipe=replace(recipe, batch_size=size, accumulate=count))
        for size, count in ((12, 1), (3, 4))
    )
    losses = [[row.train_loss for row in fit(job, Progress()).epochs] for job in (whole, parts)]
    for name, array in plain(whole).items():
        np.testing.assert_allclose(parts.state.read(name), array, rtol=1e-4, atol=1e-5, err_msg=name)
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)


def test_adamws_bias_is_corrected_by_updates_not_batches(engine, make_job):
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.LeakyReLU(), fv.GlobalAvgPool2d(), fv.Linear(3)).build((1, 6, 6))
    recipe = replace(RECIPE, optimizer=fv.AdamW(), schedule=fv.Constant(0.01))
    whole = make_job(engine, graph=graph, recipe=replace(recipe, batch_size=26))
    parts = make_job(engine, graph=graph, recipe=replace(recipe, batch_size=13, accumulate=2))
    for job in (whole, parts):
        fit(job, Progress())
    for name, array in plain(whole).items():
        np.testing.assert_allclose(parts.state.read(name), array, rtol=1e-3, atol=1e-5, err_msg=name)


def test_checkpoints_and_interrupts_wait_for_the_update(engine, make_job, tmp_path):
    """Seven batches of four make four updates: the third ends 24 samples into the epoch."""
    recipe = replace(RECIPE, batch_size=4, accumulate=2)
    whole = make_job(engine, recipe=recipe)
    fit(whole, Progress())
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=recipe, folder=folder, checkpoint_every=1), Seen(interrupt_at=3))
    checkpoint = read_checkpoint(folder.checkpoint)
    assert (checkpoint.position, checkpoint.step_count) == (3, 6)
    assert checkpoint.totals["samples"] == 24
    assert len(batch_indices(26, 4, seed=0)) == 7
    second = make_job(engine, recipe=recipe, folder=folder)
    fit(second, Progress(), resume=True)
    assert_same(second, whole)


def test_a_norm_that_is_clipped_changes_training_and_is_told(engine, make_job):
    norms = []

    class Watch(fv.Callback):
        def on_step(self, training):
            norms.append(training.norm)

    job, bare = make_job(engine, recipe=replace(RECIPE, clip_norm=0.1), callbacks=[Watch()]), make_job(engine)
    fit(job, Progress())
    assert len(norms) == 12
    assert min(norms) > 0
    fit(replace(bare, recipe=replace(RECIPE, clip_norm=1e9)), Progress())
    plainly = make_job(engine, recipe=RECIPE)
    fit(plainly, Progress())
    assert_equal(plain(plainly), plain(bare))
    assert not np.array_equal(plain(job)["linear1.weight"], plain(bare)["linear1.weight"])


# Going on for longer


def test_a_finished_run_goes_on_to_more_epochs(engine, make_job, tmp_path):
    """Epochs 3 and 4 are trained at the rates of a training of four epochs."""
    folder, notes, validation = RunFolder(tmp_path), Notes(), blobs(9, seed=1)
    short, long = (replace(RECIPE, epochs=count) for count in (2, 4))
    first = fit(make_job(engine, recipe=short, folder=folder, validation=validation), Progress())
    job = make_job(engine, recipe=long, folder=folder, validation=validation, extend=True)
    history = fit(job, notes, resume=True)
    assert notes.steps == [(4, 16, 8)]
    rate = long.schedule.at(8, 16)[0]
    assert notes.said[0] == (
        "extended from 2 to 4 epochs: the schedule is stretched over all of them, so the learning rate goes on at "
        f"{rate:.3g}"
    )
    assert history.epochs[:2] == first.epochs
    assert [row.learning_rate for row in history.epochs[2:]] == [long.schedule.at(step, 16)[0] for step in (11, 15)]
    again = make_job(engine, recipe=long, folder=folder, validation=validation)
    assert len(fit(again, Progress(), resume=True)) == 4
    assert_same(again, job)


@pytest.mark.parametrize(("epochs", "extend"), [(4, False), (1, True)])
def test_a_run_goes_on_only_if_asked_and_only_for_longer(engine, make_job, tmp_path, epochs, extend):
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=replace(RECIPE, epochs=2), folder=folder), Progress())
    job = make_job(engine, recipe=replace(RECIPE, epochs=epochs), folder=folder, extend=extend)
    with pytest.raises(TrainingError, match=rf"epochs: 2 then, {epochs} now"):
        fit(job, Progress(), resume=True)


# Options and old checkpoints


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ({"accumulate": 0}, "accumulate is 0; it must be an int of at least 1$"),
        ({"accumulate": True}, "accumulate is True; it must be an int of at least 1$"),
        ({"patience": 0}, "patience is 0; it must be an int of at least 1, or None$"),
        ({"clip_norm": 0.0}, r"clip_norm is 0.0; it must be positive and finite \(1.0 is usual\), or None$"),
        ({"ema": 1.0}, r"ema is 1.0; it must be above 0 and below 1 \(0.999 is usual\), or None$"),
        ({"keep_best": None}, "keep_best is None; it must be True or False$"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(option, sentence):
    with pytest.raises(TrainingError, match=f"^{sentence}"):
        Recipe(**option)


def test_settings_are_recorded_only_if_they_are_used():
    """Checkpoints of earlier versions, which know none of them, go on."""
    unused = {"clip_norm", "accumulate", "ema", "patience", "keep_best"}
    assert unused.isdisjoint(Recipe().to_json())
    used = {"clip_norm": 1.0, "accumulate": 2, "ema": 0.9, "patience": 3, "keep_best": False}
    assert used.items() <= Recipe(**used).to_json().items()


def test_a_checkpoint_without_the_best_epoch_goes_on_and_keeps_the_last(engine, make_job, tmp_path):
    """As those of earlier versions are."""
    recipe, validation = RUIN, blobs(30, seed=1)
    folder = RunFolder(tmp_path)
    best = fit(make_job(engine, recipe=recipe, validation=validation, folder=folder), Progress()).best
    assert best < 6
    checkpoint = read_checkpoint(folder.checkpoint)
    kept = {name: array for name, array in checkpoint.arrays.items() if not name.startswith("best/")}
    write_checkpoint(folder.checkpoint, replace(checkpoint, arrays=kept, copies=()))
    notes, job = Notes(), make_job(engine, recipe=recipe, validation=validation, folder=folder)
    assert fit(job, notes, resume=True).best is None
    assert notes.said == [
        f"{folder.checkpoint} lacks the parameters of the best epoch, so those of the last one are kept"
    ]
    assert_equal(plain(job), {name: kept[name] for name in job.state.names()})
