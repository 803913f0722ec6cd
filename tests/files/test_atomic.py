"""A file is there whole or not at all, whatever happens while it is written."""

import errno
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from foveate.errors import FileError
from foveate.files import write_atomically
from foveate.files.atomic import atomically


def test_writes_and_makes_folders(tmp_path):
    write_atomically(tmp_path / "a" / "b" / "file.bin", b"content")
    assert (tmp_path / "a" / "b" / "file.bin").read_bytes() == b"content"
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["file.bin"]


def test_replaces_what_was_there(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old and longer")
    write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_permissions_are_those_of_any_new_file(tmp_path):
    write_atomically(tmp_path / "ours", b"")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "target").write_bytes(b"old")
    (tmp_path / "link").symlink_to(tmp_path / "target")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"new"


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch, call):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(*((os, "fsync") if call == "fsync" else (Path, "replace")), full)
    with pytest.raises(
        FileError, match=r"file cannot be written: No space left on device\. What was there .* untouched"
    ):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.name == "nt", reason="Windows opens no folder")
def test_a_folder_that_fails_after_the_rename_is_not_said_to_hold_the_old_file(tmp_path, monkeypatch):
    flush = os.fsync

    def failing(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, "Input/output error")
        flush(descriptor)

    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(FileError, match=r'file" is written, but may be lost if the power fails: Input/output error$'):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_folder_in_the_way_is_a_sentence(tmp_path):
    with pytest.raises(FileError, match=r"cannot be written: Is a directory"):
        write_atomically(tmp_path, b"")


@pytest.mark.parametrize("instant", ["os.fsync", "pathlib.Path.replace"])
def test_killed_while_writing_the_old_file_is_there(tmp_path, instant):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    script = f"""
import os, pathlib, signal
from foveate.files import write_atomically
{instant} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_atomically(pathlib.Path({str(path)!r}), b"new" * 100000)
"""
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    assert [each.suffix for each in tmp_path.iterdir() if each != path] == [".partial"]
    write_atomically(path, b"newer")
    assert list(tmp_path.iterdir()) == [path]


def test_what_another_process_still_writes_is_left_alone(tmp_path):
    path = tmp_path / "file"
    with atomically(path) as file:
        file.write(b"first")
        write_atomically(path, b"second")
        assert path.read_bytes() == b"second"
    assert path.read_bytes() == b"first"
    assert list(tmp_path.iterdir()) == [path]


def test_partial_files_of_others_are_left_alone(tmp_path):
    others = {".file.partial", ".file.0123456.partial", ".other.01234567.partial", "file.01234567.partial"}
    for name in others:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / ".file.01234567.partial").write_bytes(b"")
    write_atomically(tmp_path / "file", b"")
    assert {each.name for each in tmp_path.iterdir()} == {*others, "file"}


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_a_file_that_is_replaced_keeps_its_mode(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    with atomically(path) as file:
        (partial,) = (each for each in tmp_path.iterdir() if each != path)
        assert stat.S_IMODE(partial.stat().st_mode) == mode
        file.write(b"new")
    assert stat.S_IMODE(path.stat().st_mode) == mode


def test_a_read_only_file_is_not_replaced(tmp_path, monkeypatch):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(os, "access", lambda *_: False)  # an administrator may write to everything
    with pytest.raises(FileError, match=r'file" cannot be written: it is read-only\. Make it writable \(chmod u\+w\)'):
        write_atomically(path, b"new")
    assert path.read_bytes() == b"old"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has these devices")
def test_a_device_is_written_to_and_stays_one(tmp_path):
    write_atomically(Path("/dev/null"), b"content")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(FileError, match="/dev/full cannot be written: No space left on device"):
        write_atomically(Path("/dev/full"), b"content")
    assert Path("/dev/full").is_char_device()


@pytest.mark.skipif(not Path("/dev/stdout").exists(), reason="the system has no names for streams")
@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1"])
def test_a_stream_is_written_to_in_its_turn(tmp_path, name):
    script = (
        "import pathlib; from foveate.files import write_atomically; print('before');"
        f"write_atomically(pathlib.Path({name!r}), b'content\\n'); print('after')"
    )
    command = [sys.executable, "-c", script]
    assert subprocess.run(command, check=True, capture_output=True).stdout == b"before\ncontent\nafter\n"
    with (tmp_path / "log").open("w") as file:
        subprocess.run(command, check=True, stdout=file)
    assert (tmp_path / "log").read_bytes() == b"before\ncontent\nafter\n"


def test_a_pipe_is_written_to_and_stays_one(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["cat", tmp_path / "pipe"], stdout=subprocess.PIPE) as reader:
        write_atomically(tmp_path / "pipe", b"content" * 1000)
        assert reader.communicate()[0] == b"content" * 1000
    assert (tmp_path / "pipe").is_fifo()


def test_a_pipe_that_nobody_reads_is_not_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr("foveate.files.atomic.PATIENCE", 0.1)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileError, match='pipe" is a pipe that nobody reads; read it, or give a file'):
        write_atomically(tmp_path / "pipe", b"content")


def test_a_disk_is_not_written_to(monkeypatch, tmp_path):
    (tmp_path / "disk").write_bytes(b"")
    monkeypatch.setattr(stat, "S_ISREG", lambda _: False)
    monkeypatch.setattr(stat, "S_ISBLK", lambda _: True)
    with pytest.raises(FileError, match='disk" is a disk; give a file on it'):
        write_atomically(tmp_path / "disk", b"content")
