"""`foveate summary`, `steps`, `data`, `--version`, `--help`, and how errors and warnings are shown."""

import json
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

import foveate as fv
from foveate import zoo
from foveate.cli.output import warn_in_sentences
from foveate.data.cifar_sets import CIFAR10

COMMANDS = (["train"], ["evaluate"], ["predict"], ["summary"], ["steps"], ["data", "fetch"], ["data", "list"])


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_shows_an_example(foveate, command):
    result = foveate(*command, "--help")
    assert result.exit_code == 0
    assert f"Example: foveate {' '.join(command)}" in result.stdout


def test_version(foveate):
    assert foveate("--version").stdout == f"foveate {fv.__version__}\n"


def test_nothing_is_wrong_usage(foveate):
    assert foveate().exit_code == 2
    assert foveate("dance").exit_code == 2
    assert foveate("summary", "vgg6", "--colour").exit_code == 2


@pytest.mark.parametrize("name", ["lenet5", "vgg6", "resnet20"])
def test_summary_of_a_network(foveate, name):
    report = json.loads(foveate("summary", name, "--json").stdout)
    assert report == zoo.make(name).summary().to_json()
    assert f"{report['total_parameters']:,}" in foveate("summary", name).stdout


def test_summary_at_another_shape(foveate):
    result = foveate("summary", "resnet20", "--input", "1x64x48", "--classes", 7, "--json")
    report = json.loads(result.stdout)
    assert report["inputs"] == {"input": [1, 64, 48]}
    assert report["layers"][-1]["output_shape"] == [7]


def test_summary_as_markdown(foveate):
    assert foveate("summary", "lenet5", "--markdown").stdout.startswith("| name | layer | output |")


def test_summary_of_a_model_file(foveate, trained):
    report = json.loads(foveate("summary", trained[0] / "model.safetensors", "--json").stdout)
    assert report["name"] == "vgg6"
    assert report["inputs"] == {"input": [1, 8, 8]}


def test_summary_of_what_does_not_fit_shows_everything_up_to_it(foveate):
    result = foveate("summary", "lenet5", "--input", "1x5x5")
    assert result.exit_code == 1
    assert "pool1" in result.stdout
    assert "conv2 (Conv2d 5x5): does not fit its 2x2 input" in result.stderr
    assert foveate("summary", "lenet5", "--input", "1x5x5", "--json").stdout == ""


def test_strict_summary(foveate):
    assert foveate("summary", "vgg6", "--input", "1x28x27").exit_code == 0
    result = foveate("summary", "vgg6", "--input", "1x28x27", "--strict")
    assert result.exit_code == 1
    assert "pool1 (MaxPool2d 2x2, stride 2): does not fit its 28x27 input" in result.stderr
    assert foveate("summary", "vgg6", "--input", "1x32x32", "--strict").exit_code == 0


@pytest.mark.parametrize("command", ["summary", "steps"])
def test_a_name_of_nothing(foveate, command):
    result = foveate(command, "vgg7")
    assert result.exit_code == 1
    assert 'there is no network and no file "vgg7". Nearest: vgg' in result.stderr


def test_a_model_file_that_is_not_there(foveate):
    assert "nowhere.safetensors does not exist" in foveate("summary", "nowhere.safetensors").stderr


def test_shapes_that_are_none(foveate):
    result = foveate("summary", "vgg6", "--input", "3by32")
    assert result.exit_code == 2
    assert "write sizes joined by x" in " ".join(result.stderr.replace("│", " ").split())


def test_shapes_for_a_model_file(foveate, trained):
    result = foveate("summary", trained[0] / "model.safetensors", "--classes", 3)
    assert result.exit_code == 2
    assert "go with a network's name" in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize("forms", [("--markdown", "--csv"), ("--html", "--json"), ("--csv", "--json")])
def test_a_summary_has_one_form(foveate, forms):
    result = foveate("summary", "lenet5", *forms)
    assert result.exit_code == 2
    assert "are forms of one table; give one of them" in " ".join(result.stderr.replace("│", " ").split())


def test_steps(foveate, engine):
    result = foveate("steps", "lenet5", "--batch-size", 4, "--mode", "training", "--engine", engine)
    assert result.exit_code == 0, result.output
    assert "forward   linear3" in result.stdout
    assert "backward  linear3" in result.stdout
    assert " bytes read and written" in result.stdout.splitlines()[-1]
    report = json.loads(foveate("steps", "lenet5", "--engine", engine, "--json").stdout)
    assert {step["phase"] for step in report} == {"forward"}
    assert set(report[0]) == {"phase", "node", "operation", "implementation", "layouts", "bytes"}


