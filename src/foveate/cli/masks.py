"""The maps that `predict --masks` writes: the class of each position, as a picture or an array for each image."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.cli.output import write_image
from foveate.errors import DataError, FileError
from foveate.text import named

if TYPE_CHECKING:
    from foveate.model import Model


class Masks:
    """A folder for the maps of a segmentation.

    A map over height and width becomes a PNG whose pixels are class indices, shown in the colours of Pascal VOC; any
    other map a .npy file. Both have the network's size, not that of the image.

    Args:
        folder: where they are written.
        model: the model, of which at least one output is a segmentation.

    Raises:
        DataError: the model has no such output.
    """

    def __init__(self, folder: Path, model: "Model") -> None:
        from foveate.tasks import Segmentation, Several

        tasks = model.task.tasks if isinstance(model.task, Several) else {"": model.task}
        self._outputs = [name for name, task in tasks.items() if isinstance(task, Segmentation)]
        if not self._outputs:
            raise DataError(
                f"--masks is for a segmentation, but the model's task is {type(model.task).__name__}; leave it out"
            )
        self._folder = folder
        self._written: set[str] = set()

    def write(self, name: str, decoded: Any) -> list[Path]:
        """Write the maps of one image, called after it; returns their paths.

        Raises:
            FileError: one cannot be written.
        """
        self._source = Path(name).resolve()
        stem = self._unused("input" if name == "-" else Path(name).stem)
        return [self._save(stem, output, decoded[output] if output else decoded) for output in self._outputs]

    def _unused(self, stem: str) -> str:
        """A name for the maps that no image before has: of cat/1.png and dog/1.png the second becomes 1-2."""
        names: Iterator[str] = (stem if number == 1 else f"{stem}-{number}" for number in range(1, 1 << 31))
        free = next(each for each in names if each not in self._written)
        self._written.add(free)
        return free

    def _save(self, stem: str, output: str, mask: Any) -> Path:
        import numpy as np

        from foveate.files import write_atomically

        picture = mask.ndim == 2 and mask.dtype == np.uint8
        path = self._folder / f"{stem}{f'.{output}' * bool(output)}{'.png' if picture else '.npy'}"
        if path.exists() and path.resolve() == self._source:
            raise FileError(f"{named(path)} is the image itself; give another folder for --masks")
        if picture:
            write_image(_picture(mask), path)
        else:
            content = BytesIO()
            np.save(content, mask)
            write_atomically(path, content.getbuffer())
        return path


def _picture(mask: Any) -> Any:
    from PIL import Image

    image = Image.fromarray(mask)
    image.putpalette([level for index in range(256) for level in colour(index)])
    return image


def colour(index: int) -> tuple[int, int, int]:
    """The colour of a class in Pascal VOC's pictures: its bits are dealt out to red, green and blue in turn.

    >>> colour(0), colour(1), colour(15)
    ((0, 0, 0), (128, 0, 0), (192, 128, 128))
    """
    red, green, blue = (
        sum((index >> (3 * place + channel) & 1) << (7 - place) for place in range(3)) for channel in range(3)
    )
    return red, green, blue
