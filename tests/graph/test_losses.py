"""Losses as descriptions: their options, and their way through files."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.graph import built_in_losses, loss_from_json
from foveate.graph.losses import Loss

REFUSED: dict[str, tuple[Callable[[], Loss], str]] = {
    "smoothing not a number": (
        lambda: fv.CrossEntropy(float("nan")),
        "CrossEntropy: label_smoothing is nan; it must be at least 0 and below 1",
    ),
    "a negative class weight": (
        lambda: fv.CrossEntropy(class_weights=(1, -2)),
        "CrossEntropy: class_weights is (1.0, -2.0); none may be negative or infinite, and not all may be zero",
    ),
    "no class weight": (
        lambda: fv.CrossEntropy(class_weights=()),
        "CrossEntropy: class_weights is (); none may be negative or infinite, and not all may be zero",
    ),
    "class weights of zero": (
        lambda: fv.CrossEntropy(class_weights=(0, 0)),
        "CrossEntropy: class_weights is (0.0, 0.0); none may be negative or infinite, and not all may be zero",
    ),
    "an infinite class weight": (
        lambda: fv.CrossEntropy(class_weights=(1, np.inf)),
        "CrossEntropy: class_weights is (1.0, inf); none may be negative or infinite, and not all may be zero",
    ),
    "class weights that are one number": (
        lambda: fv.CrossEntropy(class_weights=3.0),  # type: ignore[arg-type]
        "CrossEntropy: class_weights is 3.0; it must be a sequence of numbers, one for each class",
    ),
    "class weights in words": (
        lambda: fv.CrossEntropy(class_weights=("much", "little")),  # type: ignore[arg-type]
        "CrossEntropy: class_weights is ('much', 'little'); it must be a sequence of numbers, one for each class",
    ),
    "an index that is no int": (
        lambda: fv.CrossEntropy(ignore_index=1.5),  # type: ignore[arg-type]
        "CrossEntropy: ignore_index is 1.5; it must be an int (255 and -100 are usual), or None",
    ),
    "an index that is a truth": (
        lambda: fv.Dice(ignore_index=True),
        "Dice: ignore_index is True; it must be an int (255 and -100 are usual), or None",
    ),
    "smooth 0": (lambda: fv.Dice(0.0), "Dice: smooth is 0.0; it must be positive and finite"),
    "pos_weight 0": (
        lambda: fv.BinaryCrossEntropy(0.0),
        "BinaryCrossEntropy: pos_weight is 0.0; it must be positive and finite",
    ),
    "a negative pos_weight": (
        lambda: fv.BinaryCrossEntropy((1.0, -1.0)),
        "BinaryCrossEntropy: pos_weight is (1.0, -1.0); none may be negative or infinite, and not all may be zero",
    ),
    "delta": (lambda: fv.Huber(-1.0), "Huber: delta is -1.0; it must be positive and finite"),
    "gamma": (lambda: fv.Focal(-1.0), "Focal: gamma is -1.0; it must be at least 0 and finite"),
    "alpha": (lambda: fv.Focal(alpha=1.5), "Focal: alpha is 1.5; it must be from 0 to 1, or None"),
}


@pytest.mark.parametrize(("make", "sentence"), REFUSED.values(), ids=REFUSED)
def test_a_wrong_option_is_refused_in_a_sentence(make: Callable[[], Loss], sentence: str):
    with pytest.raises(fv.LayerError, match=f"^{re.escape(sentence)}$"):
        make()


def test_weights_may_be_any_row_of_numbers():
    rows: list[Any] = [(1, 2), [1.0, 2.0], np.array([1, 2]), range(1, 3)]
    assert {fv.CrossEntropy(class_weights=row) for row in rows} == {fv.CrossEntropy(class_weights=(1.0, 2.0))}
    assert {fv.BinaryCrossEntropy(row) for row in rows} == {fv.BinaryCrossEntropy((1.0, 2.0))}


EXAMPLES = [
    *(loss() for loss in built_in_losses()),
    fv.CrossEntropy(0.1, (1, 2.5), 255),
    fv.Dice(0.5, -1),
    fv.BinaryCrossEntropy(3.0),
    fv.BinaryCrossEntropy((1, 2)),
    fv.Focal(1.5, 0.25),
    fv.Huber(0.5),
]


@pytest.mark.parametrize("loss", EXAMPLES, ids=repr)
def test_a_loss_survives_its_way_through_plain_data(loss: Loss):
    assert loss_from_json(loss.to_json()) == loss


def test_plain_data_is_as_foveate_0_1_wrote_it_where_no_option_is_new():
    assert fv.CrossEntropy(0.1).to_json() == {"type": "CrossEntropy", "label_smoothing": 0.1}
    assert fv.BinaryCrossEntropy().to_json() == {"type": "BinaryCrossEntropy"}
    assert fv.MeanSquaredError().to_json() == {"type": "MeanSquaredError"}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({}, "a loss is described by its type and options, but the type is missing"),
        (None, "a loss is described by its type and options, but the type is missing"),
        ({"type": 3}, "a loss is described by its type and options, but the type is missing"),
        (
            {"type": "Hinge"},
            "there is no loss type 'Hinge'. If it is your own, import the module that registers it first",
        ),
        ({"type": "L1", "delta": 1}, "L1: there is no option delta; it has none"),
        ({"type": "Huber", "delta": -1}, "Huber: delta is -1; it must be positive and finite"),
        ({"type": "Huber", "delta": "x"}, "Huber: delta is 'x'; it must be a number"),
    ],
)
def test_a_damaged_description_is_refused(data: Any, sentence: str):
    with pytest.raises(fv.LayerError, match=f"^{re.escape(sentence)}$"):
        loss_from_json(data)
