"""Decoded images on disk, mapped into memory: each is decoded once for a size and fit, whatever its file is called.

A pack is two files: `SPEC-SET.pixels` has the rows one after another, `SPEC-SET.json` the hash of each row's file.
SPEC says how images were decoded, SET which ones they are. A start with the same images maps the pack; one with others
copies the rows that it can and decodes the rest. What was used longest ago goes when the cache is full.
"""

import json
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from math import prod
from pathlib import Path
from secrets import token_hex
from shutil import disk_usage
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data.resizing import Resizing
from foveate.errors import DataError
from foveate.layers import Shape
from foveate.log import logger

VERSION = 2
"""Increased when the same file gives other pixels, or when what was kept cannot be relied on."""

LIMIT_GIGABYTES = 20.0
"""The most that the cache holds, unless the environment variable FOVEATE_CACHE_GB says otherwise."""

KEPT_FROM = 8 << 20
"""Bytes of files or pixels below which nothing is kept: reading them again takes no time."""

ABANDONED_SECONDS = 24 * 3600.0
"""Age of a file that was not finished from which nobody is writing it any more."""

_OWN = re.compile(r"\.?[0-9a-f]{20}(-[0-9a-f]{20})?(\.[0-9a-f]{8})?\.(pixels|json|facts|partial)")
"""The names of the cache's own files: its folder may be one that somebody uses for others too."""

_SPARE = 1 << 30
"""Bytes that stay free on the disk."""


class Passing(str):
    """Why a file could not be read this time, which says nothing about its content."""


@dataclass(frozen=True)
class CacheStatus:
    """Where decoded images are kept, how many packs there are, and the bytes they take."""

    folder: Path
    packs: int
    size: int


def cache_folder() -> Path:
    """Where decoded images are kept: FOVEATE_CACHE, or the user's cache."""
    named = os.environ.get("FOVEATE_CACHE")
    if named:
        return Path(named)
    import platformdirs

    return Path(platformdirs.user_cache_dir("foveate")) / "images"


def status() -> CacheStatus:
    """What is in the cache."""
    packs = [path for path in _files() if path.suffix == ".pixels"]
    return CacheStatus(cache_folder(), len(packs), sum(map(_size, _files())))


def clear() -> CacheStatus:
    """Empty the cache; returns what was in it. A training that still uses a pack keeps it open."""
    before = status()
    for path in _files():
        path.unlink(missing_ok=True)
    return before


def limit() -> int:
    """The most bytes that the cache may take."""
    words = os.environ.get("FOVEATE_CACHE_GB", str(LIMIT_GIGABYTES))
    try:
        gigabytes = float(words)
    except ValueError:
        gigabytes = -1.0
    if not 0 <= gigabytes < 1e9:
        raise DataError(f'FOVEATE_CACHE_GB is "{words}"; give a number of gigabytes, 0 for no cache')
    return int(gigabytes * 1e9)


