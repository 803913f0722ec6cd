"""What every result can do: hand its numbers on as JSON."""

from dataclasses import dataclass, fields, is_dataclass
from math import isfinite
from typing import Any

import numpy as np

from foveate.layers import Layer


@dataclass(frozen=True, eq=False)
class Result:
    """Numbers that were found out, as fields with names."""

    def to_json(self) -> dict[str, Any]:
        """Every field by its name, as JSON has it.

        Arrays become nested lists, ranges [begin, end], layers the words that describe them; NaN and infinity, which
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
