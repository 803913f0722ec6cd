"""Numbers near the bounds: what is said of them is said soon, and is no longer than a sentence."""

import tracemalloc
from time import process_time

import pytest

import foveate as fv
from foveate.graph.analysis.repair import shortcut_strides
from foveate.layers import Layer
from foveate.layers.sliding import divisors

LARGE = 2**31 - 1
WIDE = 2_095_133_040
"""It has 1,600 divisors, the most of all numbers below 2**31."""

REFUSALS = {
    "Maxout": (fv.Maxout(2), (LARGE,)),
    "Conv1d": (fv.Conv1d(2, 1, groups=2), (LARGE, 1)),
    "ConvTranspose1d": (fv.ConvTranspose1d(2, 1, groups=2), (LARGE, 1)),
    "GroupNorm": (fv.GroupNorm(2), (LARGE, 1)),
    "ChannelShuffle": (fv.ChannelShuffle(2), (LARGE, 1)),
    "many divisors": (fv.Maxout(7 * 11 * 13 * 17 * 19 * 23), (WIDE,)),
}


@pytest.mark.parametrize(("layer", "shape"), REFUSALS.values(), ids=REFUSALS)
def test_channels_that_cannot_be_shared_out_are_refused_at_once(layer, shape):
    start = process_time()
    with pytest.raises(fv.ShapeError, match=r"[Dd]ivi") as caught:
        fv.Sequential(layer).build(shape, quiet=True)
    assert process_time() - start < 2
    assert len(str(caught.value)) < 1000


def test_divisors():
    for number in (1, 2, 12, 36, 97, 360, 720):
        found = [str(d) for d in range(1, number + 1) if number % d == 0]
        assert divisors(number) == ", ".join(found if number < 720 else [*found[:22], "...", "720"])
    assert divisors(WIDE).split(", ")[:3] == ["1", "2", "3"]
    assert divisors(WIDE).endswith(f", ..., {WIDE}")
    assert divisors(LARGE) == f"1, {LARGE}"


def test_strides_of_a_shortcut():
    for size in range(1, 40):
        for wanted in range(1, 45):
            tried = [s for s in range(1, size + 1) if -(-size // s) == wanted]
            assert shortcut_strides((1, size), (1, wanted)) == ((tried[0],) if tried else None)
    start = process_time()
    assert shortcut_strides((1, LARGE), (1, LARGE - 5)) is None
    assert process_time() - start < 1


@pytest.mark.parametrize(
    ("layer", "shape", "seen"),
    [
        (fv.Linear(65_537), (65_539,), "everything"),
        (fv.Conv1d(1, 65_537), (1, 65_539), "65537"),
        (fv.ConvTranspose1d(1, 65_540, stride=65_537), (1, 6), "2"),
        (fv.Upsample(size=65_537, mode="linear"), (1, 6), "2"),
    ],
    ids=["Linear", "Conv1d", "ConvTranspose1d", "Upsample"],
)
def test_axes_of_tens_of_thousands_are_summed_up_in_seconds(layer, shape, seen):
    start = process_time()
    (row,) = fv.Sequential(layer).build(shape, quiet=True).summary().to_json()["layers"]
    assert process_time() - start < 20
    assert row["sees"] == seen


@pytest.mark.parametrize(
    "layer",
    [fv.AdaptiveAvgPool1d(16), fv.MaxPool1d(2**20, stride=2**20), fv.AvgPool1d(2**30), fv.LPPool1d(2, 2**30)],
    ids=str,
)
def test_windows_over_an_endless_axis_are_told_without_listing_what_they_see(layer: Layer):
    tracemalloc.start()
    graph = fv.Sequential(layer).build((1, 2**31 - 1), quiet=True)
    graph.summary().to_json()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20e6
