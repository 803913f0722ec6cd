"""The native engine computes what it did when the record was made, bit for bit: no change of its insides shows."""

import json
from pathlib import Path

import pytest

from benchmarks import baseline
from foveate import zoo
from foveate.engines import set_threads
from foveate.engines.native import _native

RECORD = Path(__file__).with_name("baseline.json")
CHANGED = {
    *(f"logits of {name}" for name in ("mobilenet_v3_small", "mobilenet_v3_large", "efficientnet_b0")),
    *(name for name in baseline.measurements() if not name.startswith("logits")),
}
"""What older records lack: sigmoids were made accurate, and trainings got their own batch normalisation."""

QUICK = {
    *(f"logits of {name}" for name in ("lenet5", "vgg6", "resnet20", "mobilenet_v3_small", "shufflenet_v2_x1_0")),
    *(f"logits of {name}" for name in ("squeezenet1_1", "audio4", "volume3d")),
    *(f"{baseline.STEPS} steps of {name}" for name in baseline.STEPPED),
}


@pytest.fixture(autouse=True)
def _threads_as_before():
    before = _native.threads()
    yield
    set_threads(before)


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow) for name in baseline.measurements()],
)
def test_the_bits_are_the_recorded_ones(name: str):
    """On a machine without a record, or with one that lacks the name, two runs must at least agree with each other."""
    recorded = baseline.recorded(RECORD) or {}
    expected = recorded.get(name) or baseline.measure([name])[name]
    assert baseline.measure([name])[name] == expected


def test_the_records_cover_every_network():
    everything = set(baseline.measurements())
    assert len(QUICK & everything) == len(QUICK)
    assert {f"logits of {name}" for name in zoo.NETWORKS} < everything
    records = json.loads(RECORD.read_text(encoding="utf-8"))["records"]
    assert {*map(frozenset, (record["hashes"] for record in records))} == {
        frozenset(everything),
        frozenset(everything - CHANGED),
    }
