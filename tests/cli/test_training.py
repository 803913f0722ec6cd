"""`foveate train`, `evaluate` and `predict`."""

import json
import re
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate.cli import evaluate_predict
from foveate.tasks import MultiLabel, Regression, Several
from foveate.training import History, RunFolder


def test_train_writes_its_files_and_ends_with_the_accuracy(trained):
    out, said = trained
    lines = said.splitlines()
    assert lines[0] == "shades: 90 images in 3 classes (8x8 pixels), 72 train, 9 validation, 9 test"
    assert lines[1] == "network vgg6, input 1x8x8 (crop)"
    assert [line.partition(": ")[0] for line in lines[2:7]] == [
        "input 1x8x8",
        "network vgg6",
        "learning rate 0.019",
        "images are mirrored at random",
        "moved at random by up to 1 position",
    ]
    assert lines[7].startswith("epoch 1: loss ")
    assert lines[9].startswith("test accuracy: ")
    assert lines[9].endswith(" %")
    assert lines[-3:] == [
        f"model: {out / 'model.safetensors'}",
        f"history: {out / 'history.csv'}",
        f"curves: {out / 'curves.png'}",
    ]
    model = fv.load(RunFolder(out).model, engine="reference")
    assert model.classes == ("dark", "grey", "light")
    assert model.graph.name == "vgg6"
    assert len(History.from_csv(RunFolder(out).history)) == 2
    with Image.open(RunFolder(out).curves) as image:
        assert image.format == "PNG"


