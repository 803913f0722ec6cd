"""What every engine offers: a State that owns the arrays, and Programs compiled for a batch size and a mode."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines.targets import check_targets
from foveate.errors import DataError, EngineError, ShapeError
from foveate.geometry import format_sizes
from foveate.graph import CrossEntropy, Graph, Loss, MeanSquaredError, Optimizer, nearest
from foveate.layers import LogSoftmax, Sigmoid, Softmax

FloatArray: TypeAlias = NDArray[np.floating]
"""An array of the engine's floating-point type."""

Mode: TypeAlias = Literal["inference", "training"]
"""Whether normalisation uses running or batch statistics, and whether dropout drops; fixed when compiled."""


@dataclass(frozen=True)
class StepResult:
    """What one training step measured: the mean loss, and how many samples were classified correctly.

    With BinaryCrossEntropy a sample is correct if each of its outputs is on its target's side of 0; with
    MeanSquaredError none is.
    """

    loss: float
    correct: int


@dataclass(frozen=True)
class StepInfo:
    """One step of a compiled program, for people who tune.

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


class State(ABC):
    """Parameters, statistics, optimiser slots and the step count of one network, owned once.

    Arrays are read and loaded by name in the canonical layout (O, I/groups, *kernel). Optimiser slots are called
    "slot/parameter", for example "momentum/conv1.weight".
    """

    def __init__(self, graph: Graph, optimizer: Optimizer | None, seed: int) -> None:
        self.graph = graph
        self.optimizer = optimizer
        self.seed = seed
        self.step_count = 0
        self.version = 0
        """Changes with every change of the arrays, so that programs know when what they derived is stale."""

    def names(self, *, slots: bool = False) -> list[str]:
        """Names of all parameters and statistics, and of the optimiser's slots if asked."""
        names = [*self.graph.parameters, *self.graph.statistics]
        if slots and self.optimizer is not None:
            names += [f"{slot}/{name}" for slot in self.optimizer.slots for name in self.graph.parameters]
        return names

    def read(self, name: str) -> FloatArray:
        """A copy of the array called `name`, in the canonical layout."""
        self._check_name(name)
        return self._read(name)

    def load(self, name: str, array: ArrayLike) -> None:
        """Replace the array called `name`.

        Raises:
            ShapeError: `array` has another shape.
            EngineError: there is no array of that name; the message gives the nearest.
        """
        expected = self._check_name(name)
        values = np.asarray(array)
        if values.shape != expected:
            raise ShapeError(
                f"{name} has the shape {format_sizes(expected)}, but the array given for it "
                f"{format_sizes(values.shape) or 'is a single number'}"
            )
        self._load(name, values)
        self.version += 1

    def _check_name(self, name: str) -> tuple[int, ...]:
        plain = name.rsplit("/", 1)[-1]
        if name not in self.names(slots=True):
            raise EngineError(f'there is no array "{name}".{nearest(name, self.names(slots=True))}')
        known = self.graph.parameters.get(plain) or self.graph.statistics[plain]
        return known.shape

    @abstractmethod
    def _read(self, name: str) -> FloatArray: ...

    @abstractmethod
    def _load(self, name: str, array: FloatArray) -> None: ...


