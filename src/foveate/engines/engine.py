"""The base of engines, which make states and compile graphs into programs."""

import logging
from abc import ABC, abstractmethod
from math import prod
from time import perf_counter
from typing import Any, ClassVar, Unpack, overload

from foveate.engines.base import State
from foveate.engines.group import ALONE, Group
from foveate.engines.machine import physical_memory
from foveate.engines.program import Program
from foveate.engines.request import Options, Request
from foveate.errors import EngineError
from foveate.geometry import format_sizes
from foveate.graph import Graph, Optimizer
from foveate.log import logger


class Engine(ABC):
    """Compiles graphs into programs."""

    name: ClassVar[str]

    group: Group = ALONE
    """The processes that train together; a step gets this one's share of the batch, and updates as for the whole."""

    @property
    def threads(self) -> int:
        """How many threads a program compiled now will use."""
        return 1

    @abstractmethod
    def new_state(self, graph: Graph, optimizer: Optimizer | None = None, seed: int = 0) -> State:
        """Freshly initialised parameters and statistics of `graph`, and slots for `optimizer` if there is one."""

    def copied(self, state: State, optimizer: Optimizer | None = None, seed: int = 0) -> State:
        """A new state with the parameters and statistics of `state`, which is left unchanged."""
        copy = self.new_state(state.graph, optimizer, seed)
        for name in state.names():
            copy.load(name, state.read(name))
        return copy

    @overload
    def compile(self, graph: Graph, request: Request) -> Program: ...

    @overload
    def compile(self, graph: Graph, **options: Unpack[Options]) -> Program: ...

    def compile(self, graph: Graph, request: Request | None = None, **options: Any) -> Program:
        """A program for batches of `batch_size` in one `mode`.

        Args:
            graph: the network.
            request: the options below in one object, already checked.
            batch_size: samples in a batch.
            mode: "inference" (running statistics, no dropout) or "training" (the batch's).
            loss: what `step` minimises: a loss for the only output, or {name: loss} or {name: (loss, weight)}.
            optimizer: how `step` updates; without one it computes gradients only.
            keep: nodes whose activations, and gradients if there are any, can be read.
            differentiable: whether `backward` can be called; it computes gradients of the inputs and the parameters.
            parameter_gradients: whether those of the parameters are computed, which takes time and memory.
            freeze: patterns of arrays to freeze ("stage1.*"); a frozen normalisation uses its running
                statistics and does not update them.
            learning_rate_factors: by pattern, what the learning rate of those parameters is multiplied by.
            clip_norm: the most that the norm of all gradients together may be in an update; they are scaled down to it.
            accumulate: whether `step` can add up the gradients of several batches before an update.

        Raises:
            EngineError: the graph cannot be run in this way; the message says why.
            GraphError: a name or pattern matches nothing.
        """
        since, request = perf_counter(), request if request is not None else Request.of(graph, **options)
        _check_memory(graph, request.batch_size)
        program = self._compile(graph, request)
        if logger.isEnabledFor(logging.DEBUG):
            what = f"{graph.name} for {request.mode} of {request.batch_size} samples"
            seconds = perf_counter() - since
            logger.debug("compiled %s in %.3f s, %d bytes for each session", what, seconds, program.memory)
        return program

    @abstractmethod
    def _compile(self, graph: Graph, request: Request) -> Program: ...


def _check_memory(graph: Graph, batch_size: int) -> None:
    """Refuse at once what no session could hold: some layers take long to compile for such sizes."""
    largest, available = max(graph.nodes, key=lambda node: prod(node.output_shape), default=None), physical_memory()
    if largest is None or available is None:
        return
    needed = 4 * batch_size * prod(largest.output_shape)
    if needed > available:
        raise EngineError(
            f"{largest}: its output for {batch_size:,} samples of {format_sizes(largest.output_shape)} needs "
            f"{needed / 1e9:,.1f} GB, but this machine has {available / 1e9:,.1f} GB. Use a smaller batch or input"
        )
