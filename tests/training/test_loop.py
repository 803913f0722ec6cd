"""The loop: what it computes, what it writes, and how it ends."""

import itertools
import re
import signal
import time
from dataclasses import replace

import numpy as np
import pytest

from foveate import (
    SGD,
    AdamW,
    BatchNorm1d,
    Concatenate,
    Constant,
    Conv2d,
    CrossEntropy,
    EngineError,
    FileError,
    Flatten,
    GraphBuilder,
    Linear,
    OneCycle,
    Sequential,
)
from foveate.data import Augmentation, Dataset, Preprocessing, batch_indices
from foveate.engines import StepResult
from foveate.errors import TrainingError
from foveate.files import read_checkpoint, write_checkpoint
from foveate.training import History, Progress, Recipe, RunFolder, evaluate, fit, loop, saving
from foveate.training.resuming import check_same
from tests.training.conftest import blobs

RECIPE = Recipe(epochs=2, batch_size=8, schedule=OneCycle(0.05), augmentation=Augmentation(shift=1, flip=True))


class Seen(Progress):
    """Keeps what it was told, and interrupts at a step."""

    def __init__(self, interrupt_at=None):
        self.calls, self.samples, self.interrupt_at = [], [], interrupt_at
        self.means, self.losses = [], []

    def start(self, epochs, steps, done):
        self.calls.append(("start", epochs, steps, done))

    def step(self, epoch, samples, loss, accuracy, step_loss):
        self.samples.append(samples)
        self.means.append((epoch, loss))
        self.losses.append(step_loss)
        if len(self.samples) == self.interrupt_at:
            signal.raise_signal(signal.SIGINT)

    def epoch(self, row):
        self.calls.append(("epoch", row.epoch))


def arrays(job):
    return {name: job.state.read(name) for name in job.state.names(slots=True)}


def assert_same(job, other):
    ours, theirs = arrays(job), arrays(other)
    for name, array in ours.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)
    assert job.state.step_count == other.state.step_count


def test_it_computes_what_the_definition_says(engine, make_job):
    job, plain = make_job(engine, recipe=RECIPE), make_job(engine, recipe=RECIPE)
    fit(job, Progress())
    step, steps = 0, 2 * 4
    for epoch in range(2):
        for indices in batch_indices(26, 8, seed=0, epoch=epoch):
            inputs = RECIPE.augmentation.apply(plain.train.inputs[indices], indices, 0, epoch)
            program = engine.compile(
                plain.state.graph, batch_size=len(indices), mode="training", loss=CrossEntropy(), optimizer=SGD()
            )
            rate, momentum = RECIPE.schedule.at(step, steps)
            program.step(
                plain.state,
                plain.preprocessing.apply(inputs),
                plain.train.labels[indices],
                learning_rate=rate,
                momentum=momentum,
            )
            step += 1
    assert_same(job, plain)


@pytest.mark.parametrize("optimizer", [SGD(), AdamW()])
def test_the_same_seed_gives_the_same_bits_and_another_seed_others(engine, make_job, optimizer):
    recipe = replace(RECIPE, optimizer=optimizer)
    first, second, other = (make_job(engine, recipe=each) for each in (recipe, recipe, replace(recipe, seed=1)))
    for job in (first, second, other):
        fit(job, Progress())
    assert_same(first, second)
    assert not np.array_equal(first.state.read("linear1.weight"), other.state.read("linear1.weight"))


def test_it_learns(engine, make_job):
    train = blobs(120)
    job = make_job(engine, train=train, recipe=replace(RECIPE, epochs=12), validation=blobs(30, seed=1))
    history = fit(job, Progress())
    assert history.epochs[-1].validation_accuracy > 0.9
    assert history.epochs[-1].train_loss < history.epochs[0].train_loss


