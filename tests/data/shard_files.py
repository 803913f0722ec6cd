"""What the tests of shards share: small data, and tar files made by hand."""

import io
import tarfile
from pathlib import Path

from PIL import Image

from foveate.data import Dataset, Preprocessing, Splits
from tests.data.support import noise


def small_splits(count=300, shape=(1, 6, 5), classes=4) -> Splits:
    """Noise in three parts, with a label that each sample's first value tells."""
    inputs = noise(count, *shape)
    names = tuple(f"class {label}" for label in range(classes))
    data = Dataset(inputs, inputs.reshape(count, -1)[:, 0] % classes, names)
    train, validation, test = (
        data.subset(range(*ends)) for ends in ((0, count - 40), (count - 40, count - 20), (count - 20, count))
    )
    return Splits(train, validation, test, Preprocessing.measure(train), name="noise")


def png(level: int, size=(5, 6)) -> bytes:
    """A grey image of one level."""
    file = io.BytesIO()
    Image.new("L", size, level).save(file, "PNG")
    return file.getvalue()


def write_tar(path: Path, members) -> Path:
    """A tar with these members, given as names and bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def samples(count, first=0):
    """Members of samples with a PNG and a class that goes round."""
    for number in range(first, first + count):
        yield f"{number:04d}.png", png(number)
        yield f"{number:04d}.cls", str(number % 2).encode()
