"""Names of classes, labels, values and outputs."""

import numpy as np
import pytest

from foveate import DataError
from foveate.tasks import Classification, MultiLabel, Regression, Segmentation
from foveate.tasks.names import LONGEST_NAME, listed

TASKS = [Classification, MultiLabel, Regression, Segmentation]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize(
    ("names", "message"),
    [
        ((), r"are \(\); give the name of each"),
        ("cat", "are 'cat'; give the name of each"),
        (b"cat", "are b'cat'; give the name of each"),
        (None, "are None; give the name of each"),
        (5, "are 5; give the name of each"),
        (("cat", 1), r"are \('cat', 1\); give the name of each \w+, as a tuple of strings"),
        (("cat", 1) * 50, r"are \('cat', 1, 'cat', [^.]*\.\.\.; give the name of each"),
        (("cat", ""), "1 has an empty name"),
        (("cat", " "), "1 has an empty name"),
        (("cat", "d\nog"), r"1 is called 'd\\nog', which cannot be printed"),
        (("cat", "\u202egod"), r"1 is called '\\u202egod', which cannot be printed"),
        (("cat", "\udcff"), r"1 is called '\\udcff', which cannot be printed"),
        (("cat", "x" * 201), "1 has 201 characters .*; give it at most 200"),
        (("cat", "dog", "cat"), 'two .* are called "cat"; give each its own name'),
    ],
)
def test_names_that_cannot_be_used(task, names, message):
    with pytest.raises(DataError, match=message):
        task(names)


@pytest.mark.parametrize("task", TASKS)
def test_any_sequence_of_strings_becomes_a_tuple(task):
    longest = "x" * LONGEST_NAME
    for names in (["été", longest], ("été", longest), np.array(["été", longest])):
        made = task(names)
        assert made == task(("été", longest))
        assert all(type(name) is str for name in made.to_json()[next(iter(task.__dataclass_fields__))])


@pytest.mark.parametrize(("names", "text"), [(("a", "b", "c"), "a, b, c"), (tuple("abcde"), "a, b, c, ... 5 in all")])
def test_a_short_list(names, text):
    assert listed(names) == text
