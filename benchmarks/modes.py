"""The ways in which PyTorch is run."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.errors import BenchmarkError


@dataclass(frozen=True)
class Mode:
    """One way to run a PyTorch model; all but the first also use its fused optimiser, which is not the default."""

    name: str
    heading: str
    channels_last: bool
    compiled: bool


AS_WRITTEN = Mode("as_written", "PyTorch\nas\nwritten", channels_last=False, compiled=False)

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        AS_WRITTEN,
        Mode("channels_last", "channels\nlast", channels_last=True, compiled=False),
        Mode("compile", "compile", channels_last=False, compiled=True),
        Mode("compile_channels_last", "compile,\nchannels\nlast", channels_last=True, compiled=True),
    )
}
"""Every mode by its name, in the order of the table."""


def find_modes(names: Sequence[str]) -> list[Mode]:
    """The modes of these names, in the table's order; a BenchmarkError lists them when one is unknown."""
    wanted = {name.strip().replace("-", "_") for name in names}
    for name in sorted(wanted - set(MODES)):
        raise BenchmarkError(f'PyTorch has no mode "{name}" here; the modes are {", ".join(MODES)}')
    return [mode for mode in MODES.values() if mode.name in wanted]
