"""What lies in a folder of images: classes, parts and files. System files, hidden ones and runs are passed over."""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from foveate.data.images import SUFFIXES
from foveate.errors import DataError, FileError
from foveate.text import can_be_printed, named, printable

PARTS = ("train", "validation", "test")

PART_NAMES = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}
"""The part that a folder of each name holds, if the classes are folders in it."""

NO_PART = "is neither train, val nor test"
"""Why a folder beside those of the parts is left out."""

_SYSTEM = ("thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "$recycle.bin", "system volume information", "@eadir")
_RUNS = "runs"
_OF_RUNS = ("history.csv", "skipped.txt", "report.html", "index.html")
LOCK = ".foveate.lock"
"""The file that a training has in its folder while it runs."""

_MOST_LISTED = 5


@dataclass(frozen=True)
class ImageFile:
    """A file that may be an image: its class, and the part whose folder it lies in, if it lies in one."""

    path: Path
    label: int
    part: str | None = None


@dataclass
class Listing:
    """The files in a folder, in a fixed order, and why others are left out."""

    root: Path
    classes: tuple[str, ...]
    files: list[ImageFile] = field(default_factory=list)
    skipped: dict[Path, str] = field(default_factory=dict)


def list_images(root: Path, classes: Sequence[str] | None = None) -> Listing:
    """The files in `root`/class/, or in `root`/train/class/, `root`/val/class/ and `root`/test/class/.

    A class is a folder with everything in it, at any depth. Classes are in natural order (2 before 10).

    Args:
        root: the folder.
        classes: the classes that are known already, in their order; a folder of any other name is refused.

    Raises:
        FileError: there is no such folder.
        DataError: it has no classes, only one, an empty one or unknown ones; the message says how the files should lie.
    """
    if not root.is_dir():
        there = "is a file" if root.exists() else "does not exist"
        raise FileError(f'"{root}" {there}; a folder with one subfolder of images for each class was expected')
    skipped: dict[Path, str] = {}
    own, beside = _within(root, skipped)
    parts = _parts(root, own)
    homes = [(None, path) for path in own] if parts is None else list(_class_folders(parts, skipped))
    skipped |= {path: "lies beside the class folders" for path in beside if _is_named_image(path)}
    if parts is not None:
        skipped |= {path: NO_PART for path in own if path not in parts}
    names = {path.name for _, path in homes}
    known = tuple(sorted(names, key=natural_key)) if classes is None else tuple(classes)
    if not names:
        raise DataError(_no_classes(root, beside))
    if strange := sorted(names - set(known), key=natural_key):
        raise DataError(
            f"{named(root)} has the class {printable(strange[0])}, but the model's are {_listed(known)}; give a folder "
            "whose subfolders have these names"
        )
    if odd := [folder for _, folder in homes if not can_be_printed(folder.name)]:
        raise DataError(
            f"the name of the class folder {named(odd[0])} cannot be printed: {odd[0].name!a}; rename it with "
            "letters, digits and signs only"
        )
    listing = Listing(root, known, skipped=skipped)
    for part, folder in homes:
        label = known.index(folder.name)
        listing.files += [ImageFile(path, label, part) for path in _files(folder, skipped)]
    if classes is None:
        _check_classes(listing, [folder for _, folder in homes])
    return listing


def files_within(folder: Path) -> tuple[list[Path], dict[Path, str]]:
    """The files in `folder` and below it, in natural order, and why others are left out; hidden ones are not told."""
    skipped: dict[Path, str] = {}
    return list(_files(folder, skipped)), skipped


def natural_key(name: str) -> list[tuple[str, int]]:
    """Key that sorts the numbers in names by value.

    >>> sorted(["10", "9", "1"], key=natural_key)
    ['1', '9', '10']
    """
    parts = re.split(r"(\d+)", name.casefold())
    return [("", int(part)) if place % 2 else (part, 0) for place, part in enumerate(parts)] + [(name, 0)]


def _is_of_the_system(name: str) -> bool:
    return name.startswith(".") or name.casefold() in _SYSTEM


def _is_named_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES


def _within(folder: Path, skipped: dict[Path, str]) -> tuple[list[Path], list[Path]]:
    """The folders and the regular files in `folder`, each in natural order; what is neither goes into `skipped`."""
    folders, files = [], []
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: natural_key(entry.name))
    except OSError as error:
        skipped[folder] = f"cannot be opened: {error.strerror}"
        return [], []
    for entry in entries:
        path = folder / entry.name
        if _is_of_the_system(entry.name):
            continue
        if entry.is_symlink() and path.is_dir() and _leads_up(path):
            skipped[path] = "is a link to a folder above it"
        elif path.is_dir():
            if not _is_run(path):
                folders.append(path)
        elif path.is_file():
            files.append(path)
        else:
            skipped[path] = "is a broken link" if entry.is_symlink() else "is no file on a disk"
    return folders, files