class Program(ABC):
    """A graph compiled for one batch size and one mode; runs on any State of that graph."""

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
    ) -> None:
        self.graph = graph
        self.batch_size = batch_size
        self.mode = mode
        self.loss = loss
        self.optimizer = optimizer
        self.keep = tuple(keep)
        self.differentiable = differentiable
        self.parameter_gradients = parameter_gradients
        self._has_run = False

    def forward(self, state: State, inputs: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
        """Run the network on a batch; returns a copy of every output by its name.

        In training mode normalisation uses the batch's statistics and moves the running ones, as a step would.
        """
        self._check_state(state)
        outputs = self._forward(state, self._check_inputs(inputs))
        self._has_run = True
        return outputs

    def step(
        self,
        state: State,
        inputs: ArrayLike | Mapping[str, ArrayLike],
        targets: ArrayLike,
        *,
        learning_rate: float = 0.0,
        momentum: float | None = None,
        sample_weight: ArrayLike | None = None,
    ) -> StepResult:
        """One training step: forward, loss, backward, and the update if the program has an optimiser.

        Args:
            state: changed in place.
            inputs: (N, ...) float32.
            targets: (N,) class indices for CrossEntropy; numbers of the output's shape for other losses.
            learning_rate: of this step.
            momentum: of this step; the optimiser's own unless given.
            sample_weight: (N,) weights; the loss is their weighted mean.

        Raises:
            EngineError: the program was compiled without a loss or for inference.
            DataError: the loss cannot compare the output with such targets.
        """
        if self.loss is None or self.mode != "training":
            raise EngineError('step() needs a program compiled with mode="training" and a loss')
        self._check_state(state)
        wanted = check_targets(self.loss, targets, self.batch_size, self.graph.output_shape, self._dtype)
        weights = self._check_weights(sample_weight)
        result = self._step(state, self._check_inputs(inputs), wanted, float(learning_rate), momentum, weights)
        self._has_run = True
        return result

    def backward(self, seeds: Mapping[str, ArrayLike]) -> None:
        """Gradients of sum(seed * node) for the last forward pass; read them with `gradient`.

        Args:
            seeds: for outputs and kept nodes, an array of the node's shape with the batch axis.
        """
        if not self.differentiable:
            raise EngineError("backward() needs a program compiled with differentiable=True")
        if not self._has_run:
            raise EngineError("backward() needs a forward() before it")
        allowed = {*self.graph.outputs, *self.keep}
        checked = {}
        for name, seed in seeds.items():
            if name not in allowed:
                raise EngineError(f'"{name}" is neither an output nor kept; compile with keep=("{name}",)')
            checked[name] = self._check_array(name, seed)
        self._backward(checked)

    def activation(self, name: str) -> FloatArray:
        """A copy of what the kept node or output `name` gave in the last run, (N, ...)."""
        if name not in {*self.keep, *self.graph.outputs}:
            raise EngineError(f'"{name}" was not kept; compile with keep=("{name}",)')
        if not self._has_run:
            raise EngineError(f'there is no activation of "{name}" yet: run forward() or step() first')
        return self._activation(name)

    def gradient(self, name: str) -> FloatArray:
        """A copy of the last gradient with respect to an input, a kept node, or a parameter ("conv1.weight")."""
        if name in self.graph.parameters and not self.parameter_gradients:
            raise EngineError(f'the gradient of "{name}" is not computed: compile without parameter_gradients=False')
        return self._gradient(name)

    @abstractmethod
    def _gradient(self, name: str) -> FloatArray: ...

    @property
    @abstractmethod
    def memory(self) -> int:
        """Bytes that the program owns, the state's not counted."""

    @abstractmethod
    def steps(self) -> list[StepInfo]:
        """What the program runs, in order."""

    @abstractmethod
    def _forward(self, state: State, inputs: dict[str, FloatArray]) -> dict[str, FloatArray]: ...

    @abstractmethod
    def _step(
        self,
        state: State,
        inputs: dict[str, FloatArray],
        targets: NDArray[Any],
        learning_rate: float,
        momentum: float | None,
        sample_weight: FloatArray | None,
    ) -> StepResult: ...

    @abstractmethod
    def _backward(self, seeds: dict[str, FloatArray]) -> None: ...

    @abstractmethod
    def _activation(self, name: str) -> FloatArray: ...

    @property
    @abstractmethod
    def _dtype(self) -> type[np.floating]: ...

    def _check_state(self, state: State) -> None:
        if state.graph is not self.graph and state.graph != self.graph:
            raise EngineError("the state belongs to another graph than the program")
        if self.optimizer is not None and (state.optimizer is None or state.optimizer.slots != self.optimizer.slots):
            name = type(self.optimizer).__name__
            raise EngineError(f"the state has no slots for {name}: make it with engine.new_state(graph, optimizer)")

    def _check_inputs(self, inputs: ArrayLike | Mapping[str, ArrayLike]) -> dict[str, FloatArray]:
        named = inputs if isinstance(inputs, Mapping) else {self.graph.only_input: inputs}
        if set(named) != set(self.graph.inputs):
            raise EngineError(f"the network has the inputs {', '.join(self.graph.inputs)}, but got {', '.join(named)}")
        checked = {name: self._check_array(name, array) for name, array in named.items()}
        if self.differentiable or any(name in self.keep for name in checked):
            # They are read again later, when the caller may have written into them.
            return {name: array.copy() for name, array in checked.items()}
        return checked

    def _check_array(self, name: str, array: ArrayLike) -> FloatArray:
        values: FloatArray = np.ascontiguousarray(array, dtype=self._dtype)
        expected = (self.batch_size, *self.graph.shapes[name])
        if values.shape != expected:
            raise ShapeError(
                f"{name} must have the shape {format_sizes(expected)} (batch first), "
                f"but the array has {format_sizes(values.shape) or 'no axes'}"
            )
        return values

    def _check_weights(self, sample_weight: ArrayLike | None) -> FloatArray | None:
        if sample_weight is None:
            return None
        weights: FloatArray = np.ascontiguousarray(sample_weight, dtype=self._dtype)
        finite = np.isfinite(weights).all()
        if weights.shape != (self.batch_size,) or not finite or weights.min() < 0 or not weights.sum() > 0:
            raise DataError(
                f"sample_weight must be {self.batch_size} numbers, none negative and not all zero, one for each sample"
            )
        return weights


class Engine(ABC):
    """Compiles graphs into programs."""

    name: ClassVar[str]

    @abstractmethod
    def new_state(self, graph: Graph, optimizer: Optimizer | None = None, seed: int = 0) -> State:
        """Freshly initialised parameters and statistics of `graph`, and slots for `optimizer` if there is one."""

    def compile(
        self,
        graph: Graph,
        *,
        batch_size: int,
        mode: Mode,
        loss: Loss | None = None,
        optimizer: Optimizer | None = None,
        keep: Sequence[str] = (),
        differentiable: bool = False,
        parameter_gradients: bool = True,
    ) -> Program:
        """A program for batches of `batch_size` in one `mode`.

        Args:
            graph: the network.
            batch_size: samples in a batch.
            mode: "inference" (running statistics, no dropout) or "training" (the batch's).
            loss: what `step` minimises.
            optimizer: what `step` updates by; without one it computes gradients only.
            keep: nodes whose activations, and gradients if there are any, can be read.
            differentiable: whether `backward` can be called; gradients of the inputs and of the parameters follow.
            parameter_gradients: whether those of the parameters are computed too, which takes time and memory.

        Raises:
            EngineError: the graph cannot be run like that; the message says why.
        """
        check_compilable(graph, batch_size, mode, loss, keep)
        if loss is not None and not parameter_gradients:
            raise EngineError("a program with a loss learns parameters; leave parameter_gradients=False out")
        return self._compile(graph, batch_size, mode, loss, optimizer, keep, differentiable, parameter_gradients)

    @abstractmethod
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
    ) -> Program: ...


