"""What engines compile: a Program, which never changes and is shared; everything that a run writes is in a Session."""

import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from types import MappingProxyType
from typing import Any, NamedTuple, TypeAlias, TypedDict, Unpack

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.base import FloatArray, Mode, State
from foveate.engines.request import Request
from foveate.engines.targets import check_targets
from foveate.errors import DataError, EngineError, ShapeError
from foveate.geometry import format_sizes
from foveate.graph import Graph

Inputs: TypeAlias = ArrayLike | Mapping[str, ArrayLike]
"""A batch for the only input, or one for each input by name."""


class StepResult(NamedTuple):
    """What one training step measured: the loss, and how many were classified correctly out of how many.

    With several losses `loss` is their weighted sum and `losses` has each by output; the counts are the first's. With
    classes as targets every position that is not ignored counts, so `correct / counted` is the accuracy; with
    numbers from 0 to 1 every sample counts, and is correct if each of its outputs is on its target's side of 0 (of 1/2
    if the loss applies no sigmoid); with other numbers nothing does. `norm` is that of
    all gradients together before they were clipped, if they are.
    """

    loss: float
    correct: int
    counted: int = 0
    losses: Mapping[str, float] = MappingProxyType({})
    norm: float | None = None

    @property
    def is_finite(self) -> bool:
        """Whether the state could learn from it."""
        return isfinite(self.loss) and (self.norm is None or isfinite(self.norm))


@dataclass(frozen=True)
class StepInfo:
    """One step of a compiled program, for tuning.

    `phase` is "prepare", "forward", "backward" or "update"; `layouts` names the memory format of each operand, and
    `bytes` counts what the step reads and writes.
    """

    phase: str
    node: str
    operation: str
    implementation: str
    layouts: Mapping[str, str]
    bytes: int

    def __str__(self) -> str:
        layouts = " ".join(f"{name}:{layout}" for name, layout in self.layouts.items())
        return (
            f"{self.phase:8} {self.node:24} {self.operation:22} {self.implementation:28} {self.bytes:>12,}  {layouts}"
        )


class StepOptions(TypedDict, total=False):
    """The options of one step; see `Program.step`."""

    learning_rate: float
    momentum: float | None
    sample_weight: ArrayLike | None
    share: float
    first: bool
    last: bool
    update: int | None


# Named tuples, for a step of a small network takes less than a millisecond: they are made several times faster.
class Batch(NamedTuple):
    """A checked batch for one step: inputs by name, targets by output, and the weight of each sample."""

    inputs: Mapping[str, FloatArray]
    targets: Mapping[str, NDArray[Any]]
    sample_weight: FloatArray | None


class Rates(NamedTuple):
    """How far one step goes; if `momentum` is None, it is the optimiser's own.

    The gradients of the batches from the `first` to the `last` are added up, each with its `share`, before an update;
    `update` is the number of those before it, if that is not the number of batches.
    """

    learning_rate: float
    momentum: float | None = None
    share: float = 1.0
    first: bool = True
    last: bool = True
    update: int | None = None


_NO_WAY_BACK = "run step() or backward() first"


