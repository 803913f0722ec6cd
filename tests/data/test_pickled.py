"""Pickles read without being run, against Python's own pickle; and what is refused."""

import pickle
import pickletools
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

import foveate.data.pickled as module
from foveate.data.pickled import NotPlainError, plain_data
from tests.data.cifar_files import python2_batch, python3_batch
from tests.data.support import noise

PIXELS = noise(7, 3072)
LABELS = {"coarse_labels": [0, 1, 2, 3, 4, 5, 19], "fine_labels": [9, 0, 99, 3, 4, 5, 6]}


def test_a_file_of_python_2_is_what_pickle_reads():
    content = python2_batch(PIXELS, LABELS)
    told = pickle.loads(content, encoding="bytes")
    found = plain_data(content)
    assert found.keys() == {key.decode() for key in told}
    for key, value in told.items():
        assert np.array_equal(found[key.decode()], value)
    assert np.array_equal(found["data"], PIXELS)
    assert found["filenames"][6] == b"picture_s_000006.png"


def test_the_instructions_are_those_of_the_published_files():
    """They were written by cPickle; what it used is listed here from `pickletools.dis` of the real data_batch_1."""
    used = {opcode.name for opcode, _, _ in pickletools.genops(python2_batch(noise(300, 3072), {"labels": [1] * 300}))}
    assert used == {
        "PROTO", "EMPTY_DICT", "BINPUT", "LONG_BINPUT", "MARK", "SHORT_BINSTRING", "EMPTY_LIST", "BININT1", "APPENDS",
        "GLOBAL", "TUPLE1", "TUPLE3", "REDUCE", "BININT2", "TUPLE2", "NONE", "BININT", "TUPLE", "BUILD", "NEWFALSE",
        "BINSTRING", "SETITEMS", "STOP",
    }  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_file_of_python_3_is_what_pickle_reads(protocol: int, text: bool, order: str):
    content = python3_batch(np.asarray(PIXELS, order=order), LABELS, protocol, text=text)
    found = plain_data(content)
    assert np.array_equal(found["data"], PIXELS)
    assert {name: found[name] for name in LABELS} == LABELS
    assert found["batch_label"] == b"x"


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize(
    "value",
    [
        None, True, False, 0, 255, 256, 70_000, -5, 2**40, "", "grün", b"", b"\xff\0", [], {}, [[1], {"a": [b"b"]}],
        {"a": {"b": 3}, "c": "x" * 300}, [b"y" * 70_000], list(range(3000)),
    ],
)  # fmt: skip
def test_plain_data_are_what_pickle_reads(protocol: int, value: object):
    assert plain_data(pickle.dumps(value, protocol=protocol)) == value


def test_a_list_in_itself_ends():
    endless: list[object] = []
    endless.append(endless)
    found = plain_data(pickle.dumps(endless, protocol=2))
    assert found[0] is found


