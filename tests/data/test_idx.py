"""The IDX reader: good files, plain and gzipped, and every way in which one can be bad."""

import gzip

import numpy as np
import pytest

from foveate import FileError
from foveate.data.idx import read_idx
from tests.data.support import idx_bytes, noise

IMAGES = noise(5, 4, 3)
GOOD = idx_bytes(IMAGES)


@pytest.mark.parametrize("array", [IMAGES, noise(7), noise(1, 1, 2, 3)], ids=lambda array: str(array.shape))
@pytest.mark.parametrize("zipped", [False, True])
def test_a_good_file_is_read_whatever_its_name(tmp_path, array, zipped: bool):
    path = tmp_path / "images"
    path.write_bytes(gzip.compress(idx_bytes(array)) if zipped else idx_bytes(array))
    for name in (path, str(path)):
        found = read_idx(name)
        assert found.dtype == np.uint8
        assert np.array_equal(found, array)


BAD_FILES = {
    "empty": (b"", "is not an IDX file: .* but begins with nothing"),
    "magic": (b"\x89PNG" + GOOD, "is not an IDX file: it should begin with 00 00, .* but begins with 89 50 4e 47"),
    "type-unknown": (b"\0\0\x07\1" + GOOD, "is not an IDX file: .* begins with 00 00 07 01"),
    "no-axes": (b"\0\0\x08\0", "is not an IDX file: .* and 1 to 8 axes, but begins with 00 00 08 00"),
    "many-axes": (b"\0\0\x08\xff", "is not an IDX file: .* and 1 to 8 axes, but begins with 00 00 08 ff"),
    "floats": (idx_bytes(IMAGES, 0x0D), r"holds float32 elements \(type 0d\); unsigned bytes \(08\) were expected"),
    "sizes": (GOOD[:10], "is truncated: 12 bytes with the sizes of its 3 axes were expected, but 6 follow"),
    "short": (GOOD[:-1], "is truncated: its header promises 5x4x3 = 60 bytes, but 59 follow; get it again"),
    "long": (GOOD + b"\0", "is too long: its header promises 5x4x3 = 60 bytes, but more follow; get it again"),
    "false-sizes": (b"\0\0\x08\3" + b"\xff" * 12 + b"12", "is truncated: .*4294967295.* but 2 follow"),
    "nothing": (idx_bytes(IMAGES[:0]), "is empty: its header promises 0x4x3 elements"),
    "gzip-short": (gzip.compress(GOOD)[:-9], "is a damaged gzip file .*; get it again"),
    "gzip-flipped": (gzip.compress(GOOD)[:20] + b"\xff\xff\xff" + gzip.compress(GOOD)[23:], "is a damaged gzip file"),
    "gzip-header": (b"\x1f\x8b", "is a damaged gzip file"),
    "gzip-tail": (gzip.compress(GOOD) + b"more", "is a damaged gzip file"),
}


@pytest.mark.parametrize(("content", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_a_bad_file_is_a_sentence_with_its_name(tmp_path, content: bytes, message: str):
    path = tmp_path / "bad-idx1"
    path.write_bytes(content)
    with pytest.raises(FileError, match=f'"{path}" {message}'):
        read_idx(path)


def test_what_is_no_file_is_a_sentence(tmp_path):
    with pytest.raises(FileError, match=r'there is no file ".*none.gz"; an IDX file, gzipped or plain, was expected'):
        read_idx(tmp_path / "none.gz")
    with pytest.raises(FileError, match=r'".*" cannot be read: Is a directory'):
        read_idx(tmp_path)
