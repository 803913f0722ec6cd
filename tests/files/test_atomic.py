"""A file is there whole or not at all, whatever happens while it is written."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from foveate.errors import FileError
from foveate.files import write_atomically


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