def _leads_up(link: Path) -> bool:
    """Whether a link leads to a folder that it lies in, whose images would be this folder's once more."""
    above = {each.resolve() for each in link.absolute().parents} | set(link.parent.resolve().parents)
    return link.resolve() in above


def _files(folder: Path, skipped: dict[Path, str]) -> Iterator[Path]:
    """The regular files in `folder` and below it, at any depth; a link to a folder above it is not followed."""
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while waiting:
        inner, above = waiting.pop()
        try:
            status = inner.stat()
        except OSError as error:
            skipped[inner] = f"cannot be opened: {error.strerror}"
            continue
        place = (status.st_dev, status.st_ino)
        if place in above:
            skipped[inner] = "is a link to a folder above it"
            continue
        folders, files = _within(inner, skipped)
        yield from files
        waiting += [(each, above | {place}) for each in reversed(folders)]


def _is_run(folder: Path, depth: int = 3) -> bool:
    """Whether foveate writes what is in `folder`: a model, a checkpoint, a page, or nothing but folders of these."""
    try:
        if (folder / LOCK).exists():
            return True
        inside = [path for path in folder.iterdir() if not _is_of_the_system(path.name)]
        if any(path.suffix == ".safetensors" or path.name in _OF_RUNS for path in inside):
            return True
        if folder.name == _RUNS:
            return all(path.is_dir() and (_is_run(path) or not any(path.iterdir())) for path in inside)
        return bool(inside) and depth > 0 and all(path.is_dir() and _is_run(path, depth - 1) for path in inside)
    except OSError:
        return False


def _parts(root: Path, folders: Sequence[Path]) -> dict[Path, str] | None:
    """The part that each folder holds; None if the folders are classes, one of which may be called train."""
    parts = {path: PART_NAMES[path.name.casefold()] for path in folders if path.name.casefold() in PART_NAMES}
    if "train" not in parts.values() or (len(parts) < len(folders) and len(set(parts.values())) < 2):
        return None
    without = [path for path in parts if not _within(path, {})[0]]
    if not without:
        return parts
    if len(parts) < len(folders):
        return None
    raise DataError(
        f"{named(without[0])} has no folders in it; put the images of each class into a subfolder named after the class"
    )


def _class_folders(parts: dict[Path, str], skipped: dict[Path, str]) -> Iterator[tuple[str, Path]]:
    for folder, part in parts.items():
        classes, beside = _within(folder, skipped)
        skipped |= {path: "lies beside the class folders" for path in beside if _is_named_image(path)}
        yield from ((part, path) for path in classes)


def _no_classes(root: Path, beside: Sequence[Path]) -> str:
    images = sum(map(_is_named_image, beside))
    if images:
        return (
            f"{named(root)} has {images} images, but no folders for classes; put the images of each class into a "
            f"subfolder named after the class, or if it is one class of several, give {named(root.resolve().parent)}"
        )
    return f'"{root}" has no subfolders; put the images of each class into a subfolder named after the class'


def _check_classes(listing: Listing, homes: Sequence[Path]) -> None:
    filled = {file.label for file in listing.files}
    for label, name in enumerate(listing.classes):
        if label not in filled:
            folder = next(home for home in homes if home.name == name)
            raise DataError(
                f"the class folder {named(folder)} has no images; put some into it ({', '.join(SUFFIXES[:5])} ...), or "
                "remove it"
            )
    if len(listing.classes) == 1:
        raise DataError(_one_class(listing, homes[0]))


def _one_class(listing: Listing, folder: Path) -> str:
    """Why one class cannot be learnt, and what was probably meant."""
    inner = [path for path in _within(folder, {})[0] if any(True for _ in _files(path, {}))]
    if len(inner) > 1:
        return (
            f"{named(listing.root)} has one folder only, {named(folder.name)}; if its subfolders "
            f"({_listed([path.name for path in inner])}) are the classes, give {named(folder)}"
        )
    return (
        f"{named(listing.root)} has one class only, {printable(listing.classes[0])}; a network learns to tell classes "
        "apart: add a folder with images of another, such as everything else"
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_LISTED} more" if len(names) > _MOST_LISTED else ""
    return ", ".join(map(printable, names[:_MOST_LISTED])) + more
