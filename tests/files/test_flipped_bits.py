"""A file of which one bit changed is called damaged, whatever else seems wrong with it; one cut short is called so."""

from pathlib import Path

import pytest

from foveate.errors import FileError
from foveate.files import read_checkpoint, read_description, read_model, write_checkpoint, write_model


def flipped(path: Path, content: bytes, bit: int) -> None:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << (bit % 8)
    path.write_bytes(changed)


def beginning(content: bytes) -> int:
    """Bytes of the header, with its length before it."""
    return 8 + int.from_bytes(content[:8], "little")


def test_a_model_with_any_bit_of_its_header_flipped_is_damaged(tmp_path, arrays, description):
    path = tmp_path / "model"
    write_model(path, arrays, description)
    content = path.read_bytes()
    for bit in (*range(700), *range(700, 8 * beginning(content), 31)):
        flipped(path, content, bit)
        with pytest.raises(FileError, match=r"^.*model is damaged: .* Copy or write it again$"):
            read_model(path)


def test_a_description_that_seems_wrong_by_a_flipped_bit_is_damaged(tmp_path, arrays, description):
    """The summary reads no arrays and checks no sum unless something is wrong."""
    path = tmp_path / "model"
    write_model(path, arrays, description)
    content = path.read_bytes()
    said = set()
    for bit in range(0, 8 * beginning(content), 11):
        flipped(path, content, bit)
        try:
            read_description(path)
        except FileError as error:
            said.add(str(error))
    assert said == {f"{path} is damaged: its content does not match its checksum. Copy or write it again"}


def test_a_checkpoint_with_a_bit_flipped_is_damaged(tmp_path, checkpoint):
    path = tmp_path / "checkpoint"
    write_checkpoint(path, checkpoint)
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 61):
        flipped(path, content, bit)
        with pytest.raises(FileError, match="is damaged: "):
            read_checkpoint(path)


def test_what_is_cut_is_called_cut(tmp_path, arrays, description):
    path = tmp_path / "model"
    write_model(path, arrays, description)
    content = path.read_bytes()
    for length in (beginning(content) - 3, beginning(content), len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(FileError, match=f"is cut short: it has {length:,} bytes"):
            read_model(path)


def test_what_goes_on_is_damaged(tmp_path, arrays, description):
    path = tmp_path / "model"
    write_model(path, arrays, description)
    with path.open("r+b") as file:
        file.truncate(10**10)  # sparse: ten gigabytes that take no room, and are not read
    with pytest.raises(FileError, match=r"is damaged: it continues after its last array\. Copy or write it again$"):
        read_model(path)


def test_a_file_of_another_kind_is_still_called_so(tmp_path):
    path = tmp_path / "model"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"0" * 50)
    with pytest.raises(FileError, match="is not a safetensors file; expected one written by foveate"):
        read_model(path)
