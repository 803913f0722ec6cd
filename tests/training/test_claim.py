"""The output folder of a training: tried first, held by one at a time, not overwritten by mistake."""

import os
import signal
import subprocess
import sys
import threading

import pytest

import foveate as fv
from foveate.data.folders import LOCK
from foveate.errors import FileError, TrainingError
from foveate.training import History, Progress, RunFolder, Words, claimed
from tests.training.conftest import blobs

HOLD = """
import sys
from pathlib import Path
from foveate.training import RunFolder, claimed

with claimed(RunFolder(Path(sys.argv[1])), resume=False, overwrite=False):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def train(graph):
    """Train a new model for one epoch into a folder."""

    def run(out, **options):
        model = fv.Model(graph, engine="reference")
        settings = {"epochs": 1, "batch_size": 8, "progress": False, **options}
        return model, model.fit(blobs(26), out=out, **settings)

    return run


@pytest.fixture
def holder(tmp_path):
    """A process that holds a folder until it is ended."""
    folder = tmp_path / "run"
    command = [sys.executable, "-c", HOLD, str(folder)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield folder, process
        process.kill()


def claim(path, *, resume=False, overwrite=False, **options):
    return claimed(RunFolder(path), resume=resume, overwrite=overwrite, **options)


def test_a_run_is_not_overwritten_by_mistake(train, tmp_path):
    train(tmp_path / "run")
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    with pytest.raises(
        TrainingError,
        match=r'run" already holds a run: model\.safetensors, history\.csv and checkpoint\.safetensors; continue it '
        r"with resume=True, replace it with overwrite=True, or give another out$",
    ):
        train(tmp_path / "run")
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_each_way_out_works(train, tmp_path):
    train(tmp_path / "run")
    assert len(train(tmp_path / "run", resume=True)[1]) == 1
    assert len(train(tmp_path / "run", overwrite=True, epochs=2)[1]) == 2
    assert len(train(tmp_path / "other")[1]) == 1
    assert len(History.from_csv(RunFolder(tmp_path / "run").history)) == 2


@pytest.mark.parametrize(
    "name", ["model.safetensors", "history.csv", "checkpoint.safetensors", "checkpoint-1.safetensors"]
)
def test_a_single_file_is_a_run(tmp_path, name):
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(TrainingError, match=f"already holds a run: {name}; ") as caught, claim(tmp_path):
        pass
    # What would not work is not offered.
    assert ("continue it" in str(caught.value)) == name.startswith("checkpoint")


def test_other_files_are_no_run(train, tmp_path):
    for name in ("notes.txt", "run.toml", "skipped.txt", "checkpoint-0.safetensors", "checkpoint.safetensors.bak"):
        (tmp_path / name).write_bytes(b"mine")
    train(tmp_path)
    assert (tmp_path / "notes.txt").read_bytes() == b"mine"


def test_resume_and_overwrite_exclude_each_other(train, tmp_path):
    with pytest.raises(TrainingError, match="resume=True and overwrite=True exclude each other; give one of them"):
        train(tmp_path / "run", resume=True, overwrite=True)


def test_nothing_to_resume(train, tmp_path):
    train(tmp_path / "stripes")
    (tmp_path / "empty").mkdir()
    for name, state in (("stripe", "does not exist"), ("empty", "holds no checkpoint")):
        with pytest.raises(
            TrainingError,
            match=rf'{name}" {state}, so there is nothing to resume; there is one in ".*/stripes"\. Check out, or '
            "leave resume=True out to start a new training",
        ):
            train(tmp_path / name, resume=True)
    assert not (tmp_path / "stripe").exists()


def test_the_words_are_those_of_whoever_claims(tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"")
    words = Words("--resume", "--overwrite", "--extend", "--out")
    sentence = "replace it with --overwrite, or give another --out"
    with pytest.raises(TrainingError, match=sentence), claim(tmp_path, words=words):
        pass


def test_two_at_once(train, holder):
    folder, process = holder
    for options in ({}, {"overwrite": True}):
        with pytest.raises(
            TrainingError,
            match=rf"^process {process.pid} is training into .*run\"; wait until it has ended, stop it \(kill "
            rf"{process.pid}\), or give another out$",
        ):
            train(folder, **options)


def test_who_holds_it_elsewhere_is_told(holder, monkeypatch):
    folder, process = holder
    monkeypatch.setattr("socket.gethostname", lambda: "elsewhere")
    with pytest.raises(TrainingError, match=rf"^process {process.pid} on .+ is training into"), claim(folder):
        pass


def test_the_lock_of_a_dead_process_is_taken_over(train, holder):
    folder, process = holder
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert (folder / LOCK).exists()
    train(folder)
    assert not (folder / LOCK).exists()


def test_two_threads_at_once(train, tmp_path):
    inside, done = threading.Event(), threading.Event()

    class Waiting(Progress):
        def start(self, *_):
            inside.set()
            assert done.wait(60)

    thread = threading.Thread(target=train, args=(tmp_path / "run",), kwargs={"progress": Waiting()})
    thread.start()
    try:
        assert inside.wait(60)
        with pytest.raises(TrainingError, match="another thread of this program is training into"):
            train(tmp_path / "run")
    finally:
        done.set()
        thread.join()
    assert RunFolder(tmp_path / "run").model.exists()


def test_a_folder_that_changed_hands_while_it_was_opened(tmp_path, monkeypatch):
    """Its holder deletes the lock before it is free: whoever opened it meanwhile must begin again."""
    real, opened = os.open, []

    def late(path, *arguments, **options):
        descriptor = real(path, *arguments, **options)
        if str(path).endswith(LOCK):
            opened.append(path)
            if len(opened) == 1:
                path.unlink()
        return descriptor

    monkeypatch.setattr(os, "open", late)
    with claim(tmp_path):
        assert len(opened) == 2
        assert (tmp_path / LOCK).read_text().startswith(f"{os.getpid()} ")


def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_done(train, tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FileError, match=r'" cannot be made: a file is in the way; give another out'):
            train(path)
    real = os.open

    def read_only(path, flags, *arguments, **options):
        if flags & os.O_CREAT:
            raise OSError(30, "Read-only file system")
        return real(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", read_only)
    monkeypatch.setattr(fv.Preprocessing, "measure", lambda *_: pytest.fail("the data are read"))
    with pytest.raises(FileError, match=r'run" cannot be written to: Read-only file system; give another out'):
        train(tmp_path / "run")


def test_a_folder_in_which_no_new_file_can_be_made(tmp_path):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pathlib.Path.open", full)
        sentence = "cannot be written to: No space left on device; give another out"
        with pytest.raises(FileError, match=sentence), claim(tmp_path):
            pass
    assert not list(tmp_path.iterdir())


def test_a_folder_in_which_nothing_was_written_goes_again(train, tmp_path):
    with pytest.raises(TrainingError, match="epochs"):
        train(tmp_path / "a" / "b", epochs=0)
    assert not (tmp_path / "a").exists()
    (tmp_path / "mine").mkdir()
    with pytest.raises(TrainingError, match="epochs"):
        train(tmp_path / "mine" / "b", epochs=0)
    assert not list((tmp_path / "mine").iterdir())


def test_what_a_killed_run_left_is_deleted_when_the_next_one_starts(tmp_path):
    ours = [
        ".model.safetensors.0123abcd.partial",
        ".checkpoint.safetensors.00000000.partial",
        ".tried.11111111.partial",
    ]
    others = [".model.safetensors.partial", ".mine.0123abcd.partial", "a.partial"]
    for name in ours + others:
        (tmp_path / name).write_bytes(b"")
    with claim(tmp_path):
        assert {path.name for path in tmp_path.iterdir()} == {*others, LOCK}


def test_claiming_again_inside_does_nothing(tmp_path):
    with claim(tmp_path):
        (tmp_path / "model.safetensors").write_bytes(b"")
        with claim(tmp_path / "." / "x" / ".."):
            pass
    with pytest.raises(TrainingError, match="already holds a run"), claim(tmp_path):
        pass
