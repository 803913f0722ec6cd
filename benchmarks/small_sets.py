"""Small sets of samples of several kinds, for choosing how to train without asking anyone.

All are real and need no network. What a set is tested on shares no photograph region, voice, font or person with what
it is trained on, as far as the source knows them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

import foveate as fv
from benchmarks.errors import BenchmarkError

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

_TILES = 6
"""Photographs are cut into this many strips; a crop lies in one of them, and so in one part."""

_SHARES = (4, 1, 1)
"""Of these strips: how many are for training, for choosing rules and for the test."""


@dataclass(frozen=True)
class SmallSet:
    """A set of one kind: the samples of a person's folder, and more to judge by that nobody has seen.

    `load(split)` gives training, validation and test; another `split` divides the source in another way.
    """

    name: str
    kind: str
    count: int
    load: Callable[[int], tuple[fv.Dataset, fv.Dataset, fv.Dataset]]
    origin: str = "folder"


def _dataset(inputs: Sequence[NDArray[Any]], labels: Sequence[int], classes: Sequence[str]) -> fv.Dataset:
    return fv.Dataset(np.stack(inputs), np.asarray(labels), classes)


def _photograph(name: str) -> NDArray[np.uint8]:
    """One of the photographs that scikit-image carries, (H, W) or (H, W, 3)."""
    import skimage.data

    folder = Path(skimage.data.__file__).parent
    path = next(folder / f"{name}{suffix}" for suffix in (".png", ".jpg") if (folder / f"{name}{suffix}").exists())
    with Image.open(path) as image:
        return np.asarray(image.convert("L" if image.mode in ("L", "I", "P") else "RGB"))


def _crops(
    photograph: NDArray[np.uint8], strips: NDArray[np.int64], count: int, side: int, random: np.random.Generator
) -> list[NDArray[np.uint8]]:
    """Square crops of several sizes at random places inside the strips, each scaled to `side`."""
    width = photograph.shape[1] // _TILES
    found: list[NDArray[np.uint8]] = []
    while len(found) < count:
        extent = int(random.integers(round(0.6 * width), width + 1))
        left = int(random.choice(strips)) * width + int(random.integers(0, width - extent + 1))
        top = int(random.integers(0, photograph.shape[0] - extent + 1))
        crop = photograph[top : top + extent, left : left + extent]
        pixels = np.asarray(Image.fromarray(crop).resize((side, side), Image.Resampling.BILINEAR))
        found.append(pixels[None] if pixels.ndim == 2 else np.moveaxis(pixels, 2, 0))
    return found


def _of_photographs(
    names: Sequence[str], each: int, side: int, split: int, classes: Sequence[str]
) -> tuple[fv.Dataset, fv.Dataset, fv.Dataset]:
    """Crops of each photograph; the parts come from different strips of it."""
    random = np.random.default_rng([split, each])
    inputs: list[list[NDArray[np.uint8]]] = [[], [], []]
    labels: list[list[int]] = [[], [], []]
    for label, name in enumerate(names):
        photograph = _photograph(name)
        strips = random.permutation(_TILES)
        ends = np.cumsum(_SHARES)
        for part, count in enumerate((each, 25, 25)):
            own = strips[ends[part] - _SHARES[part] : ends[part]]
            inputs[part] += _crops(photograph, own, count, side, random)
            labels[part] += [label] * count
    training, validation, test = (_dataset(*pair, classes) for pair in zip(inputs, labels, strict=True))
    return training, validation, test


def textures(split: int) -> tuple[fv.Dataset, fv.Dataset, fv.Dataset]:
    """60 grey crops of brick, grass and gravel."""
    names = ("brick", "grass", "gravel")
    return _of_photographs(names, 20, 32, split, names)


def photographs(split: int) -> tuple[fv.Dataset, fv.Dataset, fv.Dataset]:
    """400 colour crops of eight photographs."""
    names = ("astronaut", "chelsea", "coffee", "hubble_deep_field", "ihc", "motorcycle_left", "retina", "rocket")
    classes = tuple(name.split("_")[0] for name in names)
    return _of_photographs(names, 50, 32, split, classes)


def faces(split: int) -> tuple[fv.Dataset, fv.Dataset, fv.Dataset]:
    """scikit-image's 200 grey images of 25x25: faces, and pieces of photographs without one."""
    import skimage.data

    path = Path(skimage.data.__file__).parent / "lfw_subset.npy"
    inputs = np.round(255 * np.load(path)).astype(np.uint8)[:, None]
    return _divided(inputs, np.repeat([0, 1], 100), ("face", "other"), split, (0.6, 0.2))


