"""Words of strangers: what may stand in a sentence, in Markdown, in a spreadsheet."""

import pickle

import pytest

import foveate as fv
from foveate.errors import LONGEST_SENTENCE
from foveate.graph.shown import number_rows
from foveate.tasks.measuring import Measured
from foveate.text import for_csv, for_markdown, number_words, printable
from foveate.training.history import format_metric

TRICKS = ("\x1b[2J", "\r", "\0", "\u202e", "\u2066", "\u2028", "\x85", "\udcff", "\t", "\u200f")


@pytest.mark.parametrize("trick", TRICKS, ids=ascii)
def test_an_error_never_moves_a_cursor_or_turns_the_writing_round(trick: str):
    said = str(fv.FileError(f"a{trick}b"))
    assert said.isprintable()
    assert said == f"a{trick.encode('unicode_escape', 'surrogatepass').decode()}b"


def test_the_lines_of_an_error_stay_lines():
    assert str(fv.ShapeError("does not fit\nShapes so far: 3x4 ")) == "does not fit\nShapes so far: 3x4 "


def test_a_sentence_is_not_endless():
    said = str(fv.LayerError(f"padding is {'9' * 10**6}; give an int"))
    assert len(said) == LONGEST_SENTENCE
    assert said.endswith("999...")


def test_an_error_says_the_same_in_another_process():
    error = fv.errors.GradientError("not the slope: \x1b")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == r"not the slope: \x1b"


def test_what_is_quoted_stays_on_its_line():
    assert printable("two\nlines") == r"two\nlines"
    assert printable("x" * 300) == "x" * 197 + "..."
    assert printable(["ç", 1]) == "['ç', 1]"


@pytest.mark.parametrize("words", ["[a](b)", "<img src=x>", "a|b", "`code`", "*b*", "_i_", "&amp;", "https://x", "$x$"])
def test_markdown_shows_it_as_it_is(words: str):
    shown = for_markdown(words)
    assert shown.replace("\\", "") == words
    for place, letter in enumerate(shown):
        if letter in "[]<>|`*&:$":
            assert shown[place - 1] == "\\", shown


def test_markdown_leaves_ordinary_names():
    assert for_markdown("stage1.0.batch_norm1") == "stage1.0.batch_norm1"


def test_a_number_that_was_measured_is_written_alike_everywhere():
    """By the command line, by what was measured, by a training's history and by notebooks."""
    assert [number_words(each) for each in (1 / 3, 1234567.0, 0.0, None)] == [
        "0.3333",
        "1.235e+06",
        "0",
        "undetermined",
    ]
    values = {"mae": 1 / 3, "r2": None}
    assert str(Measured(1, "mae", values, {"mae": "lower", "r2": "higher"})) == "mae 0.3333, r2 undetermined"
    assert number_rows(values) == [("mae", "0.3333"), ("r2", "undetermined")]
    assert format_metric("mae", 1 / 3) == "0.3333"


@pytest.mark.parametrize("words", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_spreadsheet_reads_text(words: str):
    assert for_csv(words) == f"'{words}"


def test_a_spreadsheet_gets_ordinary_text_as_it_is():
    assert for_csv("conv1 = x") == "conv1 = x"
