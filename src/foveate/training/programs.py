"""The compiled programs of one network: made when first asked for, the least recently used given up."""

from typing import TypeAlias

from foveate.engines import Engine, Program
from foveate.engines.base import Mode
from foveate.graph import Graph, Loss, Optimizer

_Key: TypeAlias = tuple[int, Mode, Loss | None, Optimizer | None]


class Programs:
    """Programs of one graph on one engine, for any batch size and mode; all run on the same State."""

    def __init__(self, engine: Engine, graph: Graph, *, capacity: int = 4) -> None:
        """Keep at most `capacity` programs: a training and its last batch, an evaluation and its last batch."""
        self.engine = engine
        self.graph = graph
        self._capacity = capacity
        self._programs: dict[_Key, Program] = {}

    def __len__(self) -> int:
        return len(self._programs)

    def get(self, batch_size: int, mode: Mode, loss: Loss | None = None, optimizer: Optimizer | None = None) -> Program:
        """The program for `batch_size` samples in `mode`; arguments as for `Engine.compile`."""
        key = (batch_size, mode, loss, optimizer)
        program = self._programs.pop(key, None) or self._compile(key)
        self._programs[key] = program
        return program

    def _compile(self, key: _Key) -> Program:
        while len(self._programs) >= self._capacity:
            del self._programs[next(iter(self._programs))]
        batch_size, mode, loss, optimizer = key
        return self.engine.compile(self.graph, batch_size=batch_size, mode=mode, loss=loss, optimizer=optimizer)
