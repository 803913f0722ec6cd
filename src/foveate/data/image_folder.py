"""A folder of images as a dataset: one subfolder for each class, in one folder or in train, val and test."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.calls import path_from
from foveate.data.dataset import Dataset, Splits
from foveate.data.facts_index import FactsIndex
from foveate.data.folders import NO_PART, PART_NAMES, PARTS, ImageFile, Listing, list_images, natural_key
from foveate.data.found import NAMED, found_line, is_named_image, relative
from foveate.data.image_cache import limit
from foveate.data.preprocessing import Preprocessing
from foveate.data.reading import Facts, Reading, data_threads, examine, in_order
from foveate.data.resizing import FITS
from foveate.data.splitting import SHARES, Placement, checked_shares
from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.layers import Shape
from foveate.log import logger
from foveate.progress import watched
from foveate.text import named, printable

LONGEST_SIDE = 128
"""Images without a given size are scaled down to this, so photographs do not fill the memory."""

MANY_IMAGES = 1000
LONGEST_OF_MANY = 64
"""More images than that are scaled down to this, which makes an epoch four times as fast."""


class SkippedImagesWarning(UserWarning):
    """Image files that could not be read were left out of a dataset."""


def image_folder(
    folder: str | Path,
    *,
    shape: Shape | None = None,
    seed: int = 0,
    progress: bool = True,
    size: int | tuple[int, int] | None = None,
    fit: str = "crop",
    split: tuple[float, float, float] = SHARES,
    validation: str | Path | None = None,
    test: str | Path | None = None,
    preprocessing: Preprocessing | None = None,
    record: Mapping[str, Any] | None = None,
    threads: int | None = None,
    cache: bool | None = None,
) -> Splits:
    """The images in `folder`/class/ as a dataset; also those in `folder`/train/class/, and val and test beside it.

    A class has all images in its folder, at any depth; what a file is, its content says, not its name. Hidden files,
    system files and foveate's own runs are passed over; images that cannot be read are skipped, and a warning counts
    and names them. Classes are in natural order (2 before 10). Without folders for them, validation and test get a
    tenth of each class. Images with the same content are in the same part.

    Args:
        folder: a folder with one subfolder for each class.
        shape: (1, H, W) for grey or (3, H, W) for RGB. None takes grey if all images are grey, and `size`.
        seed: chooses which images are for validation and test.
        progress: whether to show a live bar, on a terminal or in a notebook, if reading takes over two seconds.
        size: height and width, or one number for both (default: the median ones, scaled down to 128 on the longer
            side, or to 64 if there are more than 1,000 images).
        fit: how images of other proportions are brought to that size: "crop", "pad" or "stretch".
        split: the shares of training, validation and test.
        validation: another folder with the images for validation; the classes' folders have the same names.
        test: another folder with the images for the test.
        preprocessing: brings images to a model's shape as it was trained; `shape`, `size` and `fit` are not used.
        record: the `record` of an earlier dataset, or a model's `splits`: each image stays in its part, and one added
            since is placed by its content.
        threads: threads that read images (default: one for each core); the images are the same for any number.
        cache: whether to keep decoded images on disk and map them into memory (default: if there are 8 MB of them).

    Raises:
        FileError: there is no such folder.
        DataError: it has fewer than two classes, one without images, or too few images that can be read.
    """
    root = path_from(folder, "folder")
    _check_options(shape, size, fit)
    listing = list_images(root)
    given = {"validation": validation, "test": test}
    others = {part: list_images(path_from(path, part), listing.classes) for part, path in given.items() if path}
    found = examined([listing, *others.values()], others, threads, progress, cache)
    check_readable(root, listing.classes, found)
    measured = preprocessing is None
    if preprocessing is None:
        preprocessing = unmeasured(found.facts, shape, size, fit)
    check_takes_images(preprocessing)
    placement = placement_of(record, seed, checked_shares(split), found)
    parts = found.parts(placement)
    files = sorted(range(len(parts)), key=lambda place: PARTS.index(parts[place]))
    inputs, kept = found.read(files, preprocessing, threads, progress)
    datasets = _datasets(root, found, inputs, [files[place] for place in kept], parts)
    if measured:
        preprocessing = replace(Preprocessing.measure(datasets["train"]), fit=fit)
    found.skipped = dict(sorted(found.skipped.items(), key=lambda each: natural_key(relative(each[0], found.roots))))
    warn_of_skipped(root, found)
    logger.info("read %d images of %s in %s", len(kept), format_sizes(preprocessing.shape), root)
    line = found.line(files, kept, {part: len(dataset) for part, dataset in datasets.items()})
    line += _untested(found, datasets["test"]) + in_two_classes(found) + _parts_as_classes(found)
    good = {found.facts[files[place]].content for place in kept}
    placement = replace(placement, parts={each: part for each, part in placement.parts.items() if each in good})
    datasets["train"] = datasets["train"].with_record(placement.to_json())
    return Splits(
        **datasets,
        preprocessing=preprocessing,
        name=root.resolve().name,
        found=line,
        skipped=found.skipped,
    )


@dataclass
class Found:
    """The files in one or several folders that have an image's header, and the reasons why others are left out."""

    roots: list[Path]
    classes: tuple[str, ...]
    files: list[ImageFile]
    facts: list[Facts]
    skipped: dict[Path, str] = field(default_factory=dict)
    cache: bool | None = None

    def parts(self, placement: Placement) -> list[str]:
        """The part of each file: where its content is placed, unless its folder is that of the validation or test."""
        pairs = zip(self.files, self.facts, strict=True)
        return [
            file.part if file.part in PARTS[1:] and file.part is not None else placement.part(facts.content)
            for file, facts in pairs
        ]

    def contents(self) -> list[tuple[int, str, str | None]]:
        """What a placement is chosen from."""
        pairs = zip(self.files, self.facts, strict=True)
        return [(file.label, facts.content, file.part) for file, facts in pairs]

    def read(
        self, places: Sequence[int], preprocessing: Preprocessing, threads: int | None, progress: bool
    ) -> tuple[NDArray[np.uint8], list[int]]:
        """The pixels of these files, and which of `places` could be read; the reasons go into `skipped`."""
        paths = [self.files[place].path for place in places]
        contents = [self.facts[place].content for place in places]
        reading = Reading(paths, contents, preprocessing.shape, preprocessing.resizing, data_threads(threads), progress)
        inputs, reasons = reading.all(self.cache)
        self.skipped |= {paths[number]: reason for number, reason in reasons.items()}
        return inputs, [number for number in range(len(places)) if number not in reasons]

    def named_skipped(self) -> dict[str, str]:
        """The reasons by the files' paths below their folder, in natural order."""
        named = {relative(path, self.roots): reason for path, reason in self.skipped.items()}
        return dict(sorted(named.items(), key=lambda each: natural_key(each[0])))

    def line(self, files: Sequence[int], kept: Sequence[int], counts: Mapping[str, int]) -> str:
        """What was found, in one line."""
        read = [self.facts[files[place]] for place in kept]
        return found_line(read, len(self.classes), counts, self.named_skipped())


