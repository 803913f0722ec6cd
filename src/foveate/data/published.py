"""Datasets that their authors published: where they may be on this computer, and what is tried if they are not."""

import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from foveate.calls import path_from
from foveate.data.dataset import Dataset, Splits, split
from foveate.data.downloads import NotFetchedError
from foveate.data.preprocessing import Preprocessing
from foveate.errors import DataError
from foveate.log import logger
from foveate.progress import PATIENCE_SECONDS, Bar

SYSTEM = Path("/usr/share/datasets")
"""Where Debian's packages of datasets put them."""

_ZIPPED = ".gz"


def cache() -> Path:
    """The folder that holds a folder for each dataset that was fetched."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("foveate"))


@dataclass(frozen=True, kw_only=True)
class Published(ABC):
    """A dataset with a name, in one of several forms of files.

    Args:
        name: what it is loaded by.
        title: what sentences call it.
        description: one line about it.
        classes: the names of its classes.
        preprocessing: what its training images measure.
        validation: how many training samples are for validation.
        forms: names of the files that hold it, any one form being enough; those of the first are asked for.
        subfolders: where other libraries put it inside their folder of data.
        system: where the system has it.
        mirrored: whether a mirrored image still shows its class.
    """

    name: str
    title: str
    description: str
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    validation: int = 5000
    forms: tuple[tuple[str, ...], ...]
    subfolders: tuple[str, ...] = ()
    system: Path = SYSTEM
    mirrored: bool = True

    @abstractmethod
    def ways(self) -> Mapping[str, Callable[[Path], None]]:
        """Functions that fetch the files into a folder, by their names; each raises NotFetchedError if it cannot."""

    @abstractmethod
    def is_at(self, path: Path) -> bool:
        """Whether the files at `path` are this dataset, as far as can be told without reading them all."""

    @abstractmethod
    def read(self, folder: Path) -> tuple[Dataset, Dataset]:
        """The training and the test samples, from files that are in `folder`; a FileError if one is damaged."""

    def load(self, *, seed: int = 0, folder: str | Path | None = None, progress: bool = True) -> Splits:
        """The data in three parts; the functions called after the datasets say more."""
        place = self.locate(folder, progress=progress)
        rest, test = self.read(place)
        logger.info("read %s in %s", self.title, place)
        training, validation = split(rest, self.validation, seed)
        return Splits(training, validation, test, self.preprocessing, name=self.name)

    @property
    def cache(self) -> Path:
        """Where fetched files are kept."""
        return cache() / self.name

    def places(self) -> list[tuple[str, Path | None]]:
        """Folders to look in, in order, each with its name for a sentence."""
        named = os.environ.get("FOVEATE_DATA")
        own = [Path(named), Path(named) / self.name] if named else [None]
        return [
            ("the cache", self.cache),
            *(("FOVEATE_DATA", folder) for folder in own),
            ("the system's folder", self.system / self.name),
        ]

    def find(self) -> Path | None:
        """The first folder on this computer that has the files, or None; nothing is fetched."""
        known = (folder for _, place in self.places() if place is not None for folder in self._inside(place))
        return next((folder for folder in known if not self.lacking(folder)), None)

    def locate(self, folder: str | Path | None, *, progress: bool) -> Path:
        """Where the files are: in `folder`, else somewhere on this computer, else in the cache once they are fetched.

        Raises:
            DataError: they are not there, or cannot be fetched.
        """
        if folder is None:
            return self.find() or self._fetch(sys.stderr if progress else None)
        place = path_from(folder, "folder")
        found = next((each for each in self._inside(place) if not self.lacking(each)), None)
        if found is None:
            raise DataError(
                f'the folder "{place}" {self.lacking(place)}; give one that has them, or none to look elsewhere'
            )
        return found

    def lacking(self, folder: Path) -> str:
        """What `folder` lacks, in words; empty if it has all files of one form."""
        if not folder.is_dir():
            return "is a file" if folder.exists() else "does not exist"
        missing = [[name for name in form if file_in(folder, name) is None] for form in self.forms]
        begun = [each for each, form in zip(missing, self.forms, strict=True) if len(each) < len(form)]
        return f"lacks {', '.join((begun or missing)[0])}" if all(missing) else ""

    def held(self, folder: Path) -> dict[str, Path]:
        """The files of the first form that is complete in `folder`, by their names; empty if there is none."""
        for form in self.forms:
            files = {name: file_in(folder, name) for name in form}
            if all(files.values()):
                return {name: path for name, path in files.items() if path is not None}
        return {}

    def _inside(self, place: Path) -> Iterator[Path]:
        yield place
        yield from (place / name for name in self.subfolders)

    def _fetch(self, screen: TextIO | None) -> Path:
        """Fetch the files into the cache in the first way that works, or raise a DataError that lists what was
        tried."""
        tried = []
        for name, place in self.places():
            tried.append(f"{name} ({place}) {self.lacking(place)}" if place else f"{name} is not set")
        for name, way in self.ways().items():
            try:
                self.cache.mkdir(parents=True, exist_ok=True)
                with Bar(screen, text=f"{self.title}: {name}", patience=PATIENCE_SECONDS, ticks=True):
                    way(self.cache)
            except NotFetchedError as error:
                tried.append(f"{name} failed: {error}")
            except OSError as error:
                tried.append(f"{name} failed: {error.strerror or error} ({error.filename or self.cache})")
            else:
                logger.info("fetched %s into %s by %s", self.title, self.cache, name)
                return self.cache
            logger.info("%s: %s", self.title, tried[-1])
        files = " or ".join(", ".join(form) for form in self.forms)
        raise DataError(
            f"{self.title} was not found. Tried: {'; '.join(tried)}. Put {files} into a folder, and set FOVEATE_DATA "
            "to it or pass folder="
        )


def file_in(folder: Path, name: str) -> Path | None:
    """The file called `name` in `folder`; one called .gz may be unzipped already."""
    found = (path for path in (folder / name, folder / name.removesuffix(_ZIPPED)) if path.is_file())
    return next(found, None)
