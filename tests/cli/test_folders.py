"""Folders of images on the command line: sizes, splits, what is measured, and what is told."""

import json

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.cli.evaluate_predict import test_images as images_to_measure


def write_stripes(root, counts, *, size=(24, 36), seed=0):
    """Pictures of stripes along one axis for each class, all different."""
    random = np.random.default_rng(seed)
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = random.normal(110, 20, (*size, 3))
            pixels[(slice(None, None, 4),) if name == "across" else (slice(None), slice(None, None, 4))] += 70
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{seed}-{number}.png")
    return root


@pytest.fixture(scope="module")
def stripes(tmp_path_factory):
    return write_stripes(tmp_path_factory.mktemp("data") / "stripes", {"across": 20, "down": 20})


@pytest.fixture
def train(foveate, tmp_path):
    """Train for an epoch in a folder of its own, and give back what was printed and the model."""

    def run(folder, *options, out=tmp_path / "run"):
        result = foveate("train", folder, "--epochs", 1, "--batch-size", 8, "--out", out, *options)
        assert result.exit_code == 0, result.output
        return result.stdout, fv.load(out / "model.safetensors")

    return run


@pytest.mark.parametrize(
    ("options", "shape", "fit"),
    [
        ([], (3, 24, 36), "crop"),
        (["--size", "16"], (3, 16, 16), "crop"),
        (["--size", "16x20", "--fit", "pad"], (3, 16, 20), "pad"),
        (["--size", "16", "--fit", "stretch"], (3, 16, 16), "stretch"),
        (["--net", "resnet20"], (3, 32, 32), "crop"),
        (["--net", "resnet20", "--size", "24"], (3, 24, 24), "crop"),
        (["--net", "vgg6"], (3, 24, 36), "crop"),
    ],
)
def test_the_size_and_the_fit_are_the_models_own(stripes, train, options, shape, fit):
    said, model = train(stripes, *options)
    assert said.splitlines()[1].endswith(f", input {'x'.join(map(str, shape))} ({fit})")
    assert model.graph.input_shape == model.preprocessing.shape == shape
    assert model.preprocessing.fit == fit


def test_what_is_trained_measured_and_predicted_is_the_same_picture(stripes, train):
    """Pillow's arithmetic by hand: 24x36 to 16x16, its middle."""
    _, model = train(stripes, "--size", 16)
    held = images_to_measure(model, str(stripes)).dataset
    paths = sorted(stripes.rglob("*.png"))
    cut = {}
    for path in paths:
        small = np.asarray(Image.open(path).resize((24, 16), Image.Resampling.BILINEAR))[:, 4:20]
        cut[small.transpose(2, 0, 1).tobytes()] = path
    of_test = [cut[each.tobytes()] for each in held.inputs]
    np.testing.assert_array_equal(model.predict(of_test), model.predict(held.inputs))


