"""Optimisers are descriptions, of which engines know two."""

import pytest

import foveate as fv


@pytest.mark.parametrize("optimizer", [fv.SGD, fv.AdamW])
def test_a_class_derived_from_an_optimiser_is_refused(optimizer: type):
    with pytest.raises(fv.TrainingError, match=f"Mine is derived from {optimizer.__name__}, but engines compute"):
        type("Mine", (optimizer,), {})
