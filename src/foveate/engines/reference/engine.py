"""The reference engine: NumPy, plain and short. It is the definition of each operation, and the tests' oracle."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import Engine, FloatArray, Mode, Program, State, StepInfo, StepResult
from foveate.engines.initializers import initial_arrays
from foveate.engines.operations import Context, operation_of
from foveate.engines.random import raw
from foveate.engines.reference.losses import count_correct, loss_and_gradient
from foveate.engines.reference.optimizers import update
from foveate.errors import EngineError
from foveate.graph import Graph, Loss, Node, Optimizer


class ReferenceState(State):
    """Arrays by name, as they are."""

    def __init__(self, graph: Graph, optimizer: Optimizer | None, seed: int, dtype: type[np.floating]) -> None:
        super().__init__(graph, optimizer, seed)
        self.arrays = {name: array.astype(dtype) for name, array in initial_arrays(graph, seed).items()}
        for name in self.names(slots=True):
            if "/" in name:
                self.arrays[name] = np.zeros_like(self.arrays[name.rsplit("/", 1)[-1]])

    def _read(self, name: str) -> FloatArray:
        return self.arrays[name].copy()

    def _load(self, name: str, array: FloatArray) -> None:
        self.arrays[name] = array.astype(self.arrays[name].dtype)

    def of(self, node: Node, names: Mapping[str, object]) -> dict[str, FloatArray]:
        """The node's arrays by their short names."""
        return {name: self.arrays[f"{node.parameters}.{name}"] for name in names}


class ReferenceProgram(Program):
    """Runs the graph node by node, keeping everything."""

    def __init__(
        self,
        graph: Graph,
        batch_size: int,
        mode: Mode,
        loss: Loss | None,
        optimizer: Optimizer | None,
        keep: Sequence[str],
        differentiable: bool,
        parameter_gradients: bool,
        dtype: type[np.floating],
    ) -> None:
        super().__init__(graph, batch_size, mode, loss, optimizer, keep, differentiable, parameter_gradients)
        self._type = dtype
        self._values: dict[str, FloatArray] = {}
        self._contexts: dict[str, Context] = {}
        self._parameters: dict[str, dict[str, FloatArray]] = {}
        self._gradients: dict[str, FloatArray] = {}
        for node in graph.nodes:
            operation_of(node.layer)

    @property
    def _dtype(self) -> type[np.floating]:
        return self._type

    @property
    def memory(self) -> int:
        """Bytes of the activations and gradients that are held now."""
        return sum(array.nbytes for array in (*self._values.values(), *self._gradients.values()))

    def steps(self) -> list[StepInfo]:
        """One step for each node, and one back if the program has gradients."""
        phases = ["forward"] + (["backward"] if self.loss is not None or self.differentiable else [])
        itemsize = np.dtype(self._type).itemsize
        infos = []
        for phase in phases:
            for node in self.graph.nodes if phase == "forward" else reversed(self.graph.nodes):
                size = int(np.prod(node.output_shape)) * self.batch_size * itemsize
                infos.append(StepInfo(phase, node.name, type(node.layer).__name__, "numpy", {"output": "plain"}, size))
        return infos

    def _gradient(self, name: str) -> FloatArray:
        if name not in self._gradients:
            raise EngineError(f'there is no gradient of "{name}": run step() or backward() first, or check the name')
        return self._gradients[name].copy()

    def _activation(self, name: str) -> FloatArray:
        return self._values[name].copy()

    def _forward(self, state: State, inputs: dict[str, FloatArray]) -> dict[str, FloatArray]:
        assert isinstance(state, ReferenceState)
        self._values = dict(inputs)
        training = self.mode == "training"
        for node in self.graph.nodes:
            statistics = state.of(node, node.layer.statistics(node.input_shapes))
            context = Context(training, statistics, partial(raw, state.seed, node.name, state.step_count))
            parameters = state.of(node, node.layer.parameters(node.input_shapes))
            values = [self._values[name] for name in node.inputs]
            self._values[node.name] = operation_of(node.layer).forward(node.layer, values, parameters, context)
            self._contexts[node.name] = context
            self._parameters[node.name] = parameters
            for name, statistic in context.statistics.items():
                state.arrays[f"{node.parameters}.{name}"] = statistic
        if training:
            state.version += 1
        return {name: self._values[name].copy() for name in self.graph.outputs}

    def _backward(self, seeds: dict[str, FloatArray]) -> None:
        gradients: dict[str, FloatArray] = {name: np.array(seed, self._type) for name, seed in seeds.items()}
        for name, parameter in self.graph.parameters.items():
            gradients[name] = np.zeros(parameter.shape, self._type)
        for node in reversed(self.graph.nodes):
            output = self._values[node.name]
            gradient = gradients.setdefault(node.name, np.zeros_like(output))
            inputs = [self._values[name] for name in node.inputs]
            to_inputs, to_parameters = operation_of(node.layer).backward(
                node.layer, inputs, self._parameters[node.name], output, gradient, self._contexts[node.name]
            )
            for name, array in zip(node.inputs, to_inputs, strict=True):
                if array is not None:
                    gradients[name] = gradients[name] + array if name in gradients else array
            for name, array in to_parameters.items():
                gradients[f"{node.parameters}.{name}"] += array
        self._gradients = gradients

    def _step(
        self,
        state: State,
        inputs: dict[str, FloatArray],
        targets: NDArray[Any],
        learning_rate: float,
        momentum: float | None,
        sample_weight: FloatArray | None,
    ) -> StepResult:
        assert isinstance(state, ReferenceState)
        assert self.loss is not None
        output = self.graph.only_output
        logits = self._forward(state, inputs)[output]
        loss, gradient = loss_and_gradient(self.loss, logits, targets, sample_weight)
        self._backward({output: gradient})
        state.step_count += 1
        if self.optimizer is not None:
            self._update(state, self.optimizer, learning_rate, momentum)
        return StepResult(loss, count_correct(self.loss, logits, targets))

    def _update(
        self, state: ReferenceState, optimizer: Optimizer, learning_rate: float, momentum: float | None
    ) -> None:
        for name, parameter in self.graph.parameters.items():
            if parameter.trainable:
                state.arrays[name] = update(
                    optimizer,
                    state.arrays[name],
                    self._gradients[name],
                    {slot: state.arrays[f"{slot}/{name}"] for slot in optimizer.slots},
                    decays=parameter.decay,
                    step=state.step_count,
                    learning_rate=learning_rate,
                    momentum=momentum,
                )
        state.version += 1


class ReferenceEngine(Engine):
    """NumPy in float32, or in float64 where the tests want the truth."""

    name: ClassVar[str] = "reference"

    def __init__(self, dtype: type[np.floating] = np.float32) -> None:
        self.dtype = dtype

    def new_state(self, graph: Graph, optimizer: Optimizer | None = None, seed: int = 0) -> ReferenceState:
        """Freshly initialised parameters and statistics of `graph`, and slots for `optimizer` if there is one."""
        return ReferenceState(graph, optimizer, seed, self.dtype)

    def _compile(
        self,
        graph: Graph,
        batch_size: int,
        mode: Mode,
        loss: Loss | None,
        optimizer: Optimizer | None,
        keep: Sequence[str],
        differentiable: bool,
        parameter_gradients: bool,
    ) -> ReferenceProgram:
        return ReferenceProgram(
            graph, batch_size, mode, loss, optimizer, keep, differentiable, parameter_gradients, self.dtype
        )
