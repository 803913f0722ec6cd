"""The reference engine: NumPy, plain and short. It is the definition of each operation, and the tests' oracle."""

from collections.abc import Mapping
from functools import partial
from math import isfinite
from typing import Any, ClassVar

import numpy as np

from foveate.engines.base import FloatArray, State
from foveate.engines.definitions import Context, definition_of
from foveate.engines.engine import Engine
from foveate.engines.initializers import initial_arrays
from foveate.engines.losses import count_correct, measure_loss, measure_of
from foveate.engines.own_updates import Learning
from foveate.engines.program import Batch, Program, Rates, Session, StepInfo, StepResult
from foveate.engines.random import raw
from foveate.engines.reference.optimizers import update
from foveate.engines.request import Request
from foveate.errors import EngineError
from foveate.graph import Graph, Node, Optimizer


class ReferenceState(State):
    """Arrays by name, as they are."""

    def __init__(self, graph: Graph, optimizer: Optimizer | None, seed: int, dtype: type[np.floating]) -> None:
        super().__init__(graph, optimizer, seed)
        self.dtype = dtype
        self.accumulated: dict[str, FloatArray] = {}
        """The sums of gradients of several batches; no part of what is read, copied and saved."""
        self.arrays = {name: array.astype(dtype) for name, array in initial_arrays(graph, seed).items()}
        for name in self.names(slots=True):
            if "/" in name:
                self.arrays[name] = np.zeros_like(self.arrays[name.rsplit("/", 1)[-1]])

    def of(self, node: Node, names: Mapping[str, object]) -> dict[str, FloatArray]:
        """The node's arrays by their short names."""
        return {name: self.arrays[f"{node.parameters}.{name}"] for name in names}

    def looks_finite(self) -> bool:
        """Whether all parameters and statistics are finite."""
        return all(np.isfinite(self.arrays[name]).all() for name in self.names())

    def _made_from(self) -> tuple[Any, ...]:
        return *super()._made_from(), self.dtype

    def _read(self, name: str) -> FloatArray:
        return self.arrays[name].copy()

    def _load(self, name: str, array: FloatArray) -> None:
        self.arrays[name] = array.astype(self.arrays[name].dtype)


class ReferenceProgram(Program):
    """Runs the graph node by node."""

    def __init__(self, graph: Graph, request: Request, dtype: type[np.floating]) -> None:
        super().__init__(graph, request)
        self._type = dtype
        for node in graph.nodes:
            definition_of(node.layer)
        for each in request.losses:
            measure_of(each.loss)

    @property
    def dtype(self) -> type[np.floating]:
        """float32, or float64 if asked for."""
        return self._type

    @property
    def memory(self) -> int:
        """Bytes of the activations and gradients that the calling thread's session holds now."""
        return self._session().memory

    def new_session(self) -> "ReferenceSession":
        """A separate session, for one caller at a time."""
        return ReferenceSession(self)

    def steps(self) -> list[StepInfo]:
        """One step for each node, and one back if the program has gradients."""
        phases = ["forward"] + (["backward"] if self.request.with_gradients else [])
        itemsize = np.dtype(self._type).itemsize
        infos = []
        for phase in phases:
            for node in self.graph.nodes if phase == "forward" else reversed(self.graph.nodes):
                size = int(np.prod(node.output_shape)) * self.batch_size * itemsize
                infos.append(StepInfo(phase, node.name, type(node.layer).__name__, "numpy", {"output": "plain"}, size))
        return infos