class Session(ABC):
    """What one caller's runs write: activations, gradients, results. Give each thread a session of its own."""

    def __init__(self, program: "Program") -> None:
        # Not the program itself, which holds the sessions of its threads: in a circle both would outlive their use.
        self.graph, self.request, self._dtype = program.graph, program.request, program.dtype
        self._has_run = False
        self._without_gradients = _NO_WAY_BACK

    def forward(self, state: State, inputs: Inputs) -> dict[str, FloatArray]:
        """Run the network on a batch; returns a copy of every output by name.

        In training mode normalisation uses the batch's statistics and updates the running ones, as a step would.
        """
        self._check_state(state)
        outputs = self._forward(state, self._check_inputs(inputs))
        self._has_run = True
        return outputs

    def step(self, state: State, inputs: Inputs, targets: Inputs, **options: Unpack[StepOptions]) -> StepResult:
        """One training step; arguments as for `Program.step`."""
        if not self.request.losses or not self.request.training:
            raise EngineError('step() needs a program compiled with mode="training" and a loss')
        self._check_state(state)
        wanted = self._check_targets(targets)
        weights = self._check_weights(options.get("sample_weight"))
        batch = Batch(self._check_inputs(inputs), wanted, weights)
        rates = self._rates(options)
        self._without_gradients = _NO_WAY_BACK
        result = self._step(state, batch, rates)
        self._has_run, self._without_gradients = True, self._why_stopped(result)
        return result

    def _rates(self, options: StepOptions) -> Rates:
        rates = Rates(
            float(options.get("learning_rate", 0.0)),
            options.get("momentum"),
            options.get("share", 1.0),
            options.get("first", True),
            options.get("last", True),
            options.get("update"),
        )
        if not self.request.accumulate and not (rates.first and rates.last):
            raise EngineError("gradients are added up only by a program that is compiled with accumulate=True")
        return rates

    def backward(self, seeds: Mapping[str, ArrayLike]) -> None:
        """Gradients of sum(seed * node) for the last forward pass; read them with `gradient`.

        Args:
            seeds: for outputs and kept nodes, an array with the node's shape and the batch axis.
        """
        if not self.request.differentiable:
            raise EngineError("backward() needs a program compiled with differentiable=True")
        if not self._has_run:
            raise EngineError("backward() needs a forward() before it")
        allowed = {*self.graph.outputs, *self.request.keep}
        checked = {}
        for name, seed in seeds.items():
            if name not in allowed:
                raise EngineError(f'"{name}" is neither an output nor kept; compile with keep=("{name}",)')
            checked[name] = self._check_array(name, seed)
        self._without_gradients = _NO_WAY_BACK
        self._backward(checked)
        self._without_gradients = ""

    def activation(self, name: str) -> FloatArray:
        """A copy of the last run's result of the kept node or output `name`, (N, ...)."""
        if name not in {*self.request.keep, *self.graph.outputs}:
            raise EngineError(f'"{name}" was not kept; compile with keep=("{name}",)')
        if not self._has_run:
            raise EngineError(f'there is no activation of "{name}" yet: run forward() or step() first')
        return self._activation(name)

    def gradient(self, name: str) -> FloatArray:
        """A copy of the last gradient with respect to an input, a kept node, or a parameter ("conv1.weight")."""
        request = self.request
        if name in self.graph.parameters and not request.learns(name):
            way = "compile without parameter_gradients=False"
            if request.parameter_gradients:
                own = not self.graph.parameters[name].trainable
                way = "its layer is frozen" if own else "compile without freeze="
            raise EngineError(f'the gradient of "{name}" is not computed: {way}')
        if self._without_gradients:
            raise EngineError(f'there is no gradient of "{name}": {self._without_gradients}')
        return self._gradient(name)

    def _why_stopped(self, result: StepResult) -> str:
        """Why a step has no gradients; empty if it has."""
        if self.request.optimizer is None or isfinite(result.loss):
            return ""
        return f"the last step ended at its loss, which is {result.loss}; without an optimiser it would have continued"

    @property
    @abstractmethod
    def memory(self) -> int:
        """Bytes that the session owns, without the state's."""

    @abstractmethod
    def _forward(self, state: State, inputs: dict[str, FloatArray]) -> dict[str, FloatArray]: ...

    @abstractmethod
    def _step(self, state: State, batch: Batch, rates: Rates) -> StepResult: ...

    @abstractmethod
    def _backward(self, seeds: dict[str, FloatArray]) -> None: ...

    @abstractmethod
    def _activation(self, name: str) -> FloatArray: ...

    @abstractmethod
    def _gradient(self, name: str) -> FloatArray: ...

    def _check_state(self, state: State) -> None:
        graph, optimizer = self.graph, self.request.optimizer
        if state.graph is not graph and state.graph != graph:
            raise EngineError("the state belongs to a different graph from the program's")
        if optimizer is not None and (state.optimizer is None or state.optimizer.slots != optimizer.slots):
            name = type(optimizer).__name__
            raise EngineError(f"the state has no slots for {name}: make it with engine.new_state(graph, optimizer)")

    def _check_inputs(self, inputs: Inputs) -> dict[str, FloatArray]:
        graph, request = self.graph, self.request
        named = inputs if isinstance(inputs, Mapping) else {graph.only_input: inputs}
        if set(named) != set(graph.inputs):
            raise EngineError(f"the network takes {', '.join(graph.inputs)}, but got {', '.join(named)}")
        checked = {name: self._check_array(name, array) for name, array in named.items()}
        if request.differentiable or any(name in request.keep for name in checked):
            # They are read again later, when the caller may have written into them.
            return {name: array.copy() for name, array in checked.items()}
        return checked

    def _check_array(self, name: str, array: ArrayLike) -> FloatArray:
        values: FloatArray = np.ascontiguousarray(array, dtype=self._dtype)
        expected = (self.request.batch_size, *self.graph.shapes[name])
        if values.shape != expected:
            raise ShapeError(
                f"{name} must have the shape {format_sizes(expected)} (batch first), "
                f"but the array has {format_sizes(values.shape) or 'no axes'}"
            )
        return values

    def _check_targets(self, targets: Inputs) -> dict[str, NDArray[Any]]:
        losses = self.request.losses
        outputs = [each.output for each in losses]
        if not isinstance(targets, Mapping):
            if len(outputs) > 1:
                raise DataError(f"there are losses on {' and '.join(outputs)}; give targets for each by name")
            targets = {outputs[0]: targets}
        if set(targets) != set(outputs):
            raise DataError(f"targets are given for {', '.join(targets)}, but there are losses on {', '.join(outputs)}")
        return {
            each.output: check_targets(
                each.loss, targets[each.output], self.request.batch_size, self.graph.shapes[each.output], self._dtype
            )
            for each in losses
        }

    def _check_weights(self, sample_weight: ArrayLike | None) -> FloatArray | None:
        if sample_weight is None:
            return None
        count = self.request.batch_size
        weights: FloatArray = np.ascontiguousarray(sample_weight, dtype=self._dtype)
        finite = np.isfinite(weights).all()
        if weights.shape != (count,) or not finite or weights.min() < 0 or not weights.sum() > 0:
            raise DataError(
                f"sample_weight must be {count} numbers, none negative and not all zero, one for each sample"
            )
        return weights