def examined(
    listings: Sequence[Listing],
    parts: Mapping[str, Listing],
    threads: int | None,
    progress: bool,
    cache: bool | None = None,
) -> Found:
    """The images of folders, their headers read and their content hashed.

    Args:
        listings: what lies in the folders, the first of which has the classes.
        parts: those of them that hold one part only.
        threads: threads that read.
        progress: whether to show a bar.
        cache: whether to keep on disk what is read; None keeps what is worth it.
    """
    of = {id(listing): part for part, listing in parts.items()}
    files = [
        replace(file, part=of.get(id(listing), file.part))
        for listing in listings
        for file in listing.files
        if id(listing) in of or file.part not in parts  # a folder given for a part replaces the one inside
    ]
    found = Found([listing.root for listing in listings], listings[0].classes, [], [], cache=cache)
    for listing in listings:
        found.skipped |= listing.skipped
    for file, facts in zip(files, _facts([file.path for file in files], found, threads, progress), strict=True):
        if facts.error:
            found.skipped[file.path] = facts.error
        else:
            found.files.append(file)
            found.facts.append(facts)
    return found


def _facts(paths: Sequence[Path], found: Found, threads: int | None, progress: bool) -> list[Facts]:
    """The facts of each file, as kept on disk or examined now."""
    index = None if found.cache is False or not limit() else FactsIndex(found.roots[0])
    facts = [None if index is None else index.seen(path) for path in paths]
    unknown = [place for place, known in enumerate(facts) if known is None]
    examining = in_order(examine, [paths[place] for place in unknown], data_threads(threads))
    watching = watched(examining, len(unknown), "looking at images", progress=progress)
    for place, examined_now in zip(unknown, watching, strict=True):
        facts[place] = examined_now
        if index is not None:
            index.note(paths[place], examined_now)
    if index is not None:
        index.save()
    return [each for each in facts if each is not None]


