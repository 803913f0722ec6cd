"""What oneDNN reports of itself, asked of the very library that the extension has loaded."""

import ctypes
from typing import Any

from foveate.engines.native import _native

_NAME = "libdnnl.so.3"

_INSTRUCTION_SETS = {
    0x1: "SSE4.1", 0x3: "AVX", 0x7: "AVX2", 0xF: "AVX2 VNNI", 0x1F: "AVX2 VNNI 2", 0x27: "AVX-512",
    0x67: "AVX-512 VNNI", 0xE7: "AVX-512 BF16", 0x1EF: "AVX-512 FP16", 0xFEF: "AMX", 0x1FEF: "AMX FP16",
}  # fmt: skip
"""Names for the values of oneDNN's `dnnl_cpu_isa_t`."""


def onednn_version() -> str | None:
    """oneDNN's version, such as "3.2.0"; None if oneDNN is part of the extension or has another name."""
    library = _library()
    if library is None:
        return None
    library.dnnl_version.restype = ctypes.POINTER(ctypes.c_int)
    return ".".join(str(part) for part in library.dnnl_version()[:3])


def instruction_set() -> str | None:
    """The largest set of instructions that oneDNN uses here, such as "AVX-512"; None as for `onednn_version`."""
    library = _library()
    if library is None:
        return None
    number = library.dnnl_get_effective_cpu_isa()
    return _INSTRUCTION_SETS.get(number, hex(number))


def runs_winograd() -> bool:
    """Whether the kernels of Winograd's algorithm run: here, and within the limit of FOVEATE_MAX_ISA."""
    return _native.winograd_available()


def _library() -> Any:
    try:
        return ctypes.CDLL(_NAME)  # the name finds what is loaded, wherever that lies
    except OSError:
        return None
