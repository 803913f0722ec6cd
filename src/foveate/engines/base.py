"""The base of engines' states: a State owns a network's arrays."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import EngineError, ShapeError
from foveate.geometry import format_sizes
from foveate.graph import Graph, Optimizer, nearest

FloatArray: TypeAlias = NDArray[np.floating]
"""An array of the engine's floating-point type."""

Mode: TypeAlias = Literal["inference", "training"]
"""Whether normalisation uses running or batch statistics, and whether dropout drops; fixed when compiled."""


@dataclass
class Clock:
    """Counts the changes of a state's arrays; shared by all states that hold the same memory."""

    version: int = 0


class State(ABC):
    """Parameters, statistics, optimiser slots and the step count of one network, owned once.

    Arrays are read and loaded by name in the canonical layout (O, I/groups, *kernel). Optimiser slots are called
    "slot/parameter", for example "momentum/conv1.weight". Any number of runs may read a state at once; while `step` or
    `load` changes it, nothing else may use it. A state can be pickled and copied.
    """

    def __init__(self, graph: Graph, optimizer: Optimizer | None, seed: int) -> None:
        self.graph = graph
        self.optimizer = optimizer
        self.seed = seed
        self.step_count = 0
        self._clock = Clock()

    @property
    def version(self) -> int:
        """Changes whenever the arrays do, so that anything derived from them is known to be stale."""
        return self._clock.version

    def changed(self) -> None:
        """Note that an array was written."""
        self._clock.version += 1

    def seen_as(self, graph: Graph) -> Self:
        """The same memory as the state of another graph, whose layers hold exactly the same arrays."""
        other = object.__new__(type(self))
        other.__dict__.update(self.__dict__)
        other.graph = graph
        return other

    def names(self, *, slots: bool = False) -> list[str]:
        """Names of all parameters and statistics, and optionally of the optimiser's slots."""
        names = [*self.graph.parameters, *self.graph.statistics]
        if slots and self.optimizer is not None:
            names += [f"{slot}/{name}" for slot in self.optimizer.slots for name in self.graph.parameters]
        return names

    def read(self, name: str) -> FloatArray:
        """A copy of the array called `name`, in the canonical layout."""
        self._check_name(name)
        return self._read(name)

    def looks_finite(self) -> bool:
        """Whether a quick look at parameters and statistics finds no NaN or infinity; True if no look is quick."""
        return True

    def load(self, name: str, array: ArrayLike) -> None:
        """Replace the array called `name`.

        Raises:
            ShapeError: `array` has another shape.
            EngineError: no array has that name; the message gives the nearest.
        """
        expected = self._check_name(name)
        values = np.asarray(array)
        if values.shape != expected:
            raise ShapeError(
                f"{name} has the shape {format_sizes(expected)}, but the array given for it "
                f"{format_sizes(values.shape) or 'is a single number'}"
            )
        self._load(name, values)
        self.changed()

    def move_towards(self, other: Self, share: float = 1.0) -> None:
        """Move every parameter and statistic towards another state's by `share` of the way; 1 makes them its own."""
        self._move_towards(other, share)
        self.changed()

    def __getstate__(self) -> dict[str, Any]:
        arrays = {name: self._read(name) for name in self.names(slots=True)}
        return {"made": self._made_from(), "step_count": self.step_count, "arrays": arrays}

    def __setstate__(self, data: Mapping[str, Any]) -> None:
        self.__init__(*data["made"])  # type: ignore[misc]
        for name, array in data["arrays"].items():
            self._load(name, array)
        self.step_count = data["step_count"]

    def _made_from(self) -> tuple[Any, ...]:
        """The arguments that make an equal state."""
        return self.graph, self.optimizer, self.seed

    def _check_name(self, name: str) -> tuple[int, ...]:
        if not isinstance(name, str):
            raise EngineError(f"an array is given by its name, but got {name!r}; there are {', '.join(self.names())}")
        plain = name.rsplit("/", 1)[-1]
        if name not in self.names(slots=True):
            raise EngineError(f'there is no array "{name}".{nearest(name, self.names(slots=True))}')
        known = self.graph.parameters.get(plain) or self.graph.statistics[plain]
        return known.shape

    def _move_towards(self, other: Self, share: float) -> None:
        for name in self.names():
            mine, its = self._read(name), other._read(name)
            self._load(name, its if share == 1 else mine + mine.dtype.type(share) * (its - mine))

    @abstractmethod
    def _read(self, name: str) -> FloatArray: ...

    @abstractmethod
    def _load(self, name: str, array: FloatArray) -> None: ...
