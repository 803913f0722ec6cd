"""`foveate predict` on several files, of which some cannot be read, and on arrays."""

import csv
import json
import os
import subprocess
import sys
from io import StringIO
from pathlib import Path

import numpy as np
import pytest

import foveate as fv
import foveate.cli.predict as predicting
from foveate.cli.output import print_json


@pytest.fixture
def tones(tmp_path):
    """A model over sounds, saved, and a sound as an array."""
    graph = fv.Sequential(fv.Conv1d(2, 3), fv.GlobalAvgPool1d(), fv.Linear(2)).build((1, 30))
    plain = fv.Preprocessing((1, 30), (0.0,), (1.0,))
    path = tmp_path / "tones.safetensors"
    fv.Model(graph, classes=("low", "high"), preprocessing=plain, engine="reference").save(path)
    np.save(tmp_path / "tone.npy", np.sin(np.arange(30.0))[None])
    return path, tmp_path / "tone.npy"


def test_the_good_files_are_answered_and_each_bad_one_has_a_line(foveate, images, trained, tmp_path):
    (tmp_path / "notes.png").write_text("no image")
    good = [images / "dark" / "0.png", images / "light" / "0.png"]
    (tmp_path / "empty").mkdir()
    files = [good[0], tmp_path / "notes.png", tmp_path / "none.jpg", tmp_path / "empty", good[1]]
    model = trained[0] / "model.safetensors"
    result = foveate("predict", model, *files, "--engine", "reference")
    assert result.exit_code == 1
    alone = foveate("predict", model, *good, "--engine", "reference")
    assert (result.stdout, alone.exit_code) == (alone.stdout, 0)
    assert result.stderr.splitlines() == [
        f'foveate: the folder "{tmp_path / "empty"}" has no images',
        f'foveate: "{tmp_path / "notes.png"}" is not an image that can be read; '
        "a PNG, JPEG, GIF, BMP, TIFF, WebP or PPM image was expected",
        f'foveate: there is no file "{tmp_path / "none.jpg"}"; '
        "a PNG, JPEG, GIF, BMP, TIFF, WebP or PPM image was expected",
    ]


def test_as_json_a_bad_file_has_its_error(foveate, images, trained, tmp_path):
    files = [tmp_path / "none.png", images / "dark" / "0.png"]
    result = foveate("predict", trained[0] / "model.safetensors", *files, "--engine", "reference", "--json")
    assert result.exit_code == 1
    bad, good = json.loads(result.stdout)["images"]
    assert bad == {"image": str(files[0]), "error": result.stderr.removeprefix("foveate: ").rstrip()}
    assert (good["image"], len(good["classes"])) == (str(files[1]), 3)


def test_an_array_is_predicted_as_it_is_explained(foveate, tones):
    model, tone = tones
    result = foveate("predict", model, tone, "--engine", "reference")
    assert result.exit_code == 0, result.output
    loaded = fv.load(model, engine="reference")
    name, probability = loaded.classify(np.load(tone)[None])[0]
    assert result.stdout.startswith(f"{tone}: {name} {100 * probability:.1f} %")


def test_an_array_of_an_image_for_a_network_of_images(foveate, images, trained, tmp_path):
    from PIL import Image

    image = images / "dark" / "0.png"
    np.save(tmp_path / "image.npy", np.asarray(Image.open(image)))
    model = trained[0] / "model.safetensors"
    said = foveate("predict", model, image, tmp_path / "image.npy", "--engine", "reference").stdout.splitlines()
    assert said[0].split(": ")[1] == said[1].split(": ")[1]


def test_a_photograph_for_a_network_over_sounds(foveate, images, tones):
    result = foveate("predict", tones[0], images / "dark" / "0.png", tones[1], "--engine", "reference")
    assert result.exit_code == 1
    assert result.stdout.startswith(f"{tones[1]}: ")
    assert result.stderr == (
        "foveate: the network takes 1x30, which is neither a grey nor an RGB image, so "
        f'"{images / "dark" / "0.png"}" cannot be read for it; give an array of that shape, or a .npy file with one\n'
    )


