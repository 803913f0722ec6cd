"""Where shards lie: a folder of this computer, or whatever fsspec opens by a URL (s3://, http://, memory://)."""

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import Any, BinaryIO, ClassVar, cast

from foveate.calls import path_from
from foveate.errors import DataError, FileError
from foveate.opening import open_regular
from foveate.text import named

_SCHEME = "://"


class Place(ABC):
    """A folder that can be listed and whose files can be read in pieces."""

    is_near: ClassVar[bool]
    """Whether asking for the size of a file takes no time."""

    @abstractmethod
    def __str__(self) -> str:
        """What sentences call it."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The last part of its path."""

    @abstractmethod
    def files(self) -> list[str]:
        """The names of the files in it, sorted; empty if it cannot be listed."""

    @abstractmethod
    def size(self, file: str) -> int | None:
        """The bytes of a file, or None if there is none."""

    @abstractmethod
    def open(self, file: str) -> BinaryIO:
        """A file, open for reading from any position."""

    @abstractmethod
    def pieces(self, file: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """The bytes of a file from each begin to each end; fewer if the file is shorter."""

    @abstractmethod
    def write(self, file: str, content: bytes) -> None:
        """Replace a file; a FileError if that is not possible."""

    def called(self, file: str) -> str:
        """A file as sentences call it."""
        return named(f"{self}/{file}".rstrip("/"))


class Folder(Place):
    """A folder of this computer."""

    is_near = True

    def __init__(self, path: Path) -> None:
        self.path = path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def name(self) -> str:
        """The name of the folder."""
        return self.path.resolve().name

    def files(self) -> list[str]:
        """As for any place."""
        try:
            return sorted(each.name for each in self.path.iterdir() if each.is_file())
        except OSError:
            return []

    def size(self, file: str) -> int | None:
        """As for any place."""
        try:
            return (self.path / file).stat().st_size
        except OSError:
            return None

    def open(self, file: str) -> BinaryIO:
        """As for any place."""
        try:
            return open_regular(self.path / file)
        except OSError as error:
            raise FileError(f"{self.called(file)} cannot be read: {error.strerror}") from None

    def pieces(self, file: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """As for any place."""
        with self.open(file) as opened:
            try:
                return [opened.read(end - begin) for begin, end in spans if opened.seek(begin) == begin]
            except OSError as error:
                raise FileError(f"{self.called(file)} cannot be read: {error.strerror}") from None

    def write(self, file: str, content: bytes) -> None:
        """As for any place, whole or not at all."""
        partial = self.path / f".{file}.{token_hex(4)}.partial"
        try:
            with partial.open("wb") as opened:
                opened.write(content)
                opened.flush()
                os.fsync(opened.fileno())
            partial.replace(self.path / file)
        except OSError as error:
            raise FileError(f"{self.called(file)} cannot be written: {error.strerror}") from None
        finally:
            partial.unlink(missing_ok=True)


class Remote(Place):
    """A folder behind a URL, opened by fsspec."""

    is_near = False

    def __init__(self, url: str) -> None:
        try:
            import fsspec  # type: ignore[import-untyped]
        except ImportError:
            raise DataError(
                f"{named(url)} needs fsspec, which is not installed; pip install 'foveate[scaling]', and for s3:// "
                "also s3fs"
            ) from None
        self._url = url.rstrip("/")
        try:
            self._system, self._root = fsspec.core.url_to_fs(self._url)
        except (ImportError, ValueError) as error:  # what the protocol needs is not installed, or it is unknown
            raise DataError(f"{named(url)} cannot be opened: {error}") from None

    def __str__(self) -> str:
        return self._url

    @property
    def name(self) -> str:
        """The last part of the URL."""
        return self._url.rsplit("/", 1)[-1] or "shards"

    def files(self) -> list[str]:
        """As for any place."""
        try:
            entries = self._system.ls(self._root, detail=True)
        except (FileNotFoundError, NotImplementedError):  # some servers list nothing: the index says what there is
            return []
        except Exception as error:
            raise self._unreadable("", error) from None
        return sorted(str(each["name"]).rsplit("/", 1)[-1] for each in entries if each.get("type") == "file")

    def size(self, file: str) -> int | None:
        """As for any place."""
        try:
            found = self._system.size(f"{self._root}/{file}")
        except FileNotFoundError:
            return None
        except Exception as error:  # each protocol has errors of its own
            raise self._unreadable(file, error) from None
        return None if found is None else int(found)

    def open(self, file: str) -> BinaryIO:
        """As for any place."""
        try:
            return cast(BinaryIO, self._system.open(f"{self._root}/{file}", "rb"))
        except Exception as error:
            raise self._unreadable(file, error) from None

    def pieces(self, file: str, spans: Sequence[tuple[int, int]]) -> list[bytes]:
        """As for any place; several are asked for at once."""
        path = f"{self._root}/{file}"
        starts, ends = [begin for begin, _ in spans], [end for _, end in spans]
        try:
            found: list[Any] = self._system.cat_ranges([path] * len(spans), starts, ends, on_error="raise")
        except Exception as error:
            raise self._unreadable(file, error) from None
        return found

    def write(self, file: str, content: bytes) -> None:
        """As for any place."""
        try:
            self._system.pipe_file(f"{self._root}/{file}", content)
        except Exception as error:
            raise FileError(f"{self.called(file)} cannot be written: {_words(error)}") from None

    def _unreadable(self, file: str, error: Exception) -> FileError:
        return FileError(f"{self.called(file)} cannot be read: {_words(error)}")


def _words(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    return f"{type(error).__name__} {error}".strip()


def is_url(name: object) -> bool:
    """Whether this is a URL rather than a path."""
    return isinstance(name, str) and _SCHEME in name


def place_of(name: str | os.PathLike[str]) -> Place:
    """The place with this path or URL; nothing is read yet."""
    return Remote(str(name)) if is_url(name) else Folder(path_from(name, "folder"))