def test_a_trained_model_brings_new_images_to_its_size_as_it_always_did(stripes, train, tmp_path):
    _, first = train(stripes, "--size", 16, "--fit", "pad", out=tmp_path / "first")
    _, model = train(stripes, "--from", tmp_path / "first" / "model.safetensors", out=tmp_path / "second")
    assert model.preprocessing == first.preprocessing
    assert model.splits == first.splits


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--size", "big"], '--size "big" is neither a number of pixels nor HEIGHTxWIDTH'),
        (["--size", "0"], '--size "0" is neither'),
        (["--split", "most"], '--split "most" is not three positive shares of training, validation and test that'),
        (["--split", "0.9/0.1"], '--split "0.9/0.1" is not three positive shares'),
        (["--split", "0.9/0.1/0"], '--split "0.9/0.1/0" is not three positive shares'),
        (["--split", "0.5/0.5/0.5"], "that add up to 1, such as 0.8/0.1/0.1, or a ratio such as 8/1/1"),
        (["--fit", "letterbox"], "'letterbox' is not one of 'crop', 'pad', 'stretch'"),
    ],
)
def test_options_that_are_none_are_wrong_usage(foveate, stripes, tmp_path, options, said):
    result = foveate("train", stripes, "--out", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_options_that_do_not_fit_are_sentences(foveate, stripes, train, tmp_path):
    for options, said in (
        (["--test", tmp_path / "none"], "does not exist; a folder with one subfolder of images for each class"),
    ):
        result = foveate("train", stripes, "--out", tmp_path / "run", *options)
        assert result.exit_code == 1
        assert said in result.stderr
    train(stripes)
    for arguments, said in (
        (["fashion-mnist", "--size", "24"], "--size is for a folder of images, but fashion-mnist is a dataset"),
        ([stripes, "--from", tmp_path / "run" / "model.safetensors", "--size", 8], "--size is for a new network"),
    ):
        result = foveate("train", *arguments, "--out", tmp_path / "other")
        assert result.exit_code == 2
        assert said in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("options", [[], ["--size", 16], ["--split", "7/2/1"]])
def test_a_name_of_nothing_is_told_as_that_whatever_the_options(foveate, tmp_path, options):
    result = foveate("train", "fashion-mnits", *options, "--out", tmp_path)
    assert result.exit_code == 1
    assert 'there is no dataset and no folder "fashion-mnits". Nearest: fashion-mnist' in result.stderr


def test_shares_and_folders_for_the_parts(stripes, train, tmp_path):
    said, _ = train(stripes, "--split", "0.5/0.25/0.25", out=tmp_path / "a")
    assert "20 train, 10 validation, 10 test" in said
    held = write_stripes(tmp_path / "held", {"across": 3}, seed=9)
    other = write_stripes(tmp_path / "other", {"down": 4}, seed=8)
    said, model = train(stripes, "--validation", held, "--test", other, out=tmp_path / "b")
    assert "40 train, 3 validation, 4 test" in said
    assert len(images_to_measure(model, str(other)).dataset) == 4
    assert len(model.splits["train"]) == 40


def test_a_folder_of_ones_own_is_measured_by_its_test_part_and_an_unknown_one_whole(foveate, stripes, train, tmp_path):
    train(stripes)
    model = tmp_path / "run" / "model.safetensors"

    def measured(folder):
        shown = foveate("evaluate", model, folder)
        assert shown.exit_code == 0, shown.output
        report = json.loads(foveate("evaluate", model, folder, "--json").stdout)
        return report["part"], report["samples"], shown.stdout.splitlines()[0]

    assert measured(stripes) == (
        "test", 4, "stripes: the test part, 4 of 40 images; the others were for training and validation",
    )  # fmt: skip
    unknown = write_stripes(tmp_path / "new", {"across": 7}, seed=5)
    assert measured(unknown) == ("all", 7, "new: all 7 images; none of which the model was trained on")
    mixed = write_stripes(tmp_path / "mixed", {"across": 7, "down": 4}, seed=6)
    learnt = fv.load(model).splits
    for number, path in enumerate((stripes / "across").iterdir()):
        if number < 4:
            (mixed / "across" / path.name).write_bytes(path.read_bytes())
    part, count, said = measured(mixed)
    assert part == "unseen"
    assert 11 <= count < 15
    assert said == f"mixed: {count} of 15 images; the others were for training and validation"
    assert learnt["by"] == "content"


def test_images_added_later_do_not_move_what_was_trained_on_into_the_test(foveate, train, tmp_path):
    root = write_stripes(tmp_path / "growing", {"across": 20, "down": 20})
    _, model = train(root)
    before = images_to_measure(model, str(root)).dataset
    write_stripes(root, {"across": 30}, seed=3)
    after = images_to_measure(model, str(root)).dataset
    old = {each.tobytes() for each in before.inputs}
    new = {np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes() for path in (root / "across").glob("3-*")}
    now = {each.tobytes() for each in after.inputs}
    assert old <= now
    assert now - old <= new
    said, again = train(root, "--overwrite")
    assert set(model.splits["train"]) <= set(again.splits["train"])
    assert set(model.splits["test"]) <= set(again.splits["test"])
    assert "70 images" in said


def test_images_added_to_a_folder_without_a_test_part_are_measured(foveate, train, tmp_path):
    root = write_stripes(tmp_path / "growing", {"across": 20, "down": 20})
    elsewhere = write_stripes(tmp_path / "elsewhere", {"across": 3, "down": 3}, seed=9)
    train(root, "--test", elsewhere)
    model = tmp_path / "run" / "model.safetensors"
    assert "validated on each of the 40 images" in foveate("evaluate", model, root).stderr
    write_stripes(root, {"across": 5}, seed=3)
    report = json.loads(foveate("evaluate", model, root, "--json").stdout)
    assert (report["part"], report["samples"]) == ("unseen", 5)


def test_a_model_that_does_not_say_what_it_saw_is_measured_on_all(foveate, stripes, tmp_path):
    graph = fv.Sequential(fv.GlobalAvgPool2d(), fv.Linear(2)).build((3, 8, 8))
    plain = fv.Preprocessing((3, 8, 8), (0.5,) * 3, (0.5,) * 3)
    fv.Model(graph, classes=("across", "down"), preprocessing=plain).save(tmp_path / "m.safetensors")
    said = foveate("evaluate", tmp_path / "m.safetensors", stripes).stdout
    assert said.startswith("stripes: all 40 images; the model does not say which it was trained on\n")


def test_a_model_that_saw_all_is_told_so(foveate, stripes, train, tmp_path):
    _, model = train(stripes)
    seen = tmp_path / "seen"
    held = {each.tobytes() for each in images_to_measure(model, str(stripes)).dataset.inputs}
    for path in stripes.rglob("*.png"):
        if np.asarray(Image.open(path)).transpose(2, 0, 1).tobytes() not in held:
            (seen / path.parent.name).mkdir(parents=True, exist_ok=True)
            (seen / path.parent.name / path.name).write_bytes(path.read_bytes())
    result = foveate("evaluate", tmp_path / "run" / "model.safetensors", seen)
    assert result.exit_code == 1
    assert "the model was trained or validated on each of the 36 images in" in result.stderr


def test_other_classes_and_no_images_are_sentences(foveate, stripes, train, tmp_path):
    train(stripes)
    model = tmp_path / "run" / "model.safetensors"
    other = write_stripes(tmp_path / "other", {"across": 2, "round": 2})
    result = foveate("evaluate", model, other)
    assert "has the class round, but the model's are across, down; give a folder whose subfolders" in result.stderr
    (tmp_path / "bad" / "across").mkdir(parents=True)
    (tmp_path / "bad" / "across" / "a.png").write_bytes(b"no image")
    result = foveate("evaluate", model, tmp_path / "bad")
    assert 'bad" has no image that can be read: 1 skipped: across/a.png (no image)' in result.stderr


def test_a_network_for_sounds_takes_no_folder(foveate, stripes, tmp_path):
    graph = fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 50))
    sounds = fv.Preprocessing((1, 50), (0.0,), (1.0,))
    fv.Model(graph, classes=("across", "down"), preprocessing=sounds).save(tmp_path / "m.safetensors")
    result = foveate("evaluate", tmp_path / "m.safetensors", stripes)
    assert result.exit_code == 1
    assert (
        "the network takes 1x50, which is neither a grey nor an RGB image, so it cannot take a folder" in result.stderr
    )