def test_an_array_of_another_shape_is_named(foveate, tones, tmp_path):
    np.save(tmp_path / "long.npy", np.zeros((1, 31)))
    result = foveate("predict", tones[0], tmp_path / "long.npy", "--engine", "reference")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        f'foveate: the network takes 1x30 (a batch N x 1x30), but "{tmp_path / "long.npy"}" is 1x31\n'
    )


def test_a_files_name_cannot_forge_a_line(foveate, images, trained, tmp_path):
    """What a stranger called a file is told, and neither moves the cursor nor ends the line."""
    path = tmp_path / "a\x1b[2J\nb.png: light 100.0 %\u202e.png"
    path.write_bytes((images / "dark" / "0.png").read_bytes())
    bad = tmp_path / "c\r\x1b]0;x\a\n.png"
    bad.write_text("no image")
    result = foveate("predict", trained[0] / "model.safetensors", path, bad, "--engine", "reference")
    answer, error = result.stdout.rstrip("\n"), result.stderr.rstrip("\n")
    assert answer.isprintable()
    assert r"a\x1b[2J\nb.png: light 100.0 %\u202e.png: " in answer
    assert error.isprintable()
    assert r"c\r\x1b]0;x\x07\n.png" in error


def test_a_files_name_that_is_no_text_is_told(process, images, trained, tmp_path):
    path = tmp_path / os.fsdecode(b"\xff.png")
    path.write_bytes((images / "dark" / "0.png").read_bytes())
    done = process("predict", trained[0] / "model.safetensors", path, "--engine", "reference")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"\udcff.png: " in done.stdout


def test_a_terminal_without_a_letter_gets_its_number(process, tmp_path):
    """Once a UnicodeEncodeError: what is printed need not exist in the terminal's encoding."""
    graph = fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 4, 4), name="大")
    fv.Model(graph, engine="reference").save(tmp_path / "model.safetensors")
    environment = os.environ | {"PYTHONIOENCODING": "latin-1"}
    done = process("summary", tmp_path / "model.safetensors", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(r"\u5927: input 1x4x4")


def test_an_answer_that_is_no_number_is_a_sentence_and_valid_json(foveate, images, tmp_path):
    graph = fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 8, 8))
    plain = fv.Preprocessing((1, 8, 8), (0.0,), (1.0,))
    model = fv.Model(graph, classes=("cat", "dog"), preprocessing=plain, engine="reference")
    model.state.load("linear1.weight", np.full((2, 64), 3e38))
    model.save(tmp_path / "large.safetensors")
    image = images / "light" / "0.png"
    for form in ([], ["--json"]):
        result = foveate("predict", tmp_path / "large.safetensors", image, "--engine", "reference", *form)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"foveate: {image}: the network's output linear1 is NaN or infinite for 1 of 1")
        assert "nan" not in result.stdout
        if form:
            (entry,) = json.loads(result.stdout, parse_constant=pytest.fail)["images"]
            assert set(entry) == {"image", "error"}
    result = foveate("evaluate", tmp_path / "large.safetensors", images, "--engine", "reference", "--json")
    assert (result.exit_code, result.stdout) == (1, "")


def test_numbers_that_json_has_not_are_null(capsys):
    print_json({"loss": float("nan"), "rows": [{"largest": float("inf")}, (1.5, None, "nan")]})
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told == {"loss": None, "rows": [{"largest": None}, [1.5, None, "nan"]]}


def test_top_cuts_the_answers_of_every_task(foveate, images, tmp_path):
    graph = fv.Sequential(fv.Flatten(), fv.Linear(4)).build((1, 8, 8))
    task = fv.tasks.MultiLabel(("a", "b", "c", "d"))
    plain = fv.Preprocessing((1, 8, 8), (0.0,), (1.0,))
    model = fv.Model(graph, task=task, preprocessing=plain, engine="reference")
    model.state.load("linear1.weight", np.zeros((4, 64)))
    model.state.load("linear1.bias", np.array([1.0, 4.0, 3.0, 2.0]))
    model.save(tmp_path / "labels.safetensors")
    image = images / "dark" / "0.png"
    for options, names in ([], ["b", "c", "d", "a"]), (["--top", 2], ["b", "c"]):
        result = foveate("predict", tmp_path / "labels.safetensors", image, "--engine", "reference", *options)
        assert [each.split()[0] for each in result.stdout.strip().split(": ", 1)[1].split(", ")] == names