def check_takes_images(preprocessing: Preprocessing) -> None:
    """Refuse a preprocessing that makes anything but grey or RGB images."""
    if not _is_of_images(preprocessing.shape):
        raise DataError(
            f"the network takes {format_sizes(preprocessing.shape)}, which is neither a grey nor an RGB image, so it "
            "cannot take a folder of images; give arrays in a Dataset"
        )


def _check_options(shape: object, size: object, fit: object) -> None:
    if shape is not None and not _is_of_images(shape):
        raise DataError(f"shape is {shape!r}; give (1, H, W) for grey images or (3, H, W) for RGB")
    if size is not None and not _are_sides((size, size) if isinstance(size, int) else size):
        raise DataError(f"size is {size!r}; give a number of pixels, or (height, width)")
    if fit not in FITS:
        raise DataError(f"fit is {fit!r}; give one of {', '.join(FITS)}")


def _are_sides(sides: object) -> bool:
    if not isinstance(sides, Sequence) or len(sides) != 2:
        return False
    return all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)


def _is_of_images(shape: object) -> bool:
    return isinstance(shape, Sequence) and len(shape) == 3 and shape[0] in (1, 3) and _are_sides(shape[1:])


def longest_side(count: int) -> int:
    """What the longer side of as many images is scaled down to.

    >>> longest_side(1000), longest_side(1001)
    (128, 64)
    """
    return LONGEST_OF_MANY if count > MANY_IMAGES else LONGEST_SIDE


def _common_size(facts: Sequence[Facts], size: int | tuple[int, int] | None) -> tuple[int, int]:
    """Height and width for all images: as given, or the median ones, scaled down."""
    if size is not None:
        return (size, size) if isinstance(size, int) else (size[0], size[1])
    height, width = (median(getattr(each, side) for each in facts) for side in ("height", "width"))
    scale = min(1.0, longest_side(len(facts)) / max(height, width))
    return max(1, round(height * scale)), max(1, round(width * scale))


def unmeasured(
    facts: Sequence[Facts], shape: Shape | None, size: int | tuple[int, int] | None, fit: str
) -> Preprocessing:
    """What brings images to one shape; arguments as for `image_folder`. Mean and deviation are not measured yet."""
    _check_options(shape, size, fit)
    chosen = shape or (max(each.channels for each in facts), *_common_size(facts, size))
    return Preprocessing(chosen, (0.0,) * chosen[0], (1.0,) * chosen[0], fit=fit)


def placement_of(
    record: Mapping[str, Any] | None, seed: int, shares: tuple[float, float, float], found: Found
) -> Placement:
    """Where each image belongs; parts with folders of their own get no share of the others."""
    kept = Placement.from_json(record) if record else None
    there = {file.part for file in found.files}
    train, validation, test = shares
    validation, test = (0.0 if part in there else share for part, share in (("validation", validation), ("test", test)))
    total = train + validation + test
    open_files = [(label, content, None if part == "train" else part) for label, content, part in found.contents()]
    return (kept or Placement(seed, (train / total, validation / total, test / total))).chosen(open_files)


def _datasets(
    root: Path, found: Found, inputs: NDArray[np.uint8], places: Sequence[int], parts: Sequence[str]
) -> dict[str, Dataset]:
    """The three parts, each a slice of `inputs`, whose rows are the files at `places`."""
    labels = np.asarray([found.files[place].label for place in places], np.int64)
    counts = Counter(parts[place] for place in places)
    _check_counts(root, found, labels, counts)
    ends = np.cumsum([counts[part] for part in PARTS]).tolist()
    slices = {part: slice(end - counts[part], end) for part, end in zip(PARTS, ends, strict=True)}
    return {part: Dataset(inputs[rows], labels[rows], found.classes) for part, rows in slices.items()}