class ReferenceSession(Session):
    """Keeps everything that the last run computed."""

    def __init__(self, program: ReferenceProgram) -> None:
        super().__init__(program)
        self._values: dict[str, FloatArray] = {}
        self._contexts: dict[str, Context] = {}
        self._parameters: dict[str, dict[str, FloatArray]] = {}
        self._gradients: dict[str, FloatArray] = {}

    @property
    def memory(self) -> int:
        """Bytes of the activations and gradients that are held now."""
        return sum(array.nbytes for array in (*self._values.values(), *self._gradients.values()))

    def _gradient(self, name: str) -> FloatArray:
        if name not in self._gradients:
            raise EngineError(f'there is no gradient of "{name}": it is neither an input, a node nor a parameter')
        return self._gradients[name].copy()

    def _activation(self, name: str) -> FloatArray:
        return self._values[name].copy()

    def _forward(self, state: State, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        assert isinstance(state, ReferenceState)
        self._values = dict(inputs)
        for node in self.graph.nodes:
            statistics = state.of(node, node.layer.statistics(node.input_shapes))
            # A frozen normalisation works as in inference; layers without statistics know the mode alone.
            training = self.request.measures(node) if statistics else self.request.training
            context = Context(training, statistics, partial(raw, state.seed, node.name, state.step_count))
            parameters = state.of(node, node.layer.parameters(node.input_shapes))
            values = [self._values[name] for name in node.inputs]
            self._values[node.name] = definition_of(node.layer).forward(node.layer, values, parameters, context)
            self._contexts[node.name] = context
            self._parameters[node.name] = parameters
            for name, statistic in context.statistics.items():
                state.arrays[f"{node.parameters}.{name}"] = statistic
        if self.request.training:
            state.changed()
        return {name: self._values[name].copy() for name in self.graph.outputs}

    def _backward(self, seeds: Mapping[str, FloatArray]) -> None:
        dtype = self._dtype
        gradients: dict[str, FloatArray] = {name: np.array(seed, dtype) for name, seed in seeds.items()}
        for name, parameter in self.graph.parameters.items():
            gradients[name] = np.zeros(parameter.shape, dtype)
        for node in reversed(self.graph.nodes):
            output = self._values[node.name]
            gradient = gradients.setdefault(node.name, np.zeros_like(output))
            inputs = [self._values[name] for name in node.inputs]
            to_inputs, to_parameters = definition_of(node.layer).backward(
                node.layer, inputs, self._parameters[node.name], output, gradient, self._contexts[node.name]
            )
            for name, array in zip(node.inputs, to_inputs, strict=True):
                if array is not None:
                    gradients[name] = gradients[name] + array if name in gradients else array
            for name, array in to_parameters.items():
                gradients[f"{node.parameters}.{name}"] += array
        self._gradients = gradients

    def _step(self, state: State, batch: Batch, rates: Rates) -> StepResult:
        assert isinstance(state, ReferenceState)
        before = dict(state.arrays)
        outputs = self._forward(state, batch.inputs)
        losses, seeds, counts = {}, {}, []
        for each in self.request.losses:
            output, targets = outputs[each.output], batch.targets[each.output]
            measured = measure_loss(each.loss, output, targets, batch.sample_weight)
            losses[each.output], seeds[each.output] = measured.loss, each.weight * measured.gradient
            counts.append(count_correct(each.loss, output, targets))
        total = sum(each.weight * losses[each.output] for each in self.request.losses)
        if self.request.optimizer is not None and not isfinite(total):
            state.arrays.update(before)
            return StepResult(total, *counts[0], losses)
        self._backward(seeds)
        if self.request.accumulate:
            self._add_up(state, rates)
        norm = self._clip() if self.request.clip_norm is not None and rates.last else None
        result = StepResult(total, *counts[0], losses, norm)
        if self.request.optimizer is not None and not result.is_finite:
            state.arrays.update(before)
            return result
        state.step_count += 1
        if self.request.optimizer is not None and rates.last:
            done = state.step_count - 1 if rates.update is None else rates.update
            self._update(state, self.request.optimizer, rates, done + 1)
        return result

    def _learning(self) -> list[str]:
        parameters = self.graph.parameters.items()
        return [name for name, parameter in parameters if parameter.trainable and self.request.learns(name)]

    def _add_up(self, state: ReferenceState, rates: Rates) -> None:
        """Add the gradients to those of the batches before; the sum takes the place of the last one's."""
        if rates.first and rates.last:
            return
        share = self._dtype(rates.share)
        for name in self._learning():
            sum_so_far = 0 if rates.first else state.accumulated[name]
            self._gradients[name] = state.accumulated[name] = sum_so_far + share * self._gradients[name]

    def _clip(self) -> float:
        """Scale the gradients so that their norm is at most the request's; returns the norm before."""
        assert self.request.clip_norm is not None
        names = self._learning()
        norm = float(np.sqrt(sum(float(np.square(self._gradients[name], dtype=np.float64).sum()) for name in names)))
        factor = self.request.clip_norm / (norm + 1e-6)
        if factor < 1 and isfinite(norm):
            for name in names:
                self._gradients[name] = self._gradients[name] * self._dtype(factor)
        return norm

    def _update(self, state: ReferenceState, optimizer: Optimizer, rates: Rates, number: int) -> None:
        factors = dict(self.request.rate_factors)
        for name in self._learning():
            slots = {slot: state.arrays[f"{slot}/{name}"] for slot in optimizer.slots}
            learning = Learning(state.arrays[name], self._gradients[name], slots, self.graph.parameters[name].decay)
            own = rates._replace(learning_rate=factors.get(name, 1.0) * rates.learning_rate)
            state.arrays[name] = update(optimizer, learning, own, number)
        state.changed()


class ReferenceEngine(Engine):
    """NumPy in float32, or in float64 for tests that need a reference value."""

    name: ClassVar[str] = "reference"

    def __init__(self, dtype: type[np.floating] = np.float32) -> None:
        self.dtype = dtype

    def new_state(self, graph: Graph, optimizer: Optimizer | None = None, seed: int = 0) -> ReferenceState:
        """Freshly initialised parameters and statistics of `graph`, and slots for `optimizer` if there is one."""
        return ReferenceState(graph, optimizer, seed, self.dtype)

    def _compile(self, graph: Graph, request: Request) -> ReferenceProgram:
        return ReferenceProgram(graph, request, self.dtype)