def single_value_normalization(graph: Graph, batch_size: int) -> str | None:
    """The name of a batch normalisation that would see one value per channel in training, or None."""
    for node in graph.nodes:
        measures = node.layer.statistics(node.input_shapes) and not getattr(node.layer, "frozen", False)
        if measures and batch_size * prod(node.input_shapes[0][1:]) == 1:
            return node.name
    return None


def check_compilable(graph: Graph, batch_size: int, mode: Mode, loss: Loss | None, keep: Sequence[str]) -> None:
    """Refuse what no engine could run, in a sentence."""
    if not isinstance(batch_size, int) or batch_size < 1:
        raise EngineError(f"batch_size is {batch_size}; it must be an int of at least 1")
    if mode not in ("inference", "training"):
        raise EngineError(f'mode is "{mode}"; it must be "inference" or "training"')
    for name in keep:
        if name not in graph.inputs:
            graph.node(name)
    if loss is not None:
        _check_loss(graph, loss)
    starved = single_value_normalization(graph, batch_size) if mode == "training" else None
    if starved is not None:
        raise EngineError(
            f"{graph.node(starved)} would see a single value for each channel: with batch_size 1 and no positions to "
            "average over, every value is its own mean and normalises to zero. Train with at least 2 samples a batch, "
            "or with frozen=True"
        )


def _check_loss(graph: Graph, loss: Loss) -> None:
    """Refuse an output that the loss cannot compare, or to which it would apply its own softmax or sigmoid again."""
    name = type(loss).__name__
    if isinstance(loss, CrossEntropy) and len(graph.output_shape) != 1:
        raise EngineError(
            f"the loss needs one number for each class, but the network's output {graph.only_output} is "
            f"{format_sizes(graph.output_shape)}; end it with Flatten or a global pooling, and Linear(classes)"
        )
    output = graph.by_name.get(graph.only_output)
    own = "softmax" if isinstance(loss, CrossEntropy) else "sigmoid"
    if isinstance(loss, MeanSquaredError) or output is None:
        return
    if isinstance(output.layer, Softmax | LogSoftmax | Sigmoid):
        raise EngineError(
            f"{name} applies the {own} itself, and the network's output {output.name} is a "
            f"{type(output.layer).__name__} already: remove {output.name}, so that the loss gets logits"
        )
