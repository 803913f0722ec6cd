"""Programs of the torch engine: a graph's nodes one by one on tensors, and PyTorch's autograd for the way back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from math import prod

import numpy as np
import torch
from numpy.typing import NDArray

from foveate.engines.base import FloatArray, State
from foveate.engines.group import ALONE, Group
from foveate.engines.losses import measure_of
from foveate.engines.program import Batch, Program, Rates, Session, StepInfo, StepResult
from foveate.engines.random import raw
from foveate.engines.request import Request
from foveate.engines.torch.arrays import TYPES, Reading, to_numpy, to_tensor
from foveate.engines.torch.forms import Context, Operation, operation_of
from foveate.engines.torch.losses import count_correct, is_known, measure_loss, of_group
from foveate.engines.torch.optimizers import Learning, clip, update
from foveate.engines.torch.precision import Precision, arithmetic, tf32
from foveate.engines.torch.state import TorchState
from foveate.errors import EngineError
from foveate.graph import Graph

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Place:
    """Where programs run, in what numbers, and with whom.

    `synchronised` batch normalisation measures over the batches of the whole group.
    """

    device: torch.device
    dtype: type[np.floating]
    precision: Precision = "float32"
    group: Group = ALONE
    synchronised: bool = True


class TorchProgram(Program):
    """Runs the graph node by node on a device."""

    def __init__(self, graph: Graph, request: Request, place: Place) -> None:
        super().__init__(graph, request)
        self.place = place
        self._implementations = [each.implementation for each in self.operations()]
        for each in request.losses:
            if not is_known(each.loss):
                measure_of(each.loss)

    def operations(self) -> list[Operation]:
        """How each node computes; a session needs its own."""
        return [operation_of(node, self.place.dtype, self.place.device) for node in self.graph.nodes]

    @property
    def dtype(self) -> type[np.floating]:
        """float32, or float64 if asked for."""
        return self.place.dtype

    @property
    def memory(self) -> int:
        """Bytes of what the nodes compute, and of the gradients if there are any: what a session holds at most."""
        sizes = [prod(node.output_shape) for node in self.graph.nodes]
        values = self.batch_size * sum(sizes) * (2 if self.request.with_gradients else 1)
        learning = (name for name in self.graph.parameters if self.request.with_gradients and self.request.learns(name))
        return int((values + sum(prod(self.graph.parameters[name].shape) for name in learning)) * self._itemsize)

    @property
    def _itemsize(self) -> int:
        return np.dtype(self.dtype).itemsize

    def new_session(self) -> "TorchSession":
        """A separate session, for one caller at a time."""
        return TorchSession(self)

    def steps(self) -> list[StepInfo]:
        """One step for each node, and one back if the program has gradients."""
        nodes = list(zip(self.graph.nodes, self._implementations, strict=True))
        phases = [("forward", nodes)] + ([("backward", nodes[::-1])] if self.request.with_gradients else [])
        return [
            StepInfo(
                phase,
                node.name,
                type(node.layer).__name__,
                implementation,
                {"output": "plain"},
                prod(node.output_shape) * self.batch_size * self._itemsize,
            )
            for phase, ordered in phases
            for node, implementation in ordered
        ]


class TorchSession(Session):
    """Holds the tensors of the last run, from which PyTorch finds the way back."""

    def __init__(self, program: TorchProgram) -> None:
        super().__init__(program)
        self.place, self.device, self._bytes = program.place, program.place.device, program.memory
        self._in_bf16 = program.place.precision == "bf16"
        # Whoever only looks at a network does so alone.
        self._group = program.place.group if self.request.losses else ALONE
        self._together = self._group if self._group.size > 1 and program.place.synchronised else None
        self._whole: int | None = None
        self._operations = program.operations()
        self._last_uses = _last_uses(self.graph)
        self._read_again = {*self.request.keep, *self.graph.outputs}
        self._values: Tensors = {}
        self._leaves: Tensors = {}
        self._gradients: Tensors = {}
        self._measured: Tensors = {}

    @property
    def memory(self) -> int:
        """Bytes of what a run computes."""
        return self._bytes

    def _activation(self, name: str) -> FloatArray:
        return to_numpy(self._values[name])

    def _gradient(self, name: str) -> FloatArray:
        if name not in self._gradients:
            raise EngineError(f'there is no gradient of "{name}": compile with keep=("{name}",)')
        return to_numpy(self._gradients[name])

    def _forward(self, state: State, inputs: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        state = _own(state)
        self._run(state, inputs, graded=self.request.differentiable)
        self._keep_statistics(state)
        return {name: to_numpy(self._values[name]) for name in self.graph.outputs}

    def _backward(self, seeds: Mapping[str, FloatArray]) -> None:
        self._go_back({name: to_tensor(seed, self.device) for name, seed in seeds.items()})

    def _step(self, state: State, batch: Batch, rates: Rates) -> StepResult:
        state = _own(state)
        self._whole = None
        self._run(state, batch.inputs, graded=True)
        seeds, measured = self._losses(batch)
        # Everything up to the update is launched before anything is read.
        self._go_back(seeds)
        if self._group.size > 1:
            self._share()
        losses, counts = measured.wait()
        by_output = {each.output: float(loss) for each, loss in zip(self.request.losses, losses, strict=True)}
        total = sum(each.weight * by_output[each.output] for each in self.request.losses)
        with torch.no_grad():
            norm = self._prepare_update(state, rates)
        result = StepResult(total, int(counts[0]), int(counts[1]), by_output, norm)
        if self.request.optimizer is not None and not result.is_finite:
            return result
        self._keep_statistics(state)
        state.step_count += 1
        self._update(state, rates)
        if not self.request.differentiable:  # what led there would keep every activation
            self._values = {name: value.detach() for name, value in self._values.items()}
            self._leaves = {}
        return result

    def _losses(self, batch: Batch) -> tuple[Tensors, Reading]:
        """The gradient of each output, and the losses with the first one's counts, on their way."""
        weight = None if batch.sample_weight is None else to_tensor(batch.sample_weight, self.device)
        seeds, losses, counts = {}, [], []
        for each in self.request.losses:
            output, targets = self._values[each.output].detach(), to_tensor(batch.targets[each.output], self.device)
            measured = measure_loss(each.loss, output, targets, weight)
            count = count_correct(each.loss, output, targets)
            if self._group.size > 1:
                measured, count = of_group(self._group, measured, count)
            losses.append(measured.loss)
            seeds[each.output] = each.weight * measured.gradient
            counts.append(count)
        return seeds, Reading([torch.stack(losses), counts[0]])

    def _run(self, state: TorchState, inputs: Mapping[str, FloatArray], *, graded: bool) -> None:
        """Run the nodes; `graded` if there may be a way back."""
        self._values, self._measured = {}, {}
        self._leaves = self._leaves_of(state, inputs) if graded else {}
        with torch.set_grad_enabled(graded), arithmetic(self.place.precision, self.device):
            for name, array in inputs.items():
                self._values[name] = self._leaves[name] if name in self._leaves else to_tensor(array, self.device)
            for operation in self._operations:
                self._compute(operation, state, graded)

    def _leaves_of(self, state: TorchState, inputs: Mapping[str, FloatArray]) -> Tensors:
        """What gradients are computed of, except kept nodes."""
        request = self.request
        leaves = {name: state.tensors[name].detach() for name in self.graph.parameters if request.learns(name)}
        if request.differentiable and request.optimizer is not None:  # a step changes them before the way back
            leaves = {name: leaf.clone() for name, leaf in leaves.items()}
        for name, array in inputs.items():
            if request.differentiable or name in request.keep:
                leaves[name] = to_tensor(array, self.device)
        return {name: leaf.requires_grad_() for name, leaf in leaves.items()}

    def _compute(self, operation: Operation, state: TorchState, graded: bool) -> None:
        node = operation.node
        inputs = [self._values[name] for name in node.inputs]
        parameters = {name: self._array(state, full) for name, full in operation.parameters.items()}
        statistics = {name: self._array(state, full) for name, full in operation.statistics.items()}
        # A frozen normalisation works as in inference; layers without statistics know the mode alone.
        training = self.request.measures(node) if statistics else self.request.training
        context = Context(training, statistics, partial(self._random, state, node.name), self._together)
        if self._in_bf16 and operation.keeps_float32:
            with torch.autocast(self.device.type, enabled=False):
                output = operation.compute([x.float() for x in inputs], parameters, context)
        else:
            output = operation.compute(inputs, parameters, context)
        if node.name in self._read_again:
            output = output.to(TYPES[self.place.dtype])
        if training:
            self._measured |= {operation.statistics[name]: tensor for name, tensor in context.statistics.items()}
        if node.name in self._read_again and any(output is each for each in inputs):
            output = output.view_as(output)  # whose gradient is not the input's
        if node.name in self.request.keep and graded and not output.requires_grad:
            output = output.detach().requires_grad_()
        self._values[node.name] = output
        for name in self._last_uses[node.name] - self._read_again:
            del self._values[name]

    def _random(self, state: TorchState, name: str, count: int) -> NDArray[np.uint64]:
        """Raw numbers for a node and the samples of this process, which are some of the whole batch's."""
        group, own = self._group, self.request.batch_size
        if group.size == 1:
            return raw(state.seed, name, state.step_count, count)
        if self._whole is None:  # asked in the same order by all processes
            self._whole = int(group.total([own])[0])
        each = count // own
        whole = raw(state.seed, name, state.step_count, each * self._whole).reshape(self._whole, each)
        return whole[group.rank :: group.size].reshape(-1)  # its samples of the batch: every size-th

    def _share(self) -> None:
        """Sum the gradients of the parameters over the group; statistics that are not common become their mean."""
        names, group = self._trained(), self._group
        apart = list(self._measured) if self._together is None else []
        tensors = [self._gradients[name] for name in names] + [self._measured[name] / group.size for name in apart]
        if not tensors:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        group.all_reduce(flat)
        parts = torch.split(flat, [tensor.numel() for tensor in tensors])
        for store, name, part in zip(
            [self._gradients] * len(names) + [self._measured] * len(apart), names + apart, parts, strict=True
        ):
            store[name] = part.reshape(store[name].shape)

    def _array(self, state: TorchState, name: str) -> torch.Tensor:
        """An array as this run has it: what it measured, or what gradients lead to, else the state's."""
        measured = self._measured.get(name)
        return self._leaves.get(name, state.tensors[name]) if measured is None else measured

    def _go_back(self, seeds: Tensors) -> None:
        """Gradients of sum(seed * node); those of what no seed reaches are zeros."""
        kept = {name: self._values[name] for name in self.request.keep}
        wanted = {**kept, **self._leaves}
        reached = {name: seed for name, seed in seeds.items() if self._values[name].requires_grad}
        found: Sequence[torch.Tensor | None] = [None] * len(wanted)
        if reached and wanted:
            with tf32(self.place.precision == "tf32", self.device):
                found = torch.autograd.grad(
                    [self._values[name] for name in reached],
                    list(wanted.values()),
                    list(reached.values()),
                    retain_graph=self.request.differentiable,
                    allow_unused=True,
                )
        self._gradients = {
            name: torch.zeros_like(tensor) if gradient is None else gradient
            for (name, tensor), gradient in zip(wanted.items(), found, strict=True)
        }

    def _keep_statistics(self, state: TorchState) -> None:
        state.tensors |= self._measured
        if self.request.training:
            state.changed()

    def _prepare_update(self, state: TorchState, rates: Rates) -> float | None:
        """Add the gradients to those of the batches before, and clip them; returns their norm if they are clipped."""
        names = self._trained()
        if self.request.accumulate and not (rates.first and rates.last):
            for name in names:
                own = rates.share * self._gradients[name]
                total = own if rates.first else state.accumulated[name] + own
                # The sum takes the place of the last gradient, and must outlive what clipping does to that.
                self._gradients[name], state.accumulated[name] = total.clone() if rates.last else total, total
        if self.request.clip_norm is None or not rates.last:
            return None
        return clip([self._gradients[name] for name in names], self.request.clip_norm)

    def _update(self, state: TorchState, rates: Rates) -> None:
        optimizer = self.request.optimizer
        if optimizer is None or not rates.last:
            return
        done = state.step_count - 1 if rates.update is None else rates.update
        with torch.no_grad():
            for learning in self._learning(state, optimizer.slots):
                update(optimizer, learning, rates, done + 1)
        state.changed()

    def _trained(self) -> list[str]:
        """Names of the parameters that learn."""
        parameters = self.graph.parameters.items()
        return [name for name, each in parameters if each.trainable and self.request.learns(name)]

    def _learning(self, state: TorchState, slots: Sequence[str]) -> Iterator[Learning]:
        """The parameters that learn, in groups that learn alike."""
        factors = dict(self.request.rate_factors)

        def alike(name: str) -> tuple[bool, float]:
            return not self.graph.parameters[name].decay, factors.get(name, 1.0)

        for (spared, factor), group in groupby(sorted(self._trained(), key=alike), alike):
            names = list(group)
            yield Learning(
                [state.tensors[name] for name in names],
                [self._gradients[name] for name in names],
                {slot: [state.tensors[f"{slot}/{name}"] for name in names] for slot in slots},
                not spared,
                factor,
            )


def _own(state: State) -> TorchState:
    assert isinstance(state, TorchState), "the state was made by another engine"
    return state


def _last_uses(graph: Graph) -> dict[str, set[str]]:
    """For each node the values that nobody needs after it."""
    last: dict[str, str] = {}
    for node in graph.nodes:
        last[node.name] = node.name
        last |= dict.fromkeys(node.inputs, node.name)
    uses: dict[str, set[str]] = {node.name: set() for node in graph.nodes}
    for name, user in last.items():
        uses[user].add(name)
    return uses