# ------------------------------------------------------------------------------- folders, patterns, standard input


@pytest.fixture
def photos(images, tmp_path):
    """A folder with three images, one below it, an array, and what belongs to nobody."""
    folder = tmp_path / "photos"
    (folder / "more" / "__MACOSX").mkdir(parents=True)
    for name in ("10.png", "9.PNG", "more/a.jpg", ".hidden.png", "more/__MACOSX/b.png"):
        (folder / name).write_bytes((images / "dark" / "0.png").read_bytes())
    np.save(folder / "c.npy", np.zeros((8, 8), np.uint8))
    (folder / "notes.txt").write_text("not an image")
    return folder


def told(result) -> list[str]:
    """The names of the samples that have an answer, in their order."""
    return [line.rpartition(": ")[0] for line in result.stdout.splitlines()]


def test_a_folder_is_predicted_with_all_below_it(foveate, trained, photos):
    model = trained[0] / "model.safetensors"
    result = foveate("predict", model, photos, "--engine", "reference")
    assert result.exit_code == 0, result.output
    assert told(result) == [str(photos / name) for name in ("9.PNG", "10.png", "c.npy", "more/a.jpg")]
    assert (
        result.stderr == f'foveate: 1 of 5 files in "{photos}" left out, because their names are not those of images\n'
    )


def test_a_model_that_prepares_nothing_says_so(foveate, photos, tmp_path):
    graph = fv.Sequential(fv.Flatten(), fv.Linear(2)).build((1, 8, 8))
    fv.Model(graph, classes=("cat", "dog"), engine="reference").save(tmp_path / "raw.safetensors")
    result = foveate("predict", tmp_path / "raw.safetensors", photos / "more", "--engine", "reference")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "no preprocessing" in result.stderr


def test_a_pattern_is_what_a_shell_would_make_of_it(foveate, trained, photos, monkeypatch):
    monkeypatch.chdir(photos.parent)
    model = trained[0] / "model.safetensors"
    for pattern, names in (
        ("photos/*.png", ["photos/10.png"]),
        ("photos/[19]*", ["photos/9.PNG", "photos/10.png"]),
        ("photos/**/*.jpg", ["photos/more/a.jpg"]),
        ("photos/mo?e", ["photos/more/a.jpg"]),
    ):
        result = foveate("predict", model, pattern, "--engine", "reference")
        assert (result.exit_code, told(result)) == (0, names), result.output
    missing = foveate("predict", model, "photos/*.gif", "--engine", "reference")
    assert (missing.exit_code, missing.stdout) == (1, "")
    assert missing.stderr.startswith('foveate: there is no file "photos/*.gif"; ')
    (photos / "a[1].png").write_bytes((photos / "10.png").read_bytes())
    assert told(foveate("predict", model, "photos/a[1].png", "--engine", "reference")) == ["photos/a[1].png"]


@pytest.mark.parametrize("separator", [b"\n", b"\r\n", b"\0"])
def test_a_list_of_paths_on_standard_input(process_bytes, trained, photos, separator):
    paths = [str(photos / "10.png"), str(photos / "none.png"), str(photos / "more"), str(photos / "9.PNG")]
    given = separator.join(map(os.fsencode, [*paths, ""]))
    done = process_bytes(given, "predict", trained[0] / "model.safetensors", "-", "--engine", "reference")
    assert done.returncode == 1
    names = [line.rpartition(b": ")[0].decode() for line in done.stdout.splitlines()]
    assert names == [paths[0], str(photos / "more" / "a.jpg"), paths[3]]
    assert done.stderr.decode().startswith(f'foveate: there is no file "{paths[1]}"; ')


