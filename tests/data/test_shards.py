"""Packing data into shards, and reading them."""

import io
import json
import re
import shutil
import signal
import subprocess
import sys
import tarfile

import numpy as np
import pytest

import foveate as fv
from foveate.data import Dataset, Preprocessing, datasets
from foveate.data.datasets import ShardedDataset, image_folder, pack, shards
from foveate.data.shards.tars import TarWriter
from tests.data.shard_files import small_splits
from tests.data.support import noise, write_images


@pytest.fixture(scope="module")
def packed(tmp_path_factory):
    """Noise in several shards of each part."""
    folder = tmp_path_factory.mktemp("shards") / "noise"
    pack(small_splits(), folder, shard_size=0.06)
    return folder


@pytest.fixture
def copy(packed, tmp_path):
    """A copy of them that may be damaged."""
    return shutil.copytree(packed, tmp_path / "copy")


def pairs(data):
    return sorted((sample.tobytes(), int(label)) for sample, label in zip(data.inputs[:], data.labels, strict=True))


def test_every_sample_comes_back_with_its_label_in_its_part(packed):
    before, after = small_splits(), shards(packed)
    for part in ("train", "validation", "test"):
        assert pairs(getattr(before, part)) == pairs(getattr(after, part))
    assert after.classes == before.classes
    assert after.preprocessing == before.preprocessing
    assert after.found == "300 samples of 1x6x5 in 4 classes, 260 train, 20 validation, 20 test, in 13 shards"
    assert isinstance(after.train, ShardedDataset)
    assert repr(after.train) == "ShardedDataset(260 samples of 1x6x5 uint8, 4 classes)"


def test_shards_are_plain_tars_with_sorted_keys_and_no_larger_than_asked_for(packed):
    for path in sorted(packed.glob("*.tar")):
        assert path.stat().st_size <= 60_000
        with tarfile.open(path) as tar:
            names = [info.name for info in tar]
            keys = [name.partition(".")[0] for name in names]
            assert keys == sorted(keys)
            assert {name.partition(".")[2] for name in names} == {"npy", "cls"}
            array = np.load(io.BytesIO(tar.extractfile(names[0]).read()))
            assert array.shape == (1, 6, 5)
            assert int(tar.extractfile(names[1]).read()) == array[0, 0, 0] % 4


def test_the_same_data_give_the_same_bytes(packed, tmp_path):
    pack(small_splits(), tmp_path / "again", shard_size=0.06)
    assert [path.name for path in sorted(packed.iterdir())] == [
        path.name for path in sorted((tmp_path / "again").iterdir())
    ]
    assert all((tmp_path / "again" / path.name).read_bytes() == path.read_bytes() for path in packed.glob("*.tar"))


def test_the_index_counts_samples_and_classes(packed):
    index = json.loads((packed / "index.json").read_text())
    assert index["samples"] == {"train": 260, "validation": 20, "test": 20}
    of_class = np.sum(
        [
            np.pad(each["of_class"], (0, 4 - len(each["of_class"])))
            for each in index["shards"]
            if each["part"] == "train"
        ],
        axis=0,
    )
    assert of_class.tolist() == np.bincount(small_splits().train.labels).tolist()
    assert (packed / "classes.txt").read_text().splitlines() == list(small_splits().classes)


def test_inputs_are_indexed_like_an_array(packed):
    inputs = shards(packed).train.inputs
    whole = np.asarray(inputs)
    assert whole.shape == inputs.shape == (260, 1, 6, 5)
    for index in (
        0,
        -1,
        slice(3, 9),
        slice(None, None, -50),
        [5, 5, 2],
        np.arange(260) % 7 == 0,
        (slice(2, 4), 0),
        (7, 0, 1),
    ):
        assert np.array_equal(inputs[index], whole[index])
    with pytest.raises(IndexError):
        inputs[260]


