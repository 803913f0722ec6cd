"""The machine that the engines run on: its processor, and how much of it this process may use."""

import os
import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

from foveate.errors import EngineError

ROOT = Path("/")
"""Where the system exposes its facts: `proc` and `sys` are looked up below it."""


LIMITS = {"SSE41": "SSE41", "AVX2": "AVX2", "AVX512": "AVX512_CORE"}
"""The values of FOVEATE_MAX_ISA, and oneDNN's names for them."""

_ONEDNN_LIMITS = ("SSE41", "AVX", "AVX2", "AVX2_VNNI", "AVX2_VNNI_2", "AVX512_CORE")
"""oneDNN's own names from the smallest set up; those left out are larger."""


def limit_of_instructions(environment: Mapping[str, str]) -> str | None:
    """The largest set of instructions that kernels may use, by oneDNN's name; None if nothing limits it.

    FOVEATE_MAX_ISA limits oneDNN's kernels and our own; so does ONEDNN_MAX_CPU_ISA, and the smaller of the two applies.

    Raises:
        EngineError: FOVEATE_MAX_ISA is something else.
    """
    given = environment.get("FOVEATE_MAX_ISA", "").upper().replace(".", "")
    if not given:
        return None
    if given not in LIMITS:
        raise EngineError(
            f"FOVEATE_MAX_ISA is {environment['FOVEATE_MAX_ISA']!r}; it must be {', '.join(LIMITS)}, or not be set"
        )
    own, theirs = LIMITS[given], environment.get("ONEDNN_MAX_CPU_ISA", "").upper()
    order = _ONEDNN_LIMITS.index
    return theirs if theirs in _ONEDNN_LIMITS and order(theirs) < order(own) else own


def cpu_name(root: Path = ROOT) -> str:
    """What the processor calls itself."""
    names = [value for entry in _processors(root) if (value := entry.get("model name"))]
    return names[0] if names else platform.processor() or platform.machine()


def usable_cpus() -> set[int]:
    """The logical CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def physical_cores(root: Path = ROOT) -> int:
    """Cores that this process may use; threads that share a core count once."""
    usable = usable_cpus()
    cores = {
        (entry.get("physical id"), entry["core id"])
        for entry in _processors(root)
        if "core id" in entry and int(entry["processor"]) in usable
    }
    return len(cores) or len(usable)


def physical_memory() -> int | None:
    """Bytes of memory that the machine has; None if the system does not say."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows has no sysconf
        return None


def data_caches(root: Path = ROOT) -> dict[str, str]:
    """The sizes of the first core's data caches by level ("L1": "32K"); empty if the system does not say."""
    found = {}
    for folder in sorted((root / "sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            found[f"L{level}"] = size
    return found


def cpu_quota(root: Path = ROOT) -> float | None:
    """The most CPUs' worth of time that the container, or any enclosing process group, may use; None for no limit.

    Linux counts it in control groups: version 2 has a file cpu.max in each, version 1 cpu.cfs_quota_us and
    cpu.cfs_period_us. A group is bound by those around it, so the smallest number applies.
    """
    quotas = (quota for folder in _groups(root) for quota in _quotas(folder))
    return min(quotas, default=None)


def threads_within_quota(threads: int, root: Path = ROOT) -> int:
    """As many of `threads` as the quota lets run continuously; more would be stopped again and again."""
    quota = cpu_quota(root)
    return threads if quota is None else max(1, min(threads, int(quota)))


def _groups(root: Path) -> Iterator[Path]:
    """The folder of each control group that may bound this process, from its own outwards."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, _, place = line.partition(":")
        controllers, _, group = place.partition(":")
        if controllers and "cpu" not in controllers.split(","):
            continue
        mounts = ["", "unified"] if not controllers else [controllers, "cpu"]
        for mount in mounts:
            # Inside a container the path may be the host's, of which nothing is seen here but the outermost folder.
            top = root / "sys/fs/cgroup" / mount
            own = top / group.strip().lstrip("/")
            yield from (folder for folder in (own, *own.parents) if folder.is_relative_to(top))


def _quotas(folder: Path) -> Iterator[float]:
    given = _text(folder / "cpu.max").split() or [
        _text(folder / name).strip() for name in ("cpu.cfs_quota_us", "cpu.cfs_period_us")
    ]
    try:
        quota, period = (int(number) for number in given)
    except ValueError:  # "max 100000", or no such files
        return
    if quota > 0 and period > 0:
        yield quota / period


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _processors(root: Path) -> Iterator[dict[str, str]]:
    for block in _text(root / "proc/cpuinfo").strip().split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        yield {name.strip(): value.strip() for name, _, value in pairs}
