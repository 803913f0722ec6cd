"""Layers that the native engine calls back for: one's own, and what oneDNN would count wrongly. NumPy computes them."""

import ctypes
from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.native import _native
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Rule
from foveate.engines.operations import Context, operation_of
from foveate.engines.random import raw


class CallbackRule(Rule):
    """Hands plain arrays to the layer's NumPy operation, in the middle of a run."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Call the operation's forward function."""
        node, plan = group.head, lowering.plan
        inputs = [plan.plain(lowering.values[name]) for name in node.inputs]
        parameters = self._parameters(lowering, group)
        statistics = {name: lowering.statistic(node, name) for name in node.layer.statistics(node.input_shapes)}
        output = plan.new(lowering.plain_layout(node.name))
        scalars = lowering.scalars()
        saved: dict[str, Any] = {"inputs": inputs, "parameters": parameters, "output": output}
        shapes = [*_dims(inputs), *self._shapes(group, parameters), *_dims([*statistics.values(), output])]
        training, operation = lowering.training, operation_of(node.layer)

        def call(addresses: Sequence[int]) -> None:
            arrays = [view(address, dims) for address, dims in zip(addresses, shapes, strict=False)]
            run = view(addresses[-1], [4], np.uint64)
            given, rest = arrays[: len(inputs)], arrays[len(inputs) :]
            named = dict(zip(parameters, rest, strict=False))
            measured = dict(zip(statistics, rest[len(parameters) :], strict=False))
            step, seed = int(run[2]), int(run[3])
            context = Context(training, dict(measured), lambda count: raw(seed, node.name, step, count))
            arrays[-1][...] = operation.forward(node.layer, given, named, context)
            for name, array in measured.items():
                array[...] = context.statistics[name]
            saved["context"] = context

        operands = numbered((*inputs, *parameters.values(), *statistics.values(), output, scalars))
        plan.run(_native.callback(type(node.layer).__name__, call), operands)
        lowering.saved[node.name] = saved
        return output

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Call the operation's backward function."""
        node, plan = group.head, lowering.plan
        saved = lowering.saved[node.name]
        inputs, parameters, output = saved["inputs"], saved["parameters"], saved["output"]
        gradient = plan.plain(gradient)
        to_inputs = [plan.new(array.layout) for array in inputs]
        to_parameters = {
            name: lowering.parameter_gradient(node, name, array.layout) for name, array in parameters.items()
        }
        everything = (*inputs, *parameters.values(), output, gradient, *to_inputs, *to_parameters.values())
        named_shapes = self._shapes(group, parameters)
        shapes = [*_dims(inputs), *named_shapes, *_dims([output, gradient, *to_inputs]), *named_shapes]
        operation = operation_of(node.layer)

        def call(addresses: Sequence[int]) -> None:
            arrays = [view(address, dims) for address, dims in zip(addresses, shapes, strict=True)]
            count = len(inputs) + len(parameters)
            named = dict(zip(parameters, arrays[len(inputs) : count], strict=True))
            of_inputs, of_parameters = operation.backward(
                node.layer, arrays[: len(inputs)], named, arrays[count], arrays[count + 1], saved["context"]
            )
            targets = arrays[count + 2 :]
            for target, values in zip(targets, of_inputs, strict=False):
                target[...] = 0 if values is None else values
            for target, name in zip(targets[len(inputs) :], parameters, strict=True):
                target[...] = of_parameters[name]

        plan.run(_native.callback(f"{type(node.layer).__name__} backward", call), numbered(everything))
        for name, array in to_parameters.items():
            lowering.finish_gradient(node, name, array)
        for name, array in zip(node.inputs, to_inputs, strict=True):
            lowering.add_gradient(name, array)

    def _parameters(self, lowering: Lowering, group: Group) -> dict[str, Array]:
        node = group.head
        places = lowering.packing.parameters
        return {
            name: lowering.parameter_in(node, name, places[f"{node.parameters}.{name}"].canonical)
            for name, parameter in node.layer.parameters(node.input_shapes).items()
            if prod(parameter.shape)
        }

    def _shapes(self, group: Group, names: Iterable[str]) -> list[Sequence[int]]:
        """The shapes that the operation knows; a grouped weight has one axis more where it is packed."""
        parameters = group.head.layer.parameters(group.head.input_shapes)
        return [parameters[name].shape for name in names]


def _dims(arrays: Sequence[Array]) -> list[list[int]]:
    return [array.layout.dims for array in arrays]


def view(address: int, dims: Sequence[int], dtype: type[np.generic] = np.float32) -> NDArray[Any]:
    """NumPy's view of numbers that the program owns."""
    size = prod(dims) * np.dtype(dtype).itemsize
    memory = memoryview((ctypes.c_char * size).from_address(address))
    return np.frombuffer(memory, dtype).reshape(dims)


def numbered(arrays: Sequence[Array]) -> dict[str, Array | None]:
    """Operands of a callback, which gets their addresses in this order."""
    return {f"operand_{number}": array for number, array in enumerate(arrays)}