class Pack:
    """The decoded images of one set of files.

    Args:
        contents: the hash of each file's content, in order.
        shape: of a decoded image.
        resizing: how they are brought to it.
    """

    def __init__(self, contents: Sequence[str], shape: Shape, resizing: Resizing) -> None:
        from PIL import __version__ as pillow

        how = [VERSION, pillow, list(shape), resizing.resize, resizing.interpolation, resizing.fit]
        self._contents, self._shape = contents, shape
        self._spec = _digest(json.dumps(how))

    @property
    def _path(self) -> Path:
        return cache_folder() / f"{self._spec}-{_digest(' '.join(self._contents))}.json"

    def mapped(self) -> tuple[NDArray[np.uint8], Mapping[str, str]] | None:
        """The rows of the files that could be read, and why others could not by hash; None if they are not kept."""
        header = _header(self._path)
        rows = None if header is None else _mapped(self._path, header, self._shape)
        if header is None or rows is None:
            return None
        if header["rows"] != [each for each in self._contents if each not in header["bad"]]:
            return None  # one row too few would move all labels behind it
        with suppress(OSError):
            os.utime(self._path)  # used now, so it goes last
        logger.info("mapped %d decoded images from %s", len(rows), self._path)
        return rows, header["bad"]

    def known(self) -> "Known":
        """The rows of these images that other packs have."""
        found: dict[str, tuple[NDArray[np.uint8], int]] = {}
        bad: dict[str, str] = {}
        wanted = set(self._contents)
        for path in _files():
            if path.suffix != ".json" or not path.name.startswith(f"{self._spec}-"):
                continue
            header = _header(path)
            rows = None if header is None else _mapped(path, header, self._shape)
            if header is None or rows is None:
                continue
            found |= {content: (rows, row) for row, content in enumerate(header["rows"]) if content in wanted}
            bad |= {content: reason for content, reason in header["bad"].items() if content in wanted}
        return Known(found, {content: reason for content, reason in bad.items() if content not in found})

    def has_room(self) -> bool:
        """Whether the images fit; older packs are removed for them if need be."""
        needed = len(self._contents) * prod(self._shape)
        if needed > limit():
            return False
        try:
            cache_folder().mkdir(parents=True, exist_ok=True)
            free = disk_usage(cache_folder()).free
        except OSError:
            return False
        _make_room(limit() - needed)
        return free > needed + _SPARE

    def write(self, rows: Iterator[NDArray[np.uint8] | str]) -> dict[int, str] | None:
        """Keep these decoded images; returns why some have none, by their places, or None if the disk is full.

        What could not be read this time only is left out, so that the pack is that of the other images.
        """
        partial = self._path.with_name(f".{self._path.stem}.{token_hex(4)}.partial")
        kept: list[str] = []
        reasons: dict[int, str] = {}
        try:
            try:
                with partial.open("xb") as file:
                    for place, (content, row) in enumerate(zip(self._contents, rows, strict=True)):
                        if isinstance(row, str):
                            reasons[place] = row
                        else:
                            file.write(row.data)
                            kept.append(content)
                    file.flush()
                    os.fsync(file.fileno())
                bad = self._without_those_read(reasons, set(kept))
                partial.replace(self._path.with_suffix(".pixels"))
                partial.write_text(json.dumps({"rows": kept, "bad": bad}), "utf-8")
                partial.replace(self._path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:
            logger.info("decoded images are not kept in %s: %s", self._path, error)
            return None
        return reasons

    def _without_those_read(self, reasons: Mapping[int, str], kept: set[str]) -> dict[str, str]:
        """The contents that can never be read, and why; the other places without pixels leave this pack."""
        lasting = {place: reason for place, reason in reasons.items() if not isinstance(reason, Passing)}
        bad = {self._contents[place]: reason for place, reason in lasting.items()}
        bad = {content: reason for content, reason in bad.items() if content not in kept}
        self._contents = [
            content for place, content in enumerate(self._contents) if place not in reasons or content in bad
        ]
        return bad


@dataclass(frozen=True)
class Known:
    """Decoded images by the hash of their file, and why others could not be decoded."""

    rows: Mapping[str, tuple[NDArray[np.uint8], int]]
    bad: Mapping[str, str]

    def has_all(self, contents: Sequence[str]) -> bool:
        """Whether none of these files needs to be decoded."""
        return all(content in self.rows or content in self.bad for content in contents)

    def row(self, content: str) -> NDArray[np.uint8] | str | None:
        """The pixels, the reason why there are none, or None if the file is not known."""
        if content in self.bad:
            return self.bad[content]
        found = self.rows.get(content)
        return None if found is None else np.ascontiguousarray(found[0][found[1]])


def _digest(words: str) -> str:
    return blake2b(words.encode(), digest_size=10).hexdigest()


def _files() -> list[Path]:
    """The cache's own files; others in the folder are left alone."""
    try:
        entries = sorted(cache_folder().iterdir())
    except OSError:
        return []
    return [path for path in entries if _OWN.fullmatch(path.name)]


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _header(path: Path) -> dict[str, Any] | None:
    """A pack's header, or None if there is none or it is damaged."""
    try:
        header = json.loads(path.read_text("utf-8"))
        return header if isinstance(header["rows"], list) and isinstance(header["bad"], dict) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _mapped(path: Path, header: Mapping[str, Any], shape: Shape) -> NDArray[np.uint8] | None:
    pixels, count = path.with_suffix(".pixels"), len(header["rows"])
    if not count or _size(pixels) != count * prod(shape):
        return None
    try:
        return np.memmap(pixels, np.uint8, "r", shape=(count, *shape))
    except (OSError, ValueError):
        return None


def _make_room(most: int) -> None:
    """Remove what was never finished, and the packs used longest ago until the cache has at most this many bytes."""
    files = _files()
    for path in files:
        if path.suffix == ".partial" and time.time() - _last_use(path) > ABANDONED_SECONDS:
            path.unlink(missing_ok=True)
    size = status().size
    for path in sorted((path for path in files if path.suffix in (".json", ".facts")), key=_last_use):
        if size <= most:
            return
        for each in {path.with_suffix(".pixels") if path.suffix == ".json" else path, path}:
            size -= _size(each)
            with suppress(OSError):
                each.unlink()


def _last_use(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0
