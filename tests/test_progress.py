"""The progress bar: on a terminal, in a notebook, in a pipe, left by an error, and two at a time."""

import builtins
import re
import subprocess
import sys
from io import StringIO
from time import sleep
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate import progress
from foveate.cli import explain
from foveate.explain.experiments import make_progress
from foveate.progress import Bar, is_live


class Terminal(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True

    @property
    def screen(self) -> list[str]:
        """The lines that a person would see now."""
        rows, row, column = [""], 0, 0
        for code, character in re.findall(r"\x1b\[([?\d;]*[A-Za-z])|([\s\S])", self.getvalue()):
            if code == "2K":
                rows[row] = ""
            elif code.endswith("A"):
                row -= int(code[:-1] or 1)
            elif character == "\r":
                column = 0
            elif character == "\n":
                row, column = row + 1, 0
                rows += [""] * (row == len(rows))
            elif character:
                rows[row] = rows[row][:column].ljust(column) + character + rows[row][column + 1 :]
                column += 1
            else:
                assert code.endswith(("m", "l", "h")), f"the screen does not know {code}"
        return [line.rstrip() for line in rows if line.strip()]


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.0)
    return Terminal()


@pytest.fixture
def clock(monkeypatch):
    """The time, in a list of one."""
    now = [100.0]
    monkeypatch.setattr(progress, "monotonic", lambda: now[0])
    return now


def test_a_terminal_shows_the_bar_and_lines_above_it(terminal):
    with Bar(terminal, 10, "reading [/x]") as bar:
        bar.move(5)
        bar.draw(figures="loss 0.5")
        bar.print("[bold]first[/bold]")
        bar.print("second")
        *lines, foot = terminal.screen
        assert lines == ["[bold]first[/bold]", "second"]
        assert re.fullmatch(r"reading \[/x\] ━+╸?━* loss 0.5 -:--:-- left", foot), foot
    assert terminal.screen == ["[bold]first[/bold]", "second"]
    assert terminal.getvalue().rstrip().endswith("\x1b[2K")


@pytest.mark.parametrize("error", [ZeroDivisionError, KeyboardInterrupt])
@pytest.mark.parametrize("ticks", [False, True])
def test_an_error_leaves_no_stale_line(error, ticks, terminal):
    def work():
        with Bar(terminal, 10, "reading", ticks=ticks) as bar:
            bar.move(3)
            assert any("reading" in line for line in terminal.screen)
            raise error

    with pytest.raises(error):
        work()
    assert terminal.screen == []
    assert terminal.getvalue().count("\x1b[?25l") == terminal.getvalue().count("\x1b[?25h") == 1


def test_ctrl_c_while_the_bar_appears_leaves_no_stale_line(terminal, monkeypatch):
    start = progress.Terminal.start

    def interrupted(surface):
        start(surface)
        raise KeyboardInterrupt

    monkeypatch.setattr(progress.Terminal, "start", interrupted)
    with pytest.raises(KeyboardInterrupt), Bar(terminal, 10):
        pass
    assert terminal.screen == []
    assert not progress.one_at_a_time.locked()


def test_what_is_done_in_time_needs_no_bar(terminal, clock):
    with Bar(terminal, 10, "reading", patience=2) as bar:
        clock[0] += 1.9
        bar.move(5)
        bar.print("a line")
        assert terminal.getvalue() == "a line\n"
        clock[0] += 0.2
        bar.move(1)
        assert "reading" in terminal.screen[-1]
    assert terminal.screen == ["a line"]


def test_the_bar_is_redrawn_a_few_times_a_second(terminal, clock, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.2)
    with Bar(terminal, 1000) as bar:
        before = terminal.getvalue()
        for _ in range(100):
            bar.move(1)
        assert terminal.getvalue() == before
        clock[0] += 0.3
        bar.move(1)
        assert terminal.getvalue() != before


def test_a_bar_that_ticks_appears_though_nobody_moves_it(terminal, monkeypatch):
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.01)
    with Bar(terminal, None, "waiting", patience=0.02, ticks=True):
        for _ in range(500):
            if terminal.getvalue():
                break
            sleep(0.01)
        assert "waiting" in terminal.getvalue()
    assert terminal.screen == []


def test_a_second_bar_waits_until_the_first_has_gone(terminal):
    other = Terminal()
    with Bar(other, 10, "second") as second:
        assert "second" in other.screen[-1]
        with Bar(terminal, 10, "first") as first:
            first.move(1)
            first.print("a line")
        assert terminal.getvalue() == "a line\n"
        second.move(1)
    assert other.screen == []
    assert not progress.one_at_a_time.locked()


