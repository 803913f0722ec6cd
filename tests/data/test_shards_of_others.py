"""Shards of WebDataset, read by us, and ours, read by WebDataset; shards behind URLs."""

import gc
import json
import sys
import warnings

import fsspec
import numpy as np
import pytest
import webdataset
from PIL import Image

import foveate as fv
from foveate.data.datasets import pack, shards
from tests.data.shard_files import png, samples, small_splits, write_tar
from tests.data.support import noise, write_images


def write_webdataset(pattern, inputs, labels, *, image="png", label="cls"):
    """Shards as webdataset.ShardWriter makes them."""
    encoded = {"cls": int, "json": lambda each: {"label": int(each)}}[label]
    with webdataset.ShardWriter(str(pattern), maxcount=25, verbose=0) as writer:
        for number, (pixels, each) in enumerate(zip(inputs, labels, strict=True)):
            content = Image.fromarray(pixels[0]) if image in ("png", "jpg") else pixels
            writer.write({"__key__": f"{number:06d}", image: content, label: encoded(each)})


def read_webdataset(folder, part, *names):
    files = [str(path) for path in sorted(folder.glob(f"{part}-*.tar"))]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the files open
        found = list(webdataset.WebDataset(files, shardshuffle=False).decode("pil").to_tuple(*names))
        gc.collect()
    return found


@pytest.mark.parametrize("image", ["png", "npy"])
@pytest.mark.parametrize("label", ["cls", "json"])
def test_what_webdataset_wrote_is_read(tmp_path, image, label):
    inputs, labels = noise(90, 1, 7, 6), np.arange(90) % 3
    for part, rows in (("train", slice(0, 60)), ("val", slice(60, 75)), ("test", slice(75, 90))):
        write_webdataset(tmp_path / f"{part}-%03d.tar", inputs[rows], labels[rows], image=image, label=label)
    found = shards(tmp_path)
    assert np.array_equal(found.train.inputs[:], inputs[:60])
    assert np.array_equal(found.validation.inputs[:], inputs[60:75])
    assert np.array_equal(found.test.inputs[:], inputs[75:])
    assert found.train.labels.tolist() == labels[:60].tolist()
    assert found.classes == ("0", "1", "2")
    assert found.preprocessing.mean == fv.Preprocessing.measure(fv.Dataset(inputs[:60], labels[:60], list("abc"))).mean


def test_photographs_are_decoded_as_pil_decodes_them(tmp_path):
    write_webdataset(tmp_path / "train-%03d.tar", noise(60, 1, 8, 8), np.arange(60) % 2, image="jpg")
    found = shards(tmp_path)
    decoded = {
        np.asarray(image.convert("L")).tobytes() for image, _ in read_webdataset(tmp_path, "train", "jpg", "cls")
    }
    ours = [part.inputs[:] for part in (found.train, found.validation, found.test)]
    assert {sample.tobytes() for part in ours for sample in part} == decoded


def test_without_files_for_them_validation_and_test_are_split_by_content(tmp_path):
    inputs = noise(100, 1, 7, 6)
    inputs[50:60] = inputs[:10]
    write_webdataset(tmp_path / "data-%03d.tar", inputs, np.arange(100) % 2 * 0 + inputs[:, 0, 0, 0] % 2)
    found = shards(tmp_path, seed=3)
    parts = [part.inputs[:] for part in (found.train, found.validation, found.test)]
    assert sum(map(len, parts)) == 100
    contents = [{sample.tobytes() for sample in part} for part in parts]
    assert sum(map(len, contents)) == 90
    assert len(parts[1]) >= 8 <= len(parts[2])
    again = shards(tmp_path, seed=4)  # the split is in the index by now
    assert np.array_equal(again.test.inputs[:], parts[2])
    assert again.record == found.record
    assert found.record["by"] == "content"


def test_the_index_is_made_once(tmp_path, monkeypatch):
    write_webdataset(tmp_path / "data-%03d.tar", noise(60, 1, 7, 6), np.arange(60) % 2)
    first = shards(tmp_path)
    assert (tmp_path / "index.json").exists()
    monkeypatch.setattr("foveate.data.shards.opening.made_index", None)
    assert np.array_equal(shards(tmp_path).train.inputs[:], first.train.inputs[:])


def test_an_index_that_cannot_be_kept_is_made_each_time(tmp_path, monkeypatch):
    def refuse(*_):
        raise fv.FileError("read-only")

    write_webdataset(tmp_path / "data-%03d.tar", noise(60, 1, 7, 6), np.arange(60) % 2)
    monkeypatch.setattr("foveate.data.shards.places.Folder.write", refuse)
    first, again = shards(tmp_path), shards(tmp_path)
    assert not (tmp_path / "index.json").exists()
    assert np.array_equal(first.train.inputs[:], again.train.inputs[:])