@pytest.fixture
def process_bytes():
    """Run a command in a process of its own, with bytes on its standard input."""

    def run(given, *arguments):
        command = [sys.executable, "-m", "foveate", *map(str, arguments)]
        return subprocess.run(command, input=given, check=False, capture_output=True)

    return run


def test_a_file_on_standard_input(process_bytes, trained, photos):
    model = trained[0] / "model.safetensors"
    for name in ("10.png", "c.npy"):
        done = process_bytes((photos / name).read_bytes(), "predict", model, "-", "--engine", "reference")
        there = process_bytes(b"", "predict", model, photos / name, "--engine", "reference")
        assert done.returncode == 0, done.stderr
        assert done.stdout == b"-: " + there.stdout.rpartition(b": ")[2]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (b"", b"foveate: standard input names no files; give paths, one on each line, or an image or a .npy file\n"),
        (b"\n\n", b"foveate: standard input names no files"),
        (b"\x89PNG\r\n\x1a\ncut", b"foveate: standard input is not an image that can be read"),
        (b"\x93NUMPY\1\0", b"foveate: standard input is not an array written by numpy.save"),
        (b"x" * 100_000, b"foveate: standard input is neither an image, nor a .npy file, nor a list of paths, one on"),
    ],
)
def test_standard_input_that_holds_nothing_useful_is_a_sentence(process_bytes, trained, given, words):
    done = process_bytes(given, "predict", trained[0] / "model.safetensors", "-", "--engine", "reference")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(words)


