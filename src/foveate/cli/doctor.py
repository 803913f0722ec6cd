"""`foveate doctor`: what foveate found on this computer, and what holds it back."""

import os
import platform
from dataclasses import asdict, dataclass
from itertools import pairwise
from shutil import get_terminal_size
from textwrap import wrap
from typing import Any

import typer

from foveate.cli.output import JsonOption, print_json
from foveate.errors import EngineError

FORMAT = 1
"""The version of the JSON; raised when an entry is removed or changes its meaning."""

_LABEL_WIDTH = 17
_NARROW, _WIDE = 40, 80


@dataclass(frozen=True)
class Native:
    """What the native engine reports about itself."""

    threads: int
    onednn: str | None
    instruction_set: str | None
    winograd: bool


@dataclass(frozen=True)
class Torch:
    """What is known of PyTorch without importing it: its version, and the kind of GPU that this machine has."""

    version: str
    gpu: str | None


@dataclass(frozen=True)
class Processor:
    """The processor, and how much of it this process may use; `quota` counts CPUs, None is no limit."""

    name: str
    cores: int
    logical_cpus: int
    usable_cpus: list[int]
    quota: float | None
    caches: dict[str, str]


@dataclass(frozen=True)
class Data:
    """Where datasets are kept: the cache, the folder that FOVEATE_DATA names, and each set that was found."""

    cache: str
    named: str | None
    folders: dict[str, str | None]


@dataclass(frozen=True)
class Findings:
    """Everything found; `native` is None if that engine cannot be used, and `reason` says why."""

    versions: dict[str, str | None]
    native: Native | None
    reason: str
    processor: Processor
    data: Data
    torch: Torch | None = None

    @property
    def engine(self) -> str:
        """The engine used by default."""
        if self.native is not None:
            return "native"
        return "reference" if self.torch is None else "torch"

    def advice(self) -> list[str]:
        """What slows foveate down here, one sentence each, with a way out."""
        found = []
        if self.torch is not None and self.torch.gpu is not None:
            found.append('This machine has a GPU. Give --engine torch, or Model(..., engine="torch"), to use it.')
        if self.native is None:
            return found
        threads, usable, quota = self.native.threads, len(self.processor.usable_cpus), self.processor.quota
        if quota is not None and quota < threads:
            found.append(
                f"The container may use {quota:g} CPUs, fewer than the {threads} threads: they will be stopped again "
                f"and again. Give --threads {max(1, int(quota))}, or call foveate.set_threads({max(1, int(quota))})."
            )
        if usable < threads:
            found.append(
                f"{threads} threads share {usable} logical CPU{'s' if usable > 1 else ''}: they wait for each other. "
                f"Give --threads {usable}, or unset OMP_NUM_THREADS."
            )
        return found

    def to_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        return {
            "format": FORMAT,
            "versions": self.versions,
            "engine": {"name": self.engine, "reason": self.reason},
            "native": None if self.native is None else asdict(self.native),
            "torch": None if self.torch is None else asdict(self.torch),
            "processor": asdict(self.processor),
            "data": asdict(self.data),
            "advice": self.advice(),
        }


def doctor(as_json: JsonOption = False) -> None:
    """Report what foveate found on this computer: versions, engine, threads, processor, datasets.

    Exits with status 1 if only the reference engine can be used; everything still works, but many times more slowly.

    Example: foveate doctor --json
    """
    found = examine()
    if as_json:
        print_json(found.to_json())
    else:
        typer.echo(render(found, min(_WIDE, max(_NARROW, get_terminal_size((_WIDE, 24)).columns))))
    if found.engine == "reference":
        raise EngineError("the native engine cannot be used, so the slow reference engine is used; the report says why")


def examine() -> Findings:
    """Examine this computer."""
    import numpy as np

    import foveate

    native, reason = _native()
    onednn = None if native is None else native.onednn
    versions = {"foveate": foveate.__version__, "python": platform.python_version(), "numpy": np.__version__}
    return Findings({**versions, "onednn": onednn}, native, reason, _processor(), _data(), _torch())


def render(found: Findings, width: int) -> str:
    """The findings as lines of at most `width` columns, where no word is longer."""
    titles = {"foveate": "foveate", "python": "Python", "numpy": "NumPy", "onednn": "oneDNN"}
    versions = ", ".join(f"{titles[name]} {version}" for name, version in found.versions.items() if version)
    rows = [("engine", f"{found.engine}: {found.reason}")]
    if found.native is not None:
        rows += _native_rows(found.native)
    rows += _processor_rows(found.processor) + _torch_rows(found.torch) + _data_rows(found.data)
    lines = [versions, ""]
    for label, text in rows:
        first, later = label.ljust(_LABEL_WIDTH), " " * _LABEL_WIDTH
        lines += wrap(text, width, initial_indent=first, subsequent_indent=later, break_long_words=False) or [first]
    for sentence in found.advice():
        lines += ["", *wrap(sentence, width)]
    return "\n".join(lines)