def digits(split: int) -> tuple[fv.Dataset, fv.Dataset, fv.Dataset]:
    """scikit-learn's 1,797 handwritten digits of 8x8."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    found = load_digits()
    inputs = np.round(found.images * (255 / 16)).astype(np.uint8)[:, None]
    return _divided(inputs, found.target, tuple("0123456789"), split, (0.7, 0.15))


def clothes(split: int) -> tuple[fv.Dataset, fv.Dataset, fv.Dataset]:
    """5,000 training images of Fashion-MNIST, and others of its training images to judge by."""
    data = fv.datasets.fashion_mnist()
    order = np.random.default_rng(split).permutation(len(data.train))
    return data.train.subset(order[:5000]), data.train.subset(order[5000:7000]), data.train.subset(order[7000:10000])


def letters(split: int) -> tuple[fv.Dataset, fv.Dataset, fv.Dataset]:
    """1,040 letters of 24x24, drawn in several fonts; the validation and the test have fonts of their own."""
    random = np.random.default_rng(split)
    fonts = _fonts()
    order = random.permutation(len(fonts))
    held = max(2, len(fonts) // 5)
    parts = (order[2 * held :], order[:held], order[held : 2 * held])
    names = tuple("ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    return tuple(  # type: ignore[return-value]
        _dataset(
            [_letter(name, fonts[random.choice(own)], random) for name in names for _ in range(count)],
            np.repeat(np.arange(len(names)), count).tolist(),
            names,
        )
        for own, count in zip(parts, (40, 15, 15), strict=True)
    )


def _fonts() -> list[Path]:
    """The fonts that matplotlib carries, but for those of signs only."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    found = sorted(path for path in folder.glob("*.ttf") if not path.name.startswith("STIXSiz"))
    chosen = [path for path in found if "NonUni" not in path.name and path.name not in ("cmex10.ttf", "cmsy10.ttf")]
    if len(chosen) < 10:
        raise BenchmarkError(f"{folder} has {len(chosen)} fonts; at least 10 are needed")
    return chosen


def _letter(letter: str, font: Path, random: np.random.Generator) -> NDArray[np.uint8]:
    """A grey letter, turned and moved a little, in noise."""
    image = Image.new("L", (24, 24))
    place = (12 + random.uniform(-2, 2), 12 + random.uniform(-2, 2))
    drawn = ImageFont.truetype(str(font), int(random.integers(13, 19)))
    ImageDraw.Draw(image).text(place, letter, 255, drawn, anchor="mm")
    turned = np.asarray(image.rotate(random.uniform(-15, 15), Image.Resampling.BILINEAR), np.float64)
    return np.clip(0.8 * turned + random.normal(20, 20, turned.shape), 0, 255).astype(np.uint8)[None]


def sounds(split: int, *, spectrograms: bool = True) -> tuple[fv.Dataset, fv.Dataset, fv.Dataset]:
    """2,400 spoken digits as log-spectrograms (or as waves); the voices of the validation and the test are others."""
    from examples.sound import TEST_VOICES, TRAINING_VOICES

    voices = TRAINING_VOICES.split() + TEST_VOICES.split()
    waves, labels, speakers = _spoken(tuple(voices))
    order = np.random.default_rng(split).permutation(len(voices))
    parts = (order[24:], order[:12], order[12:24])
    inputs = log_spectrograms(waves) if spectrograms else (waves / 32768 + 0.5)[:, None].astype(np.float32)
    chosen = [np.flatnonzero(np.isin(speakers, own)) for own in parts]
    random = np.random.default_rng(split)
    chosen[0] = np.sort(random.permutation(chosen[0])[:2400])
    training, validation, test = (_dataset(list(inputs[rows]), labels[rows].tolist(), WORDS) for rows in chosen)
    return training, validation, test


