"""How figures of signals measure time: in samples, or in seconds if the sample rate is known."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from foveate.explain.measure.sampling import check_sample_rate

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_rate: ContextVar[float | None] = ContextVar("sample_rate", default=None)


@contextmanager
def sampled_at(sample_rate: float | None) -> Iterator[None]:
    """Draw signals over seconds and Hz within the `with` block, at this many samples per second; None keeps samples.

    Raises:
        DataError: the rate is not above 0.
    """
    if sample_rate is not None:
        check_sample_rate(sample_rate)
    token = _rate.set(sample_rate)
    try:
        yield
    finally:
        _rate.reset(token)


def name_samples(axes: "Axes", said: str = "") -> None:
    """Name the horizontal axis, which counts the input's samples: ticks at round seconds if the rate is known."""
    rate = _rate.get()
    axes.set_xlabel(f"{'sample' if rate is None else 'time in seconds'}{said}")
    if rate is not None:
        _round_ticks(axes, rate)


def length_in_words(samples: int) -> str:
    """How long a signal is."""
    rate = _rate.get()
    return f"{samples:,} samples" if rate is None else f"{samples / rate:.3g} s"


def highest_frequency() -> str:
    """The upper end of a spectrogram, half the sample rate."""
    rate = _rate.get()
    return "high" if rate is None else f"{rate / 2:,.0f} Hz"


def count_frequencies(axes: "Axes") -> str:
    """Let the vertical axis of a spectrogram count Hz if the rate is known; returns what it counts now."""
    rate = _rate.get()
    if rate is None:
        return "in cycles per sample"
    axes.yaxis.set_major_formatter(lambda cycles, _: f"{cycles * rate:,.0f}")
    return "in Hz"


def _round_ticks(axes: "Axes", rate: float) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    first, last = axes.get_xlim()
    ticks = [tick for tick in MaxNLocator(8).tick_values(first / rate, last / rate) if first <= tick * rate <= last]
    axes.set_xticks([tick * rate for tick in ticks])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda place, _: f"{place / rate:.4g}"))
