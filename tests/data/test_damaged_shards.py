"""Shards that are damaged, changed or made to do harm: a sentence each, and nothing is unpacked."""

import base64
import gzip
import io
import json
import shutil
import struct
import tarfile

import numpy as np
import pytest

import foveate as fv
from foveate.data.datasets import pack, shards
from tests.data.shard_files import png, samples, small_splits, write_tar


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards") / "noise"
    pack(small_splits(), folder, shard_size=0.06)
    return folder


@pytest.fixture
def copy(packed, tmp_path):
    return shutil.copytree(packed, tmp_path / "copy")


def refused(folder, message):
    before = sorted(folder.rglob("*"))
    with pytest.raises(fv.FoveateError, match=message):
        shards(folder)
    assert sorted(folder.rglob("*")) == before


def header(name, size=0, kind=b"0"):
    """A tar header with any name and any size."""
    info = tarfile.TarInfo(name)
    block = bytearray(info.tobuf(tarfile.USTAR_FORMAT))
    block[124:136] = b"%011o\0" % size if size < 8**11 else b"\x80" + size.to_bytes(11, "big")
    block[156:157] = kind
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def test_a_tar_that_is_cut_short_is_told(tmp_path):
    whole = write_tar(tmp_path / "whole" / "a.tar", samples(40)).read_bytes()
    for place, cut in enumerate((100, 512, 600, 3000, 20_000, 40 * 2048 - 512, 40 * 2048)):
        folder = tmp_path / str(place)
        folder.mkdir()
        (folder / "a.tar").write_bytes(whole[:cut])
        refused(folder, r'a.tar" is (cut short|no plain tar file, or is cut short)')


def test_bytes_amid_a_tar_that_are_no_header_are_no_end(tmp_path):
    path = write_tar(tmp_path / "shards" / "a.tar", samples(40))
    content = bytearray(path.read_bytes())
    content[2048 * 20 + 148 : 2048 * 20 + 156] = b"garbage!"
    path.write_bytes(content)
    refused(path.parent, r'a.tar" is cut short or damaged at byte 40,960; write or copy it again')


@pytest.mark.parametrize("content", [b"", b"no tar at all" * 100, bytes(10_240)])
def test_a_file_that_is_no_tar_or_empty_is_told(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    refused(tmp_path, r'a.tar" (is no plain tar file|has no samples; remove it)')


def test_a_compressed_tar_is_told_as_that(tmp_path):
    path = write_tar(tmp_path / "shards" / "a.tar", samples(40))
    path.write_bytes(gzip.compress(path.read_bytes()))
    refused(path.parent, r'a.tar" is compressed, but shards are read in pieces; gunzip it')


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "a/../../evil.png", "..\\evil.png", "\\evil.png"])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    path = write_tar(tmp_path / "shards" / "a.tar", [*samples(40), (name, png(1)), ("x.cls", b"1")])
    refused(path.parent, r'a.tar" has a member called ".*evil.png", which leads out of the folder; nothing is written')
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("size", [2**31, 8**11 - 1, 2**62])
def test_a_size_that_no_sample_has_is_refused_before_memory_is_asked_for(tmp_path, size):
    folder = tmp_path / "shards"
    folder.mkdir()
    (folder / "a.tar").write_bytes(header("0.png", size) + bytes(2048))
    refused(folder, rf"a.tar\": 0.png claims {size:,} bytes; at most 1,073,741,824 of a sample are read")


def test_a_size_beyond_the_file_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(header("0.png", 10**6) + bytes(2048))
    refused(tmp_path, r'a.tar" is cut short: 0.png ends behind its 2,560 bytes')


