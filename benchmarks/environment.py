"""Where a benchmark ran: the processor, its cores, and the versions of what took part."""

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from foveate.engines.machine import cpu_name, data_caches, physical_cores, usable_cpus

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


def core_caches() -> dict[str, str]:
    """The sizes of a core's own data caches by level; empty where the system does not tell."""
    return {level: size for level, size in data_caches().items() if level in ("L1", "L2")}


def resident_memory() -> int:
    """Bytes of this process that are in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
