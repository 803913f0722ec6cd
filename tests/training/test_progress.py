"""What a person sees while a network trains."""

from io import StringIO

import pytest

from foveate.training import Epoch, Progress, make_progress
from foveate.training.progress import Lines, LiveBar

ROW = Epoch(1, 0.5, 0.8, 0.45, 0.85, 0.1, 12.25, 4490.1)


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


def shown(progress):
    with progress:
        progress.start(2, 10, 0)
        for _ in range(5):
            progress.step(1, 128, 0.6931, 0.512, 0.7)
        progress.epoch(ROW)


def test_lines_where_there_is_no_terminal():
    stream = StringIO()
    progress = make_progress(True, stream)
    assert isinstance(progress, Lines)
    shown(progress)
    assert stream.getvalue() == f"{ROW}\n"


def test_a_bar_on_a_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "110")
    monkeypatch.setattr("foveate.progress.REFRESH_SECONDS", 0.0)
    stream = Terminal()
    progress = make_progress(True, stream)
    assert isinstance(progress, LiveBar)
    shown(progress)
    text = stream.getvalue()
    for word in ("epoch 1/2", "images/s", "loss 0.6931", "accuracy 51.2%", "left", str(ROW)):
        assert word in text


def test_an_epoch_is_not_cut_within_a_word_by_a_narrow_terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "80")
    stream = Terminal()
    shown(make_progress(True, stream))
    assert len(str(ROW)) > 80
    assert (
        "epoch 1: loss 0.5000, accuracy 80.00%, validation loss 0.4500, accuracy 85.00%,\n  12.2 s, 4,"
        in stream.getvalue()
    )


def test_images_per_second_leave_the_validation_out(monkeypatch):
    clock = [0.0]
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "110")
    for module in ("foveate.training.progress", "foveate.progress"):
        monkeypatch.setattr(f"{module}.monotonic", lambda: clock[0])
    stream = Terminal()
    with make_progress(True, stream) as progress:
        progress.start(2, 10, 0)
        clock[0] += 1
        progress.step(1, 500, 0.5, 0.5, 0.5)
        clock[0] += 99  # the validation
        progress.epoch(ROW)
        clock[0] += 1
        progress.step(2, 700, 0.5, 0.5, 0.5)
    assert "500 images/s" in stream.getvalue()
    assert "700 images/s" in stream.getvalue()


def test_lines_on_a_terminal_that_cannot_move_its_cursor(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(make_progress(True, Terminal()), Lines)


def test_silence(capsys):
    shown(make_progress(False))
    assert capsys.readouterr() == ("", "")


def test_ones_own():
    own = Progress()
    assert make_progress(own) is own


def test_standard_output_unless_given(capsys):
    shown(make_progress(True))
    assert capsys.readouterr().out == f"{ROW}\n"


def test_the_terminal_is_restored_after_an_error(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    stream = Terminal()
    with pytest.raises(ZeroDivisionError), make_progress(True, stream):
        raise ZeroDivisionError
    assert "\x1b[?25h" in stream.getvalue()  # the cursor is shown again
