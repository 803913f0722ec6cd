"""Callbacks see the model while it is trained, can stop it, and lose nothing when they fail."""

import json
import struct

import numpy as np
import pytest

import foveate as fv
from foveate.training import RunFolder


class Watch(fv.Callback):
    """Keeps what it saw, and does something at a step or epoch."""

    def __init__(self, at=None, act=None):
        self.seen, self.at, self.act = [], at, act

    def _tell(self, event, training):
        self.seen.append((event, training.step, training.epoch))
        if (event, training.step) == self.at:
            self.act(training)

    def on_step(self, training):
        self._tell("step", training)

    def on_epoch(self, training):
        self._tell("epoch", training)

    def on_end(self, training):
        self._tell("end", training)


def fit(data, *callbacks, graph=None, **options):
    model = fv.Model(graph or network())
    options = {"epochs": 2, "batch_size": 20, "progress": False, **options}
    return model, model.fit(data, callbacks=list(callbacks), **options)


def network():
    return fv.Sequential(fv.Conv2d(4, 3), fv.BatchNorm2d(), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(3)).build(
        (1, 6, 6)
    )


def test_they_are_told_of_every_step_and_epoch_in_order(data):
    watch = Watch()
    fit(data, watch)
    expected = [("step", 1, 1), ("step", 2, 1), ("step", 3, 1), ("epoch", 3, 1)]
    expected += [("step", 4, 2), ("step", 5, 2), ("step", 6, 2), ("epoch", 6, 2), ("end", 6, 2)]
    assert watch.seen == expected


@pytest.mark.parametrize("ema", [None, 0.5])
def test_they_see_the_model_that_the_epochs_row_measured(data, ema):
    rows = []

    class Measure(fv.Callback):
        def on_epoch(self, training):
            result = training.model.evaluate(data, progress=False)
            assert training.model.predict(data.inputs[:3]).shape == (3, 3)
            rows.append((round(result.loss, 6), round(result.accuracy, 6)))

        def on_end(self, training):
            rows.append(round(training.model.evaluate(data, progress=False).loss, 6))

    model, history = fit(data, Measure(), validation=data, ema=ema, epochs=3)
    assert rows[:3] == [(row.validation_loss, row.validation_accuracy) for row in history.epochs]
    assert rows[3] == round(model.evaluate(data, progress=False).loss, 6)


def test_in_the_end_they_see_the_best_epochs_model_also_if_it_is_an_average(data):
    class See(fv.Callback):
        def on_end(self, training):
            self.weight = training.model.read("conv1.weight")

    see, others = See(), fv.Dataset(data.inputs, (data.labels + 1) % 3, data.classes)
    model, history = fit(data, see, validation=others, ema=0.5, epochs=6, schedule=fv.Constant(0.1))
    assert history.best < len(history)
    np.testing.assert_array_equal(see.weight, model.read("conv1.weight"))


def test_a_model_that_a_callback_saves_is_the_model_of_that_epoch(data, tmp_path):
    class Save(fv.Callback):
        def on_epoch(self, training):
            training.model.save(tmp_path / f"{training.epoch}.safetensors")

    model, _ = fit(data, Save())
    shorter, _ = fit(data, epochs=2)
    assert fv.load(tmp_path / "1.safetensors").training["history"][0]["epoch"] == 1
    for other in (fv.load(tmp_path / "2.safetensors"), shorter):
        for name in model.state.names():
            np.testing.assert_array_equal(other.read(name), model.read(name))


def test_watching_changes_no_bit(data):
    plain, _ = fit(data)

    class Look(fv.Callback):
        def on_step(self, training):
            training.model.evaluate(data, progress=False)

    watched, _ = fit(data, Look())
    for name in plain.state.names():
        np.testing.assert_array_equal(watched.read(name), plain.read(name))


def test_one_stops_training_after_an_epoch(data, capsys):
    model, history = fit(data, Watch(("epoch", 3), lambda t: t.stop("good enough")), epochs=5, progress=True)
    assert (len(history), history.stopped, history.interrupted) == (1, "good enough", False)
    assert "stopped after epoch 1 of 5: good enough\n" in capsys.readouterr().out
    assert model.training["trainings"] == 1
    assert model.training["stopped"] == "good enough"


@pytest.mark.parametrize("reason", [(), ("",), (" ",)])
def test_one_stops_training_after_a_step(data, reason):
    watch = Watch(("step", 4), lambda training: training.stop(*reason))
    _, history = fit(data, watch, epochs=5)
    assert (len(history), history.stopped, history.interrupted) == (1, "a callback asked for it", False)
    assert watch.seen[-2:] == [("step", 4, 2), ("end", 4, 2)]


