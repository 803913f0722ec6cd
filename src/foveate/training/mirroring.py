"""Whether an image mirrored left to right still shows its class: as its name says, or else as the images do."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset
from foveate.data.measuring import InputArray
from foveate.tasks import Classification

MOST_COMPARED = 1000
"""Images that are compared with each other."""

FEWEST_COMPARED = 50
"""Fewer images say nothing about the others."""

SIDE = 12
"""Images are compared at this size, at most."""

LEAST_KEPT = 0.5
"""The share of what is recognised beyond chance that mirrored images must keep. Handwritten digits keep 0.3, printed
letters 0.4, spectrograms 0.1; clothes keep 0.7, faces and photographs 0.6 to 1."""

LEAST_RECOGNISED = 0.2
"""What must be recognised beyond chance before the images count as saying anything."""

_SIDED = frozenset({"left", "right", "clockwise", "anticlockwise", "counterclockwise", "port", "starboard"})
"""Words for what a mirror turns into its opposite."""

_NUMBERS = frozenset({"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"})


@dataclass(frozen=True)
class Mirroring:
    """Whether training images may be mirrored, and why."""

    allowed: bool
    reason: str


def mirroring(dataset: Dataset, images: bool | None = None) -> Mirroring:
    """Decide whether training images may be mirrored.

    They may not if they are arrays rather than images, if the classes are named after signs or sides, or if mirrored
    images look like those of other classes: the nearest neighbour of a mirrored image must be of its class at least
    half as often as that of the image itself, beyond chance.

    Args:
        dataset: the training samples.
        images: whether they are known to be images, or known not to be (default: grey or RGB uint8 arrays are).
    """
    if len(dataset.shape) != 3:
        return Mirroring(False, "only images have a left and a right to exchange")
    if images is None:
        images = dataset.by_input[dataset.image_input].dtype == np.uint8 and dataset.shape[0] in (1, 3)
    if not images:
        return Mirroring(False, "what an array means may depend on its direction")
    if not isinstance(dataset.task, Classification):
        return Mirroring(False, "the targets would have to be mirrored too")
    if named := _named_after(dataset.classes):
        return Mirroring(False, named)
    inputs = dataset.by_input[dataset.image_input]
    if not isinstance(inputs, np.ndarray):  # on disks far away, from which few images cost as much as all
        return Mirroring(True, "no class is named after a sign or a side")
    return _as_they_look(inputs, dataset.labels, len(dataset.classes))


def _named_after(classes: Sequence[str]) -> str:
    """Why classes with these names are not to be mirrored; empty if the names say nothing.

    >>> _named_after(["turn_left", "turn_right", "stop"])
    'the class turn_left has a side'
    >>> _named_after(list("abc")), _named_after(["cat", "dog"])
    ('the classes are letters or digits', '')
    """
    words = {name: set(re.split(r"[\W_]+", name.casefold())) for name in classes}
    sided = next((name for name in classes if words[name] & _SIDED), None)
    if sided is not None:
        return f"the class {sided} has a side"
    signs = [name for name in classes if len(name) == 1 or name.casefold() in _NUMBERS]
    return "the classes are letters or digits" if 2 * len(signs) > len(classes) else ""


def _as_they_look(inputs: InputArray, labels: NDArray[np.int64], classes: int) -> Mirroring:
    plain, mirrored = recognised(inputs, labels)
    chance = float(np.bincount(labels, minlength=classes).max()) / len(labels)
    if len(inputs) < FEWEST_COMPARED or plain < chance + LEAST_RECOGNISED:
        return Mirroring(True, "neither the classes' names nor the images say that left and right differ")
    told = (
        f"{100 * plain:.0f} % of the images look most like another of their class, {100 * mirrored:.0f} % if mirrored"
    )
    return Mirroring(mirrored - chance >= LEAST_KEPT * (plain - chance), told)


def recognised(inputs: InputArray, labels: NDArray[np.int64]) -> tuple[float, float]:
    """The share of images whose most similar other image is of their class: as they are, and mirrored.

    Similarity is the correlation of the pixels at a small size.

    Args:
        inputs: (N, C, H, W).
        labels: (N,) class indices.
    """
    chosen = np.linspace(0, len(inputs) - 1, min(MOST_COMPARED, len(inputs))).round().astype(np.int64)
    small, own = _reduced(np.asarray(inputs[chosen], np.float32)), labels[chosen]
    plain = _standardised(small)
    shares = []
    for queries in (plain, _standardised(small[..., ::-1])):
        similar = queries @ plain.T
        np.fill_diagonal(similar, -np.inf)
        shares.append(float(np.mean(own[similar.argmax(axis=1)] == own)))
    return shares[0], shares[1]


def _reduced(images: NDArray[Any]) -> NDArray[Any]:
    """The means of blocks, at most SIDE along each axis."""
    for axis in (2, 3):
        size = images.shape[axis]
        edges = np.linspace(0, size, min(SIDE, size) + 1).round().astype(np.int64)
        shape = [-1 if place == axis else 1 for place in range(4)]
        images = np.add.reduceat(images, edges[:-1], axis=axis) / np.diff(edges).reshape(shape)
    return images


def _standardised(images: NDArray[Any]) -> NDArray[np.float32]:
    rows = images.reshape(len(images), -1)
    rows = rows - rows.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-6), np.float32)