@lru_cache(maxsize=1)
def _spoken(voices: tuple[str, ...], takes: int = 5) -> tuple[NDArray[np.int16], NDArray[np.int64], NDArray[np.int64]]:
    """Waves (N, 8000) of every word by every voice, in several accents, speeds and pitches; labels and voices."""
    from examples.sound import ACCENTS, PITCHES, SPEEDS, Synthesizer, one_second

    espeak, random = Synthesizer(), np.random.default_rng(0)
    waves, labels, speakers = [], [], []
    for speaker, voice in enumerate(voices):
        for label, word in enumerate(WORDS):
            for take in range(takes):
                name = f"{random.choice(ACCENTS)}+{voice}"
                speed, pitch = int(random.integers(*SPEEDS)), int(random.integers(*PITCHES))
                waves.append(one_second(espeak.speak(word, name, speed, pitch, take), espeak.rate))
                labels.append(label)
                speakers.append(speaker)
    return np.stack(waves), np.asarray(labels), np.asarray(speakers)


def log_spectrograms(waves: NDArray[Any], bands: int = 32, frame: int = 256, hop: int = 200) -> NDArray[np.float32]:
    """Log energies (N, 1, bands, frames) on a scale from 0 to 1; low bands are narrow, high ones wide."""
    window = np.hanning(frame)
    starts = np.arange(0, waves.shape[1] - frame + 1, hop)
    frames = waves.astype(np.float64)[:, starts[:, None] + np.arange(frame)] * window
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.unique(np.round(np.geomspace(2, power.shape[2], 3 * bands)).astype(int))
    edges = edges[np.linspace(0, len(edges) - 1, bands + 1).round().astype(int)]
    energies = np.log10(np.add.reduceat(power, edges[:-1], axis=2)[:, :, :bands] + 1.0)
    low, high = energies.min(axis=(1, 2), keepdims=True), energies.max(axis=(1, 2), keepdims=True)
    scaled = (energies - low) / np.maximum(high - low, 1e-9)
    return np.ascontiguousarray(np.moveaxis(scaled, 1, 2)[:, None], np.float32)


def _divided(
    inputs: NDArray[np.uint8], labels: NDArray[Any], classes: Sequence[str], split: int, shares: tuple[float, float]
) -> tuple[fv.Dataset, fv.Dataset, fv.Dataset]:
    """Training, validation and test, chosen at random."""
    order = np.random.default_rng(split).permutation(len(inputs))
    first, second = round(shares[0] * len(order)), round(sum(shares) * len(order))
    parts = (order[:first], order[first:second], order[second:])
    training, validation, test = (fv.Dataset(inputs[rows], labels[rows], classes) for rows in parts)
    return training, validation, test


SMALL_SETS = (
    SmallSet("textures", "grey photographs 32x32", 60, textures),
    SmallSet("photographs", "colour photographs 32x32", 400, photographs),
    SmallSet("faces", "grey photographs 25x25", 120, faces),
    SmallSet("digits", "handwriting 8x8", 1258, digits),
    SmallSet("letters", "printed letters 24x24", 1040, letters),
    SmallSet("sounds", "log-spectrograms 32x39", 2400, sounds, "arrays"),
    SmallSet("clothes", "grey images 28x28", 5000, clothes),
)


def small_sets(only: str) -> list[SmallSet]:
    """The sets with these names, with commas between; all if there is none.

    Raises:
        BenchmarkError: there is no set of that name.
    """
    names = [name.strip() for name in only.split(",") if name.strip()]
    known = {small.name: small for small in SMALL_SETS}
    for name in names:
        if name not in known:
            raise BenchmarkError(f'there is no set "{name}"; there are {", ".join(known)}')
    return [known[name] for name in names] or list(SMALL_SETS)
