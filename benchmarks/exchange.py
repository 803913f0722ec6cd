"""The file that one worker writes and the others read: the arrays that all must start from."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_INPUTS, _TARGETS, _RATE, _STATE = "inputs", "targets", "learning rate", "state/"


@dataclass(frozen=True)
class Exchange:
    """A batch, and every parameter and statistic by its name in foveate."""

    inputs: Array
    targets: Array
    state: Mapping[str, Array]
    learning_rate: float = 0.0
    """Of the steps that are checked, where there are any."""

    def write(self, path: Path) -> None:
        """Save everything to `path`, an .npz file."""
        named = {f"{_STATE}{name}": array for name, array in self.state.items()}
        arrays: dict[str, Any] = {
            _INPUTS: self.inputs,
            _TARGETS: self.targets,
            _RATE: np.float64(self.learning_rate),
            **named,
        }
        np.savez(path, **arrays)

    @classmethod
    def read(cls, path: Path) -> "Exchange":
        """What `write` saved."""
        with np.load(path, allow_pickle=False) as file:
            state = {name.removeprefix(_STATE): file[name] for name in file.files if name.startswith(_STATE)}
            return cls(file[_INPUTS], file[_TARGETS], state, float(file[_RATE]))


def random_batch(input_shape: tuple[int, ...], classes: int, batch_size: int) -> tuple[Array, Array]:
    """Normal inputs and uniform class indices, the same in every run."""
    random = np.random.default_rng(0)
    inputs = random.standard_normal((batch_size, *input_shape), dtype=np.float32)
    return inputs, random.integers(0, classes, batch_size)
