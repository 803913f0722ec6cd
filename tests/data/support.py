"""What several tests of the data floor share: noise, small datasets, IDX files and folders of images."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from foveate.data import Dataset


def noise(*shape: int, seed: int = 0) -> NDArray[np.uint8]:
    """Random bytes."""
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def small_dataset(count: int = 10, shape: tuple[int, ...] = (1, 6, 5), classes: int = 3) -> Dataset:
    """Noise with labels that go round."""
    names = tuple(f"class {label}" for label in range(classes))
    return Dataset(noise(count, *shape), np.arange(count) % classes, names)


def idx_bytes(array: NDArray[Any], element_type: int = 8) -> bytes:
    """A uint8 array as the content of an IDX file."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, element_type, array.ndim]) + sizes + array.tobytes()


def write_images(root: Path, counts: dict[str, int], *, size: tuple[int, int] = (9, 7), mode: str = "RGB") -> Path:
    """A folder of PNG images, `counts` for each class, of (height, width) `size`; each of a colour of its own."""
    for place, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(count):
            level = 40 * place + number
            color = level if mode == "L" else (level, 2 * level, 100)
            Image.new(mode, (size[1], size[0]), color).save(root / name / f"{number}.png")
    return root
