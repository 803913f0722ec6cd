"""Writers of CIFAR's files, as Krizhevsky's archives have them; nothing here uses foveate.

The Python files were written by Python 2: `python2_batch` spells out the instructions that its cPickle wrote, as
`pickletools.dis` shows them for the published files.
"""

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = tuple[NDArray[np.uint8], dict[str, list[int]]]


def _text(words: str) -> bytes:
    """A text of Python 2, one byte for each letter."""
    return b"U" + bytes([len(words)]) + words.encode()


class _Puts:
    """Numbers the values that cPickle remembers."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> bytes:
        self.count += 1
        return b"q" + bytes([self.count]) if self.count < 256 else b"r" + struct.pack("<I", self.count)


def _list(items: list[bytes], put: _Puts, *, each_put: bool) -> bytes:
    """A list in pieces of 1000, as cPickle writes it."""
    out = b"]" + put()
    for start in range(0, len(items), 1000):
        piece = items[start : start + 1000]
        out += b"(" + b"".join(item + put() if each_put else item for item in piece) + b"e"
    return out


def python2_batch(
    pixels: NDArray[np.uint8], labels: dict[str, list[int]], title: str = "testing batch 1 of 1"
) -> bytes:
    """A batch as Python 2's cPickle wrote it with protocol 2: (N, 3072) bytes, labels, and names of files."""
    put = _Puts()
    out = b"\x80\x02}" + put() + b"("
    out += _text("batch_label") + put() + _text(title) + put()
    for name, values in labels.items():
        out += _text(name) + put() + _list([b"K" + bytes([value]) for value in values], put, each_put=False)
    out += _text("data") + put()
    out += b"cnumpy.core.multiarray\n_reconstruct\n" + put() + b"cnumpy\nndarray\n" + put()
    out += b"K\x00\x85" + _text("b") + b"\x87R" + put()
    out += b"(K\x01" + b"M" + struct.pack("<H", len(pixels)) + b"M\x00\x0c\x86"
    out += b"cnumpy\ndtype\n" + put() + _text("u1") + b"K\x00K\x01\x87R" + put()
    out += b"(K\x03" + _text("|") + b"NNN" + b"J\xff\xff\xff\xff" * 2 + b"K\x00tb"
    out += b"\x89T" + struct.pack("<I", pixels.size) + pixels.tobytes() + b"tb"
    files = [_text(f"picture_s_{number:06d}.png") for number in range(len(pixels))]
    out += _text("filenames") + put() + _list(files, put, each_put=True)
    return out + b"u."


def python3_batch(pixels: NDArray[np.uint8], labels: dict[str, list[int]], protocol: int, *, text: bool) -> bytes:
    """A batch that somebody loaded and wrote again with Python 3; keys of bytes or text."""
    batch: dict[Any, Any] = {"batch_label": b"x", **labels, "data": pixels, "filenames": [b"a.png"] * len(pixels)}
    if not text:
        batch = {name.encode(): values for name, values in batch.items()}
    return pickle.dumps(batch, protocol=protocol)


def binary_batch(pixels: NDArray[np.uint8], labels: dict[str, list[int]]) -> bytes:
    """A batch for programs in C: the labels' bytes, then 3072 of the picture, again and again."""
    return b"".join(
        bytes(values[number] for values in labels.values()) + pixels[number].tobytes() for number in range(len(pixels))
    )


def archive(path: Path, folder: str, files: dict[str, bytes], *, zipped: bool = True) -> Path:
    """A tar archive of a folder, as `tar czf` writes it, with a readme beside the batches."""
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        directory = tarfile.TarInfo(folder)
        directory.type = tarfile.DIRTYPE
        tar.addfile(directory)
        for name, content in {"readme.html": b"<a>", **files}.items():
            entry = tarfile.TarInfo(f"{folder}/{name}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    path.write_bytes(gzip.compress(held.getvalue()) if zipped else held.getvalue())
    return path
