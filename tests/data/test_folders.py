"""Folders as people have them: what is found, what is passed over, what is told, and where each image belongs."""

import os
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate import DataError, FileError
from foveate.data.datasets import SkippedImagesWarning, image_folder
from foveate.data.folders import list_images
from foveate.data.splitting import PARTS, Placement, checked_shares
from foveate.tasks import Classification
from tests.data.support import noise, write_images


def write_noise(folder: Path, count: int, *, seed: int = 0, size: tuple[int, int] = (9, 7)) -> Path:
    """`count` images that all differ."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, pixels in enumerate(noise(count, *size, 3, seed=seed)):
        Image.fromarray(pixels).save(folder / f"{number}.png")
    return folder


def labels(splits) -> dict[str, Counter]:
    return {part: Counter(getattr(splits, part).labels.tolist()) for part in PARTS}


def test_system_files_hidden_ones_and_runs_are_neither_classes_nor_samples(tmp_path):
    root = write_images(tmp_path / "photos", {"cat": 10, "dog": 10})
    plain = image_folder(root)
    picture = (root / "cat" / "0.png").read_bytes()
    for name in (
        "__MACOSX/cat/._0.png", "__MACOSX/0.png", ".ipynb_checkpoints/0.png", ".git/x.png", "Thumbs.db", "desktop.ini",
        "cat/Thumbs.db", "cat/.hidden.png", "cat/._1.png", "cat/__MACOSX/a.png", "dog/.ipynb_checkpoints/a.png",
        "runs/photos/model.safetensors", "runs/photos/curves.png", "runs/explain/index.html", "runs/explain/a.png",
        "first/checkpoint.safetensors", "first/curves.png", "dog/run/history.csv", "dog/run/curves.png",
        "out/skipped.txt", "$RECYCLE.BIN/a.png", "System Volume Information/a.png",
    ):  # fmt: skip
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(picture)
    (root / "runs" / "empty").mkdir()
    splits = image_folder(root)
    assert splits.classes == ("cat", "dog")
    assert splits.found == plain.found == "20 images in 2 classes (7x9 pixels), 16 train, 2 validation, 2 test"
    assert not splits.skipped
    assert splits.record == plain.record


def test_runs_that_holds_images_is_a_class(tmp_path):
    root = write_images(tmp_path / "baseball", {"runs": 5, "strikes": 5})
    assert image_folder(root).classes == ("runs", "strikes")


def test_everything_below_a_class_folder_belongs_to_it(tmp_path):
    root = tmp_path / "photos"
    for place, folder in enumerate(("cat", "cat/tabby", "cat/tabby/old", "dog/2023", "dog/2024")):
        write_noise(root / folder, 4, seed=place)
    splits = image_folder(root)
    assert splits.classes == ("cat", "dog")
    assert sum(labels(splits).values(), Counter()) == {0: 12, 1: 8}
    (root / "cat" / "loop").symlink_to(root, target_is_directory=True)
    assert len(list_images(root).files) < 200


def test_a_link_to_a_folder_above_is_not_followed(tmp_path):
    root = tmp_path / "pets"
    for place, name in enumerate(("cat", "dog")):
        write_noise(root / name, 10, seed=place)
    (root / "dog" / "up").symlink_to("..", target_is_directory=True)
    (root / "all").symlink_to(".", target_is_directory=True)
    (root / "dog" / "far").symlink_to(tmp_path, target_is_directory=True)
    elsewhere = write_noise(tmp_path / "elsewhere" / "fox", 10, seed=7)
    (elsewhere / "up").symlink_to(root, target_is_directory=True)
    (root / "fox").symlink_to(elsewhere, target_is_directory=True)
    splits = image_folder(root)
    assert sum(labels(splits).values(), Counter()) == {0: 10, 1: 10, 2: 10}
    assert splits.classes == ("cat", "dog", "fox")
    links = ("all", "dog/far", "dog/up", "fox/up")
    assert splits.skipped == {root / each: "is a link to a folder above it" for each in links}
    assert "4 skipped: all (a link to a folder above), dog/far (a link to a folder above)" in splits.found


def test_folders_may_be_very_deep_and_links_may_go_round(tmp_path, monkeypatch):
    root = write_images(tmp_path / "photos", {"a": 5, "b": 5})
    monkeypatch.chdir(root / "a")
    for _ in range(1500):  # deeper than Python may recurse
        Path("d").mkdir()
        os.chdir("d")
    os.chdir(root)
    (root / "b" / "round.png").symlink_to(root / "b" / "round.png")
    with pytest.warns(SkippedImagesWarning, match=r'First: ".*round.png" is a broken link'):
        splits = image_folder(root)
    assert splits.found.startswith("10 images in 2 classes")
    subprocess.run(["rm", "-r", root / "a" / "d"], check=True)


def test_content_decides_and_not_the_name(tmp_path):
    root = write_noise(tmp_path / "photos" / "a", 6).parent
    write_noise(root / "b", 6, seed=1)
    renamed = ("0.jpeg", "1.dat", "without", "3.JFIF", "4.jpe", "5.avif")
    for number, name in enumerate(renamed):
        (root / "a" / f"{number}.png").rename(root / "a" / name)
    assert image_folder(root).found.startswith("12 images in 2 classes")


def test_what_is_left_out_is_told_in_one_line(tmp_path):
    root = write_noise(tmp_path / "photos" / "a", 10).parent
    write_noise(root / "b", 10, seed=1)
    (root / "a" / "0.png").write_bytes(b"")
    (root / "a" / "notes.txt").write_text("no image")
    (root / "b" / "0.png").write_bytes((root / "b" / "1.png").read_bytes()[:90])
    (root / "b" / "gone.png").symlink_to(root / "nowhere.png")
    Image.new("RGB", (7, 9)).save(root / "cover.png")
    with pytest.warns(
        SkippedImagesWarning, match=r"^4 of 22 images in .* left out: a/0.png, b/0.png, b/gone.png and 1"
    ):
        splits = image_folder(root)
    assert splits.found == (
        "18 images in 2 classes (7x9 pixels), 14 train, 2 validation, 2 test, 5 skipped: a/0.png (empty), "
        "a/notes.txt (no image), b/0.png (damaged) and 2 more"
    )
    told = {path.relative_to(root).as_posix(): reason for path, reason in splits.skipped.items()}
    assert list(told) == ["a/0.png", "a/notes.txt", "b/0.png", "b/gone.png", "cover.png"]
    assert told["b/gone.png"] == "is a broken link"


@pytest.mark.filterwarnings("error")
def test_notes_beside_images_are_no_reason_to_warn(tmp_path):
    root = write_images(tmp_path / "photos", {"a": 10, "b": 10})
    (root / "a" / "notes.txt").write_text("no image")
    (root / "readme.md").write_text("no class")
    assert image_folder(root).found.endswith("2 test, 1 skipped: a/notes.txt (no image)")


NAMES = [("train", "val", "test"), ("training", "validation", "testing"), ("Train", "valid", "Test")]


@pytest.mark.parametrize("names", NAMES)
def test_the_folders_train_val_and_test_are_the_parts(tmp_path, names):
    for place, (name, counts) in enumerate(zip(names, ((7, 6), (4, 0), (0, 5)), strict=True)):
        for class_name, count in zip(("cat", "dog"), counts, strict=True):
            if count:
                write_noise(tmp_path / name / class_name, count, seed=10 * place + count)
    write_noise(tmp_path / "extra" / "cat", 3, seed=99)
    with pytest.warns(SkippedImagesWarning, match=r"extra in .* is neither train, val nor test and so left out; move"):
        splits = image_folder(tmp_path, seed=3)
    assert splits.classes == ("cat", "dog")
    assert labels(splits) == {"train": {0: 7, 1: 6}, "validation": {0: 4}, "test": {1: 5}}
    assert splits.found.endswith("13 train, 4 validation, 5 test, 1 skipped: extra (neither train, val nor test)")


def test_a_part_without_a_folder_is_taken_from_the_training_images(tmp_path):
    for name, seed in (("cat", 1), ("dog", 2)):
        write_noise(tmp_path / "train" / name, 20, seed=seed)
        write_noise(tmp_path / "test" / name, 5, seed=seed + 10)
    assert labels(image_folder(tmp_path)) == {"train": {0: 18, 1: 18}, "validation": {0: 2, 1: 2}, "test": {0: 5, 1: 5}}


def test_train_alone_may_be_a_class(tmp_path):
    root = write_images(tmp_path, {"car": 5, "train": 5})
    assert image_folder(root).classes == ("car", "train")


def test_train_with_classes_in_it_is_told_if_it_is_a_class(tmp_path):
    for place, folder in enumerate(("train/x", "train/y", "other/z")):
        write_noise(tmp_path / folder, 5, seed=place)
    splits = image_folder(tmp_path)
    assert splits.classes == ("other", "train")
    assert splits.found.endswith(
        "; train is one class (x, y in it), because other folders than the parts lie beside it"
    )


def test_a_picture_in_train_and_in_test_is_not_trained_on(tmp_path):
    for part in ("train", "val", "test"):
        for place, name in enumerate(("cat", "dog")):
            write_noise(tmp_path / part / name, 5, seed=10 * len(part) + place)
    copy = tmp_path / "test" / "cat" / "0.png"
    (tmp_path / "train" / "cat" / "again.png").write_bytes(copy.read_bytes())
    splits = image_folder(tmp_path)
    shown = np.asarray(Image.open(copy)).transpose(2, 0, 1)
    assert not any(np.array_equal(shown, each) for each in splits.train.inputs)
    assert labels(splits)["test"] == {0: 6, 1: 5}


def test_folders_for_validation_and_test_may_lie_elsewhere(tmp_path):
    root = write_images(tmp_path / "photos", {"cat": 20, "dog": 20})
    held = write_noise(tmp_path / "held" / "dog", 3).parent
    splits = image_folder(root, test=held)
    assert labels(splits) == {"train": {0: 18, 1: 18}, "validation": {0: 2, 1: 2}, "test": {1: 3}}
    splits = image_folder(root, test=held, validation=held)
    assert labels(splits)["train"] == {0: 20, 1: 20}
    message = 'no image of the class "cat" in ".*photos" is left for training; add some .* validation and test too, or'
    with pytest.raises(DataError, match=message):
        image_folder(root, test=root)
    write_noise(held / "cow", 2)
    with pytest.raises(DataError, match=r'".*held" has the class cow, but the model\'s are cat, dog; give a folder'):
        image_folder(root, test=held)


@pytest.mark.parametrize(
    ("folders", "said"),
    [
        (["cat"], r'".*photos" has one class only, cat; a network learns to tell classes apart: add a folder with'),
        (["all/cat", "all/dog"], r'has one folder only, ".*all"; if its subfolders \(cat, dog\) are the classes, give'),
        (["train/cat", "test/cat"], "has one class only, cat"),
    ],
)
def test_one_class_and_a_wrong_level_are_sentences(tmp_path, folders: list[str], said: str):
    for place, folder in enumerate(folders):
        write_noise(tmp_path / "photos" / folder, 4, seed=place)
    with pytest.raises(DataError, match=said):
        image_folder(tmp_path / "photos")


def test_images_without_folders_for_classes_are_a_sentence(tmp_path):
    root = write_images(tmp_path, {"cat": 3, "dog": 3})
    with pytest.raises(DataError, match=r'cat" has 3 images, but no folders for classes; .* of several, give ".*"'):
        image_folder(root / "cat")
    for part in ("train", "test"):
        write_noise(tmp_path / "flat" / part, 3)
    with pytest.raises(DataError, match=r'flat/test" has no folders in it; put the images of each class into a'):
        image_folder(tmp_path / "flat")


def test_a_folder_that_may_not_be_opened_is_told(tmp_path, monkeypatch):
    root, scandir = write_images(tmp_path, {"a": 5, "b": 5}), os.scandir
    (root / "a" / "closed").mkdir()

    def refuse(path):
        if Path(path).name == "closed":
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    assert image_folder(root).found.endswith("1 skipped: a/closed (Permission denied)")


def test_a_folder_given_for_a_part_must_exist(tmp_path):
    root = write_images(tmp_path, {"a": 5, "b": 5})
    with pytest.raises(FileError, match=r'nowhere" does not exist'):
        image_folder(root, test=tmp_path / "nowhere")


@pytest.mark.parametrize("threads", [0, 1, 4])
def test_any_number_of_threads_gives_the_same_bits(tmp_path, threads: int):
    root = write_images(tmp_path, {"a": 12, "b": 12})
    (root / "a" / "3.png").write_bytes(b"damaged")
    with pytest.warns(SkippedImagesWarning):
        wanted = image_folder(root)
    with pytest.warns(SkippedImagesWarning):
        splits = image_folder(root, threads=threads)
    assert splits.record == wanted.record
    for part in PARTS:
        assert np.array_equal(getattr(splits, part).inputs, getattr(wanted, part).inputs)


# The split


def test_each_class_is_in_each_part_for_every_seed(tmp_path):
    root = write_images(tmp_path, {"a": 30, "b": 3, "c": 1})
    for seed in range(40):
        assert labels(image_folder(root, seed=seed)) == {
            "train": {0: 24, 1: 1, 2: 1}, "validation": {0: 3, 1: 1}, "test": {0: 3, 1: 1},
        }  # fmt: skip
    assert image_folder(root).found.endswith("4 validation, 4 test; too few images to be tested: c")


def test_the_shares_are_those_given(tmp_path):
    root = write_images(tmp_path, {"a": 20, "b": 40})
    assert labels(image_folder(root, split=(50, 25, 25))) == {
        "train": {0: 10, 1: 20}, "validation": {0: 5, 1: 10}, "test": {0: 5, 1: 10},
    }  # fmt: skip
    assert checked_shares((8, 1, 1)) == (0.8, 0.1, 0.1)
    assert checked_shares((0.33, 0.33, 0.33)) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    with pytest.raises(DataError, match=r"which adds up to 1.5; give shares that add up to 1, .* such as \(8, 1, 1\)"):
        checked_shares((0.5, 0.5, 0.5))


def test_names_do_not_matter_and_copies_stay_together(tmp_path):
    root = write_images(tmp_path / "one", {"a": 20, "b": 20})
    for path in sorted((root / "a").iterdir()):
        (root / "a" / f"copy of {path.name}").write_bytes(path.read_bytes())
    splits = image_folder(root)
    for part in PARTS:
        inputs = getattr(splits, part).subset(getattr(splits, part).labels == 0).inputs
        assert set(Counter(each.tobytes() for each in inputs).values()) == {2}
    for path in sorted((root / "a").iterdir()):
        path.rename(path.with_name(f"renamed {path.name}"))
    assert image_folder(root).record == splits.record


def parts_of(splits) -> dict[str, str]:
    return {content: part for part in PARTS for content in splits.record[part]}


def test_a_picture_in_two_classes_is_told(tmp_path):
    write_noise(tmp_path / "cat", 10)
    write_noise(tmp_path / "dog", 10, seed=1)
    assert "more than one class" not in image_folder(tmp_path).found
    for number in (3, 4):
        (tmp_path / "dog" / f"x{number}.png").write_bytes((tmp_path / "cat" / f"{number}.png").read_bytes())
    for name in ("cat", "dog"):
        damaged = tmp_path / name / "damaged.png"
        damaged.write_bytes((tmp_path / "cat" / "9.png").read_bytes()[:100])
    (tmp_path / "cat" / "copy.png").write_bytes((tmp_path / "cat" / "7.png").read_bytes())
    with pytest.warns(SkippedImagesWarning, match="2 of 25 images"):
        found = image_folder(tmp_path).found
    assert found.endswith("; 2 different images are in more than one class, such as cat/3.png and dog/x3.png")


def test_a_file_added_later_is_placed_by_its_content_and_moves_no_other(tmp_path):
    root = write_images(tmp_path, {"a": 30, "b": 30})
    first = image_folder(root, seed=7)
    write_noise(root / "a" / "new", 200, seed=5)
    later = image_folder(root, seed=7, record=first.record)
    assert parts_of(first).items() <= parts_of(later).items()
    again = image_folder(root, seed=8, record=later.record)
    assert again.record == later.record
    added = Counter(part for content, part in parts_of(later).items() if content not in parts_of(first))
    assert 140 <= added["train"] <= 180
    assert min(added["validation"], added["test"]) >= 8
    (root / "a" / "new" / "0.png").unlink()
    assert parts_of(image_folder(root, record=later.record)).items() <= parts_of(later).items()


def test_a_record_that_is_none_is_not_followed():
    good = Placement(3, (0.5, 0.25, 0.25), {"00ff": "test", "11ff": "train"})
    assert Placement.from_json(good.to_json()) == good
    for change in ({"by": "folder"}, {"shares": "many"}, {"seed": None}, {"test": 3}, {"shares": [0, 0, 0]}):
        assert Placement.from_json({**good.to_json(), **change}) is None
    assert Placement.from_json({}) is None


def test_a_model_keeps_the_split_of_the_folder_it_was_trained_on(tmp_path):
    splits = image_folder(write_images(tmp_path / "one", {"a": 20, "b": 20}))
    graph = fv.Sequential(fv.GlobalAvgPool2d(), fv.Linear(2)).build(splits.train.shape)
    model = fv.Model(graph, engine="reference")
    model.fit(splits.train, epochs=1, out=tmp_path / "run", progress=False)
    for name in ("model.safetensors", "checkpoint.safetensors"):
        assert fv.load(tmp_path / "run" / name).splits == model.splits == splits.record
    second = write_noise(tmp_path / "two" / "a", 5).parent
    write_noise(second / "b", 5, seed=1)
    later = image_folder(second)
    model.fit(later.train, epochs=1, progress=False)
    for part in PARTS:
        assert set(model.splits[part]) == set(splits.record[part]) | set(later.record[part])
    model.fit(later.train.subset([0, 1, 2]), epochs=1, progress=False)
    assert set(splits.record["test"]) < set(model.splits["test"])


def test_names_of_classes_may_have_joiners_and_an_odd_one_is_told_with_its_folder(tmp_path):
    persian, family = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f469\u200d\U0001f467"
    for place, name in enumerate((persian, family)):
        write_noise(tmp_path / name, 9, seed=place)
    splits = image_folder(tmp_path)
    assert set(Classification(splits.classes).classes) == {persian, family}
    for name in ("a\u202eb", "cat\u200d", "a\nb"):
        odd = write_noise(tmp_path / name, 3, seed=7)
        with pytest.raises(
            DataError, match=r"the name of the class folder \".*(cat|a).*\" cannot be printed: '"
        ) as raised:
            image_folder(tmp_path)
        assert ascii(name) in str(raised.value)
        for path in sorted(odd.iterdir()):
            path.unlink()
        odd.rmdir()