def test_a_subset_is_in_memory(packed):
    data = shards(packed).train
    part = data.subset([3, 1])
    assert type(part) is Dataset
    assert np.array_equal(part.inputs, data.inputs[[3, 1]])
    assert part.labels.tolist() == data.labels[[3, 1]].tolist()


def test_samples_too_many_for_memory_are_not_read_at_once(packed, monkeypatch):
    monkeypatch.setattr("foveate.data.shards.sharded.MOST_AT_ONCE", 1000)
    with pytest.raises(fv.DataError, match=r"260 samples of 1x6x5 take .* GB and stay in their shards; .*subset"):
        np.asarray(shards(packed).train.inputs)


def test_a_folder_is_split_prepared_and_measured_as_it_is_in_memory(tmp_path):
    root = write_images(tmp_path / "photos", {"a": 22, "b": 31, "10": 12})
    before, after = image_folder(root), pack(root, tmp_path / "shards")
    for part in ("train", "validation", "test"):
        assert pairs(getattr(before, part)) == pairs(getattr(after, part))
    assert after.preprocessing == before.preprocessing
    assert after.record == before.record
    assert after.classes == before.classes == ("10", "a", "b")


def test_images_keep_their_bytes(tmp_path):
    root = write_images(tmp_path / "photos", {"a": 5, "b": 5})
    pack(root, tmp_path / "shards")
    originals = {path.read_bytes() for path in root.rglob("*.png")}
    found = set()
    for path in (tmp_path / "shards").glob("*.tar"):
        with tarfile.open(path) as tar:
            found |= {tar.extractfile(info).read() for info in tar if info.name.endswith(".png")}
    assert found == originals


@pytest.mark.parametrize(
    ("options", "shape"),
    [({"size": 12}, (3, 12, 12)), ({"shape": (1, 8, 4)}, (1, 8, 4)), ({"size": 12, "fit": "pad"}, (3, 12, 12))],
)
def test_another_size_is_measured_once_as_in_memory(tmp_path, options, shape, monkeypatch):
    root = write_images(tmp_path / "photos", {"a": 12, "b": 12})
    pack(root, tmp_path / "shards")
    before, after = image_folder(root, **options), shards(tmp_path / "shards", **options)
    assert after.train.shape == shape
    assert after.preprocessing == before.preprocessing
    monkeypatch.setattr("foveate.data.shards.opening.mean_and_std_of", None)  # or it would be measured again
    assert shards(tmp_path / "shards", **options).preprocessing == before.preprocessing


def test_damaged_images_are_left_out_and_named(tmp_path):
    root = write_images(tmp_path / "photos", {"a": 12, "b": 12})
    image = (root / "a" / "0.png").read_bytes()
    (root / "a" / "bad.png").write_bytes(image[:-24])
    (root / "b" / "notes.txt").write_text("none")
    made = pack(root, tmp_path / "shards")
    with pytest.warns(datasets.SkippedImagesWarning):
        assert made.record == image_folder(root).record
    assert made.found == (
        "24 images in 2 classes, 21 train, 2 validation, 1 test, in 3 shards, 2 skipped: a/bad.png (damaged), "
        "b/notes.txt (no image)"
    )


def test_an_npz_file_is_split_by_content(tmp_path):
    inputs = noise(60, 1, 4, 4)
    inputs = np.concatenate([inputs, inputs[:20]])
    labels = np.arange(80) % 3 * 0 + inputs[:, 0, 0, 0] % 3
    np.savez(tmp_path / "data.npz", inputs=inputs, labels=labels, classes=["a", "b", "c"])
    found = pack(tmp_path / "data.npz", tmp_path / "shards")
    assert found.classes == ("a", "b", "c")
    parts = [{sample.tobytes() for sample in part.inputs[:]} for part in (found.train, found.validation, found.test)]
    assert sum(map(len, parts)) == 60
    assert len(found.train) + len(found.validation) + len(found.test) == 80
    assert found.preprocessing == Preprocessing.measure(found.train.subset(range(len(found.train))))