def test_all_that_is_skipped_is_listed_in_the_run(train, tmp_path):
    root = write_stripes(tmp_path / "damaged", {"across": 12, "down": 12})
    for number in range(5):
        (root / "across" / f"0-{number}.png").write_bytes(b"no image")
    said, _ = train(root)
    listed = tmp_path / "run" / "skipped.txt"
    assert said.splitlines()[0].endswith(
        f"5 skipped: across/0-0.png (no image), across/0-1.png (no image), across/0-2.png (no image) and 2 more "
        f"(listed in {listed})"
    )
    lines = listed.read_text("utf-8").splitlines()
    assert [line.split("\t")[0] for line in lines] == [str(root / "across" / f"0-{number}.png") for number in range(5)]
    assert all("is not an image" in line for line in lines)


def test_explain_shows_a_folders_images_as_the_model_gets_them(foveate, stripes, train, tmp_path, monkeypatch):
    train(stripes, "--size", 16, "--fit", "pad")
    seen = {}

    def stop(*_, data, **__):
        seen["data"] = data
        raise fv.DataError("enough")

    monkeypatch.setattr("foveate.explain.page.page.explain_model", stop)
    photo = next((stripes / "down").iterdir())
    foveate("explain", tmp_path / "run" / "model.safetensors", photo, "--data", stripes, "--out", tmp_path / "page")
    assert seen["data"].train.shape == (3, 16, 16)
    assert seen["data"].preprocessing.fit == "pad"
    assert len(seen["data"].test) == 4


@pytest.mark.parametrize("out", ["runs/a", "result", "results/of/today"])
def test_a_second_training_passes_over_the_runs_of_the_first(foveate, tmp_path, monkeypatch, out):
    again = ["--overwrite"]
    write_stripes(tmp_path, {"across": 10, "down": 10})
    monkeypatch.chdir(tmp_path)
    for number in range(2):
        result = foveate("train", ".", "--epochs", 1, "--batch-size", 8, "--size", 8, "--out", out, *again[:number])
        assert result.exit_code == 0, result.output
        assert ": 20 images in 2 classes " in result.stdout
