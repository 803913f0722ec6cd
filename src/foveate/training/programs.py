"""The compiled programs of one network: compiled when first asked for, the least recently used dropped."""

import threading
from collections.abc import Iterator, Mapping
from math import prod
from typing import TypeAlias, Unpack

import numpy as np

from foveate.engines import Engine, Program, Request, State
from foveate.engines.base import FloatArray
from foveate.engines.request import Options
from foveate.errors import DataError
from foveate.graph import Graph

LARGEST_BATCH = 256
"""The most samples that inference runs at once; a power of two."""

LARGEST_WORKSPACE = 128 * 2**20
"""Bytes that the inputs and activations of a batch should stay below, unless one sample needs more."""

_Key: TypeAlias = tuple[Request, int]


class Programs:
    """Programs of one graph on one engine, for any number of callers at once; all run on the same State."""

    def __init__(self, engine: Engine, graph: Graph, *, capacity: int = 4) -> None:
        """Keep at most `capacity` programs beside those for inference, of which there is one for each power of two."""
        self.engine = engine
        self.graph = graph
        self.batch_size = samples_at_once(graph)
        """Samples that inference runs at once by default."""
        self._capacity = capacity
        self._programs: dict[_Key, Program] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._programs)

    def get(self, **options: Unpack[Options]) -> Program:
        """The program for these options of `Engine.compile`."""
        request = Request.of(self.graph, **options)
        key = request, self.engine.threads
        with self._lock:
            program = self._programs.pop(key, None)
            if program is None:
                self._make_room()
                program = self.engine.compile(self.graph, request)
            self._programs[key] = program
            return program

    def outputs(self, state: State, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """Every output (N, ...) for N prepared inputs, run in parts whose sizes are powers of two."""
        count = len(next(iter(inputs.values())))
        parts = []
        for begin, end in powers_of_two(count, LARGEST_BATCH):
            program = self.get(batch_size=end - begin, mode="inference")
            # What overflows is told in a sentence by whoever reads the outputs, so NumPy need not warn of it.
            with program.borrowed() as session, np.errstate(over="ignore", invalid="ignore"):
                parts.append(session.forward(state, {name: array[begin:end] for name, array in inputs.items()}))
        return {name: np.concatenate([part[name] for part in parts]) for name in self.graph.outputs}

    def size(self, given: int | None = None) -> int:
        """How many samples to run at once: as many as given, or few enough to take little memory.

        Raises:
            DataError: it is not a number of samples.
        """
        if given is None:
            return self.batch_size
        if isinstance(given, bool) or not isinstance(given, int) or given < 1:
            raise DataError(f"batch_size is {given!r}; it must be an int of at least 1, or None")
        return given

    def release(self) -> None:
        """Release what runs on an earlier state left behind."""
        with self._lock:
            for program in self._programs.values():
                program.release()

    def _make_room(self) -> None:
        sized = [key for key in self._programs if not _serves_any_size(key[0])]
        for key in sized[: max(0, len(sized) - self._capacity + 1)]:
            del self._programs[key]


def powers_of_two(count: int, largest: int) -> Iterator[tuple[int, int]]:
    """Stretches of `count` samples whose lengths are powers of two, the long ones first.

    >>> list(powers_of_two(70, 32))
    [(0, 32), (32, 64), (64, 68), (68, 70)]
    """
    begin = 0
    while begin < count:
        size = min(largest, 1 << ((count - begin).bit_length() - 1))
        yield begin, begin + size
        begin += size


def samples_at_once(graph: Graph) -> int:
    """How many samples inference runs at once by default: a power of two whose activations take little memory.

    This counts the inputs, and twice what the most expensive node reads and writes, in float32.
    """
    inputs = sum(prod(shape) for shape in graph.inputs.values())
    widest = max((sum(map(prod, node.input_shapes)) + prod(node.output_shape) for node in graph.nodes), default=0)
    fitting = LARGEST_WORKSPACE // (4 * (inputs + 2 * widest))
    return min(LARGEST_BATCH, 1 << max(0, fitting.bit_length() - 1))


def _serves_any_size(request: Request) -> bool:
    size = request.batch_size
    return request.mode == "inference" and size <= LARGEST_BATCH and size & (size - 1) == 0
