"""A compiled program of the native engine: a plan with its memory, run in one call."""

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray, Mode, Program, State, StepInfo, StepResult
from foveate.engines.native import _native
from foveate.engines.native.lowering import Lowering, read_canonical
from foveate.engines.native.packing import Packing
from foveate.engines.native.plan import WORKSPACE, Array
from foveate.engines.native.state import NativeState
from foveate.errors import EngineError
from foveate.graph import Graph, Loss, Optimizer


class NativeProgram(Program):
    """Runs a list of oneDNN primitives and kernels without returning to Python in between."""

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
        packing: Packing,
    ) -> None:
        super().__init__(graph, batch_size, mode, loss, optimizer, keep, differentiable, parameter_gradients)
        self._packing = packing
        self._lowering = Lowering(
            graph, packing, batch_size, mode, loss, optimizer, keep, differentiable, parameter_gradients
        )
        workspace_bytes = self._lowering.plan.place(reread_from=self._lowering.loss_end if differentiable else None)
        self._scalars = np.zeros(4, np.float64)
        self._results = np.zeros(2, np.float64)
        self._uniform_weight = np.ones(batch_size, np.float32)
        self._constants = _native.aligned_zeros(self._lowering.constant_bytes // 4)
        self._buffers: dict[str, NDArray[np.generic]] = {
            WORKSPACE: _native.aligned_zeros(workspace_bytes // 4),
            "constants": self._constants,
            "scalars": self._scalars,
            "results": self._results,
            "targets": np.zeros(batch_size * max(prod(graph.shapes[name]) for name in graph.outputs), np.int64),
            "sample_weight": self._uniform_weight,
        }
        learns = self._lowering.with_gradients and parameter_gradients
        self._gradients = _native.aligned_zeros(packing.parameter_bytes // 4 if learns else 0)
        self._buffers["gradients"] = self._gradients
        self._seeds = {name: np.zeros(seed.layout.dims, np.float32) for name, seed in self._lowering.seeds.items()}
        self._buffers |= {f"seed:{name}": seed for name, seed in self._seeds.items()}
        self._spaces: list[str] = []
        self._program = self._assemble()
        self._prepared: tuple[int, int] | None = None
        self._gradients_valid = False

    @property
    def memory(self) -> int:
        """Bytes that the program owns: workspace, derived constants, gradients. The state's are not counted."""
        return sum(buffer.nbytes for buffer in self._buffers.values())

    @property
    def _dtype(self) -> type[np.floating]:
        return np.float32

    def steps(self) -> list[StepInfo]:
        """What the program runs, in order: node, implementation, layouts and bytes of each step."""
        return [step.info() for step in self._lowering.plan.steps]

    def profile(
        self, state: State, inputs: FloatArray, targets: NDArray[np.int64] | None = None
    ) -> list[tuple[StepInfo, float]]:
        """Each step of one run with the seconds it took; the optimiser's learning rate is 0."""
        assert isinstance(state, NativeState)
        given: dict[str, NDArray[np.generic]] = {
            f"input:{name}": array for name, array in self._check_inputs(inputs).items()
        }
        if targets is not None:
            given["targets"] = targets
        self._set_scalars(state, 0.0, None)
        self._prepare(state)
        everything = self.steps()
        seconds = self._program.profile(0, len(everything), self._given(state, given))
        return list(zip(everything, seconds, strict=True))

    def _gradient(self, name: str) -> FloatArray:
        if name in self._packing.parameters and self._gradients_valid:
            shape = self.graph.parameters[name].shape
            return read_canonical(self._gradients, self._packing.parameters[name], shape)
        if name in self._lowering.kept_gradients and self._gradients_valid:
            return self._read(self._lowering.kept_gradients[name])
        raise EngineError(
            f'there is no gradient of "{name}": run step() or backward() first, and compile with keep=("{name}",)'
        )

    def _activation(self, name: str) -> FloatArray:
        return self._read(self._lowering.kept[name])

    def _forward(self, state: State, inputs: dict[str, FloatArray]) -> dict[str, FloatArray]:
        self._run(state, 0, self._lowering.forward_end, {f"input:{name}": array for name, array in inputs.items()})
        if self.mode == "training":
            state.version += 1
        return {name: self._activation(name) for name in self.graph.outputs}

    def _backward(self, seeds: dict[str, FloatArray]) -> None:
        assert self._last is not None
        for name, seed in self._seeds.items():
            seed[...] = seeds.get(name, 0.0)
        state, inputs = self._last
        self._run(state, self._lowering.loss_end, self._lowering.backward_end, inputs)
        self._gradients_valid = True

    def _step(
        self,
        state: State,
        inputs: dict[str, FloatArray],
        targets: NDArray[Any],
        learning_rate: float,
        momentum: float | None,
        sample_weight: FloatArray | None,
    ) -> StepResult:
        for name, seed in self._seeds.items():
            if name != self.graph.only_output:
                seed[...] = 0.0
        given: dict[str, NDArray[np.generic]] = {f"input:{name}": array for name, array in inputs.items()}
        given["targets"] = targets
        given["sample_weight"] = self._uniform_weight if sample_weight is None else sample_weight
        self._set_scalars(state, learning_rate, momentum)
        self._run(state, 0, len(self._lowering.plan.steps), given)
        state.step_count += 1
        state.version += 1
        self._gradients_valid = True
        return StepResult(float(self._results[0]), int(self._results.view(np.int64)[1]))

    _last: tuple[State, dict[str, NDArray[np.generic]]] | None = None

    def _run(self, state: State, begin: int, end: int, given: dict[str, NDArray[np.generic]]) -> None:
        assert isinstance(state, NativeState), "the state was made by another engine"
        if begin == 0:
            self._prepare(state)
            if end == self._lowering.forward_end:
                self._set_scalars(state, 0.0, None)
        self._program.run(begin, end, self._given(state, given))
        self._last = (state, given)

    def _given(self, state: NativeState, given: dict[str, NDArray[np.generic]]) -> list[NDArray[np.generic]]:
        known = {**self._buffers, **state.spaces, **given}
        return [known[space] for space in self._spaces]

    def _prepare(self, state: NativeState) -> None:
        """Compute again what is derived from the state, if that has changed."""
        if not self._lowering.constants or self._prepared == (id(state), state.version):
            return
        for constant in self._lowering.constants:
            source = np.ascontiguousarray(constant.compute(state), np.float32)
            offset = constant.array.storage.offset // 4
            _native.reorder(source, constant.canonical, self._constants[offset:], constant.array.layout)
        self._prepared = (id(state), state.version)

    def _set_scalars(self, state: State, learning_rate: float, momentum: float | None) -> None:
        own = self.optimizer.momentum if self.optimizer is not None else 0.0
        self._scalars[0] = learning_rate
        self._scalars[1] = own if momentum is None else momentum
        self._scalars.view(np.int64)[2] = state.step_count
        self._scalars.view(np.uint64)[3] = state.seed % 2**64

    def _read(self, array: Array) -> FloatArray:
        """A copy of a pinned plain array; inputs are what was given last."""
        space = array.storage.space
        if space.startswith("input:"):
            assert self._last is not None
            return np.array(self._last[1][space], np.float32).reshape(array.layout.dims)
        begin = array.storage.offset // 4
        flat = self._buffers[space].reshape(-1)
        return np.array(flat[begin : begin + array.layout.bytes // 4], np.float32).reshape(array.layout.dims)

    def _assemble(self) -> _native.Program:
        plan = self._lowering.plan
        self._spaces = list(dict.fromkeys(array.storage.space for step in plan.steps for _, _, array in step.operands))
        numbers = {space: number for number, space in enumerate(self._spaces)}
        steps = [
            (
                step.node,
                step.operation,
                [
                    (
                        argument,
                        array.layout,
                        numbers[array.storage.space],
                        array.storage.offset,
                        min(array.storage.bytes, array.layout.bytes),
                    )
                    for _, argument, array in step.operands
                ],
            )
            for step in plan.steps
        ]
        return _native.Program(steps, len(self._spaces))
