"""From a graph to a plan: a walk forward over the groups, the loss, a walk back, the update. The rules know the layers.

Values are arrays that are written once. Where a value has several readers, their gradients are summed in the order of
the walk, so that results do not depend on chance.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import numpy as np

from foveate.engines.base import FloatArray, Mode, State
from foveate.engines.native import _native
from foveate.engines.native.fusion import fuse
from foveate.engines.native.packing import Packing, Place
from foveate.engines.native.plan import Array, Plan, Storage, aligned
from foveate.graph import SGD, Graph, Loss, Node, Optimizer


@dataclass(frozen=True)
class Constant:
    """An array that a program derives from the state: computed again whenever the state has changed."""

    array: Array
    compute: Callable[[State], FloatArray]
    canonical: _native.Layout


class Lowering:
    """Collects the plan of one program; rules call its methods."""

    def __init__(
        self,
        graph: Graph,
        packing: Packing,
        batch_size: int,
        mode: Mode,
        loss: Loss | None,
        optimizer: Optimizer | None,
        keep: Collection[str],
        differentiable: bool,
        parameter_gradients: bool,
    ) -> None:
        self.graph = graph
        self.packing = packing
        self.batch_size = batch_size
        self.training = mode == "training"
        self.differentiable = differentiable
        self.with_gradients = differentiable or loss is not None
        self.parameter_gradients = parameter_gradients
        self.keep = frozenset(keep)
        self.plan = Plan()
        self.values: dict[str, Array] = {}
        self.saved: dict[str, dict[str, Any]] = {}
        self.constants: list[Constant] = []
        self.kept: dict[str, Array] = {}
        self.seeds: dict[str, Array] = {}
        self.kept_gradients: dict[str, Array] = {}
        self._constant_bytes = 0
        self._gradients: dict[str, list[Array]] = {}
        self._written_gradients: set[str] = set()
        self._parameters: dict[str, Array] = {}
        self._groups = fuse(graph, keep, fold=not self.training and not self.with_gradients)
        self._wanted = self._values_with_gradients()
        self._walk_forward()
        self.forward_end = len(self.plan.steps)
        self.loss_end = self.backward_end = self.forward_end
        if self.with_gradients:
            self._begin_backward(loss)
            self.loss_end = len(self.plan.steps)
            self._walk_back()
            self.backward_end = len(self.plan.steps)
        if optimizer is not None:
            self._update(optimizer)

    @property
    def constant_bytes(self) -> int:
        """Bytes of all arrays that are derived from the state."""
        return self._constant_bytes

    # What rules ask for, forward.

    def dims(self, name: str) -> list[int]:
        """Axes of a value, batch first."""
        return [self.batch_size, *self.graph.shapes[name]]

    def plain_layout(self, name: str) -> _native.Layout:
        """The plain layout of a value."""
        return _native.Layout.plain(self.dims(name))

    def parameter(self, node: Node, name: str) -> Array:
        """A parameter of `node` where it lies in the state."""
        full = f"{node.parameters}.{name}"
        if full not in self._parameters:
            place = self.packing.parameters[full]
            self._parameters[full] = Array(
                place.layout, Storage("parameters", place.layout.bytes, place.offset, pinned=True)
            )
        return self._parameters[full]

    def parameter_in(self, node: Node, name: str, layout: _native.Layout) -> Array:
        """A parameter in `layout`: reordered at each step where training changes it, else once for each state."""
        array = self.parameter(node, name)
        if array.layout == layout or self.with_gradients or self.training:
            return self.plan.in_layout(array, layout)
        full = f"{node.parameters}.{name}"
        return self.constant(layout, self.packing.parameters[full].canonical, lambda state: state.read(full))

    def statistic(self, node: Node, name: str) -> Array:
        """A measured array of `node` where it lies in the state."""
        place = self.packing.statistics[f"{node.parameters}.{name}"]
        return Array(place.layout, Storage("statistics", place.layout.bytes, place.offset, pinned=True))

    def constant(
        self, layout: _native.Layout, canonical: _native.Layout, compute: Callable[[State], FloatArray]
    ) -> Array:
        """An array that `compute` derives from the state, in `layout`."""
        storage = Storage("constants", layout.bytes, self._constant_bytes, pinned=True)
        self._constant_bytes += aligned(layout.bytes)
        array = Array(layout, storage)
        self.constants.append(Constant(array, compute, canonical))
        return array

    def outside(self, space: str, layout: _native.Layout) -> Array:
        """An array that is given at each run."""
        return Array(layout, Storage(space, layout.bytes, pinned=True))

    # What rules ask for, backward.

    def wants_gradient(self, name: str) -> bool:
        """Whether anyone needs the gradient of this value."""
        return name in self._wanted

    def add_gradient(self, name: str, gradient: Array) -> None:
        """Another reader's share in the gradient of a value."""
        if name in self._wanted:
            self._gradients.setdefault(name, []).append(gradient)

    def parameter_gradient(self, node: Node, name: str, layout: _native.Layout) -> Array:
        """Where to write the gradient of a parameter in `layout`, wanted or not; `finish_gradient` must follow."""
        if not self.parameter_gradients:
            return self.plan.new(layout)
        place = self.packing.parameters[f"{node.parameters}.{name}"]
        if layout == place.layout and f"{node.parameters}.{name}" not in self._written_gradients:
            return self._gradient_array(place)
        return self.plan.new(layout)

    def finish_gradient(self, node: Node, name: str, written: Array) -> None:
        """Bring a parameter's gradient to its place; where parameters are shared, add it."""
        if not self.parameter_gradients:
            return
        full = f"{node.parameters}.{name}"
        target = self._gradient_array(self.packing.parameters[full])
        if full in self._written_gradients:
            share = self.plan.in_layout(written, target.layout)
            self.plan.run(_native.sum(target.layout.bytes // 4), {"dst": target, "src": target, "other": share})
        elif written.storage.space != "gradients":
            self.plan.run(_native.reorder_operation(written.layout, target.layout), {"src": written, "dst": target})
        self._written_gradients.add(full)

    # The walks.

    def _walk_forward(self) -> None:
        from foveate.engines.native.rules import rule_of

        for name in self.graph.inputs:
            self.values[name] = self.outside(f"input:{name}", self.plain_layout(name))
            self._keep_if_asked(name)
        for group in self._groups:
            with self.plan.at(group.output):
                self.values[group.output] = rule_of(group.head.layer).forward(self, group)
                self._keep_if_asked(group.output)

    def _keep_if_asked(self, name: str) -> None:
        """Pin a plain copy of kept nodes and outputs, so that nothing overwrites them."""
        if name in self.keep or name in self.graph.outputs:
            with self.plan.at(name):
                self.kept[name] = self.plan.plain(self.values[name])
                self.kept[name].storage.pinned = True

    def _begin_backward(self, loss: Loss | None) -> None:
        from foveate.engines.native.losses import lower_loss

        self.plan.phase = "backward"
        for name in dict.fromkeys((*self.graph.outputs, *sorted(self.keep))):
            if name in self.graph.inputs or (not self.differentiable and name not in self.graph.outputs):
                continue
            self.seeds[name] = self.outside(f"seed:{name}", self.plain_layout(name))
            self._gradients.setdefault(name, []).append(self.seeds[name])
        if loss is not None:
            output = self.graph.only_output
            with self.plan.at(output):
                lower_loss(self, loss, self.seeds[output])

    def _walk_back(self) -> None:
        from foveate.engines.native.rules import rule_of

        for group in reversed(self._groups):
            with self.plan.at(group.output):
                gradient = self._total_gradient(group.output)
                if gradient is not None:
                    rule_of(group.head.layer).backward(self, group, gradient)
        for name in self.graph.inputs:
            with self.plan.at(name):
                self._total_gradient(name)

    def _total_gradient(self, name: str) -> Array | None:
        """The sum of all readers' shares, in the first blocked layout among them; None where nothing flows back."""
        shares = self._gradients.get(name, [])
        if not shares or name not in self._wanted:
            return None
        total = shares[0]
        if len(shares) > 1:
            layout = next((share.layout for share in shares if not share.layout.is_plain), shares[0].layout)
            total = self.plan.new(layout)
            operands = {"dst": total}
            for number, share in enumerate(shares):
                operands[f"src_{number}"] = self.plan.in_layout(share, layout)
            self.plan.run(_native.sum(layout.bytes // 4), operands)
        if name in self.keep or name in self.graph.inputs:
            self.kept_gradients[name] = self.plan.plain(total)
            self.kept_gradients[name].storage.pinned = True
        return total

    def _update(self, optimizer: Optimizer) -> None:
        self.plan.phase = "update"
        numbers = _native.Layout.plain([max(1, self.packing.parameter_bytes // 4)])
        operands: dict[str, Array | None] = {
            "parameters": self.outside("parameters", numbers),
            "gradients": self.outside("gradients", numbers),
        }
        for slot in optimizer.slots:
            operands[slot] = self.outside(f"slot:{slot}", numbers)
        operands["scalars"] = self.scalars()
        decayed, trained = self.packing.decayed, self.packing.trained
        if isinstance(optimizer, SGD):
            operation = _native.sgd(decayed, trained, optimizer.nesterov, optimizer.weight_decay)
        else:
            operation = _native.adamw(
                decayed, trained, optimizer.second_momentum, optimizer.eps, optimizer.weight_decay
            )
        with self.plan.at("optimizer"):
            self.plan.run(operation, operands)

    def scalars(self) -> Array:
        """Learning rate, momentum, step and seed of this run."""
        return self.outside("scalars", _native.Layout.plain([8]))

    def _gradient_array(self, place: Place) -> Array:
        return Array(place.layout, Storage("gradients", place.layout.bytes, place.offset, pinned=True))

    def _values_with_gradients(self) -> set[str]:
        """Values on a way back that someone asked for: to parameters, to inputs, to kept nodes."""
        if not self.with_gradients:
            return set()
        wanted = {name for name in self.graph.inputs if self.differentiable or name in self.keep}
        for node in self.graph.nodes:
            learns = self.parameter_gradients and node.layer.parameters(node.input_shapes)
            if learns or wanted.intersection(node.inputs) or node.name in self.keep:
                wanted.add(node.name)
        return wanted


def read_canonical(flat: FloatArray, place: Place, shape: tuple[int, ...]) -> FloatArray:
    """A copy of one packed array in the canonical layout."""
    result = np.empty(shape, np.float32)
    _native.reorder(flat[place.offset // 4 :], place.layout, result, place.canonical)
    return result