def test_classes_have_the_names_in_the_samples_or_those_listed_beside(tmp_path):
    names = ["tabby cat", "dog", "bird 10", "bird 9"]
    members = [
        (f"{number:03d}.{extension}", content)
        for number in range(40)
        for extension, content in (("png", png(number)), ("cls", names[number % 4].encode()))
    ]
    write_tar(tmp_path / "named" / "a.tar", members)
    assert shards(tmp_path / "named").classes == ("bird 9", "bird 10", "dog", "tabby cat")
    write_tar(tmp_path / "listed" / "a.tar", samples(40))
    (tmp_path / "listed" / "classes.txt").write_text("even\nodd\n")
    found = shards(tmp_path / "listed")
    assert found.classes == ("even", "odd")
    assert (found.train.inputs[:, 0, 0, 0] % 2 == found.train.labels).all()


def test_webdataset_reads_our_arrays(tmp_path):
    splits = small_splits()
    pack(splits, tmp_path / "shards", shard_size=0.06)
    for part in ("train", "validation", "test"):
        found = read_webdataset(tmp_path / "shards", part, "npy", "cls")
        data = getattr(splits, part)
        wanted = sorted((sample.tobytes(), int(label)) for sample, label in zip(data.inputs, data.labels, strict=True))
        assert sorted((array.tobytes(), label) for array, label in found) == wanted


def test_webdataset_reads_our_images(tmp_path):
    root = write_images(tmp_path / "photos", {"a": 12, "b": 12})
    ours = pack(root, tmp_path / "shards")
    found = read_webdataset(tmp_path / "shards", "train", "png", "cls")
    assert len(found) == len(ours.train)
    for (image, label), pixels, own in zip(found, ours.train.inputs, ours.train.labels, strict=True):
        assert np.array_equal(np.asarray(image), pixels.transpose(1, 2, 0))
        assert label == own


def test_other_members_are_passed_over(tmp_path):
    members = [("__meta__.json", b"{}"), (".hidden", b"")]
    for name, content in samples(40):
        members += [(name, content), (name.replace("png", "seg.png").replace("cls", "txt"), b"something else")]
    write_tar(tmp_path / "a.tar", members)
    found = shards(tmp_path)
    assert len(found.train) + len(found.validation) + len(found.test) == 40


@pytest.fixture
def remote():
    """A folder in fsspec's memory."""
    system = fsspec.filesystem("memory")
    yield system
    system.store.clear()


def upload(system, folder, name):
    for path in folder.iterdir():
        system.pipe_file(f"/{name}/{path.name}", path.read_bytes())
    return f"memory://{name}"


def test_shards_behind_a_url_are_those_of_a_folder(remote, tmp_path):
    near = pack(small_splits(), tmp_path / "shards", shard_size=0.06)
    far = shards(upload(remote, tmp_path / "shards", "bucket/noise"), buffer=0.02)
    assert far.name == "noise"
    assert far.found == near.found
    assert np.array_equal(far.train.inputs[:], near.train.inputs[:])
    order = far.train.order(0)
    stream = far.train.streamed([order.samples], order)
    assert np.array_equal(stream.take(order.samples), near.train.inputs[order.samples])
    stream.close()


def test_the_index_is_kept_behind_a_url_too(remote, tmp_path):
    write_webdataset(tmp_path / "data-%03d.tar", noise(60, 1, 7, 6), np.arange(60) % 2)
    url = upload(remote, tmp_path, "others")
    found = fv.datasets.load(url)
    assert json.loads(remote.cat_file("/others/index.json"))["samples"]["train"] == len(found.train)
    assert fv.datasets.load(url).record == found.record


def test_what_is_not_behind_a_url_is_told_in_a_sentence(remote, tmp_path):
    with pytest.raises(fv.DataError, match='"memory://nothing" has no shards'):
        shards("memory://nothing")
    with pytest.raises(fv.DataError, match=r'"nosuch://x" cannot be opened: Protocol not known: nosuch'):
        shards("nosuch://x")
    pack(small_splits(), tmp_path / "shards", shard_size=0.06)
    url = upload(remote, tmp_path / "shards", "noise")
    found = shards(url)
    remote.rm_file("/noise/train-000001.tar")
    with pytest.raises(fv.FileError, match=r'"memory://noise/train-000001.tar" cannot be read: there is no such file'):
        found.train.inputs[:]
    content = remote.cat_file("/noise/train-000000.tar")
    remote.pipe_file("/noise/train-000000.tar", content[:2000])
    with pytest.raises(fv.FileError, match=r'train-000000.tar" is cut short: bytes .* were wanted'):
        found.train.inputs[:10]


@pytest.mark.parametrize(("method", "file"), [("size", "noise/index.json"), ("ls", "noise")])
def test_a_server_that_does_not_answer_is_told_as_that(remote, monkeypatch, method, file):
    def fail(*_, **__):
        raise ConnectionError("no route to host")

    remote.pipe_file("/noise/readme.txt", b"no shards")
    monkeypatch.setattr(type(remote), method, fail)
    with pytest.raises(fv.FileError, match=rf'"memory://{file}" cannot be read: ConnectionError no route to host'):
        shards("memory://noise")


def test_without_fsspec_a_url_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "fsspec", None)
    with pytest.raises(fv.DataError, match=r"needs fsspec, which is not installed; pip install 'foveate\[scaling\]'"):
        shards("s3://bucket/shards")
