"""`foveate predict` on several files, of which some cannot be read, and on arrays."""

import json
import os

import numpy as np
import pytest

import foveate as fv
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
    files = [good[0], tmp_path / "notes.png", tmp_path / "none.jpg", tmp_path, good[1]]
    model = trained[0] / "model.safetensors"
    result = foveate("predict", model, *files, "--engine", "reference")
    assert result.exit_code == 1
    alone = foveate("predict", model, *good, "--engine", "reference")
    assert (result.stdout, alone.exit_code) == (alone.stdout, 0)
    assert result.stderr.splitlines() == [
        f'foveate: "{tmp_path / "notes.png"}" is not an image that can be read; '
        "a PNG, JPEG, GIF, BMP, TIFF, WebP or PPM image was expected",
        f'foveate: there is no file "{tmp_path / "none.jpg"}"; '
        "a PNG, JPEG, GIF, BMP, TIFF, WebP or PPM image was expected",
        f'foveate: "{tmp_path}" is a folder; a PNG, JPEG, GIF, BMP, TIFF, WebP or PPM image was expected: '
        "name the files in it",
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
