"""The page of a model: everything there is to see of it and of one image, written for newcomers."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic

from foveate.calls import path_from
from foveate.data import Splits
from foveate.data.preprocessing import ImageLike
from foveate.errors import DataError, FileError, FoveateError
from foveate.explain.draw.sampling import sampled_at
from foveate.explain.measure.sampling import check_sample_rate
from foveate.explain.measure.words import network_name
from foveate.explain.page.contents import CHAPTERS
from foveate.explain.page.html import Section, write_page
from foveate.explain.page.subject import Subject
from foveate.explain.probe.classes import Target, asked
from foveate.explain.probe.probe import check_takes_dataset, prepare_one
from foveate.geometry import format_sizes
from foveate.model import Model

PICTURES = "pictures"
"""The folder, beside the page, with each figure in its own file."""


@dataclass(frozen=True)
class PageReport:
    """Where the page is, the seconds that each chapter took, and a sentence for each one left out."""

    path: Path
    seconds: dict[str, float]
    left_out: dict[str, str]


def explain_model(
    model: Model,
    image: ImageLike,
    out: str | Path,
    *,
    data: Splits | None = None,
    target: Target = None,
    sample_rate: float | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> PageReport:
    """Draw all figures of a model and one image, and write them with explanations into a folder.

    `out`/index.html is one self-contained page; `out`/pictures holds each figure for light and for dark backgrounds.
    A chapter that this network or this image does not allow is replaced by a sentence that says why.

    Args:
        model: the network.
        image: one image, in any form that `Model.predict` takes.
        out: the folder; created if missing.
        data: a dataset, for the figures that need one: figures show its test part, comparisons train on its training
            part.
        target: the class to ask about (default: the predicted one).
        sample_rate: a signal's sample rate in Hz; without it, figures count samples.
        progress: called as each chapter begins, with its name, its number from 0, and how many there are.

    Raises:
        ShapeError: the image or the data do not have the network's input shape, or the network is not a classifier.
        DataError: there is no such class, there are several images, the image holds NaN, or the model has no
            preprocessing for the data.
        FileError: the image cannot be read, or a file cannot be written.
    """
    path_from(out, "out")  # before anything is computed
    prepare_one(model, image)
    _check_rate(model, sample_rate)
    _, classes = asked(model, image, target)
    if data is not None:
        check_takes_dataset(model, data.test)
    subject = Subject(model, image, int(classes[0]), data, Path(out) / PICTURES, sample_rate)
    sections: list[Section] = []
    seconds: dict[str, float] = {}
    left_out: dict[str, str] = {}
    for number, (name, chapter) in enumerate(CHAPTERS.items()):
        if progress is not None:
            progress(name, number, len(CHAPTERS))
        since = monotonic()
        try:
            with sampled_at(sample_rate):
                sections.append(chapter(subject))
        except FileError:
            raise
        except FoveateError as error:
            left_out[name] = str(error)
            sections.append(Section(name.capitalize(), [f"Left out: {error}."]))
        seconds[name] = monotonic() - since
    path = Path(out) / "index.html"
    write_page(path, f"What {network_name(model.graph)} sees", sections)
    return PageReport(path, seconds, left_out)


def _check_rate(model: Model, sample_rate: float | None) -> None:
    """Refuse a rate that is not valid, or that is given without a signal."""
    if sample_rate is None:
        return
    check_sample_rate(sample_rate)
    if len(model.graph.input_shape) != 2:
        shape = format_sizes(model.graph.input_shape)
        raise DataError(f"sample_rate is for signals, but the network takes {shape}; leave it out")