def test_floating_point_comes_back_to_the_bit(tmp_path):
    inputs = np.random.default_rng(0).random((30, 2, 7)).astype(np.float32)
    np.savez(tmp_path / "data.npz", inputs=inputs, labels=np.arange(30) % 2)
    found = pack(tmp_path / "data.npz", tmp_path / "shards")
    assert found.train.inputs.dtype == np.float32
    assert {sample.tobytes() for part in (found.train, found.validation, found.test) for sample in part.inputs[:]} == {
        sample.tobytes() for sample in inputs
    }
    assert found.classes == ("0", "1")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": [1]}, r'data.npz" holds x; the arrays inputs \(N, C, H, W\) and labels \(N,\).*were expected'),
        ({"inputs": np.zeros((3, 1, 2, 2), np.uint8), "labels": [0, 1, 1]}, "3 samples, and none for validation"),
        ({"inputs": np.zeros((3, 1, 2, 2), np.uint8), "labels": [0, 1]}, "3 samples|2 labels"),
        ({"inputs": np.array([object()]), "labels": [0]}, "is no .npz file that can be read: Object arrays"),
    ],
)  # fmt: skip
def test_arrays_that_make_no_dataset_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "data.npz", **arrays)
    with pytest.raises(fv.FoveateError, match=message):
        pack(tmp_path / "data.npz", tmp_path / "shards")
    assert not (tmp_path / "shards").exists() or not list((tmp_path / "shards").iterdir())


def test_a_file_that_is_no_npz_is_refused(tmp_path):
    with pytest.raises(fv.FileError, match=r'there is no file ".*data.npz"; a .npz file was expected'):
        pack(tmp_path / "data.npz", tmp_path / "shards")
    (tmp_path / "data.npz").write_bytes(b"PK\3\4 and no more")
    with pytest.raises(fv.FileError, match=r"is no .npz file that can be read"):
        pack(tmp_path / "data.npz", tmp_path / "shards")


def test_a_folder_that_is_not_empty_is_left_alone(tmp_path):
    (tmp_path / "shards").mkdir()
    (tmp_path / "shards" / "mine.txt").write_text("mine")
    with pytest.raises(fv.FileError, match="is there already and not empty; give a new folder for the shards"):
        pack(small_splits(), tmp_path / "shards")
    assert [path.name for path in (tmp_path / "shards").iterdir()] == ["mine.txt"]


def test_a_folder_of_images_with_a_tar_beside_the_classes_is_one_of_images(packed, tmp_path):
    root = write_images(tmp_path / "photos", {"a": 12, "b": 12})
    shutil.copy(packed / "train-000000.tar", root / "backup.tar")
    assert datasets.load(root).train.shape == (3, 9, 7)


@pytest.mark.parametrize("whole", [0, 3])
def test_nothing_remains_of_a_packing_that_fails(tmp_path, monkeypatch, whole):
    finish, left = TarWriter.finish, iter(range(whole))

    def until_full(writer):
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        return finish(writer)

    monkeypatch.setattr(TarWriter, "finish", until_full)
    with pytest.raises(fv.FileError, match='shards" cannot be written: No space left on device'):
        pack(small_splits(), tmp_path / "shards", shard_size=0.06)
    assert not list((tmp_path / "shards").iterdir())