def test_a_pipe_gets_lines_only_and_no_rich():
    code = (
        "import sys, foveate.progress as progress\n"
        "with progress.Bar(sys.stdout, 3, 'reading', ticks=True) as bar:\n"
        "    bar.move(1); bar.draw('still'); bar.print('a line')\n"
        "sys.exit('rich' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "a line\n", "")


def test_a_terminal_that_cannot_move_its_cursor_and_no_stream_at_all(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    assert not is_live(Terminal())
    assert not is_live(None)
    with Bar(None, 3) as bar:
        bar.move(1)
        bar.print("nowhere")


def test_what_is_printed_goes_where_it_was_sent(terminal, monkeypatch):
    out = StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    with Bar(terminal, 10, "predicting") as bar:
        sys.stdout.write("an answer\n")
        bar.move(1)
    assert out.getvalue() == "an answer\n"
    assert "answer" not in terminal.getvalue()


@pytest.mark.parametrize("shown", [True, False])
def test_evaluate_shows_a_bar_unless_told_not_to(shown, terminal, monkeypatch):
    monkeypatch.setattr("foveate.training.metrics.PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal)
    scale = fv.Preprocessing((1, 4, 4), (0.5,), (0.5,))
    graph = fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 4, 4))
    model = fv.Model(graph, classes=("a", "b"), preprocessing=scale, engine="reference")
    images = np.zeros((6, 1, 4, 4), np.uint8)
    result = model.evaluate(fv.Dataset(images, np.zeros(6, int), ("a", "b")), 2, progress=shown)
    assert result.samples == 6
    assert ("evaluating" in terminal.getvalue()) == shown
    assert terminal.screen == []


def convolutional() -> fv.Model:
    """A model whose filters can be asked for anything."""
    scale = fv.Preprocessing((1, 4, 4), (0.5,), (0.5,))
    graph = fv.Sequential(fv.Conv2d(2, 3, padding=1), fv.Flatten(), fv.Linear(2)).build((1, 4, 4))
    return fv.Model(graph, classes=("a", "b"), preprocessing=scale, engine="reference")


IMAGES = [np.zeros((4, 4), np.uint8)] * 5

SLOW = {
    "predicting": lambda progress: convolutional().predict(IMAGES, progress=progress),
    "covering": lambda progress: fv.explain.occlusion(convolutional(), IMAGES, progress=progress),
    "looking for patches": lambda progress: fv.explain.exciting_patches(
        convolutional(), IMAGES, "conv1", progress=progress
    ),
    "climbing": lambda progress: fv.explain.exciting_images(
        convolutional(), "conv1", steps=3, jitter=0, progress=progress
    ),
}


@pytest.mark.parametrize("shown", [True, False])
@pytest.mark.parametrize("text", SLOW)
def test_what_may_take_long_shows_a_bar_unless_told_not_to(text, shown, terminal, monkeypatch):
    monkeypatch.setattr("foveate.progress.PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal)
    SLOW[text](shown)
    assert (text in terminal.getvalue()) == shown
    assert terminal.screen == []


@pytest.mark.parametrize("text", [text for text in SLOW if text != "predicting"])
def test_who_wants_to_be_told_is_told_instead(text, terminal, monkeypatch):
    monkeypatch.setattr("foveate.progress.PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal)
    heard: list[tuple[int, int]] = []
    SLOW[text](lambda done, total: heard.append((done, total)))
    assert heard[-1][0] == heard[-1][1] > 0
    assert terminal.getvalue() == ""


def test_reading_a_folder_shows_a_bar_unless_told_not_to(terminal, monkeypatch, tmp_path):
    monkeypatch.setattr("foveate.progress.PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(sys, "stderr", terminal)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(12):
            Image.fromarray(np.full((4, 4), number, np.uint8)).save(tmp_path / name / f"{number}.png")
    fv.datasets.image_folder(tmp_path, progress=False)
    assert "reading images" not in terminal.getvalue()
    fv.datasets.image_folder(tmp_path)
    assert "reading images" in terminal.getvalue()


# In a notebook


@pytest.fixture
def cell(monkeypatch):
    """What the outputs of a cell hold, one after another, in a notebook like IPython's kernel."""
    shown: list[str] = []

    def display(data, *, raw, display_id):
        assert raw
        assert display_id is True
        place = len(shown)
        shown.append(data["text/plain"])

        def update(data, *, raw):
            assert raw
            shown[place] = data["text/plain"]

        return SimpleNamespace(update=update)

    python, output = ModuleType("IPython"), ModuleType("IPython.display")
    shell = SimpleNamespace(kernel=object())
    python.get_ipython, python.display, output.display = lambda: shell, output, display
    monkeypatch.setattr(builtins, "get_ipython", python.get_ipython, raising=False)
    monkeypatch.setitem(sys.modules, "IPython", python)
    monkeypatch.setitem(sys.modules, "IPython.display", output)
    monkeypatch.setattr(progress, "REFRESH_SECONDS", 0.0)
    return shown


def test_a_notebook_shows_one_output_that_is_drawn_over(cell, capsys):
    with Bar(sys.stdout, 10, "reading") as bar:
        for _ in range(5):
            bar.move(1)
        bar.draw(figures="loss 0.5")
        assert len(cell) == 1
        assert re.fullmatch(r"reading ━+╸? +loss 0.5 \S+ left", cell[0]), cell
        bar.print("a line")
    assert cell == [""]
    assert capsys.readouterr().out == "a line\n"


def test_an_error_in_a_notebook_leaves_no_bar(cell):
    with pytest.raises(ZeroDivisionError), Bar(sys.stdout, 10, "reading"):
        raise ZeroDivisionError
    assert cell == [""]


@pytest.mark.usefixtures("cell")
def test_other_streams_in_a_notebook_are_no_notebook():
    assert is_live(sys.stdout)
    assert not is_live(StringIO())


# Who uses it


def test_explain_shows_its_chapters(terminal, monkeypatch):
    monkeypatch.setattr(sys, "stdout", terminal)
    with explain.progress_of_pages(False) as tell:
        tell("filters", 1, 13)
        assert re.fullmatch(r"filters ━.* 0:00:00", terminal.screen[-1]), terminal.screen
    assert terminal.screen == []


def test_an_experiment_shows_its_runs(terminal):
    with make_progress(terminal) as shown:
        shown.start(2, 100)
        shown.begin("with BN", 50)
        shown.advance(20, "loss 0.5")
        assert re.fullmatch(r"1/2 with BN ━.* loss 0.5 \S+ left", terminal.screen[-1]), terminal.screen
        shown.finish("with BN: accuracy 90 %")
    assert terminal.screen == ["with BN: accuracy 90 %"]
