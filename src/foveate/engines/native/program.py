"""A compiled program of the native engine, and the sessions that run it in one call."""

import platform
from collections.abc import Mapping
from contextvars import copy_context
from math import prod

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray, State
from foveate.engines.native import _native
from foveate.engines.native.callbacks import RunningState
from foveate.engines.native.plan import WORKSPACE, Array, Step
from foveate.engines.native.planned_threads import planned_threads
from foveate.engines.native.state import NativeState, read_canonical
from foveate.engines.native.walk import lower
from foveate.engines.program import Batch, Program, Rates, Session, StepInfo, StepResult
from foveate.engines.request import Request
from foveate.errors import EngineError
from foveate.graph import Graph

_FLUSHES = platform.machine().lower() in ("x86_64", "amd64")
"""Whether denormal numbers are flushed while a program runs; fused rectifiers rely on that."""


class NativeProgram(Program):
    """A list of oneDNN primitives and kernels, run without returning to Python in between."""

    def __init__(self, graph: Graph, request: Request, *, exact: bool = False, threads: int | None = None) -> None:
        super().__init__(graph, request)
        with planned_threads(threads) as planned:
            self.lowered = lower(graph, request, planned, exact=exact or not _FLUSHES)
            if self.lowered.ledger.infinities_become_nan and self._calls_layers():
                self.lowered = lower(graph, request, planned, exact=True)  # they might hide the NaN that is looked for
        self.exact = _Exact(graph, request, planned) if self.lowered.ledger.infinities_become_nan else None
        plan = self.lowered.ledger.plan
        self.workspace_bytes = plan.place(reread_from=self.lowered.loss_end if request.differentiable else None)
        learns = request.with_gradients and any(request.learns(name) for name in graph.parameters)
        self.gradient_bytes = self.lowered.ledger.packing.parameter_bytes if learns else 0
        steps = [_native.Step(step.node, step.operation, _placed(step)) for step in plan.steps]
        # The last result is the norm of the gradients.
        self.compiled = _native.Program(steps, planned, len(request.losses) + 1)

    def _calls_layers(self) -> bool:
        steps = self.lowered.ledger.plan.steps[: self.lowered.forward_end]
        return any(step.operation.implementation == "numpy" for step in steps)

    @property
    def memory(self) -> int:
        """Bytes that a session owns: workspace, gradients, seeds. The state and its derived arrays are not counted."""
        seeds = sum(seed.layout.bytes for seed in self.lowered.seeds.values())
        return self.workspace_bytes + self.gradient_bytes + seeds

    @property
    def dtype(self) -> type[np.floating]:
        """float32."""
        return np.float32

    def new_session(self) -> "NativeSession":
        """A separate session, for one caller at a time."""
        return NativeSession(self)

    def steps(self) -> list[StepInfo]:
        """What the program runs, in order: node, implementation, layouts and bytes of each step."""
        return [step.info() for step in self.lowered.ledger.plan.steps]

    def profile(
        self, state: State, inputs: FloatArray, targets: NDArray[np.int64] | None = None
    ) -> list[tuple[StepInfo, float]]:
        """Each step of one run with the seconds it took; the optimiser's learning rate is 0."""
        seconds = self.new_session().profile(state, inputs, targets)
        return list(zip(self.steps(), seconds, strict=True))


class _Exact:
    """A program whose rectifiers are also right for infinities, compiled when a run has given NaN.

    It is separate from the program that it stands in for, so that sessions can hold it.
    """

    def __init__(self, graph: Graph, request: Request, threads: int) -> None:
        self._graph, self._request, self._threads = graph, request, threads
        self._program: NativeProgram | None = None

    def program(self) -> NativeProgram:
        """The program for all sessions, with as many threads as the original, whatever `set_threads` has said since."""
        if self._program is None:
            self._program = NativeProgram(self._graph, self._request, exact=True, threads=self._threads)
        return self._program


