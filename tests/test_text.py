"""Words of strangers: what may stand in a sentence, in Markdown, in a spreadsheet."""

import pickle

import pytest

import foveate as fv
from foveate.errors import LONGEST_SENTENCE
from foveate.text import for_csv, for_markdown, printable

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


@pytest.mark.parametrize("words", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_a_spreadsheet_reads_text(words: str):
    assert for_csv(words) == f"'{words}"


def test_a_spreadsheet_gets_ordinary_text_as_it_is():
    assert for_csv("conv1 = x") == "conv1 = x"
