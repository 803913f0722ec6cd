"""Print, for CMake, where the oneDNN wheels put their headers, the library and the licence notices."""

import sys
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path


def installed(package: str) -> list[Path]:
    """Every file of an installed package."""
    return [Path(str(entry.locate())).resolve() for entry in files(package) or []]


try:
    headers, library = installed("onednn-devel-cpu-gomp"), installed("onednn-cpu-gomp")
except PackageNotFoundError:
    sys.exit(1)
include = next((path.parents[2] for path in headers if path.as_posix().endswith("oneapi/dnnl/dnnl.hpp")), None)
shared = next((path for path in library if path.name.startswith("libdnnl.so.3")), None)
notices = [path for path in library if path.name in ("LICENSE", "THIRD-PARTY-PROGRAMS")]
if include is None or shared is None:
    sys.exit(1)
print(";".join(str(path) for path in (include, shared, *dict.fromkeys(notices))))
