"""How `foveate train` ends: by signals, early and late, and without a reader; nothing that was learnt is lost."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

import foveate as fv
from foveate.files import read_checkpoint
from foveate.training import History, RunFolder

FOVEATE = [sys.executable, "-m", "foveate"]


def heard():
    """Signals end a process by default, also if the tests run under nohup or in the background of a shell."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_DFL)


@pytest.fixture
def started(images, tmp_path):
    """Start a training of 40 epochs in a process of its own, and wait for the end of the first."""

    @contextmanager
    def start(**given):
        options = {"preexec_fn": heard, **given}
        command = [*FOVEATE, "train", str(images), "--epochs", "40", "--batch-size", "4", "--engine", "reference"]
        command += ["--learning-rate", "0.001", "--out", str(tmp_path / "run"), "--no-augment"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options) as process:
            try:
                while not (line := process.stdout.readline()).startswith("epoch 1: "):
                    assert line, process.stderr.read()
                yield process
            finally:
                process.kill()

    return start


def epochs(folder):
    """The epochs in the checkpoint and in the history, both of which are whole."""
    return read_checkpoint(folder.checkpoint).epoch, len(History.from_csv(folder.history))


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_saves_first(started, images, tmp_path, name):
    with started() as process:
        process.send_signal(getattr(signal, name))
        _, error = process.communicate(timeout=60)
    folder = RunFolder(tmp_path / "run")
    assert process.returncode == 128 + getattr(signal, name)
    assert error == (
        f'foveate: ended by {name}; "{folder.checkpoint}" has the training so far, and the same command with --resume '
        "continues\n"
    )
    saved, told = epochs(folder)
    assert saved == told >= 1
    assert fv.load(folder.model, engine="reference").training["interrupted"]
    assert {path.name for path in folder.path.iterdir()} >= {"model.safetensors", "curves.png"}
    assert not [path for path in folder.path.iterdir() if path.name.startswith(".")]


def test_a_signal_that_is_ignored_stays_so(started, tmp_path):
    with started(preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)) as process:
        process.send_signal(signal.SIGHUP)
        assert process.stdout.readline().startswith("epoch 2: ")


def test_ctrl_c_twice_ends_at_once_and_what_is_on_disk_is_whole(started, images, tmp_path):
    with started() as process:
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode in (1, 130)  # two that come at the same time are one
    assert "Traceback" not in error
    saved, told = epochs(RunFolder(tmp_path / "run"))
    assert saved >= told >= 1


@pytest.mark.parametrize("delay", [0.03, 0.1, 0.2, 0.4, 0.8])
def test_ctrl_c_early_is_silent(images, tmp_path, delay):
    command = [
        *FOVEATE,
        "train",
        str(images),
        "--epochs",
        "500",
        "--engine",
        "reference",
        "--out",
        str(tmp_path / "run"),
    ]
    options = {"preexec_fn": heard, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, **options) as process:
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    # A shell calls it 130, too, if the system ends a process by SIGINT; 1 if training had already begun.
    assert process.returncode in (-signal.SIGINT, 130, 1)
    # Before the package's first line, which a slow machine may not have reached, Python itself prints a traceback.
    assert "Traceback" not in error or "foveate/cli" not in error
    assert (process.returncode == 1) == ("interrupted in epoch" in error)


def test_ctrl_c_that_an_extension_module_swallowed_takes_effect_before_training(images, tmp_path):
    code = """
import signal
import foveate.cli.training as training
from foveate.cli import main
real = training.begin
def swallowing(*arguments, **options):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        pass
    return real(*arguments, **options)
training.begin = swallowing
main()
"""
    command = [
        sys.executable,
        "-c",
        code,
        "train",
        str(images),
        "--engine",
        "reference",
        "--out",
        str(tmp_path / "run"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (130, False)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_training_whose_reader_has_left_goes_on(images, tmp_path, reader):
    arguments = ["train", images, "--epochs", 3, "--engine", "reference", "--out", tmp_path / "run"]
    words = f'{{ "$@"; echo "status $?" >&2; }} | {reader}'
    command = ["sh", "-c", words, "sh", *FOVEATE, *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.stderr == "status 0\n"
    folder = RunFolder(tmp_path / "run")
    assert len(History.from_csv(folder.history)) == 3
    assert fv.load(folder.model, engine="reference").graph is not None


def test_a_package_that_is_run_with_the_word_foveate_keeps_its_own_ctrl_c(tmp_path):
    package = tmp_path / "tool"
    package.mkdir()
    (package / "__init__.py").write_text("import foveate\n")
    told = "import signal\nprint(signal.getsignal(signal.SIGINT) is signal.default_int_handler)\n"
    (package / "__main__.py").write_text(told)
    path = os.pathsep.join([str(tmp_path), *sys.path])
    run = [sys.executable, "-m", "tool", "foveate"]
    environment = {**os.environ, "PYTHONPATH": path}
    ended = subprocess.run(run, env=environment, capture_output=True, preexec_fn=heard, check=False)
    assert ended.stdout == b"True\n", ended.stderr