class Program(ABC):
    """A graph compiled for one request; runs on any State of that graph, for any number of callers at once.

    `forward`, `step`, `backward`, `activation` and `gradient` use a session that belongs to the calling thread.
    """

    def __init__(self, graph: Graph, request: Request) -> None:
        self.graph = graph
        self.request = request
        self._own = threading.local()
        self._idle: list[Session] = []
        self._lock = threading.Lock()

    @property
    def batch_size(self) -> int:
        """Samples in a batch."""
        return self.request.batch_size

    @property
    def mode(self) -> Mode:
        """Inference or training."""
        return self.request.mode

    def forward(self, state: State, inputs: Inputs) -> dict[str, FloatArray]:
        """Run the network on a batch; returns a copy of every output by name.

        In training mode normalisation uses the batch's statistics and updates the running ones, as a step would.
        """
        return self._session().forward(state, inputs)

    def step(self, state: State, inputs: Inputs, targets: Inputs, **options: Unpack[StepOptions]) -> StepResult:
        """One training step: forward, loss, backward, and the update if the program has an optimiser.

        Args:
            state: changed in place.
            inputs: (N, ...) float32.
            targets: (N, *positions) class indices, or numbers of the output's shape (N, K, *positions), as the loss
                says. If there are several losses, one array for each output by name.
            learning_rate: the learning rate of this step (default: 0).
            momentum: the momentum of this step (default: the optimiser's own).
            sample_weight: (N,) weights; the loss is their weighted mean.
            share: what this batch's gradients are multiplied by, if those of several batches are added up.
            first: whether this is the first of them; the sum begins anew.
            last: whether this is the last of them; the parameters are updated.
            update: how many updates there were before (default: how many steps).

        A step whose loss is NaN or infinite learns nothing from it: if there is an optimiser, the state stays as it
        was. The same holds if the norm of gradients that are to be clipped is.

        If all targets are ignored, loss and gradients are 0. The update still takes place: momentum and weight decay
        continue.

        Raises:
            EngineError: the program was compiled without a loss or for inference.
            DataError: the loss cannot compare the output with such targets.
        """
        return self._session().step(state, inputs, targets, **options)

    def backward(self, seeds: Mapping[str, ArrayLike]) -> None:
        """Gradients of sum(seed * node) for the last forward pass; read them with `gradient`.

        Args:
            seeds: for outputs and kept nodes, an array with the node's shape and the batch axis.
        """
        self._session().backward(seeds)

    def activation(self, name: str) -> FloatArray:
        """A copy of the last run's result of the kept node or output `name`, (N, ...)."""
        return self._session().activation(name)

    def gradient(self, name: str) -> FloatArray:
        """A copy of the last gradient with respect to an input, a kept node, or a parameter ("conv1.weight")."""
        return self._session().gradient(name)

    @contextmanager
    def borrowed(self) -> Iterator[Session]:
        """Borrow a session: an idle one, or a new one."""
        with self._lock:
            session = self._idle.pop() if self._idle else None
        session = session or self.new_session()
        try:
            yield session
        finally:
            with self._lock:
                self._idle.append(session)

    def release(self) -> None:
        """Release idle sessions."""
        with self._lock:
            self._idle.clear()

    @abstractmethod
    def new_session(self) -> Session:
        """A separate session, for one caller at a time."""

    @property
    @abstractmethod
    def memory(self) -> int:
        """Bytes that a session owns, without the state's."""

    @property
    @abstractmethod
    def dtype(self) -> type[np.floating]:
        """The type of all numbers."""

    @abstractmethod
    def steps(self) -> list[StepInfo]:
        """What the program runs, in order."""

    def _session(self) -> Session:
        session: Session | None = getattr(self._own, "session", None)
        if session is None:
            session = self._own.session = self.new_session()
        return session
