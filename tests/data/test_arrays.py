"""Files of numpy.save as inputs, and what is said of files that are none."""

import io
import pickle
from contextlib import suppress

import numpy as np
import pytest

from foveate import FileError
from foveate.data.arrays import read_array, samples_in


@pytest.mark.parametrize("array", [np.arange(6, dtype=np.uint8).reshape(1, 2, 3), np.ones((2, 3), np.float64).T])
def test_what_was_saved_is_read(array, tmp_path):
    np.save(tmp_path / "a.npy", array)
    found = read_array(tmp_path / "a.npy")
    assert (found.dtype, found.flags.writeable) == (array.dtype, True)
    np.testing.assert_array_equal(found, array)


def _claims_a_terabyte():
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f4", "fortran_order": False, "shape": (2**38,)})
    return header.getvalue() + bytes(64)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"no array", "is not an array written by numpy.save: "),
        (b"", "is not an array written by numpy.save: "),
        (b"PK\x03\x04 and no more", "is not an array written by numpy.save: "),
        (pickle.dumps([1]), "is not an array written by numpy.save: "),
        (_claims_a_terabyte(), "is not an array written by numpy.save: "),
    ],
)
def test_another_file_is_refused(content, sentence, tmp_path):
    path = tmp_path / "a.npy"
    path.write_bytes(content)
    with pytest.raises(FileError) as raised:
        read_array(path)
    assert str(raised.value).startswith(f'"{path}" {sentence}')


SAVED = (
    b"\x93NUMPY\x01\x00v\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1, 2, 3), }".ljust(127)
    + b"\n\x00\x01\x02\x03\x04\x05"
)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"v\x00", b"\x01\x00"),
        (b"'|u1'", b"',u1'"),
        (b"'fort", b"B'for"),
        (b"{'desc", b" \n {{'"),
        (b"'descr'", b"(" * 7),
        (b"(1, 2, 3)", b"(1e999,1)"),
        (b"(1, 2, 3)", b"(9<<9<<9)"),
        (b"(1, 2, 3)", b"(-1,-2,3)"),
        (b"(1, 2, 3)", b"([1],2,3)"),
        (b"'shape': (1, 2, 3), }", b"'shape': " + b"9" * 40),
        (b", }" + b" " * 45, b", }" + b"-" * 45),
    ],
)
def test_a_damaged_header_is_refused(old, new, tmp_path):
    path = tmp_path / "a\n.npy"
    assert old in SAVED
    path.write_bytes(SAVED.replace(old, new))
    with pytest.raises(FileError) as raised:
        read_array(path)
    assert str(raised.value).startswith(f'"{tmp_path}/a\\n.npy" is not an array written by numpy.save: ')
    assert str(raised.value).isprintable()


def test_bytes_of_a_header_turned_at_random_are_refused_or_harmless(tmp_path):
    path, draw = tmp_path / "a.npy", np.random.default_rng(0)
    for _ in range(2000):
        content = bytearray(SAVED)
        for place in draw.integers(6, 70, 2):
            content[place] = draw.choice(list(b"'\"(){}[],:0189<>fuOVLT#\\\n-+*~ \0\xff"))
        path.write_bytes(content)
        with suppress(FileError):
            assert read_array(path).nbytes <= 6


def test_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(FileError, match=r'a\.npy" holds Python objects, which are not read, as that could run'):
        read_array(tmp_path / "a.npy")


def test_an_archive_a_folder_and_nothing(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, np.zeros(3))
    with pytest.raises(FileError, match=r'a\.npy" is an archive that numpy\.savez wrote; write one array'):
        read_array(tmp_path / "a.npy")
    (tmp_path / "b.npy").mkdir()
    with pytest.raises(FileError, match=r'b\.npy" cannot be read: Is a directory$'):
        read_array(tmp_path / "b.npy")
    with pytest.raises(FileError, match=r'^there is no file ".*c\.npy"; an array written by numpy\.save was expected$'):
        read_array(tmp_path / "c.npy")


def test_nobody_is_advised_to_trust_a_file(tmp_path):
    header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }" + " " * 60000
    content = np.lib.format.magic(2, 0) + len(header).to_bytes(4, "little") + header.encode() + b"\0" * 4
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(FileError, match="its header is longer than that of any array") as refused:
        read_array(tmp_path / "a.npy")
    assert "pickle" not in str(refused.value)


def test_the_samples_in_a_file_are_read_one_by_one(tmp_path):
    path = tmp_path / "many.npy"
    for array in (np.arange(24, dtype=np.uint8).reshape(4, 2, 3), np.ones((1, 2, 3)), np.zeros((4, 2, 3), np.float32)):
        for version in ((1, 0), (2, 0), (3, 0)):
            with path.open("wb") as file:
                np.lib.format.write_array(file, array, version)
            rows = samples_in(path, (2, 3))
            assert rows is not None
            found = list(rows)
            assert found[0].dtype == array.dtype
            np.testing.assert_array_equal(found, array)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((2, 3)), np.zeros((4, 3, 2)), np.zeros((0, 2, 3)), np.asfortranarray(np.ones((4, 2, 3))),
        np.full((2, 2, 3), None), np.array(1.0),
    ],
    ids=lambda array: f"{array.shape} {array.dtype}",
)  # fmt: skip
def test_a_file_that_holds_something_else_has_no_samples(array, tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, array)
    assert samples_in(path, (2, 3)) is None


def test_a_file_that_is_damaged_has_no_samples(tmp_path):
    path = tmp_path / "a.npy"
    assert samples_in(path, (2, 3)) is None
    np.save(path, np.zeros((4, 2, 3)))
    whole = path.read_bytes()
    for content in (b"", b"no array", whole[:20], whole[:-1], whole + b"x", _claims_a_terabyte()):
        path.write_bytes(content)
        assert samples_in(path, (2, 3)) is None
        assert samples_in(path, ()) is None


@pytest.mark.filterwarnings("error")
def test_an_array_that_python_2_wrote_is_read_without_a_word(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.ones((3, 2, 3), np.float32))
    content = path.read_bytes()
    path.write_bytes(content.replace(b"(3, 2, 3), }   ", b"(3L, 2L, 3L), }"))
    assert path.read_bytes() != content
    np.testing.assert_array_equal(read_array(path), np.ones((3, 2, 3)))
    rows = samples_in(path, (2, 3))
    assert rows is not None
    assert len(list(rows)) == 3