def test_history_has_a_row_for_each_epoch(engine, make_job, monkeypatch):
    clock = itertools.count(step=0.5)
    monkeypatch.setattr(loop, "perf_counter", lambda: next(clock))
    validation = blobs(9, seed=1)
    job = make_job(engine, validation=validation, recipe=RECIPE)
    history = fit(job, Progress())
    assert [row.epoch for row in history.epochs] == [1, 2]
    assert not history.interrupted
    last = history.epochs[-1]
    measured = evaluate(job.state, job.programs, validation, job.preprocessing)
    assert last.validation_loss == round(measured.loss, 6)
    assert last.validation_accuracy == round(measured.accuracy, 6)
    assert last.learning_rate == RECIPE.schedule.at(7, 8)[0]
    assert (last.seconds, last.images_per_second) == (2.0, 13.0)  # four batches, half a second each


@pytest.mark.parametrize(("delay", "least", "most"), [(0.2, 0.4, 1.0), (0.0, 0.0, 0.6)])
def test_the_time_that_the_engine_waits_for_data_is_measured(engine, make_job, monkeypatch, delay, least, most):
    def slow(self, raw, *_):
        time.sleep(delay)
        return raw

    def step(self, *_, **__):
        time.sleep(0.05)
        return StepResult(0.5, 1.0, 1.0)

    monkeypatch.setattr(Augmentation, "apply", slow)
    job = make_job(engine, recipe=replace(RECIPE, epochs=1))
    monkeypatch.setattr(
        type(job.programs.get(batch_size=8, mode="training", loss=CrossEntropy(), optimizer=SGD())), "step", step
    )
    (row,) = fit(job, Progress()).epochs
    assert least <= row.waiting <= most
    assert str(row).endswith(f"waiting for data: {row.waiting:.0%}") == (row.waiting >= 0.05)


def test_training_figures_are_means_over_the_samples_of_the_epoch(engine, make_job):
    """With a rate too small to change anything, the epoch's means are those of an evaluation."""
    net = Sequential(Flatten(), Linear(3)).build((1, 6, 6))
    job = make_job(engine, graph=net, recipe=Recipe(epochs=1, batch_size=8, schedule=Constant(1e-30)))
    row = fit(job, Progress()).epochs[0]
    measured = evaluate(job.state, job.programs, job.train, job.preprocessing)
    assert row.train_loss == pytest.approx(measured.loss, abs=2e-6)
    assert row.train_accuracy == round(measured.accuracy, 6)
    assert (row.validation_loss, row.validation_accuracy) == (None, None)


def test_validation_is_measured_with_the_trainings_loss(engine, make_job):
    recipe = replace(RECIPE, loss=CrossEntropy(0.2))
    job = make_job(engine, recipe=recipe, validation=blobs(9, seed=1))
    row = fit(job, Progress()).epochs[-1]
    measured = evaluate(job.state, job.programs, job.validation, job.preprocessing, loss=CrossEntropy(0.2))
    assert row.validation_loss == round(measured.loss, 6)


def test_progress_sees_every_batch_and_the_smaller_last_one(engine, make_job):
    seen = Seen()
    fit(make_job(engine, recipe=RECIPE), seen)
    assert seen.calls == [("start", 2, 8, 0), ("epoch", 1), ("epoch", 2)]
    assert seen.samples == [8, 8, 8, 2] * 2


def starving():
    """A network whose batch normalisation sees one value for each channel and sample."""
    return Sequential(Flatten(), Linear(4), BatchNorm1d(), Linear(3)).build((1, 6, 6))


def test_progress_hears_the_loss_of_each_step_and_the_mean_of_the_epoch(engine, make_job):
    seen = Seen()
    fit(make_job(engine), seen)
    for epoch in {epoch for epoch, _ in seen.means}:
        steps = [step for step, (each, _) in enumerate(seen.means) if each == epoch]
        mean = np.average([seen.losses[step] for step in steps], weights=[seen.samples[step] for step in steps])
        assert seen.means[steps[-1]][1] == pytest.approx(mean)
    assert len(set(seen.losses)) > 1


def test_a_last_sample_that_would_starve_normalisation_joins_the_batch_before(engine, make_job):
    seen = Seen()
    fit(make_job(engine, graph=starving(), train=blobs(9), recipe=Recipe(epochs=1, batch_size=4)), seen)
    assert seen.samples == [4, 5]


