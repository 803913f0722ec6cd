"""From a graph to a plan: forward over the groups, the losses, back, the update. The rules know the layers."""

from dataclasses import dataclass
from typing import Any

from foveate.engines.native import _native
from foveate.engines.native.fusion import fuse
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.losses import add_loss
from foveate.engines.native.optimizers import add_preparation, add_update
from foveate.engines.native.packing import packing_of
from foveate.engines.native.plan import Array
from foveate.engines.native.rules import rule_of
from foveate.engines.request import Request
from foveate.graph import Graph


@dataclass(frozen=True, eq=False)
class Lowered:
    """A plan with its phases: steps up to `forward_end`, the losses, the way back up to `backward_end`, the update.

    Batches whose gradients are only added up end at `added_end`.

    `kept`, `seeds` and `kept_gradients` are the arrays that are read and given from outside, by name.
    """

    ledger: Ledger
    kept: dict[str, Array]
    seeds: dict[str, Array]
    kept_gradients: dict[str, Array]
    forward_end: int
    loss_end: int
    backward_end: int
    added_end: int


def lower(graph: Graph, request: Request, threads: int, *, exact: bool) -> Lowered:
    """The plan of a program; unless `exact`, fused rectifiers may turn minus infinity into NaN."""
    walk = _Walk(graph, request, threads, exact)
    steps = walk.ledger.plan.steps
    walk.forward()
    forward_end = loss_end = backward_end = added_end = len(steps)
    if request.with_gradients:
        walk.begin_backward()
        loss_end = len(steps)
        walk.back()
        backward_end = added_end = len(steps)
    if request.optimizer is not None:
        walk.ledger.plan.phase = "update"
        add_preparation(walk.ledger)
        added_end = len(steps)
        add_update(walk.ledger, request.optimizer)
    ends = (forward_end, loss_end, backward_end, added_end)
    return Lowered(walk.ledger, walk.kept, walk.seeds, walk.kept_gradients, *ends)


class _Walk:
    """Walks over the groups once forward and once back."""

    def __init__(self, graph: Graph, request: Request, threads: int, exact: bool) -> None:
        self.graph, self.request = graph, request
        self.ledger = Ledger(graph, request, packing_of(graph), exact, threads)
        self.kept: dict[str, Array] = {}
        self.seeds: dict[str, Array] = {}
        self.kept_gradients: dict[str, Array] = {}
        folds = not request.training and not request.with_gradients
        self._done: list[tuple[Group, Any]] = []
        self._groups = fuse(graph, request.keep, fold=folds)

    def forward(self) -> None:
        """Apply every group's rule, in order; each returns its output and what it saved for the way back."""
        ledger = self.ledger
        for name in self.graph.inputs:
            ledger.values[name] = ledger.outside(f"input:{name}", ledger.plain_layout(name))
            self._keep_if_asked(name)
        for group in self._groups:
            with ledger.plan.at(group.output):
                result = rule_of(group, self.request).forward(ledger, group)
                ledger.values[group.output] = result.output
                self._done.append((group, result.saved))
                self._keep_if_asked(group.output)

    def begin_backward(self) -> None:
        """Add seeds of the outputs and kept nodes, and the losses, which write the seeds of their outputs."""
        ledger, request = self.ledger, self.request
        ledger.plan.phase = "backward"
        for name in dict.fromkeys((*self.graph.outputs, *sorted(request.keep))):
            if name in self.graph.inputs or (not request.differentiable and name not in self.graph.outputs):
                continue
            self.seeds[name] = ledger.outside(f"seed:{name}", ledger.plain_layout(name))
            ledger.add_seed(name, self.seeds[name])
        for number, loss in enumerate(request.losses):
            with ledger.plan.at(loss.output):
                add_loss(ledger, number, loss, self.seeds[loss.output])
        for name in self.graph.outputs if request.losses else ():
            with ledger.plan.at(name):
                operation = _native.stop_at_divergence(self.kept[name].layout.bytes // 4)
                ledger.plan.run(operation, {"src": self.kept[name]})

    def back(self) -> None:
        """Apply every group's rule, the last first, from its output's gradient."""
        ledger = self.ledger
        for group, saved in reversed(self._done):
            with ledger.plan.at(group.output):
                gradient = self._total_gradient(group.output)
                if gradient is not None:
                    rule_of(group, self.request).backward(ledger, group, saved, gradient)
        for name in self.graph.inputs:
            with ledger.plan.at(name):
                self._total_gradient(name)

    def _total_gradient(self, name: str) -> Array | None:
        total = self.ledger.total_gradient(name)
        if total is not None and (name in self.request.keep or name in self.graph.inputs):
            self.kept_gradients[name] = self.ledger.plan.plain(total)
            storage = self.kept_gradients[name].storage
            storage.pinned = storage.held = True
        return total

    def _keep_if_asked(self, name: str) -> None:
        """Pin a plain copy of kept nodes and outputs, so that nothing overwrites them."""
        if name in self.request.keep or name in self.graph.outputs:
            with self.ledger.plan.at(name):
                self.kept[name] = self.ledger.plan.plain(self.ledger.values[name])
                self.kept[name].storage.pinned = True
