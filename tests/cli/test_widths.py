"""Tables and sentences in narrow terminals: names are whole, what is left out is told, words are not cut."""

import pytest

from foveate import zoo
from foveate.cli import output


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_the_zoo_is_listed_with_whole_names(width, foveate, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    said = foveate("zoo").stdout
    lines = said.splitlines()
    assert max(map(len, lines)) <= width
    assert {line.split()[0] for line in lines if line.strip()} >= set(zoo.NETWORKS)
    assert "…" not in said
    papers = "Sandler et al. 2018" in said
    assert papers == (width >= 100)
    assert papers != ("A wider terminal shows the papers too." in " ".join(said.split()))


def test_a_summary_tells_which_columns_do_not_fit(foveate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert "A wider terminal shows FLOPs and memory of each layer too." in " ".join(
        foveate("summary", "mobilenet_v2").stdout.split()
    )
    monkeypatch.setenv("COLUMNS", "160")
    assert "A wider terminal" not in foveate("summary", "mobilenet_v2").stdout


def test_sentences_break_between_words_on_a_terminal_alone(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    class Pipe:
        def isatty(self):
            return False

    monkeypatch.setenv("COLUMNS", "40")
    words = "foveate: layer 2, conv2 (Conv2d 3x3, stride 3): does not fit its 7x7 input\nShapes so far: 1x9x9"
    assert output.wrapped(words, Pipe()) == words
    assert output.wrapped(words, Terminal()) == (
        "foveate: layer 2, conv2 (Conv2d 3x3,\n  stride 3): does not fit its 7x7 input\nShapes so far: 1x9x9"
    )
    long = "x" * 90
    assert output.wrapped(f"foveate: {long} is gone", Terminal()).splitlines()[1] == f"  {long}"