def test_links_and_devices_are_passed_over(tmp_path):
    folder = tmp_path / "shards"
    path = write_tar(folder / "a.tar", samples(40))
    links = b"".join(header(f"z{number}.png", 0, kind) for number, kind in enumerate((b"1", b"2", b"3", b"6")))
    path.write_bytes(path.read_bytes()[: 40 * 2048] + links + bytes(1024))
    found = shards(folder)
    assert len(found.train) + len(found.validation) + len(found.test) == 40


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ([("z.png", png(1))], r"the sample z has no class, a member .cls or .json; write the shard again with both"),
        ([("z.cls", b"1")], r"the sample z has no image and no array; write the shard again with both"),
        ([("z.png", png(1)), ("z.jpg", png(1))], r"the sample z has two inputs, .png and .jpg; leave one out"),
        ([("z.png", png(1)), ("z.json", b"{")], r"the member .json of z is no JSON; write it again"),
        ([("z.png", png(1)), ("z.json", b'{"label": -1}')], r"the class of z is -1; give the number of a class"),
        ([("z.png", png(1)), ("z.json", b'{"label": 1.5}')], r"the class of z is 1.5; give the number of a class"),
        ([("z.png", png(1)), ("z.cls", b"")], r"the class of z is ''; give the number of a class, from 0, or its name"),
        ([("z.png", png(1)), ("z.cls", b"cat")], r"names some classes \(cat\) and numbers others"),
        ([("z.png", png(1)), ("z.cls", b"99999999")], r"has a sample of class 99,999,999, but fewer samples"),
        ([("z.png", b"no image"), ("z.cls", b"1")], r'"z in .*a.tar.*" is not an image that can be read'),
        ([("z.npy", b"no array"), ("z.cls", b"1")], r"z in .*a.tar\" is not an array written by numpy.save"),
    ],
)  # fmt: skip
def test_a_sample_that_lacks_something_is_named(tmp_path, extra, message):
    path = write_tar(tmp_path / "shards" / "a.tar", [*samples(40), *extra])
    refused(path.parent, message)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def zeros(shape, dtype=np.uint8):
    return npy(np.zeros(shape, dtype))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (zeros((1, 3, 3)), r"z in .* is uint8 \(1, 3, 3\), but samples before it are uint8 \(1, 2, 2\)"),
        (zeros((1, 2, 2), np.float64), r"is an array of type float64; samples are uint8 from 0 to 255, or float32"),
        (zeros((1, 2, 2))[:-1], r"its header speaks of 1x2x2 uint8, but it holds 3 bytes"),
        (zeros((1, 2, 2)).replace(b"(1, 2, 2)", b"(9**9,2,)"), r"is not an array written by numpy.save"),
    ],
)  # fmt: skip
def test_arrays_of_several_kinds_are_refused(tmp_path, content, message):
    good = npy(np.zeros((1, 2, 2), np.uint8))
    members = [each for number in range(9) for each in ((f"{number}.npy", good), (f"{number}.cls", b"0"))]
    path = write_tar(tmp_path / "shards" / "a.tar", [*members, ("z.npy", content), ("z.cls", b"1")])
    refused(path.parent, message)


def test_python_objects_are_never_read(tmp_path):
    file = io.BytesIO()
    np.save(file, np.array([{"a": 1}]), allow_pickle=True)
    path = write_tar(tmp_path / "shards" / "a.tar", [("z.npy", file.getvalue()), ("z.cls", b"1")])
    refused(path.parent, r"is not an array written by numpy.save: its header speaks of 1 object")


def test_a_shard_that_changed_since_is_told(copy):
    shard = copy / "train-000000.tar"
    content = shard.read_bytes()
    shard.write_bytes(content + bytes(512))
    refused(copy, r'train-000000.tar" has .* bytes, but the index says .*: one of them is from another time')
    shard.unlink()
    refused(copy, r'train-000000.tar" is missing, but the index speaks of it; copy it again')


def test_a_byte_that_changed_is_found_when_it_is_read(copy):
    shard = copy / "train-000000.tar"
    content = bytearray(shard.read_bytes())
    content[512 + 140] ^= 1
    shard.write_bytes(content)
    data = shards(copy).train
    with pytest.raises(fv.FileError, match=r"the sample at byte 512 of .*train-000000.tar\" is damaged: its checksum"):
        data.inputs[0]
    assert data.inputs[1].shape == (1, 6, 5)
    model = fv.Model(fv.Sequential(fv.Flatten(), fv.Linear(4)).build((1, 6, 5)))
    with pytest.raises(fv.FileError, match="is damaged: its checksum is not that of the index; copy the shard again"):
        model.fit(data, epochs=1, progress=False)


def column(kind, value, index):
    """A column of the first shard of the training part with one number in all rows."""
    return base64.b64encode(np.full(training(index)["samples"], value, kind)).decode()


