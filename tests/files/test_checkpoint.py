"""Checkpoints: what is written is read again, to the bit."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from foveate.errors import FileError
from foveate.files import read_checkpoint, read_model, write_checkpoint, write_model
from tests.files.support import rewritten


def test_round_trip(tmp_path, checkpoint):
    write_checkpoint(tmp_path / "checkpoint", checkpoint)
    read = read_checkpoint(tmp_path / "checkpoint")
    assert asdict(replace(read, arrays={})) == asdict(replace(checkpoint, arrays={}))
    assert set(read.arrays) == set(checkpoint.arrays)
    for name, array in checkpoint.arrays.items():
        np.testing.assert_array_equal(read.arrays[name], array)


def test_the_model_inside_can_be_read(tmp_path, checkpoint, arrays, description):
    write_checkpoint(tmp_path / "checkpoint", checkpoint)
    read, found = read_model(tmp_path / "checkpoint")
    assert found == description
    assert set(read) == set(arrays)


def test_a_model_is_no_checkpoint(tmp_path, arrays, description):
    write_model(tmp_path / "model", arrays, description)
    with pytest.raises(FileError, match="model holds a model; expected a checkpoint, from which training can continue"):
        read_checkpoint(tmp_path / "model")


@pytest.mark.parametrize(
    "change",
    [{"epoch": -1}, {"position": "2"}, {"totals": 3}, {"history": [1]}, {"totals": {"loss": "x"}}, {"slots": None}],
)
def test_damaged_facts(tmp_path, checkpoint, change):
    path = tmp_path / "checkpoint"
    write_checkpoint(path, checkpoint)
    rewritten(path, lambda document: document.update(change))
    with pytest.raises(FileError, match="checkpoint is damaged: its training state cannot be read"):
        read_checkpoint(path)


def test_a_slot_missing(tmp_path, checkpoint):
    arrays = dict(checkpoint.arrays)
    del arrays["momentum/conv1.weight"]
    write_checkpoint(tmp_path / "checkpoint", replace(checkpoint, arrays=arrays))
    with pytest.raises(FileError, match=r"its network has an array momentum/conv1\.weight, but the file does not"):
        read_checkpoint(tmp_path / "checkpoint")


def test_cut_anywhere(tmp_path, checkpoint):
    path = tmp_path / "checkpoint"
    write_checkpoint(path, checkpoint)
    content = path.read_bytes()
    for length in range(0, len(content), 61):
        path.write_bytes(content[:length])
        with pytest.raises(FileError, match=r"is empty|is cut short|is not a safetensors file"):
            read_checkpoint(path)