class Evil:
    """Removes what it is told to, if it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return (Path.unlink, (self.path,))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nothing_is_called(protocol: int, tmp_path: Path):
    victim = tmp_path / "victim"
    victim.write_text("alive")
    content = pickle.dumps({"data": Evil(victim)}, protocol=protocol)
    with pytest.raises(NotPlainError, match=r"wants to call|holds more than plain data"):
        plain_data(content)
    assert victim.exists()
    pickle.loads(content)
    assert not victim.exists()  # that is what it would have done


def _array(
    head: bytes = b"", kind: bytes = b"U\x02u1", shape: bytes = b"K\x02\x85", content: bytes = b"U\x02ab"
) -> bytes:
    """An array's pickle with some parts replaced."""
    made = b"cnumpy.core.multiarray\n_reconstruct\n" + (head or b"cnumpy\nndarray\n") + b"K\0\x85U\x01b\x87R"
    types = b"cnumpy\ndtype\nU\x02u1K\0K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    return b"\x80\x02" + made + b"(K\x01" + shape + types + b"\x89" + content + b"tb."


REFUSED = {
    "nothing": (b"", "ends too soon"),
    "text": (b"hello", "is not a pickle of protocol 2 to 5"),
    "protocol": (b"\x80\x01N.", "is not a pickle of protocol 2 to 5"),
    "future": (b"\x80\x06N.", "is not a pickle of protocol 2 to 5"),
    "cut": (pickle.dumps(list(range(9)), protocol=2)[:-3], "lacks a mark|ends too soon"),
    "float": (pickle.dumps(1.5, protocol=2), r"holds more than plain data and arrays \(instruction b'G'\)"),
    "set": (pickle.dumps({1, 2}, protocol=4), "holds more than plain data and arrays"),
    "ordered": (pickle.dumps(OrderedDict(a=1), protocol=2), 'wants to call "collections.OrderedDict", which could run'),
    "tuple": (pickle.dumps([(1, 2)], protocol=2), "holds a function, a type or a tuple instead of data"),
    "function": (pickle.dumps(len, protocol=2), "holds a function, a type or a tuple instead of data"),
    "floats": (pickle.dumps(np.zeros(3), protocol=2), "holds an array of f8, not of bytes"),
    "objects": (pickle.dumps(np.array([None]), protocol=2), "holds an array of O8, not of bytes"),
    "key": (pickle.dumps({3: 1}, protocol=2), "has a key that is no text"),
    "odd": (b"\x80\x02}(U\x01au.", "has a key without a value"),
    "empty-stack": (b"\x80\x02.", "takes a value that it does not have"),
    "no-list": (b"\x80\x02}K\x01a.", "takes something else for a list"),
    "no-dict": (b"\x80\x02](U\x01aK\x01u.", "takes something else for a dict"),
    "no-array": (b"\x80\x02NK\x01b.", "takes something else for an array"),
    "no-mark": (b"\x80\x02]e.", "lacks a mark"),
    "mark": (b"\x80\x02(.", "takes a value that it does not have"),
    "drop": (b"\x80\x020.", "takes a value that it does not have"),
    "recall": (b"\x80\x02h\x05.", "recalls a value that it does not have"),
    "remember": (b"\x80\x02q\x05.", "remembers a value that it does not have"),
    "call": (b"\x80\x02K\x01)R.", "calls something that is no function"),
    "name": (b"\x80\x02cos", "holds a name without an end"),
    "stacked-name": (b"\x80\x04K\x01K\x02\x93)R.", r'wants to call "\?"'),
    "utf-8": (b"\x80\x02X\x01\0\0\0\xff.", "holds damaged text"),
    "latin-1": (pickle.dumps([b"\xff"], protocol=2).replace("ÿ".encode(), "ż".encode()), "holds damaged bytes"),
    "long": (b"\x80\x02T\xff\xff\xff\xffab.", "ends too soon"),
    "longer": (b"\x80\x04\x8e" + b"\xff" * 8 + b"ab.", "ends too soon"),
    "other-array": (_array(head=b"cos\nsystem\n"), 'wants to call "numpy.core.multiarray._reconstruct"'),
    "no-content": (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x85R.",
        "an array without content",
    ),
    "short": (_array(content=b"U\x01a"), r"holds an array whose content does not fit its shape \(2,\)"),
    "hollow": (_array(shape=b"K\0\x85", content=b"U\0"), r"content does not fit its shape \(0,\)"),
    "shape": (_array(shape=b"U\x01a\x85"), "holds an array without a shape"),
    "negative": (_array(shape=b"J\xff\xff\xff\xff\x85"), "holds an array without a shape"),
    "state": (b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x85RK\x01b.", "holds a damaged array"),
}


@pytest.mark.parametrize(("content", "words"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_plain_is_refused(content: bytes, words: str):
    with pytest.raises(NotPlainError, match=words):
        plain_data(content)


def test_the_parts_of_the_damaged_arrays_make_a_whole_one():
    assert plain_data(_array()).tobytes() == b"ab"


def test_few_instructions_do_not_make_much(monkeypatch: pytest.MonkeyPatch):
    """Text that is recalled and encoded again and again; a list without end."""
    text = b"X" + struct.pack("<I", 1000) + b"a" * 1000 + b"q\x01"
    encode = b"c_codecs\nencode\nh\x01X\x06\0\0\0latin1\x86R"
    with pytest.raises(NotPlainError, match="unpacks to more than it holds"):
        plain_data(b"\x80\x02](" + text + encode * 50 + b"e.")
    shared = plain_data(b"\x80\x02](U\xff" + b"a" * 255 + b"q\x01" + b"h\x01" * 1000 + b"e.")
    assert len(shared) == 1001
    assert len({id(each) for each in shared}) == 1
    monkeypatch.setattr(module, "MOST_INSTRUCTIONS", 100)
    with pytest.raises(NotPlainError, match="has more than 100 instructions"):
        plain_data(b"\x80\x02" + b"]" * 200 + b".")


def test_depth_does_not_matter():
    """Python's own pickle hashes a key however deep it is, and crashes."""
    with pytest.raises(NotPlainError, match="has a key that is no text"):
        plain_data(b"\x80\x02})" + b"\x85" * 500_000 + b"K\x01s.")
    deep = plain_data(b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")
    assert isinstance(deep, list)