def training(index):
    return next(each for each in index["shards"] if each["part"] == "train")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("file", "../other.tar", r'its shard "../other.tar" is no name of a file beside it'),
        ("file", "/etc/passwd", r'its shard "/etc/passwd" is no name of a file beside it'),
        ("file", "..", r'its shard ".." is no name of a file beside it'),
        ("part", "holdout", r'is of the part "holdout"'),
        ("samples", 3, r"has 3 samples, but another number of places"),
        ("offsets", "?", r"is damaged: .*base64"),
        ("offsets", ("<u8", 2**63), r"a sample ends behind the .* bytes of"),
        ("sizes", ("<u4", 2**31), r"a sample of .* has 2,147,483,648 bytes"),
        ("labels", ("<u4", 7), r"a sample is of class 7, but there are 4 classes"),
        ("checksums", 5, r"is damaged: "),
    ],
)
def test_a_shard_that_the_index_places_wrongly_is_refused(copy, name, value, message):
    index = json.loads((copy / "index.json").read_text())
    training(index)[name] = column(*value, index) if isinstance(value, tuple) else value
    (copy / "index.json").write_text(json.dumps(index))
    refused(copy, message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": ["a", "a", "b", "c"]}, r"is damaged: .*a"),
        ({"classes": None}, r"is damaged: "),
        ({"shape": [0, 6, 5]}, r"the shape of a sample is \(0, 6, 5\)"),
        ({"dtype": "object"}, r"samples are of type object"),
        ({"samples": {"train": 9}}, r"it speaks of .*'train': 9.* samples, but places"),
        ({"shards": []}, r"it speaks of .* samples, but places"),
        ({"version": 2}, r"is of version 2; this foveate reads version 1"),
        ({"shards": 3}, r"is damaged: .*; delete .*index.json.*, and it is made anew"),
    ],
)
def test_an_index_that_does_not_match_is_refused(copy, change, message):
    index = json.loads((copy / "index.json").read_text())
    (copy / "index.json").write_text(json.dumps(index | change))
    refused(copy, message)


def test_an_index_that_lacks_something_is_refused(copy):
    index = json.loads((copy / "index.json").read_text())
    key = next(iter(index["measured"]))
    (copy / "index.json").write_text(json.dumps(index | {"measured": {key: {"mean": [0.5]}}}))
    refused(copy, r"is damaged: what was measured cannot be read")
    del training(index)["checksums"]
    (copy / "index.json").write_text(json.dumps(index))
    refused(copy, r"is damaged: it lacks 'checksums'")


@pytest.mark.parametrize("content", [b"", b"{", b"[" * 100_000, b"\xff\xfe"])
def test_an_index_that_is_no_json_is_refused_and_can_be_made_anew(copy, content):
    (copy / "index.json").write_bytes(content)
    refused(
        copy, r"index.json\" is damaged: it is no JSON .*; delete .*index.json\", and it is made anew from the shards"
    )
    (copy / "index.json").unlink()
    found = shards(copy)
    assert found.classes == small_splits().classes  # from classes.txt
    assert (len(found.train), len(found.validation), len(found.test)) == (260, 20, 20)


def test_an_image_that_claims_to_be_huge_is_refused(tmp_path):
    bomb = bytearray(png(1))
    bomb[16:24] = struct.pack(">II", 60_000, 60_000)
    path = write_tar(tmp_path / "shards" / "a.tar", [*samples(40), ("z.png", bytes(bomb)), ("z.cls", b"1")])
    refused(path.parent, r"z in .*a.tar")


def test_infinity_in_an_array_is_told(tmp_path):
    arrays = np.zeros((30, 1, 2, 2), np.float32)
    arrays[:, 0, 0, 0] = np.arange(30)
    arrays[7, 0, 1, 1] = np.inf
    members = [
        each
        for number, array in enumerate(arrays)
        for each in ((f"{number:02d}.npy", npy(array)), (f"{number:02d}.cls", b"%d" % (number % 2)))
    ]
    path = write_tar(tmp_path / "shards" / "a.tar", members)
    with pytest.raises(
        fv.DataError, match=r"the sample at byte .* of .*a.tar.* holds NaN or infinity; fix or remove it"
    ):
        read_all(path.parent)


def read_all(folder):
    found = shards(folder)
    return [part.inputs[:] for part in (found.train, found.validation, found.test)]
