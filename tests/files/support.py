"""Files changed as nobody should change them."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from safetensors.numpy import load

from benchmarks.packing import packed
from foveate.files.container import KEY


def document_of(path: Path) -> dict[str, Any]:
    """The JSON document of a foveate file."""
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    found: dict[str, Any] = json.loads(header["__metadata__"][KEY])
    return found


def rewritten(
    path: Path, change: Callable[[dict[str, Any]], object] = lambda _: None, arrays: Mapping[str, Any] | None = None
) -> Path:
    """The file at `path` with its document changed, or with other arrays; its checksum fits."""
    document = document_of(path)
    change(document)
    path.write_bytes(packed(load(path.read_bytes()) if arrays is None else arrays, document))
    return path