def test_a_last_sample_that_starves_nothing_stays_alone(engine, make_job):
    seen = Seen()
    fit(make_job(engine, train=blobs(9), recipe=Recipe(epochs=1, batch_size=4)), seen)
    assert seen.samples == [4, 4, 1]


def test_a_single_sample_is_an_error_that_says_why(engine, make_job):
    with pytest.raises(EngineError, match="would see a single value for each channel"):
        fit(make_job(engine, graph=starving(), train=blobs(1)), Progress())


def test_divergence_says_where_and_what_to_try(engine, make_job, tmp_path):
    folder = RunFolder(tmp_path)
    recipe = replace(RECIPE, schedule=Constant(1e20), optimizer=SGD(weight_decay=0.1), epochs=3)
    with pytest.raises(
        TrainingError,
        match=r"^(the loss|\w+\.\w+) became (nan|inf|NaN or infinite) at step \d of 12 \(epoch [123], learning rate "
        r"1e\+20\)(; .+ is the first layer whose output is NaN or infinite)?: the learning rate is too high\. Try a "
        r"learning rate of 0\.1, ",
    ):
        fit(make_job(engine, recipe=recipe, folder=folder), Progress())


def test_the_step_that_goes_wrong_names_the_layer_and_is_not_learnt(engine, make_job):
    job = make_job(engine)
    name = next(iter(job.state.graph.parameters))
    job.state.load(name, np.full_like(job.state.read(name), np.nan))
    first = next(node for node in job.state.graph.nodes if name.startswith(f"{node.parameters}."))
    before = {each: job.state.read(each) for each in job.state.names(slots=True)}
    sentence = (
        rf"the loss became nan at step 1 of \d+ .+; {re.escape(str(first))} is the first layer whose output is NaN"
    )
    with pytest.raises(TrainingError, match=sentence):
        fit(job, Progress())
    assert all(np.array_equal(array, job.state.read(each), equal_nan=True) for each, array in before.items())


def test_a_loss_that_becomes_infinite_is_not_learnt_either(engine, make_job):
    job = make_job(engine)
    job.state.load("linear1.bias", [-np.inf] * 2 + [0])
    last = job.state.graph.nodes[-1]
    before = {each: job.state.read(each) for each in job.state.names(slots=True)}
    sentence = rf"the loss became inf at step 1 of \d+ .+; {re.escape(str(last))} is the first layer whose output is"
    with pytest.raises(TrainingError, match=sentence):
        fit(job, Progress())
    assert all(np.array_equal(array, job.state.read(each)) for each, array in before.items())


def test_divergence_leaves_the_last_checkpoint(engine, make_job, tmp_path):
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=RECIPE, folder=folder), Progress())
    before = folder.checkpoint.read_bytes()
    recipe = replace(RECIPE, schedule=Constant(1e30), optimizer=SGD(weight_decay=0.1))
    with pytest.raises(TrainingError, match=r"checkpoint\.safetensors is as it was\.$"):
        fit(make_job(engine, recipe=recipe, folder=folder), Progress())
    assert folder.checkpoint.read_bytes() == before


def test_a_last_step_that_ruins_the_parameters_is_found(engine, make_job):
    recipe = Recipe(epochs=1, batch_size=26, schedule=Constant(1e38), optimizer=SGD(momentum=0.9, weight_decay=1e5))
    with pytest.raises(TrainingError, match=r"^\w+\.\w+ became NaN or infinite at step 1 of 1 \(epoch 1"):
        fit(make_job(engine, recipe=recipe), Progress())


def test_a_validation_loss_that_is_no_number_is_found(engine, make_job, monkeypatch):
    real = loop.evaluate
    monkeypatch.setattr(loop, "evaluate", lambda *a, **k: replace(real(*a, **k), loss=float("inf")))
    with pytest.raises(TrainingError, match=r"^the validation loss became inf at step 4 of 8"):
        fit(make_job(engine, recipe=RECIPE, validation=blobs(5)), Progress())


