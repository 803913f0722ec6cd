"""How much memory a process has."""

from pathlib import Path


def peak() -> float:
    """Bytes that this process held at most; getrusage would count what the one that started it held."""
    return _bytes("VmHWM")


def reserved() -> float:
    """Bytes of address space that this process has now."""
    return _bytes("VmSize")


def _bytes(what: str) -> float:
    status = Path("/proc/self/status").read_text()
    return 1024.0 * int(status.split(f"{what}:")[1].split()[0])