def test_answers_come_while_the_list_is_still_being_written(trained, photos):
    """The first batch is answered although standard input is not at its end."""
    command = [sys.executable, "-m", "foveate", "predict", str(trained[0] / "model.safetensors"), "-"]
    with subprocess.Popen(
        [*command, "--engine", "reference"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as running:
        assert running.stdin is not None
        assert running.stdout is not None
        path = os.fsencode(photos / "10.png") + b"\n"
        running.stdin.write(path * 400)
        running.stdin.flush()
        assert running.stdout.readline().startswith(path.strip() + b": ")
        assert running.poll() is None
        running.stdin.close()
        assert len(running.stdout.read().splitlines()) == 399
    assert running.returncode == 0


def test_images_are_not_all_held_at_once(foveate, trained, images, monkeypatch):
    """However many there are, no more are read than a batch before the first is answered."""
    read, most = [], []
    real = fv.Preprocessing.prepared
    monkeypatch.setattr(fv.Preprocessing, "prepared", lambda *given: read.append(1) or real(*given))
    printed = []
    echo = predicting.typer.echo

    def watched(*words, **options):
        printed.append(1)
        most.append(len(read) - len(printed))
        echo(*words, **options)

    monkeypatch.setattr(predicting.typer, "echo", watched)
    files = [images / "dark" / f"{number % 30}.png" for number in range(3000)]
    assert foveate("predict", trained[0] / "model.safetensors", *files, "--engine", "reference").exit_code == 0
    assert len(printed) == len(read) == 3000
    assert max(most) <= 256


# ------------------------------------------------------------------------------------------------ arrays and forms


def test_an_array_may_hold_many_samples_and_lack_the_only_channel(foveate, tones, tmp_path):
    model, tone = tones
    many = np.stack([np.load(tone), -np.load(tone), np.load(tone)])
    np.save(tmp_path / "many.npy", many)
    np.save(tmp_path / "flat.npy", np.load(tone)[0])
    result = foveate("predict", model, tmp_path / "many.npy", tone, tmp_path / "flat.npy", "--engine", "reference")
    assert result.exit_code == 0, result.output
    names = [f"{tmp_path}/many.npy[{number}]" for number in range(3)]
    assert told(result) == [*names, str(tone), str(tmp_path / "flat.npy")]
    first, second, *rest = (line.rpartition(": ")[2] for line in result.stdout.splitlines())
    assert set(rest) == {first}
    assert second != first


def test_a_folder_of_volumes(foveate, tmp_path):
    graph = fv.Sequential(fv.Conv3d(2, 2), fv.GlobalAvgPool3d(), fv.Linear(2)).build((1, 3, 4, 5))
    plain = fv.Preprocessing((1, 3, 4, 5), (0.0,), (1.0,))
    task = fv.tasks.Regression(("mass", "age"))
    fv.Model(graph, task=task, preprocessing=plain, engine="reference").save(tmp_path / "model.safetensors")
    random = np.random.default_rng(0)
    (tmp_path / "scans").mkdir()
    np.save(tmp_path / "scans" / "2.npy", random.random((1, 3, 4, 5)))
    np.save(tmp_path / "scans" / "10.npy", random.random((3, 4, 5), np.float32))
    np.save(tmp_path / "scans" / "11.npy", random.random((3, 4, 6)))
    (tmp_path / "scans" / "a.png").write_text("a picture")
    result = foveate("predict", tmp_path / "model.safetensors", tmp_path / "scans", "--engine", "reference", "--jsonl")
    assert result.exit_code == 1
    two, ten, eleven = map(json.loads, result.stdout.splitlines())
    assert [entry["image"] for entry in (two, ten)] == [str(tmp_path / "scans" / name) for name in ("2.npy", "10.npy")]
    loaded = fv.load(tmp_path / "model.safetensors", engine="reference")
    (mass, age), *_ = loaded.predict(np.load(tmp_path / "scans" / "2.npy")[None])
    assert two["answers"] == [{"name": "mass", "value": float(mass)}, {"name": "age", "value": float(age)}]
    assert eleven["error"].startswith("the network takes 1x3x4x5 (a batch N x 1x3x4x5), but")
    first, second = result.stderr.splitlines()
    left = "left out, because their names are not those of .npy files"
    assert first == f'foveate: 1 of 4 files in "{tmp_path / "scans"}" {left}'
    assert "11.npy" in second


def test_the_forms_say_the_same(foveate, trained, images, tmp_path):
    model, bad = trained[0] / "model.safetensors", tmp_path / "none.png"
    files = [images / "dark" / "0.png", bad, images / "light" / "0.png"]

    def run(*form):
        result = foveate("predict", model, *files, "--engine", "reference", *form)
        assert result.exit_code == 1
        assert result.stderr.startswith(f'foveate: there is no file "{bad}"; ')
        return result.stdout

    document = json.loads(run("--json"))["images"]
    assert [json.loads(line) for line in run("--jsonl").splitlines()] == document
    header, *rows = csv.reader(StringIO(run("--csv")))
    assert header == ["image", "output", "name", "value", "error"]
    listed = []
    for entry in document:
        for each in entry.get("classes", ()):
            listed.append([entry["image"], "", each["name"], repr(each["probability"]), ""])
        if "error" in entry:
            listed.append([entry["image"], "", "", "", entry["error"]])
    assert rows == listed
    assert len(rows) == 7
    assert run("--top", 1).splitlines()[0].count("%") == 1


def test_two_forms_at_once_are_wrong_usage(foveate, trained, images):
    result = foveate("predict", trained[0] / "model.safetensors", images, "--csv", "--jsonl")
    assert result.exit_code == 2
    assert "--csv, --jsonl and --json are forms of one output;" in result.stderr


def test_a_file_called_like_a_formula_is_none_in_a_spreadsheet(foveate, trained, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("=1+1.png").write_bytes((images / "dark" / "0.png").read_bytes())
    result = foveate("predict", trained[0] / "model.safetensors", "=1+1.png", "--engine", "reference", "--csv")
    assert result.stdout.splitlines()[1].startswith("'=1+1.png,,")


@pytest.mark.parametrize("form", [[], ["--csv"], ["--jsonl"], ["--json"]])
def test_every_task_is_told_in_every_form(foveate, images, tmp_path, form):
    shape = (1, 8, 8)
    plain = fv.Preprocessing(shape, (0.0,), (1.0,))
    flat, whole = fv.Sequential(fv.Flatten(), fv.Linear(2)), fv.Sequential(fv.Conv2d(2, 1))
    tasks = {
        "regression": (flat, fv.tasks.Regression(("left", "right"))),
        "labels": (flat, fv.tasks.MultiLabel(("left", "right"))),
        "segmentation": (whole, fv.tasks.Segmentation(("left", "right"))),
    }
    for name, (network, task) in tasks.items():
        model = fv.Model(network.build(shape), task=task, preprocessing=plain, engine="reference")
        path = tmp_path / f"{name}.safetensors"
        model.save(path)
        image = images / "dark" / "0.png"
        result = foveate("predict", path, image, "--engine", "reference", *form)
        assert result.exit_code == 0, result.output
        for each, value in model.answers([image])[0]:
            assert each in result.stdout
            assert (f"{value:.4g}" if not form else repr(value)) in result.stdout


def segmenting(shape, network, classes, path):
    """A model that tells bright positions from dark ones, saved."""
    task = fv.tasks.Segmentation(tuple(f"class {number}" for number in range(classes)))
    plain = fv.Preprocessing(shape, (0.5,), (0.1,))
    model = fv.Model(network.build(shape), task=task, preprocessing=plain, engine="reference")
    model.state.load("conv1.weight", np.arange(classes, dtype=np.float32).reshape(classes, *(1,) * len(shape)))
    model.save(path)
    return model


def test_the_maps_of_a_segmentation_are_kept(foveate, images, tmp_path):
    from PIL import Image

    model = segmenting((1, 8, 8), fv.Sequential(fv.Conv2d(3, 1, bias=False)), 3, tmp_path / "model.safetensors")
    files = [images / "dark" / "0.png", images / "light" / "0.png"]
    out = tmp_path / "deep" / "masks"
    given = ["predict", tmp_path / "model.safetensors", *files, "--engine", "reference", "--masks", out]
    result = foveate(*given, "--jsonl")
    assert result.exit_code == 0, result.output
    maps = model.predict(files)
    for line, mask, name in zip(result.stdout.splitlines(), maps, ("0.png", "0-2.png"), strict=True):
        assert json.loads(line)["masks"] == [str(out / name)]
        with Image.open(out / name) as image:
            assert image.mode == "P"
            assert np.array_equal(np.asarray(image), mask)
            assert image.getpalette()[:9] == [0, 0, 0, 128, 0, 0, 0, 128, 0]
    assert set(np.unique(maps)) == {0, 2}
    assert foveate(*given).stdout == foveate(*given[:-2]).stdout


def test_the_maps_of_sounds_are_arrays(foveate, tmp_path):
    model = segmenting((1, 9), fv.Sequential(fv.Conv1d(2, 1, bias=False)), 2, tmp_path / "model.safetensors")
    np.save(tmp_path / "tone.npy", np.linspace(0, 1, 9))
    result = foveate(
        "predict", tmp_path / "model.safetensors", tmp_path / "tone.npy", "--engine", "reference", "--masks", tmp_path
    )
    assert result.exit_code == 1
    assert result.stderr == f'foveate: "{tmp_path / "tone.npy"}" is the image itself; give another folder for --masks\n'
    result = foveate(
        "predict", tmp_path / "model.safetensors", tmp_path / "tone.npy", "--engine", "reference", "--masks",
        tmp_path / "out",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert np.array_equal(np.load(tmp_path / "out" / "tone.npy"), model.predict([tmp_path / "tone.npy"])[0])


def test_masks_of_another_task_or_in_a_wrong_place_are_sentences(foveate, trained, images, tmp_path):
    result = foveate("predict", trained[0] / "model.safetensors", images / "dark", "--masks", tmp_path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "foveate: --masks is for a segmentation, but the model's task is Classification; leave it out\n"
    )
    segmenting((1, 8, 8), fv.Sequential(fv.Conv2d(3, 1, bias=False)), 3, tmp_path / "model.safetensors")
    (tmp_path / "file").write_text("in the way")
    image = images / "dark" / "0.png"
    result = foveate("predict", tmp_path / "model.safetensors", image, "--masks", tmp_path / "file")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"foveate: {tmp_path / 'file' / '0.png'} cannot be written: ")