@pytest.mark.parametrize("step", [1, 3, 4, 5, 7])
def test_interrupted_and_resumed_it_ends_with_the_same_bits(engine, make_job, tmp_path, step):
    folder = RunFolder(tmp_path)
    whole = make_job(engine, recipe=RECIPE)
    expected = fit(whole, Progress())
    first = make_job(engine, recipe=RECIPE, folder=folder)
    history = fit(first, Seen(interrupt_at=step))
    assert history.interrupted
    assert len(history) == step // 4
    assert History.from_csv(folder.history).epochs == history.epochs
    second = make_job(engine, recipe=RECIPE, folder=folder)
    seen = Seen()
    resumed = fit(second, seen, resume=True)
    assert seen.calls[0] == ("start", 2, 8, step)
    assert len(seen.samples) == 8 - step
    assert_same(second, whole)
    assert not resumed.interrupted
    for row, wanted in zip(resumed.epochs, expected.epochs, strict=True):
        assert (row.train_loss, row.train_accuracy) == (wanted.train_loss, wanted.train_accuracy)


def test_an_interrupt_at_the_very_end_changes_nothing(engine, make_job):
    history = fit(make_job(engine, recipe=RECIPE), Seen(interrupt_at=8))
    assert not history.interrupted
    assert len(history) == 2


def test_a_finished_training_resumed_is_what_it_was(engine, make_job, tmp_path):
    folder = RunFolder(tmp_path)
    first, second = (make_job(engine, recipe=RECIPE, folder=folder) for _ in range(2))
    history = fit(first, Progress())
    assert fit(second, Progress(), resume=True) == history
    assert_same(first, second)


def test_nothing_to_resume_from_is_told(engine, make_job, tmp_path):
    folder = RunFolder(tmp_path / "new")
    with pytest.raises(TrainingError, match=r'new" does not exist, so there is nothing to resume'):
        fit(make_job(engine, recipe=RECIPE, folder=folder), Progress(), resume=True)


@pytest.mark.parametrize(
    ("every", "expected"),
    [(3, [(0, 3), (1, 0), (1, 2), (2, 0)]), (4, [(1, 0), (2, 0)]), (None, [(1, 0), (2, 0)])],
)
def test_checkpoints_between_epochs(engine, make_job, tmp_path, monkeypatch, every, expected):
    written = []
    real = saving.write_checkpoint
    monkeypatch.setattr(
        saving, "write_checkpoint", lambda p, c, b: written.append((c.epoch, c.position)) or real(p, c, b)
    )
    fit(make_job(engine, recipe=RECIPE, folder=RunFolder(tmp_path), checkpoint_every=every), Progress())
    assert written == expected


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"epochs": 3}, r"epochs: 2 then, 3 now"),
        ({"batch_size": 4}, r"batch size: 8 then, 4 now"),
        ({"seed": 5}, r"seed: 0 then, 5 now"),
        ({"optimizer": AdamW()}, r"optimizer: SGD\(.*\) then, AdamW\(.*\) now"),
        ({"optimizer": SGD(momentum=0.5)}, r"optimizer, momentum: 0.9 then, 0.5 now"),
        (
            {"schedule": Constant(0.1)},
            r"schedule: OneCycle\(learning_rate=0.05, .* then, Constant\(learning_rate=0.1\) now",
        ),
        ({"schedule": OneCycle(0.07)}, "schedule, learning_rate: 0.05 then, 0.07 now"),
        ({"augmentation": Augmentation(shift=1)}, "augmentation, flip: True then, False now"),
        ({"loss": CrossEntropy(0.1)}, "loss, label_smoothing: 0 then, 0.1 now"),
        ({"learning_rate_factors": {"conv1": 0.1}}, r"learning rate factors: none then, conv1, 0.1 now"),
    ],
)
def test_another_recipe_cannot_go_on(engine, make_job, tmp_path, change, match):
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=RECIPE, folder=folder), Progress())
    with pytest.raises(TrainingError, match=f"is from another training, .*: {match}. Use the same"):
        fit(make_job(engine, recipe=replace(RECIPE, **change), folder=folder), Progress(), resume=True)