def _untested(found: Found, test: Dataset) -> str:
    """Which classes have too few images for the test; nothing if the test has a folder of its own."""
    missing = [name for label, name in enumerate(found.classes) if not (test.labels == label).any()]
    if not missing or any(file.part == "test" for file in found.files):
        return ""
    more = f" and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    return f"; too few images to be tested: {', '.join(map(printable, missing[:NAMED]))}{more}"


def _parts_as_classes(found: Found) -> str:
    """Which classes look like parts with classes in them; folders beside `train` make it one of the classes."""
    for label, name in enumerate(found.classes):
        own = [file.path for file in found.files if file.label == label and file.part is None]
        below = [path.relative_to(found.roots[0]).parts for path in own if path.is_relative_to(found.roots[0])]
        inner = sorted({parts[1] for parts in below if len(parts) > 2}, key=natural_key)
        if name.casefold() in PART_NAMES and len(inner) > 1 and all(len(parts) > 2 for parts in below):
            few = ", ".join(map(printable, inner[:NAMED]))
            return f"; {printable(name)} is one class ({few} in it), because other folders than the parts lie beside it"
    return ""


def in_two_classes(found: Found) -> str:
    """How many images have two labels, which no network can learn, and the first of them."""
    first: dict[str, ImageFile] = {}
    twice: dict[str, str] = {}
    for file, facts in zip(found.files, found.facts, strict=True):
        if file.path in found.skipped:  # damaged behind its header
            continue
        other = first.setdefault(facts.content, file)
        if other.label != file.label and facts.content not in twice:
            pair = (printable(relative(each.path, found.roots)) for each in (other, file))
            twice[facts.content] = " and ".join(pair)
    if not twice:
        return ""
    count = "1 image is" if len(twice) == 1 else f"{len(twice):,} different images are"
    return f"; {count} in more than one class, such as {next(iter(twice.values()))}"


def check_readable(root: Path, classes: Sequence[str], found: Found) -> None:
    """Refuse a folder with no image at all, or a class without one."""
    if not found.files:
        path, reason = next(iter(found.skipped.items()))
        raise DataError(f"none of the {len(found.skipped)} images can be read; the first: {_sentence(path, reason)}")
    counts = Counter(file.label for file in found.files)
    for label, name in enumerate(classes):
        if not counts[label]:
            raise DataError(
                f'no image of the class "{printable(name)}" in "{root}" can be read; replace them or remove the class'
            )


def _check_counts(root: Path, found: Found, labels: NDArray[np.int64], counts: Mapping[str, int]) -> None:
    for label, name in enumerate(found.classes):
        if not (labels[: counts["train"]] == label).any():
            raise DataError(
                f'no image of the class "{printable(name)}" in "{root}" is left for training; add some that can be '
                "read and are not in the folders for validation and test too, or remove the class"
            )
    for part in PARTS[1:]:
        if not counts[part]:
            different = len({facts.content for facts in found.facts})
            raise DataError(
                f'"{root}" has {len(labels)} images that can be read, {different} of them different, and none for '
                f"{part}; at least 3 different images of a class are needed, one each for training, validation and test"
            )


def warn_of_skipped(root: Path, found: Found) -> None:
    """Warn of files that somebody means to be images, and of folders of them, but that are left out."""
    folders = {path: reason for path, reason in found.skipped.items() if reason == NO_PART}
    if folders:
        warnings.warn(
            f"{_names(found, folders)} in {root} {NO_PART} and so left out; move the classes in it to one of them",
            SkippedImagesWarning,
            stacklevel=3,
        )
    missed = {path: reason for path, reason in found.skipped.items() if is_named_image(path) and path not in folders}
    if not missed:
        return
    count = len(found.files) + len(set(missed) - {file.path for file in found.files})
    reason = _sentence(*next(iter(missed.items())))
    warnings.warn(
        f"{len(missed)} of {count} images in {root} cannot be read and are left out: {_names(found, missed)}. "
        f"First: {reason}",
        SkippedImagesWarning,
        stacklevel=3,
    )


def _names(found: Found, paths: Mapping[Path, str]) -> str:
    more = f" and {len(paths) - NAMED} more" if len(paths) > NAMED else ""
    return ", ".join(printable(relative(path, found.roots)) for path in list(paths)[:NAMED]) + more


def _sentence(path: Path, reason: str) -> str:
    """A reason that names its file."""
    return reason if named(path) in reason else f"{named(path)} {reason}"