class NativeSession(Session):
    """A program bound to arrays of its own and to those of the last state."""

    def __init__(self, program: NativeProgram) -> None:
        super().__init__(program)
        self._lowered = program.lowered
        self._run_in_cpp = _native.Session(program.compiled)
        self._running = RunningState()
        self._workspace = _native.aligned_zeros(program.workspace_bytes // 4)
        self._gradients = _native.aligned_zeros(program.gradient_bytes // 4)
        self._seeds = {name: np.zeros(seed.layout.dims, np.float32) for name, seed in self._lowered.seeds.items()}
        with_loss = {each.output for each in self.request.losses}
        self._without_loss = [name for name in self._seeds if name not in with_loss]
        self._uniform_weight = np.ones(program.batch_size, np.float32)
        self._inputs: dict[str, FloatArray] = {}
        self._state: NativeState | None = None
        self._derived_from = (-1, -1)
        self._exact = program.exact
        self._exact_session: NativeSession | None = None
        self._exactly: NativeSession | None = None
        """The exact program's session, if that ran last."""
        self._exactly_graded: NativeSession | None = None
        """The same, if it was the last to compute gradients."""
        self._bind(WORKSPACE, self._workspace)
        self._bind("gradients", self._gradients)
        for name, seed in self._seeds.items():
            self._bind(f"seed:{name}", seed)

    @property
    def memory(self) -> int:
        """Bytes that the session owns; the state's are not counted."""
        arrays = (self._workspace, self._gradients, *self._seeds.values())
        return sum(array.nbytes for array in arrays)

    def profile(self, state: State, inputs: FloatArray, targets: NDArray[np.int64] | None) -> list[float]:
        """Seconds of each step of one run."""
        self._begin(state, self._check_inputs(inputs), Rates(0.0))
        if targets is not None:
            self._give(Batch(self._inputs, self._check_targets(targets), None))
        everything = len(self._lowered.ledger.plan.steps)
        return self._run_in_cpp.profile(0, everything, self._functions())

    def _forward(self, state: State, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        self._exactly, before = None, self._statistics(state)
        self._begin(state, inputs, Rates(0.0))
        self._run(0, self._lowered.forward_end)
        kept = self._lowered.kept
        # The least of numbers with NaN among them is NaN.
        if self._exact is not None and any(np.isnan(self._view(array).min()) for array in kept.values()):
            self._restore(state, before)
            return self._repeat(self._exact)._forward(state, inputs)
        if self.request.training:
            state.changed()
        return {name: self._read(kept[name]) for name in self.graph.outputs}

    def _repeat(self, exact: "_Exact") -> "NativeSession":
        """The session to run again with, since there is NaN: that of the exact program shows whether it is real."""
        self._exact_session = self._exact_session or exact.program().new_session()
        self._exactly = self._exact_session
        return self._exact_session

    def _statistics(self, state: State) -> FloatArray | None:
        """The statistics that a run in training may have to restore."""
        assert isinstance(state, NativeState), "the state was made by another engine"
        return state.spaces["statistics"].copy() if self.request.training else None

    def _restore(self, state: State, statistics: FloatArray | None) -> None:
        assert isinstance(state, NativeState)
        if statistics is not None:
            state.spaces["statistics"][...] = statistics

    def _backward(self, seeds: dict[str, FloatArray]) -> None:
        if self._exactly is not None:
            self._exactly._backward(seeds)
            self._exactly_graded = self._exactly
            return
        for name, seed in self._seeds.items():
            seed[...] = seeds.get(name, 0.0)
        self._run(self._lowered.loss_end, self._lowered.backward_end)
        self._exactly_graded = None

    def _step(self, state: State, batch: Batch, rates: Rates) -> StepResult:
        self._exactly, before = None, self._statistics(state)
        end = len(self._lowered.ledger.plan.steps) if rates.last else self._lowered.added_end
        for name in self._without_loss:
            self._seeds[name][...] = 0.0
        self._begin(state, batch.inputs, rates)
        self._give(batch)
        reached = self._run(0, end)
        if reached < end and self._exact is not None:
            self._restore(state, before)
            self._exactly_graded = self._repeat(self._exact)
            return self._exactly_graded._step(state, batch, rates)
        while reached < end:  # a loss, or the norm of the gradients, may be no number
            result = self._measured(reached)
            if self.request.optimizer is not None and not result.is_finite:
                self._restore(state, before)
                return result
            reached = self._run(reached, end)
        state.step_count += 1
        state.changed()
        self._exactly_graded = None
        return self._measured(reached)

    def _measured(self, reached: int) -> StepResult:
        """What the steps before `reached` measured; custom losses stored it with the callbacks."""
        results, measured, losses = self._run_in_cpp.results, self._running.measured, {}
        total = 0.0
        for number, each in enumerate(self.request.losses):
            loss = measured.get(number, results[number]).loss
            losses[each.output] = loss
            total += each.weight * loss
        first = measured.get(0, results[0])
        clipped = self.request.clip_norm is not None and reached > self._lowered.added_end
        norm = results[-1].loss if clipped else None
        return StepResult(total, first.correct, first.counted, losses, norm)

    def _activation(self, name: str) -> FloatArray:
        ran = self._exactly or self
        return ran._read(ran._lowered.kept[name])

    def _gradient(self, name: str) -> FloatArray:
        if self._exactly_graded is not None:
            return self._exactly_graded._gradient(name)
        packing = self._lowered.ledger.packing
        if name in packing.parameters:
            return read_canonical(self._gradients, packing.parameters[name], self.graph.parameters[name].shape)
        if name in self._lowered.kept_gradients:
            return self._read(self._lowered.kept_gradients[name])
        raise EngineError(f'there is no gradient of "{name}": compile with keep=("{name}",)')

    def _begin(self, state: State, inputs: Mapping[str, FloatArray], rates: Rates) -> None:
        """Bind what a run reads and has not been bound before, and set this run's numbers."""
        assert isinstance(state, NativeState), "the state was made by another engine"
        if state is not self._state:
            for space, array in state.spaces.items():
                self._check_space(space, array)
                self._bind(space, array)
            if self.request.accumulate:
                self._bind("accumulated", state.accumulated)
        derived_from = (id(state), state.version)
        if derived_from != self._derived_from or state is not self._state:
            for space, derivation in self._lowered.ledger.derivations.items():
                self._bind(space, state.derived.get(state, derivation))
            self._derived_from = derived_from
        self._state, self._inputs = state, dict(inputs)
        for name, array in inputs.items():
            self._bind(f"input:{name}", array)
        scalars = self._run_in_cpp.scalars
        scalars.learning_rate = rates.learning_rate
        own = getattr(self.request.optimizer, "momentum", 0.0)
        scalars.momentum = own if rates.momentum is None else rates.momentum
        scalars.step = self._running.step = state.step_count
        scalars.update = self._running.update = state.step_count if rates.update is None else rates.update
        scalars.share, scalars.first, scalars.last, self._running.rates = rates.share, rates.first, rates.last, rates
        scalars.seed = self._running.seed = state.seed % 2**64

    def _check_space(self, space: str, array: FloatArray) -> None:
        """Check an array of the state: steps write to its memory, whatever Python says of it."""
        writes = self.request.mode == "training"
        if array.dtype != np.float32 or not array.flags.c_contiguous or (writes and not array.flags.writeable):
            raise EngineError(
                f"the state's {space} must be contiguous float32{', and writable' * writes}; "
                "use state.load(name, array), which copies"
            )

    def _give(self, batch: Batch) -> None:
        for output, targets in batch.targets.items():
            given, other = ("classes", "numbers") if targets.dtype == np.int64 else ("numbers", "classes")
            self._bind(f"{given}:{output}", targets)
            self._run_in_cpp.leave_out(f"{other}:{output}")
        self._bind("sample_weight", self._uniform_weight if batch.sample_weight is None else batch.sample_weight)

    def _bind(self, space: str, array: NDArray[np.generic]) -> None:
        self._run_in_cpp.bind(space, array)

    def _run(self, begin: int, end: int) -> int:
        """Run steps; return the one that comes next: `end`, or an earlier one if there is NaN."""
        return self._run_in_cpp.run(begin, end, self._functions())

    def _functions(self) -> list[object]:
        functions = self._lowered.ledger.callbacks
        if not functions:
            return []
        # They may be called on another thread, where the caller's contexts (NumPy's errstate) hold all the same.
        context, running = copy_context(), self._running
        return [
            lambda addresses, function=function: context.run(function, running, addresses) for function in functions
        ]

    def _read(self, array: Array) -> FloatArray:
        """A copy for the caller: later runs write into the session's own."""
        return self._view(array).copy()

    def _view(self, array: Array) -> FloatArray:
        """A view of a pinned plain array; inputs are those last given."""
        space = array.storage.space
        if space.startswith("input:"):
            return self._inputs[space.removeprefix("input:")].reshape(array.layout.dims)
        owned = self._seeds[space.removeprefix("seed:")] if space.startswith("seed:") else self._workspace
        begin = array.storage.offset // 4
        flat: FloatArray = owned.reshape(-1)[begin : begin + prod(array.layout.dims)]
        return flat.reshape(array.layout.dims)


def _placed(step: Step) -> list[_native.PlacedOperand]:
    """The operands of a step, each with its stretch of a space."""
    return [
        _native.PlacedOperand(
            name,
            array.layout,
            array.storage.space,
            array.storage.offset,
            min(array.storage.bytes, array.layout.bytes),
        )
        for name, array in step.operands
    ]