def test_train_as_json(foveate, images, tmp_path, engine):
    result = foveate(
        "train",
        images,
        "--net",
        "lenet5",
        "--epochs",
        1,
        "--engine",
        engine,
        "--out",
        tmp_path,
        "--no-augment",
        "--json",
        "--size",
        8,
    )
    assert result.exit_code == 1
    assert "conv2" in result.stderr  # LeNet-5 does not fit 8x8 images; nothing was written
    assert not list(tmp_path.iterdir())
    result = foveate("train", images, "--epochs", 1, "--engine", engine, "--out", tmp_path, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["samples"] == 9
    assert 0 <= report["accuracy"] <= 1
    assert report["classes"] == ["dark", "grey", "light"]
    assert [row["epoch"] for row in report["epochs"]] == [1]
    assert report["model"] == str(tmp_path / "model.safetensors")
    assert report["found"] == "90 images in 3 classes (8x8 pixels), 72 train, 9 validation, 9 test"
    assert result.stderr.startswith("shades: 90 images in 3 classes ")
    assert result.stderr.splitlines()[8].startswith("epoch 1: loss ")


def test_train_writes_to_runs_unless_told(foveate, images, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = foveate("train", images, "--epochs", 1, "--engine", "reference")
    assert result.exit_code == 0, result.output
    assert (tmp_path / "runs" / "shades" / "model.safetensors").exists()


def test_train_hands_its_options_on(foveate, images, tmp_path, monkeypatch):
    seen = {}
    real = fv.Model.fit
    monkeypatch.setattr(fv.Model, "fit", lambda self, *a, **k: seen.update(k, seed=self.seed) or real(self, *a, **k))
    result = foveate(
        "train", images, "--epochs", 1, "--batch-size", 32, "--learning-rate", 0.01, "--seed", 5, "--out", tmp_path,
        "--engine", "reference", "--no-augment", "--checkpoint-every", 2,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert (seen["epochs"], seen["batch_size"], seen["seed"]) == (1, 32, 5)
    assert (seen["resume"], seen["overwrite"]) == (False, False)
    assert seen["schedule"] == fv.OneCycle(0.01)
    assert seen["checkpoint_every"] == 2
    assert seen["augmentation"] == fv.Augmentation()
    foveate("train", images, "--epochs", 1, "--out", tmp_path, "--engine", "reference", "--overwrite")
    assert (seen["resume"], seen["overwrite"]) == (False, True)
    assert seen["augmentation"] == fv.Augmentation(flip=True, shift=1)
    assert (seen["batch_size"], seen["schedule"]) == (8, fv.OneCycle(0.0094))


def test_the_folder_is_tried_before_the_data_are_read(foveate, images, tmp_path, monkeypatch):
    monkeypatch.setattr("foveate.cli.training.begin", lambda *_, **__: pytest.fail("the data are read"))
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.safetensors").write_bytes(b"")
    for options, sentence in (
        (["file"], 'file" cannot be made: a file is in the way; give another --out'),
        (["run"], "continue it with --resume, replace it with --overwrite, or give another --out"),
        (["run", "--resume", "--overwrite"], "--resume and --overwrite exclude each other; give one of them"),
        (["new", "--resume"], 'so there is nothing to resume; there is one in "'),
        (["new", "--learning-rate", "inf"], "learning_rate is inf; it must be a positive, finite number"),
    ):
        result = foveate("train", images, "--out", tmp_path / options[0], *options[1:])
        assert result.exit_code == 1
        assert sentence in result.stderr
        assert len(result.stderr.splitlines()) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"file", "run"}


def test_threads_are_set(foveate, images, tmp_path, monkeypatch):
    counts = []
    monkeypatch.setattr("foveate.engines.set_threads", counts.append)
    assert (
        foveate("train", images, "--epochs", 1, "--out", tmp_path, "--engine", "native", "--threads", 1).exit_code == 0
    )
    assert counts == [1]


def test_resume_with_other_settings(foveate, images, trained):
    out, _ = trained
    before = (out / "model.safetensors").read_bytes()
    result = foveate(
        "train", images, "--epochs", 3, "--batch-size", 16, "--engine", "reference", "--out", out, "--resume"
    )
    assert result.exit_code == 1
    said = "cannot resume from it: epochs: 2 then, 3 now. Use the same, as with --config"
    assert said in result.stderr
    assert (out / "model.safetensors").read_bytes() == before


def test_divergence_is_one_sentence(foveate, images, tmp_path):
    result = foveate(
        "train",
        images,
        "--learning-rate",
        1e20,
        "--epochs",
        2,
        "--batch-size",
        4,
        "--engine",
        "reference",
        "--out",
        tmp_path,
    )
    assert result.exit_code == 1
    assert re.search(r"became nan at step \d+ of 36 .*Try a learning rate of 0\.1, ", result.stderr)
    assert len(result.stderr.splitlines()) == 1


def test_ctrl_c_saves_and_resume_goes_on(images, tmp_path, process):
    """A real process and a real signal, long before the 25th epoch."""
    options = ["--epochs", "25", "--batch-size", "4", "--engine", "reference", "--out", str(tmp_path), "--no-augment"]
    command = [sys.executable, "-m", "foveate", "train", str(images), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout.readline().startswith("shades: ")
        lines = [running.stdout.readline() for _ in range(4)]
        assert lines[0].startswith("network vgg6, ")
        assert lines[3].startswith("learning rate 0.0047: ")
        assert running.stdout.readline().startswith("epoch 1: ")
        running.send_signal(signal.SIGINT)
        _, error = running.communicate(timeout=60)
    assert running.returncode == 1
    assert error.startswith("foveate: interrupted in epoch ")
    assert "the same command with --resume continues" in error
    assert len(error.splitlines()) == 1
    model = fv.load(RunFolder(tmp_path).model, engine="reference")
    assert model.training["interrupted"]
    assert 1 <= len(History.from_csv(RunFolder(tmp_path).history)) < 25
    resumed = process(*command[3:], "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert "test accuracy: " in resumed.stdout
    assert re.match(r"resuming in epoch \d+ of 25, after step \d+ of 450$", resumed.stdout.splitlines()[5])
    assert len(History.from_csv(RunFolder(tmp_path).history)) == 25


def test_evaluate_as_json_gives_the_trainings_own_figure(foveate, images, trained, engine):
    out, said = trained
    result = foveate("evaluate", out / "model.safetensors", images, "--engine", engine, "--json")
    assert result.exit_code == 0, result.output
    report = json.loads(result.stdout)
    assert report["samples"] == 9
    assert f"test accuracy: {100 * report['accuracy']:.2f} %" in said
    assert set(report) == {
        "format",
        "accuracy",
        "loss",
        "samples",
        "numbers",
        "per_class",
        "confusion",
        "classes",
        "part",
        "found",
    }
    assert report["part"] == "test"
    assert report["format"] == 1


def test_evaluate_for_people(foveate, images, trained):
    result = foveate("evaluate", trained[0] / "model.safetensors", images, "--engine", "reference")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith(
        "shades: the test part, 9 of 90 images; the others were for training and validation"
    )
    assert " of 9 samples\nloss: " in result.stdout
    assert "dark " in result.stdout


def test_evaluate_on_a_data_set_of_another_shape(foveate, trained):
    result = foveate("evaluate", trained[0] / "model.safetensors", "fashion-mnist", "--engine", "reference")
    assert result.exit_code == 1
    assert "a sample is 1x28x28, but the network takes 1x8x8" in result.stderr


def test_predict_names_the_class(foveate, images, trained, engine):
    model = trained[0] / "model.safetensors"
    paths = [images / name / "0.png" for name in ("dark", "light")]
    result = foveate("predict", model, *paths, "--engine", engine)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert [line.split(": ")[0] for line in lines] == [str(path) for path in paths]
    assert all(line.count(" %") == 3 for line in lines)
    report = json.loads(foveate("predict", model, *paths, "--top", 1, "--engine", engine, "--json").stdout)
    best, probability = fv.load(model, engine=engine).classify(paths)[0]
    first, second = report["images"]
    assert report["format"] == 1
    assert first == {"image": str(paths[0]), "classes": [{"name": best, "probability": pytest.approx(probability)}]}
    assert len(second["classes"]) == 1


@pytest.fixture
def two_tasks(images, tmp_path):
    """A model of two outputs, one for labels and one for a number; and a picture."""
    builder = fv.GraphBuilder()
    flat = builder.add(fv.Flatten(), builder.input((1, 8, 8)))
    lit, mean = builder.add(fv.Linear(1), flat, name="lit"), builder.add(fv.Linear(1), flat, name="mean")
    task = Several({"lit": MultiLabel(("lit",)), "mean": Regression(("brightness",))})
    plain = fv.Preprocessing((1, 8, 8), (0.5,), (0.25,))
    model = fv.Model(builder.build(lit, mean), task=task, preprocessing=plain, engine="reference")
    for name, bias in (("lit", -50.0), ("mean", 7.5)):
        model.state.load(f"{name}.weight", np.zeros((1, 64)))
        model.state.load(f"{name}.bias", np.array([bias]))
    model.save(tmp_path / "two.safetensors")
    return tmp_path / "two.safetensors", images / "dark" / "0.png"


def test_predict_says_what_a_task_answers(foveate, two_tasks):
    model, image = two_tasks
    result = foveate("predict", model, image, "--engine", "reference")
    assert result.stdout == f"{image}: lit: nothing; mean: brightness 7.5\n", result.output
    report = json.loads(foveate("predict", model, image, "--engine", "reference", "--json").stdout)
    answers = {"lit": [], "mean": [{"name": "brightness", "value": 7.5}]}
    assert report == {"format": 1, "images": [{"image": str(image), "answers": answers}]}


def test_evaluate_says_whose_task_the_data_are_not(foveate, images, two_tasks):
    result = foveate("evaluate", two_tasks[0], images, "--engine", "reference")
    assert result.exit_code == 1
    assert "the model is for lit: MultiLabel(" in result.stderr
    assert "but the data are for Classification(" in result.stderr


def test_evaluate_prints_the_metrics_of_any_task(foveate, images, two_tasks, monkeypatch):
    path, _ = two_tasks
    model = fv.load(path, engine="reference")
    targets = {"lit": [0, 1], "mean": [7.0, 9.0]}
    data = fv.Dataset(np.zeros((2, 1, 8, 8), np.uint8), targets, model.task)
    monkeypatch.setattr(evaluate_predict, "test_images", lambda *_: fv.datasets.HeldOut(data, "test", ""))
    said = foveate("evaluate", path, images, "--engine", "reference").stdout
    assert "over 2 samples\n" in said
    assert "\nmean mae: 1\n  brightness  1\n" in said
    report = json.loads(foveate("evaluate", path, images, "--engine", "reference", "--json").stdout)
    assert (report["format"], report["numbers"]["mean mae"]) == (1, 1.0)


def test_predict_on_a_file_that_is_no_image(foveate, trained, tmp_path):
    (tmp_path / "notes.png").write_text("no image")
    result = foveate("predict", trained[0] / "model.safetensors", tmp_path / "notes.png", "--engine", "reference")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert "notes.png" in result.stderr
    assert len(result.stderr.splitlines()) == 1


def test_predict_with_a_model_cut_in_half(foveate, images, trained, tmp_path):
    content = (trained[0] / "model.safetensors").read_bytes()
    (tmp_path / "half.safetensors").write_bytes(content[: len(content) // 2])
    result = foveate("predict", tmp_path / "half.safetensors", images / "dark" / "0.png", "--engine", "reference")
    assert result.exit_code == 1
    assert f"half.safetensors is cut short: it has {len(content) // 2:,} bytes" in result.stderr


def test_an_empty_folder(foveate, tmp_path):
    result = foveate("train", tmp_path, "--engine", "reference", "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_exit_statuses_of_a_real_process(process, images, trained, tmp_path):
    model = trained[0] / "model.safetensors"
    good = process("predict", model, images / "dark" / "0.png", "--engine", "reference")
    assert (good.returncode, good.stderr) == (0, "")
    bad = process("evaluate", tmp_path / "nowhere.safetensors", "fashion-mnist", "--engine", "reference")
    assert bad.returncode == 1
    assert bad.stdout == ""
    assert bad.stderr == (
        f"foveate: {tmp_path / 'nowhere.safetensors'} does not exist; expected a file written by foveate\n"
    )
    wrong = process("train")
    assert wrong.returncode == 2
    assert "Traceback" not in wrong.stderr


def test_a_test_image_written_as_png_is_named(foveate, images, trained, tmp_path):
    model = fv.load(trained[0] / "model.safetensors", engine="reference")
    test = fv.datasets.image_folder(images, shape=(1, 8, 8)).test
    Image.fromarray(test.inputs[0, 0]).save(tmp_path / "test.png")
    wanted = model.class_names[int(model.predict(test.inputs[:1]).argmax())]
    result = foveate("predict", trained[0] / "model.safetensors", tmp_path / "test.png", "--engine", "reference")
    assert result.stdout.startswith(f"{tmp_path / 'test.png'}: {wanted} ")
    assert np.asarray(Image.open(tmp_path / "test.png")).shape == (8, 8)