def test_what_was_slow_or_frozen_must_be_named_again_to_go_on(engine, make_job, tmp_path):
    """Nothing may learn at full rate from the middle on because a word was forgotten."""
    slow = replace(RECIPE, learning_rate_factors={"conv1": 0.1, "conv*": 0.2})
    for recipe, frozen, name in ((slow, frozenset(), "slow"), (RECIPE, frozenset({"conv1.weight"}), "frozen")):
        folder = RunFolder(tmp_path / name)
        fit(make_job(engine, recipe=recipe, folder=folder, frozen=frozen), Progress())
        assert len(fit(make_job(engine, recipe=recipe, folder=folder, frozen=frozen), Progress(), resume=True)) == 2
        with pytest.raises(
            TrainingError, match=r": (learning rate factors|frozen parameters): conv1.* then, none now\."
        ):
            fit(make_job(engine, recipe=RECIPE, folder=folder), Progress(), resume=True)
    turned = replace(slow, learning_rate_factors={"conv*": 0.2, "conv1": 0.1})
    with pytest.raises(
        TrainingError, match=r"learning rate factors: conv1, 0.1, conv\*, 0.2 then, conv\*, 0.2, conv1, 0.1 now"
    ):
        fit(make_job(engine, recipe=turned, folder=RunFolder(tmp_path / "slow")), Progress(), resume=True)


@pytest.mark.parametrize("optimizer", [SGD(), AdamW()])
def test_rates_of_their_own_go_on_to_the_same_bits(engine, make_job, tmp_path, optimizer):
    recipe = replace(RECIPE, optimizer=optimizer, learning_rate_factors={"conv1": 0.1, "linear1.bias": 3})
    whole, plain = make_job(engine, recipe=recipe), make_job(engine, recipe=replace(RECIPE, optimizer=optimizer))
    for job in (whole, plain):
        fit(job, Progress())
    assert not np.array_equal(whole.state.read("conv1.weight"), plain.state.read("conv1.weight"))
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=recipe, folder=folder), Seen(interrupt_at=5))
    second = make_job(engine, recipe=recipe, folder=folder)
    fit(second, Progress(), resume=True)
    assert_same(second, whole)


def test_other_data_cannot_go_on(engine, make_job, tmp_path, data):
    folder, other = RunFolder(tmp_path), blobs(26, seed=3)
    swapped = Dataset(data.inputs, data.labels, ("b", "a", "c"))
    renamed = Dataset(data.inputs, data.labels, ("a", "b", "d"))
    fit(make_job(engine, recipe=RECIPE, folder=folder, validation=blobs(9)), Progress())
    plain = Preprocessing((1, 6, 6), (0.5,), (0.25,))
    for options, sentence in (
        ({"train": blobs(30)}, "training data: 26 samples then, 30 samples now"),
        ({"train": other}, "training data: 26 samples then and now, but with other content"),
        ({"validation": blobs(8)}, "validation data: 9 samples then, 8 samples now"),
        ({"validation": blobs(9, seed=4)}, "validation data: 9 samples then and now, but with other content"),
        ({"validation": None}, "validation data: 9 samples then, none now"),
        ({"train": swapped}, "class names: a, b, c then, b, a, c now"),
        ({"train": renamed}, r"class names: c then, d now \(the others are the same\)"),
        ({"preprocessing": plain}, r"preprocessing: .*mean.* then, .* now|preprocessing, mean: .* then, 0\.5 now"),
    ):
        job = make_job(engine, recipe=RECIPE, folder=folder, **{"validation": blobs(9), **options})
        with pytest.raises(TrainingError, match=f"is from another training[^$]*{sentence}"):
            fit(job, Progress(), resume=True)


def test_another_network_cannot_go_on(engine, make_job, tmp_path):
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=RECIPE, folder=folder), Progress())
    with pytest.raises(TrainingError) as caught:
        fit(make_job(engine, recipe=RECIPE, folder=folder, graph=starving()), Progress(), resume=True)
    assert "\n  layer conv1: Conv2d 3x3, padding 1 then, none now\n" in str(caught.value)
    assert "\n  layer flatten1: none then, Flatten now\n" in str(caught.value)
    assert "\n  layer linear1, Linear: out_features 3 then, 4 now\n" in str(caught.value)


