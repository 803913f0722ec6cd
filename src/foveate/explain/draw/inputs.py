"""How an input is drawn, whatever its axes: a signal as curves, an image as it is, a volume as slices."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from foveate.engines.base import FloatArray
from foveate.explain.draw.sampling import highest_frequency, length_in_words
from foveate.explain.draw.style import SEQUENTIAL, bare, colour, show_image
from foveate.explain.measure.transforms import spectrogram
from foveate.explain.measure.words import input_noun

if TYPE_CHECKING:
    from matplotlib.axes import Axes


LONG_SIGNAL = 1024
"""Signals of this many samples are drawn as spectrograms in small pictures."""


def slices(sizes: Sequence[int], count: int) -> list[tuple[tuple[int, ...], str]]:
    """`count` places to cut (spatial) so that two axes are left, each with its name; an image is not cut.

    >>> slices((8, 5, 5), 1)
    [((4,), 'slice 4 (0 to 7)')]
    """
    if len(sizes) == 2:
        return [((), "")]
    depths = [(2 * number + 1) * sizes[0] // (2 * count) for number in range(count)]
    return [((depth,), f"slice {depth} (0 to {sizes[0] - 1})") for depth in depths]


def middle(sizes: Sequence[int]) -> tuple[tuple[int, ...], str]:
    """The one cut through the middle."""
    return slices(sizes, 1)[0]


def pixels(shown: FloatArray, place: tuple[int, ...]) -> FloatArray:
    """A displayed input (C, *spatial) cut at `place`, as (C, H, W) with one channel or three: others are averaged."""
    index: Any = (slice(None), *place)
    image: FloatArray = shown[index]
    return image if len(image) in (1, 3) else image.mean(axis=0, keepdims=True)


def show_input(axes: "Axes", shown: FloatArray, title: str = "") -> None:
    """A displayed input without ticks: curves (a single one if it is flat), an image, or a volume's middle slice.

    A long signal would be a black blob as a curve, so it is drawn as a spectrogram.
    """
    if shown.ndim == 2 and shown.shape[1] >= LONG_SIGNAL:
        show_spectrogram(axes, shown)
        bare(axes, title)
        return
    if shown.ndim < 3:
        axes.plot(shown.T, color=colour("ink"), linewidth=0.6)
        bare(axes, title)
        return
    show_image(axes, pixels(shown, middle(shown.shape[1:])[0]), title)


def show_spectrogram(axes: "Axes", shown: FloatArray) -> None:
    """The spectrogram of a signal (C, L): the strength of each frequency, in cycles per sample, of its channels'
    mean."""
    whole = (-0.5, shown.shape[1] - 0.5, 0.0, 0.5)
    axes.imshow(spectrogram(shown.mean(axis=0)), origin="lower", aspect="auto", cmap=SEQUENTIAL, extent=whole)


def name_axes(axes: "Axes", shown: FloatArray) -> None:
    """Name the axes of a spectrogram, if `show_input` has drawn one."""
    if shown.ndim == 2 and shown.shape[1] >= LONG_SIGNAL:
        axes.set_xlabel(f"time: {length_in_words(shown.shape[1])}", fontsize=9)
        axes.set_ylabel(f"frequency, low to {highest_frequency()}", fontsize=9)


def show_titled_input(axes: "Axes", shown: FloatArray) -> None:
    """The same, titled with what it is called and which slice of a volume it is."""
    cut = middle(shown.shape[1:])[1] if shown.ndim > 2 else ""
    show_input(axes, shown, f"the {input_noun(shown.ndim - 1)}\n{cut}")
    name_axes(axes, shown)
