"""What rules use while a graph is lowered: values, parameters and gradients. A ledger knows no layer and no rule.

Values are arrays that are written once. If a value has several readers, their gradients are summed in the order in
which they were added, so results do not depend on chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from foveate.engines.native import _native
from foveate.engines.native.callbacks import CallbackFunction
from foveate.engines.native.derived import Derivation, derived_from
from foveate.engines.native.packing import PackedPlace, Packing
from foveate.engines.native.plan import Array, Plan, Storage
from foveate.engines.request import Request
from foveate.graph import Graph, Node


@dataclass(eq=False)
class Ledger:
    """The books of one lowering."""

    graph: Graph
    request: Request
    packing: Packing
    exact: bool
    """Whether rectifiers are right for infinities too; otherwise oneDNN's, which are fused, may turn them into NaN."""
    threads: int
    """How many threads the program will have."""
    plan: Plan = field(default_factory=Plan)
    values: dict[str, Array] = field(default_factory=dict)
    """The array of each input and each group's output."""
    derivations: dict[str, Derivation] = field(default_factory=dict)
    """By space: the arrays that the program derives from the state, again whenever that has changed."""
    callbacks: list[CallbackFunction] = field(default_factory=list)
    """Functions that a run calls; each session has a store of its own for what they save."""

    def __post_init__(self) -> None:
        self.infinities_become_nan = False
        """Whether a lowered rectifier turns minus infinity into NaN."""
        self._wanted = self._values_with_gradients()
        self._gradients: dict[str, list[Array]] = {}
        self._written_gradients: set[str] = set()
        self._parameters: dict[str, Array] = {}

    @property
    def batch_size(self) -> int:
        """Samples in a batch."""
        return self.request.batch_size

    # Forward.

    def dims(self, name: str) -> list[int]:
        """Axes of a value, batch first."""
        return [self.batch_size, *self.graph.shapes[name]]

    def plain_layout(self, name: str) -> _native.Layout:
        """The plain layout of a value."""
        return _native.Layout.plain(self.dims(name))

    def parameter(self, node: Node, name: str) -> Array:
        """A parameter of `node` at its place in the state."""
        full = f"{node.parameters}.{name}"
        if full not in self._parameters:
            self._parameters[full] = placed("parameters", self.packing.parameters[full])
        return self._parameters[full]

    def parameter_in(self, node: Node, name: str, layout: _native.Layout) -> Array:
        """A parameter in `layout`: reordered at each step if training changes it, else once for each state."""
        array = self.parameter(node, name)
        if array.layout == layout or not self.can_derive:
            return self.plan.in_layout(array, layout)
        return self.derived(self.derivation(node, name, layout))

    @property
    def can_derive(self) -> bool:
        """Whether the state stays the same for many runs, so that it pays to derive arrays from it beforehand."""
        return not self.request.with_gradients and not self.request.training

    def derivation(self, node: Node, name: str, layout: _native.Layout) -> Derivation:
        """A parameter in `layout`, to be derived from the state."""
        full = f"{node.parameters}.{name}"
        return derived_from(full, self.packing.parameters[full].canonical, layout, lambda state: state.read(full))

    def derived(self, derivation: Derivation) -> Array:
        """An array that is derived from the state before the first run, and when the state has changed."""
        space = f"derived:{len(self.derivations)}"
        self.derivations[space] = derivation
        return self.outside(space, derivation.layout)

    def statistic(self, node: Node, name: str) -> Array:
        """A measured array of `node` at its place in the state."""
        return placed("statistics", self.packing.statistics[f"{node.parameters}.{name}"])

    def outside(self, space: str, layout: _native.Layout) -> Array:
        """An array that is given for each run."""
        return Array(layout, Storage(space, layout.bytes, pinned=True))

    def call(self, name: str, function: CallbackFunction, operands: Mapping[str, Array]) -> None:
        """Add a step that calls `function` with the addresses of its operands, in order."""
        self.plan.run(_native.callback(name, len(self.callbacks), list(operands)), operands)
        self.callbacks.append(function)

    # Backward.

    def wants_gradient(self, name: str) -> bool:
        """Whether anyone needs the gradient of this value."""
        return name in self._wanted

    def add_gradient(self, name: str, gradient: Array) -> None:
        """Add another reader's share of the gradient of a value."""
        if name in self._wanted:
            self._gradients.setdefault(name, []).append(gradient)

    def add_seed(self, name: str, seed: Array) -> None:
        """Add the gradient that a loss or a caller gives to a value."""
        self._gradients.setdefault(name, []).append(seed)

    def total_gradient(self, name: str) -> Array | None:
        """The sum of all readers' shares, in the first blocked layout among them; None if nothing flows back."""
        shares = self._gradients.get(name, [])
        if not shares or name not in self._wanted:
            return None
        if len(shares) == 1:
            return shares[0]
        layout = next((share.layout for share in shares if not share.layout.is_plain), shares[0].layout)
        total = self.plan.new(layout)
        self.plan.sum(total, [self.plan.in_layout(share, layout) for share in shares])
        return total

    def learns(self, node: Node, name: str) -> bool:
        """Whether the gradient of this parameter is computed."""
        return self.request.learns(f"{node.parameters}.{name}")

    def parameter_gradient(self, node: Node, name: str, layout: _native.Layout) -> Array:
        """Where to write the gradient of a parameter in `layout`, wanted or not; `finish_gradient` must follow."""
        full = f"{node.parameters}.{name}"
        if not self.request.learns(full):
            return self.plan.new(layout)
        place = self.packing.parameters[full]
        if layout == place.layout and full not in self._written_gradients:
            return placed("gradients", place)
        return self.plan.new(layout)

    def finish_gradient(self, node: Node, name: str, written: Array) -> None:
        """Move a parameter's gradient to its place; if parameters are shared, add it."""
        full = f"{node.parameters}.{name}"
        if not self.request.learns(full):
            return
        target = placed("gradients", self.packing.parameters[full])
        if full in self._written_gradients:
            self.plan.sum(target, [target, self.plan.in_layout(written, target.layout)])
        elif written.storage.space != "gradients":
            self.plan.run(_native.reorder_operation(written.layout, target.layout), {"src": written, "dst": target})
        self._written_gradients.add(full)

    def _values_with_gradients(self) -> set[str]:
        """Values on a requested way back: to parameters, to inputs, to kept nodes."""
        request = self.request
        if not request.with_gradients:
            return set()
        wanted = {name for name in self.graph.inputs if request.differentiable or name in request.keep}
        for node in self.graph.nodes:
            learns = any(self.learns(node, name) for name in node.layer.parameters(node.input_shapes))
            if learns or wanted.intersection(node.inputs) or node.name in request.keep:
                wanted.add(node.name)
        return wanted


def placed(space: str, place: PackedPlace) -> Array:
    """An array of the state or of the gradients, at its place in `space`."""
    return Array(place.layout, Storage(space, place.layout.bytes, place.offset, pinned=True))