@pytest.mark.parametrize("at", [("step", 4), ("epoch", 3)])
def test_an_error_of_one_loses_nothing(data, tmp_path, at):
    """The model has what was trained so far, and the checkpoint goes on to the same bits."""

    def fail(training):
        raise ZeroDivisionError("mine")

    whole, _ = fit(data)
    model, other, folder = fv.Model(network()), Watch(), RunFolder(tmp_path)
    before = model.read("linear1.weight")
    options = {"epochs": 2, "batch_size": 20, "progress": False, "out": tmp_path}
    with pytest.raises(ZeroDivisionError, match="mine"):
        model.fit(data, callbacks=[Watch(at, fail), other], **options)
    assert other.seen[-1] == ("end", at[1], 2)
    assert not np.array_equal(model.read("linear1.weight"), before)
    np.testing.assert_array_equal(fv.load(folder.model).read("linear1.weight"), model.read("linear1.weight"))
    again = fv.Model(network())
    again.fit(data, resume=True, **options)
    for name in whole.state.names():
        np.testing.assert_array_equal(again.read(name), whole.read(name))


def test_they_are_told_of_the_end_if_training_fails(data):
    watch = Watch()
    with pytest.raises(fv.TrainingError, match="became"):
        fit(data, watch, schedule=fv.Constant(1e30), epochs=3)
    assert watch.seen[-1][0] == "end"


@pytest.mark.parametrize("callbacks", [print, [print], [fv.Callback], "log.csv"])
def test_anything_else_is_refused(data, callbacks):
    with pytest.raises(fv.TrainingError, match=r"^callbacks has .*; give a list of objects whose classes derive from"):
        fv.Model(network()).fit(data, callbacks=callbacks, progress=False)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"extend": True}, r"extend=True lets a run go on for more epochs; give resume=True and out= with it"),
        ({"patience": 2}, r"patience= counts epochs in which validation gets no better; give validation= a Dataset"),
    ],
)
def test_what_needs_something_else_says_so(data, options, sentence):
    with pytest.raises(fv.TrainingError, match=f"^{sentence}"):
        fit(data, **options)


def test_a_method_that_nobody_calls_is_refused():
    sentence = "Hasty defines on_epoch_end, of which nobody tells it; callbacks have on_step, on_epoch, on_end"
    with pytest.raises(fv.TrainingError, match=f"^{sentence}$"):

        class Hasty(fv.Callback):
            def on_epoch_end(self, training): ...


def test_a_training_without_a_model_says_so():
    with pytest.raises(fv.TrainingError, match=r"^this training was not started by Model\.fit, so there is no model"):
        _ = fv.Training(1, 1).model


# Loggers


def test_json_lines_have_the_columns_of_the_history(data, tmp_path):
    path = tmp_path / "logs" / "run.jsonl"
    _, history = fit(data, fv.JSONLines(path, every=2), validation=data, clip_norm=1.0)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line for line in lines if "step" not in line] == history.to_json()
    steps = [line for line in lines if "step" in line]
    assert [(line["step"], line["epoch"]) for line in steps] == [(2, 1), (4, 2), (6, 2)]
    assert all(line["loss"] > 0 and line["learning_rate"] > 0 and line["norm"] > 0 for line in steps)


def test_json_lines_that_cannot_be_written_lose_nothing(data, tmp_path):
    (tmp_path / "taken").touch()
    model = fv.Model(network())
    with pytest.raises(fv.FileError, match=r"run\.jsonl cannot be written"):
        model.fit(data, epochs=2, callbacks=[fv.JSONLines(tmp_path / "taken" / "run.jsonl")], progress=False)
    assert len(model.training["history"]) == 1


@pytest.mark.parametrize("every", [0, True, 1.5])
def test_loggers_count_whole_steps(tmp_path, every):
    for logger in (fv.JSONLines, fv.TensorBoard):
        with pytest.raises(fv.TrainingError, match=r"^every is .*; it must be an int of at least 1 step"):
            logger(tmp_path / "log", every=every)


def test_tensorboard_gets_the_scalars(data, tmp_path):
    _, history = fit(data, fv.TensorBoard(tmp_path / "board", every=2), validation=data)
    scalars = dict(_scalars(tmp_path / "board"))
    for row in history.epochs:
        assert scalars["epoch/validation_loss", row.epoch] == pytest.approx(row.validation_loss, rel=1e-6)
        assert scalars["epoch/train_accuracy", row.epoch] == pytest.approx(row.train_accuracy, rel=1e-6)
    assert {step for name, step in scalars if name == "step/loss"} == {2, 4, 6}
    assert scalars["step/learning_rate", 6] == pytest.approx(history.epochs[-1].learning_rate)


def _scalars(folder):
    """Tag, step and value of every scalar in TensorBoard's files: protocol buffers, each after its length."""
    from tensorboardX.proto.event_pb2 import Event

    for path in folder.iterdir():
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = Event.FromString(content[12 : 12 + length])
            content = content[16 + length :]
            for value in event.summary.value:
                yield (value.tag, event.step), value.simple_value


def test_without_tensorboardx_the_way_to_install_it_is_told(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "tensorboardX", None)
    with pytest.raises(fv.TrainingError, match=r"needs tensorboardX, which is not installed; pip install 'foveate\["):
        fv.TensorBoard(tmp_path)
