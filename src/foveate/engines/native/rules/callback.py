"""Layers that the native engine calls back for, computed in NumPy: custom ones, and what oneDNN would count wrongly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

import foveate.engines.reference  # noqa: F401 (fills the table of definitions)
from foveate.engines.definitions import Context, definition_of
from foveate.engines.native.callbacks import RunningState, view
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule
from foveate.engines.random import raw
from foveate.graph import Node


@dataclass(frozen=True, eq=False)
class Called:
    """What the definition read and wrote."""

    inputs: list[Array]
    parameters: dict[str, Array]
    output: Array


class CallbackRule(Rule[Called]):
    """Hands plain arrays to the layer's NumPy definition, in the middle of a run."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Called]:
        """Call the definition's forward function."""
        node, plan, definition = group.head, ledger.plan, definition_of(group.head.layer)
        inputs = [plan.plain(ledger.values[name]) for name in node.inputs]
        parameters = _parameters(ledger, node)
        statistics = {name: ledger.statistic(node, name) for name in node.layer.statistics(node.input_shapes)}
        output = plan.new(ledger.plain_layout(node.name))
        training = ledger.request.measures(node) if statistics else ledger.request.training
        views = _Views(inputs, parameters, statistics, [output], node)

        def call(run: RunningState, addresses: Sequence[int]) -> None:
            given, named, measured, (target,) = views.at(addresses)
            context = Context(training, dict(measured), lambda count: raw(run.seed, node.name, run.step, count))
            target[...] = definition.forward(node.layer, given, named, context)
            for name, array in measured.items():
                array[...] = context.statistics[name]
            run.saved[node.name] = context

        ledger.call(type(node.layer).__name__, call, views.operands)
        return Result(output, Called(inputs, parameters, output))

    def backward(self, ledger: Ledger, group: Group, saved: Called, gradient: Array) -> None:
        """Call the definition's backward function."""
        node, plan, definition = group.head, ledger.plan, definition_of(group.head.layer)
        to_inputs = [plan.new(array.layout) for array in saved.inputs]
        to_parameters = {
            name: ledger.parameter_gradient(node, name, array.layout) for name, array in saved.parameters.items()
        }
        results = [saved.output, plan.plain(gradient), *to_inputs]
        views = _Views(saved.inputs, saved.parameters, to_parameters, results, node)

        def call(run: RunningState, addresses: Sequence[int]) -> None:
            given, named, gradients, (output, arriving, *targets) = views.at(addresses)
            of_inputs, of_parameters = definition.backward(
                node.layer, given, named, output, arriving, run.saved[node.name]
            )
            for target, values in zip(targets, of_inputs, strict=False):
                target[...] = 0 if values is None else values
            for name, target in gradients.items():
                target[...] = of_parameters[name]

        ledger.call(f"{type(node.layer).__name__} backward", call, views.operands)
        for name, array in to_parameters.items():
            ledger.finish_gradient(node, name, array)
        for name, array in zip(node.inputs, to_inputs, strict=True):
            ledger.add_gradient(name, array)


def _parameters(ledger: Ledger, node: Node) -> dict[str, Array]:
    """The node's parameters in the canonical layout; empty ones are left out."""
    places = ledger.packing.parameters
    return {
        name: ledger.parameter_in(node, name, places[f"{node.parameters}.{name}"].canonical)
        for name, parameter in node.layer.parameters(node.input_shapes).items()
        if prod(parameter.shape)
    }


class _Views:
    """A callback's arrays, in order: inputs, parameters, further arrays by name, and others."""

    def __init__(
        self,
        inputs: Sequence[Array],
        parameters: Mapping[str, Array],
        named: Mapping[str, Array],
        others: Sequence[Array],
        node: Node,
    ) -> None:
        self.arrays = [*inputs, *parameters.values(), *named.values(), *others]
        self._inputs, self._parameters, self._named = len(inputs), list(parameters), list(named)
        # A grouped weight has one axis more where it is packed than the definition knows.
        shapes = {name: parameter.shape for name, parameter in node.layer.parameters(node.input_shapes).items()}
        known = [None] * len(inputs) + [shapes.get(name) for name in (*parameters, *named)] + [None] * len(others)
        self._shapes = [shape or array.layout.dims for shape, array in zip(known, self.arrays, strict=True)]

    @property
    def operands(self) -> dict[str, Array]:
        """The arrays by names that are merely numbered."""
        return {f"operand_{number}": array for number, array in enumerate(self.arrays)}

    def at(
        self, addresses: Sequence[int]
    ) -> tuple[
        list[NDArray[np.float32]],
        dict[str, NDArray[np.float32]],
        dict[str, NDArray[np.float32]],
        list[NDArray[np.float32]],
    ]:
        """The arrays at `addresses`, as NumPy sees them."""
        seen = [view(address, shape) for address, shape in zip(addresses, self._shapes, strict=True)]
        first = self._inputs + len(self._parameters)
        second = first + len(self._named)
        return (
            seen[: self._inputs],
            dict(zip(self._parameters, seen[self._inputs : first], strict=True)),
            dict(zip(self._named, seen[first:second], strict=True)),
            seen[second:],
        )