def test_a_packing_that_was_killed_is_no_smaller_dataset(tmp_path):
    """Its whole shards would look like those of WebDataset."""
    program = """
import os, signal, sys
from foveate.data.shards import packing
from tests.data.shard_files import small_splits
from foveate.data.datasets import pack
packing._check_parts = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
pack(small_splits(), sys.argv[1], shard_size=0.06)
"""
    done = subprocess.run([sys.executable, "-c", program, str(tmp_path / "shards")], check=False, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert list((tmp_path / "shards").glob("train-*.tar"))
    with pytest.raises(fv.FileError, match=r'packing ".*shards" was broken off; delete it and pack the data again'):
        shards(tmp_path / "shards")


@pytest.mark.parametrize("size", [0, -1, float("nan"), "large", True])
def test_a_shard_has_a_positive_size(tmp_path, size):
    with pytest.raises(
        fv.FoveateError, match=r"shard_size is .*(give a positive number of megabytes|must be a number)"
    ):
        pack(small_splits(), tmp_path / "shards", shard_size=size)


def test_only_classes_can_be_packed(tmp_path):
    train = Dataset(noise(9, 1, 4, 4), np.arange(9.0), fv.tasks.Regression(("angle",)))
    data = fv.Splits(train, train, train, Preprocessing.measure(train), name="angles")
    with pytest.raises(fv.DataError, match="shards hold samples with a class each, but the data are for Regression"):
        pack(data, tmp_path / "shards")


@pytest.mark.parametrize("buffer", [0, -3, "large", float("nan")])
def test_a_buffer_is_a_positive_number(packed, buffer):
    with pytest.raises(fv.FoveateError, match=r"buffer is .*(give a positive number of megabytes|must be a number)"):
        shards(packed, buffer=buffer)


def test_arrays_have_the_size_that_they_have(packed):
    with pytest.raises(fv.DataError, match="size is 8, but the samples are arrays of 1x6x5; leave it out"):
        shards(packed, size=8)
    with pytest.raises(fv.DataError, match=r"a sample of .* is 1x6x5, but the network takes 1x8x8; build it with"):
        shards(packed, preprocessing=Preprocessing((1, 8, 8), (0.0,), (1.0,)))


def test_load_finds_shards_by_their_folder(packed, tmp_path):
    assert datasets.load(packed).found == shards(packed).found
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        fv.DataError, match=re.escape('empty" has no shards, which are files called .tar, and no index')
    ):
        shards(tmp_path / "empty")


def test_the_memory_that_is_held_is_bounded(packed, monkeypatch):
    """Never more than the buffer, and one sample of each run in each of two rounds."""
    from foveate.data.shards.reading import Shards

    data = shards(packed, buffer=0.02).train
    order = data.order(0)
    batches = [order.samples[start : start + 16] for start in range(0, 260, 16)]
    read = []
    original = Shards.read
    monkeypatch.setattr(Shards, "read", lambda self, samples: read.append(len(samples)) or original(self, samples))
    stream = data.streamed(batches, order)
    taken = 0
    for batch in batches:
        assert np.array_equal(stream.take(batch), data.inputs[batch])
        read[:] = [each for each in read if each != len(batch) or each > 16]
        taken += len(batch)
    stream.close()
    sizes = data.on_disk.shards.part.sizes
    assert max(read) * int(sizes.max()) <= 10_000 + 8 * int(sizes.max())
    assert taken == 260


MEMORY = """
import sys
import numpy as np
import foveate as fv
from benchmarks.memory import peak

data = fv.datasets.shards(sys.argv[1], buffer=4, progress=False).train
order = data.order(0)
batches = [order.samples[start : start + 64] for start in range(0, len(data), 64)]
before, sums = peak(), 0
stream = data.streamed(batches, order, threads=2)
for batch in batches:
    sums += int(stream.take(batch).sum(dtype=np.int64))
stream.close()
print(sums, (peak() - before) / 1e6)
"""


def test_a_process_takes_no_more_memory_than_the_buffer_and_the_batches(tmp_path):
    """Of 48 MB of samples, 4 MB are held; besides them a piece that is being read (8 MB) and a batch (0.8 MB)."""
    inputs = noise(4000, 3, 64, 64)
    data = Dataset(inputs, np.arange(4000) % 2, ("a", "b"))
    splits = fv.Splits(data, data.subset([0, 1]), data.subset([0, 1]), Preprocessing.measure(data), name="large")
    pack(splits, tmp_path / "shards", shard_size=20, progress=False)
    command = [sys.executable, "-c", MEMORY, str(tmp_path / "shards")]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    total, megabytes = done.stdout.split()
    assert int(total) == int(inputs.sum(dtype=np.int64))
    assert float(megabytes) < 20
