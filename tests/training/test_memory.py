"""Saving needs no second copy of what is saved."""

import subprocess
import sys

import pytest

SAVE = """
import sys
from pathlib import Path
import numpy as np
import foveate as fv
from benchmarks.memory import peak
from foveate.engines.initializers import blank
from foveate.files import Checkpoint, ModelDescription, read_checkpoint, write_checkpoint
from foveate.training import arrays_in_turn

place, kind = Path(sys.argv[1]), sys.argv[2]
net = fv.Sequential(fv.Flatten(), *(fv.Linear(2048) for _ in range(23)), fv.Linear(10)).build((2048, 1, 1))
with blank():
    model = fv.Model(net)
    state = model.engine.new_state(net, fv.SGD(), 0)
for space in state.spaces.values():
    space += 1  # until it is written to, it takes no memory
before = peak()
if kind == "model":
    model.state = state
    model.save(place)
else:
    arrays = arrays_in_turn(state, slots=True)
    write_checkpoint(place, Checkpoint(ModelDescription(net), arrays, ("momentum",), 0, 0, 0, {}, [], {}))
print((peak() - before) / 1e6, place.stat().st_size / 1e6)
"""


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "least"), [("model", 375), ("checkpoint", 750)])
def test_a_network_of_375_megabytes_is_saved_in_less_than_50(tmp_path, kind, least):
    command = [sys.executable, "-c", SAVE, str(tmp_path / "file"), kind]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    more, size = map(float, done.stdout.split())
    assert more < 50
    assert size > least
