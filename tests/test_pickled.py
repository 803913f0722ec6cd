"""Pickles read as data, against Python's own pickle; and what they may not do."""

import pickle
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

import foveate.pickled as module
from foveate.pickled import Called, read_pickle


def read(content: bytes) -> Any:
    return read_pickle(BytesIO(content))


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, 255, 256, 70_000, -5, 2**40, 2**4000, 1.5, "", "grün", [], {},
        [[1], {"a": ["b"]}], (1, (2,)),
        {"a": {"b": 3}, "c": "x" * 300, 3: 4}, list(range(3000)),
    ],
)  # fmt: skip
def test_plain_data_are_what_pickle_reads(protocol: int, value: object):
    assert read(pickle.dumps(value, protocol=protocol)) == value


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("value", [b"\xff\0", [b"y" * 70_000, b"\xe4"], {b"key": b"\x80"}])
def test_bytes_are_what_pickle_reads(protocol: int, value: object):
    """Protocol 2 has none: Python 3 writes them as text, to be encoded."""
    assert read(pickle.dumps(value, protocol=protocol)) == value


def test_text_of_python_2_is_what_pickle_reads():
    content = b"\x80\x02](U\x03ab\xffT\x01\0\0\0ce."
    assert read(content) == pickle.loads(content, encoding="latin-1") == ["ab\xff", "c"]


class Evil:
    """Removes what it is told to, if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (Path.unlink, (self.path,))


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_called(protocol: int, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("alive")
    content = pickle.dumps({"data": Evil(victim)}, protocol=protocol)
    noted = read(content)["data"]
    assert isinstance(noted, Called)
    assert victim.exists()
    pickle.loads(content)
    assert not victim.exists()  # that is what it would have done


def test_a_list_in_itself_ends():
    endless: list[object] = []
    endless.append(endless)
    found = read(pickle.dumps(endless, protocol=2))
    assert found[0] is found


def test_few_steps_do_not_make_much(monkeypatch: pytest.MonkeyPatch):
    """Text that is recalled and encoded again and again; lists without end."""
    text = b"X" + struct.pack("<I", 1000) + b"a" * 1000 + b"q\x01"
    encode = b"c_codecs\nencode\nh\x01X\x06\0\0\0latin1\x86R"
    found = read(b"\x80\x02](" + text + encode * 50 + b"e.")
    assert found[1:] == [b"a" * 1000] * 50
    assert len({id(each) for each in found}) == 2
    monkeypatch.setattr(module, "MOST_STEPS", 100)
    with pytest.raises(ValueError, match="it has more than 100 steps"):
        read(b"\x80\x02" + b"]" * 200 + b".")


def test_depth_does_not_matter():
    """Python's own pickle hashes a key however deep it is, and crashes."""
    assert read(b"\x80\x02})" + b"\x85" * 500_000 + b"K\x01s.") == {}
    deep = read(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")
    assert isinstance(deep, list)


@pytest.mark.parametrize("encoding", ["rot13", "utf-8", "zip"])
def test_only_bytes_are_made_of_text(encoding: str):
    call = b"c_codecs\nencode\nX\x01\0\0\0aX" + struct.pack("<I", len(encoding)) + encoding.encode() + b"\x86R."
    assert isinstance(read(b"\x80\x02" + call), Called)