def test_all_differences_are_listed(engine, make_job, tmp_path):
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=RECIPE, folder=folder), Progress())
    other, plain = replace(RECIPE, epochs=3, batch_size=4, seed=1), Preprocessing((1, 6, 6), (0.5,), (0.25,))
    job = make_job(engine, recipe=other, folder=folder, train=blobs(30), preprocessing=plain)
    with pytest.raises(TrainingError) as caught:
        fit(job, Progress(), resume=True)
    assert str(caught.value).splitlines() == [
        f'"{folder.checkpoint}" is from another training, so this one cannot resume from it:',
        "  training data: 26 samples then, 30 samples now",
        "  epochs: 2 then, 3 now",
        "  batch size: 8 then, 4 now",
        "  seed: 0 then, 1 now",
        "  preprocessing, mean: 0.475 then, 0.5 now",
        "  preprocessing, std: 0.2151 then, 0.25 now",
        "Use the same, or start anew with overwrite=True or another out",
    ]


def joined(width, swapped=False):
    builder = GraphBuilder()
    image = builder.input((1, 6, width))
    first, second = (builder.add(Conv2d(2, 1), image, name=name) for name in ("left", "right"))
    together = builder.add(Concatenate(), *((second, first) if swapped else (first, second)))
    return builder.build(builder.add(Linear(3), builder.add(Flatten(), together)))


def test_networks_that_differ_in_their_joints_only(tmp_path):
    """Without an engine: what is compared are descriptions."""
    for other, sentence in (
        (joined(6, swapped=True), "network: the same layers, joined in another way"),
        (joined(8), "layer left, Conv2d: output 2x6x6 then, 2x6x8 now"),
        (joined(8), r"input: 1x6x6 then, 1x6x8 now"),
    ):
        with pytest.raises(TrainingError, match=sentence):
            check_same(tmp_path / "checkpoint", {"network": joined(6)}, {"network": other})


def test_a_checkpoint_of_0_1_did_not_keep_validation_and_classes(engine, make_job, tmp_path):
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=RECIPE, folder=folder, validation=blobs(9)), Progress())
    checkpoint = read_checkpoint(folder.checkpoint)
    known = {name: value for name, value in checkpoint.configuration.items() if name not in ("validation", "classes")}
    write_checkpoint(folder.checkpoint, replace(checkpoint, configuration=known))
    assert len(fit(make_job(engine, recipe=RECIPE, folder=folder), Progress(), resume=True)) == 2


@pytest.mark.parametrize("change", [{"slots": ()}, {"totals": {"nothing": 1.0}}, {"history": [{"nothing": 1}]}])
def test_a_checkpoint_with_wrong_facts(engine, make_job, tmp_path, change):
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=RECIPE, folder=folder), Progress())
    checkpoint = replace(read_checkpoint(folder.checkpoint), **change)
    if "slots" in change:
        kept = {name: array for name, array in checkpoint.arrays.items() if "/" not in name}
        checkpoint = replace(checkpoint, arrays=kept)
    write_checkpoint(folder.checkpoint, checkpoint)
    with pytest.raises(FileError, match="is damaged: its training state cannot be read"):
        fit(make_job(engine, recipe=RECIPE, folder=folder), Progress(), resume=True)


@pytest.mark.parametrize("change", [{"position": 5}, {"position": 2, "totals": {}}])
def test_a_checkpoint_at_an_impossible_position(engine, make_job, tmp_path, change):
    folder = RunFolder(tmp_path)
    fit(make_job(engine, recipe=RECIPE, folder=folder), Progress())
    write_checkpoint(folder.checkpoint, replace(read_checkpoint(folder.checkpoint), epoch=1, **change))
    with pytest.raises(FileError, match=r"is damaged: batch \d of 4 cannot come next"):
        fit(make_job(engine, recipe=RECIPE, folder=folder), Progress(), resume=True)
