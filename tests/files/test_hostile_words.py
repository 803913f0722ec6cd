"""What a file says of itself is quoted in short and forges no line; its names of arrays are made harmless."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from foveate.errors import FileError
from foveate.files import read_checkpoint, read_model, write_checkpoint, write_model
from foveate.files.container import KEY
from tests.files.support import rewritten

TRICK = "\x1b[2J\nfoveate: all is well\u202e"
SHOWN = r"\x1b[2J\nfoveate: all is well\u202e"


@pytest.fixture
def path(tmp_path, arrays, description):
    write_model(tmp_path / "model.safetensors", arrays, description)
    return tmp_path / "model.safetensors"


@pytest.mark.parametrize("word", [TRICK, "x" * 10**6], ids=["trick", "endless"])
@pytest.mark.parametrize(
    "change",
    [
        lambda document, word: document.update(format_version=3, foveate_version=word),
        lambda document, word: document.update(format_version=word),
        lambda document, word: document.update(format_version=[word]),
        lambda document, word: document.update(kind=word),
        lambda document, word: document.update(features=[word]),
        lambda document, word: document["graph"]["nodes"][0].update(type=word),
        lambda document, word: document["graph"]["nodes"][0].update(name=[word]),
        lambda document, word: document["graph"]["nodes"][0].update(inputs=[word]),
        lambda document, word: document["graph"]["nodes"][0]["options"].update({word: 1}),
        lambda document, word: document["graph"]["nodes"][0]["options"].update(kernel_size=word),
        lambda document, word: document["graph"].update(name=word + "\n"),
        lambda document, word: document["task"].update(kind=word),
        lambda document, word: document["task"]["classes"].__setitem__(0, word),
        lambda document, word: document.update(frozen=[word]),
    ],
)
def test_what_a_file_says_of_itself_is_told_on_one_line(path: Path, change: Callable[..., None], word: str):
    rewritten(path, lambda document: change(document, word))
    with pytest.raises(FileError) as caught:
        read_model(path)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 11_000


def test_the_version_that_wrote_it_is_quoted(path: Path):
    rewritten(path, lambda document: document.update(format_version=3, foveate_version=TRICK))
    with pytest.raises(FileError, match="install the foveate that wrote it") as caught:
        read_model(path)
    assert f"({SHOWN})" in str(caught.value)


@pytest.mark.parametrize("change", [{"dtype": TRICK}, {"shape": [TRICK]}])
def test_an_arrays_name_is_quoted(path: Path, change: dict[str, object]):
    entry = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4], **change}
    header = json.dumps({"__metadata__": {KEY: json.dumps({"format_version": 1})}, TRICK: entry}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(FileError, match=r"is damaged: (its header describes )?\\x1b\[2J\\nfoveate: all") as caught:
        read_model(path)
    assert str(caught.value).isprintable()


def test_what_arrays_were_called_is_made_harmless(path: Path):
    names = {"conv1.weight": TRICK, "linear1.bias": "layers/0/bias:0", "linear1.weight": "w" * 5000}
    rewritten(path, lambda document: document.update(names=names, features=[*document["features"], "names"]))
    found = read_model(path)[1].names
    assert found["conv1.weight"] == SHOWN
    assert found["linear1.bias"] == "layers/0/bias:0"
    assert len(found["linear1.weight"]) == 1000


def test_a_checkpoints_words_are_told_on_one_line(tmp_path: Path, checkpoint):
    write_checkpoint(tmp_path / "checkpoint", checkpoint)
    rewritten(tmp_path / "checkpoint", lambda document: document.update(epoch=TRICK * 1000))
    with pytest.raises(FileError, match="its training state cannot be read") as caught:
        read_checkpoint(tmp_path / "checkpoint")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 1000
