"""Where a benchmark ran: the processor, its cores, and the versions of what took part."""

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")
_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_PACKAGES = ("numpy", "torch")


def describe(threads: int | None = None) -> dict[str, Any]:
    """The environment as plain data for tables and JSON."""
    import foveate

    return {
        "cpu": cpu_name(),
        "cores": physical_cores(),
        "logical_cpus": len(usable_cpus()),
        "threads": threads,
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(terse=True),
        "versions": {
            "python": platform.python_version(),
            "foveate": foveate.__version__,
            **{package: _version(package) for package in _PACKAGES},
        },
    }


def sentence(environment: dict[str, Any]) -> str:
    """The environment in one line."""
    versions = ", ".join(f"{name} {number}" for name, number in environment["versions"].items() if number)
    threads = f", {environment['threads']} threads" if environment["threads"] else ""
    cores = f"{environment['cores']} cores, {environment['logical_cpus']} logical CPUs"
    return f"{environment['cpu']}, {cores}{threads}; {versions}; load average before: {environment['load_average']}"


def cpu_name() -> str:
    """What the processor calls itself."""
    names = [value for entry in _processors() if (value := entry.get("model name"))]
    return names[0] if names else platform.processor() or platform.machine()


def core_caches() -> dict[str, str]:
    """The sizes of a core's own data caches by level; empty where the system does not tell."""
    found = {}
    for folder in sorted(_CACHES.glob("index*")):
        level, kind, size = ((folder / name).read_text().strip() for name in ("level", "type", "size"))
        if level in ("1", "2") and kind != "Instruction":
            found[f"L{level}"] = size
    return found


def physical_cores() -> int:
    """Cores that this process may use; threads that share a core count once."""
    usable = usable_cpus()
    cores = {
        (entry.get("physical id"), entry["core id"])
        for entry in _processors()
        if "core id" in entry and int(entry["processor"]) in usable
    }
    return len(cores) or len(usable)


def usable_cpus() -> set[int]:
    """The logical CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def resident_memory() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _processors() -> Iterator[dict[str, str]]:
    if not _CPUINFO.exists():
        return
    for block in _CPUINFO.read_text().strip().split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        yield {name.strip(): value.strip() for name, _, value in pairs}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
