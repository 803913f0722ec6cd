"""Files of foveate made by the safetensors library itself, with any arrays and any document."""

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from foveate.files.container import KEY

_UNSIGNED = "0" * 64


def packed(arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]) -> bytes:
    """The bytes of a file; its checksum fits."""
    unsigned = {"sha256": _UNSIGNED, **{name: entry for name, entry in document.items() if name != "sha256"}}
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = save(contiguous, {KEY: json.dumps(unsigned, allow_nan=False)})
    return content.replace(_UNSIGNED.encode(), sha256(content).hexdigest().encode(), 1)