def test_steps_of_a_model_file(foveate, trained, engine):
    assert "linear1" in foveate("steps", trained[0] / "model.safetensors", "--engine", engine).stdout


def test_data_list(foveate):
    assert foveate("data", "list").stdout.startswith("fashion-mnist: ")
    report = json.loads(foveate("data", "list", "--json").stdout)
    assert report[0]["name"] == "fashion-mnist"
    assert report[0]["folder"] is None or Path(report[0]["folder"]).is_dir()


def test_data_list_says_how_to_get_what_is_not_here(foveate, monkeypatch):
    status = fv.datasets.DatasetStatus("x", "X", "a thing", None)
    monkeypatch.setattr("foveate.data.datasets.status", lambda: [status])
    assert foveate("data", "list").stdout == "x: a thing, not here; foveate data fetch x\n"


def test_data_fetch(foveate):
    result = foveate("data", "fetch", "fashion-mnist")
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("fashion-mnist: 55,000 train, 5,000 validation, 10,000 test samples in ")
    report = json.loads(foveate("data", "fetch", "fashion-mnist", "--json").stdout)
    assert (report["train"], report["validation"], report["test"]) == (55000, 5000, 10000)


def test_data_fetch_without_a_network_says_how_to_get_the_files(foveate, monkeypatch, tmp_path):
    absent = replace(CIFAR10, publishers=("http://127.0.0.1:9/nobody",), system=tmp_path)
    monkeypatch.setattr("foveate.data.published.cache", lambda: tmp_path)
    monkeypatch.delenv("FOVEATE_DATA", raising=False)
    entry = replace(fv.datasets.DATASETS["cifar10"], load=absent.load)
    monkeypatch.setitem(fv.datasets.DATASETS, "cifar10", entry)
    result = foveate("data", "fetch", "cifar10")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("foveate: CIFAR-10 was not found. Tried: the cache (")
    assert "download failed: http://127.0.0.1:9/nobody/cifar-10-binary.tar.gz: " in result.stderr
    assert "Put cifar-10-binary.tar.gz or cifar-10-python.tar.gz or data_batch_1.bin, " in result.stderr


def test_data_fetch_of_an_unknown_name(foveate):
    result = foveate("data", "fetch", "fashon-mnist")
    assert result.exit_code == 1
    assert 'there is no dataset "fashon-mnist". Nearest: fashion-mnist' in result.stderr


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (fv.DataError("no"), "foveate: no\n"),
        (PermissionError(13, "Permission denied", "/x"), 'foveate: "/x": Permission denied\n'),
        (MemoryError(), "foveate: there is not enough memory; try a smaller --batch-size\n"),
    ],
)
def test_errors_end_as_one_sentence(foveate, monkeypatch, error, sentence):
    def fail(*_, **__):
        raise error

    monkeypatch.setattr("foveate.zoo.make", fail)
    result = foveate("summary", "vgg6")
    assert (result.exit_code, result.stderr) == (1, sentence)


@pytest.mark.parametrize(
    ("place", "command", "way_out"),
    [
        ("foveate.cli.training.begin", ["train", "mnist"], "try a smaller --batch-size"),
        ("foveate.data.datasets.contact_sheet", ["data", "show", "."], "try a smaller --size"),
        ("foveate.cli.predict.prepared_model", ["predict", "x.safetensors", "x.png"], "close other programs, or use a"),
    ],
)
def test_too_little_memory_is_told_with_an_option_of_the_command(foveate, monkeypatch, place, command, way_out):
    def fail(*_, **__):
        raise MemoryError

    monkeypatch.setattr(place, fail)
    result = foveate(*command)
    assert result.exit_code == 1
    assert result.stderr.startswith(f"foveate: there is not enough memory; {way_out}")


def test_warnings_are_sentences(capsys):
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warn_in_sentences()
        warnings.warn("the pool drops a row", fv.DroppedBorderWarning, stacklevel=1)
    assert capsys.readouterr().err == "foveate: the pool drops a row\n"


def test_a_reader_that_goes_away_is_no_traceback():
    command = [sys.executable, "-m", "foveate", "summary", "resnet20", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        running.stdout.close()
        error = running.stderr.read()
    assert running.returncode == 1
    assert "Traceback" not in error
