"""What every result can do: export its numbers as JSON."""

from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from foveate.layers import Layer


@dataclass(frozen=True, eq=False)
class Result:
    """Measured numbers, as named fields."""

    def to_json(self) -> dict[str, Any]:
        """Every field by name, in JSON's types.

        Arrays become nested lists, ranges [begin, end], layers their descriptions; NaN and infinity, which
        JSON lacks, become None.
        """
        return {field.name: _plain(getattr(self, field.name)) for field in fields(self)}


def _plain(value: Any) -> Any:
    if isinstance(value, Layer):
        return value.describe()
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, range):
        return [value.start, value.stop]
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not isfinite(value) else value