def _native() -> tuple[Native | None, str]:
    """What the native engine reports, and why it is or is not chosen."""
    from foveate.engines import get_engine

    try:
        engine = get_engine("native")
    except EngineError as error:
        return None, str(error)
    from foveate.engines.native import library

    return (
        Native(engine.threads, library.onednn_version(), library.instruction_set(), library.runs_winograd()),
        "the fastest, and it is available",
    )


def _torch() -> Torch | None:
    from foveate.engines.choice import gpu, torch_version

    version = torch_version()
    return None if version is None else Torch(version, gpu())


def _processor() -> Processor:
    from foveate.engines import machine

    return Processor(
        name=machine.cpu_name(),
        cores=machine.physical_cores(),
        logical_cpus=os.cpu_count() or 1,
        usable_cpus=sorted(machine.usable_cpus()),
        quota=machine.cpu_quota(),
        caches=machine.data_caches(),
    )


def _data() -> Data:
    from foveate.data import datasets
    from foveate.data.published import cache

    folders = {each.name: None if each.folder is None else str(each.folder) for each in datasets.status()}
    return Data(str(cache()), os.environ.get("FOVEATE_DATA"), folders)


def _native_rows(native: Native) -> list[tuple[str, str]]:
    asked = os.environ.get("OMP_NUM_THREADS")
    threads = f"{native.threads}" + (f"; OMP_NUM_THREADS is {asked}" if asked else "")
    lacking = "does not run: it needs a larger instruction set"
    limits = [
        f"{name} is {os.environ[name]}" for name in ("FOVEATE_MAX_ISA", "ONEDNN_MAX_CPU_ISA") if name in os.environ
    ]
    limit = "".join(f"; {each}" for each in limits)
    winograd = "runs 3x3 convolutions when it is faster" if native.winograd else lacking
    return [
        ("threads", threads),
        ("instruction set", f"{native.instruction_set or 'unknown'}, the largest used here{limit}"),
        ("Winograd", winograd),
    ]


def _torch_rows(torch: Torch | None) -> list[tuple[str, str]]:
    if torch is None:
        return [("PyTorch", "not installed; the torch engine, for GPUs, needs it: pip install 'foveate[torch]'")]
    gpu = {"cuda": "an NVIDIA GPU is here", "mps": "an Apple GPU is here"}.get(torch.gpu or "", "no GPU found")
    return [("PyTorch", f"{torch.version}, for --engine torch; {gpu}")]


def _processor_rows(processor: Processor) -> list[tuple[str, str]]:
    usable, count = processor.usable_cpus, processor.logical_cpus
    share = "all" if len(usable) == count else f"{len(usable)}"
    cores = f"{processor.cores} core{'s' if processor.cores > 1 else ''}"
    caches = ", ".join(f"{level} {_readable(size)}" for level, size in processor.caches.items()) or "unknown"
    quota = "no limit" if processor.quota is None else f"{processor.quota:g} CPUs' time, by the container's limit"
    return [
        ("processor", processor.name),
        (
            "logical CPUs",
            f"{count}; this process may use {share} of them ({_ranges(usable)}), on {cores}",
        ),
        ("CPU quota", quota),
        ("data caches", caches),
    ]


def _data_rows(data: Data) -> list[tuple[str, str]]:
    rows = [
        ("datasets" if not place else "", f"{name} in {folder}" if folder else f"{name}: not here")
        for place, (name, folder) in enumerate(data.folders.items())
    ]
    named = f", looked for in {data.named} too (FOVEATE_DATA)" if data.named else ""
    return [*rows, ("", f"downloads are kept in {data.cache}{named}")]


def _readable(size: str) -> str:
    """A size as Linux gives it, in larger units if it is a whole number of them.

    >>> _readable("32K"), _readable("1024K"), _readable("1280K")
    ('32 KB', '1 MB', '1280 KB')
    """
    number, unit = size[:-1], size[-1:]
    if unit == "K" and number.isdigit():
        return f"{int(number) // 1024} MB" if int(number) % 1024 == 0 else f"{number} KB"
    return f"{size}B"


def _ranges(numbers: list[int]) -> str:
    """Numbers in order, neighbours as ranges.

    >>> _ranges([0, 1, 2, 5, 7, 8])
    '0-2, 5, 7-8'
    """
    begins = [numbers[0], *(after for before, after in pairwise(numbers) if after != before + 1)]
    ends = [*(before for before, after in pairwise(numbers) if after != before + 1), numbers[-1]]
    return ", ".join(f"{begin}-{end}" if end > begin else f"{begin}" for begin, end in zip(begins, ends, strict=True))
