"""Signals wait for the end of a step, and signals to end for all that is saved after it."""

import signal
import threading

import pytest

import foveate as fv
from foveate.training import Progress, RunFolder
from foveate.training.interruption import interruptible, saved_first


@pytest.fixture(params=["SIGTERM", "SIGHUP"])
def number(request):
    return getattr(signal, request.param)


@pytest.fixture
def caught(number):
    """Numbers that a handler of the program's own was given."""
    numbers = []
    former = signal.signal(number, lambda given, _: numbers.append(given))
    yield numbers
    signal.signal(number, former)


def test_a_programs_own_handler_is_called_when_all_is_saved(graph, data, tmp_path, number, caught):
    class Ending(Progress):
        count = 0

        def step(self, *_):
            self.count += 1
            if self.count == 2:
                signal.raise_signal(number)
                assert not caught

    seen = Ending()
    model = fv.Model(graph, engine="reference")
    history = model.fit(data, epochs=9, batch_size=8, out=tmp_path, progress=seen)
    assert (history.interrupted, seen.count, caught) == (True, 2, [number])
    assert RunFolder(tmp_path).model.exists()


def test_it_is_called_at_once_before_training_and_without_a_folder(graph, data, number, caught):
    with saved_first():
        signal.raise_signal(number)
        assert caught == [number]

    class Ending(Progress):
        def step(self, *_):
            signal.raise_signal(number)

    history = fv.Model(graph, engine="reference").fit(data, epochs=1, batch_size=26, progress=Ending())
    assert (history.interrupted, caught) == (False, [number, number])


def test_a_second_one_takes_effect_at_once(number, caught):
    with saved_first(), interruptible() as interrupted:
        signal.raise_signal(number)
        assert interrupted()
        assert not caught
        signal.raise_signal(number)
        assert caught == [number]


def test_an_error_is_not_hidden_by_a_signal(number, caught):
    def run():
        with saved_first(), interruptible():
            signal.raise_signal(number)
            raise fv.FileError("the disk is full")

    with pytest.raises(fv.FileError, match="the disk is full"):
        run()
    assert not caught


def test_a_second_ctrl_c_takes_effect_at_once():
    with interruptible() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_another_thread_leaves_signals_alone():
    def run():
        with saved_first(), interruptible() as interrupted:
            seen.append(interrupted())

    seen, former = [], signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert (seen, signal.getsignal(signal.SIGTERM)) == ([False], former)
