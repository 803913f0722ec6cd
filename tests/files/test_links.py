"""Links in an output folder: what they point at is replaced, and no folder is made behind one that points nowhere."""

from pathlib import Path

import pytest

from foveate.errors import FileError
from foveate.files import write_atomically


def test_a_link_to_a_file_stays_a_link(tmp_path: Path):
    (tmp_path / "real").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "new"


def test_a_link_that_leads_back_to_itself_is_told(tmp_path: Path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(FileError, match=r"is a link that leads back to itself; remove it|symbolic links"):
        write_atomically(tmp_path / "loop", b"new")


def test_a_link_to_a_file_to_be_is_followed(tmp_path: Path):
    (tmp_path / "link").symlink_to(tmp_path / "new")
    write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "new").read_text() == "new"


def test_a_link_to_a_folder_is_written_through(tmp_path: Path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    write_atomically(tmp_path / "link" / "deeper" / "file", b"new")
    assert (tmp_path / "real" / "deeper" / "file").read_text() == "new"


@pytest.mark.parametrize("place", ["out/model", "out", "out/deeper/model"])
def test_a_link_to_nowhere_makes_no_folder(tmp_path: Path, place: str):
    """A folder from a stranger may hold such a link; once the folders outside were made."""
    link = tmp_path / ("out/model" if place == "out/model" else "out")
    link.parent.mkdir(exist_ok=True)
    outside = tmp_path / "elsewhere" / "deep" / "model"
    link.symlink_to(outside)
    with pytest.raises(FileError) as caught:
        write_atomically(tmp_path / place, b"new")
    assert str(caught.value) == (
        f'"{tmp_path / place}" cannot be written: "{link}" is a link into a folder that does not exist; make '
        f'"{outside}" or remove the link'
    )
    assert not (tmp_path / "elsewhere").exists()
    assert link.is_symlink()
