"""A PyTorch graph during conversion: what its tensors have become, which arrays are whose, what is refused."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, fx

from foveate.graph.builder import GraphBuilder, Value
from foveate.interop.pytorch.held import Border, Held, held
from foveate.layers import Flatten, Layer, Pad, Reshape, Shape, Transpose
from foveate.layers.pooling import MaxPooling

Columns: TypeAlias = NDArray[np.intp]


class NotTakenError(Exception):
    """An operation that no layer computes; the message says why."""


@dataclass(frozen=True)
class Constant:
    """Numbers that do not depend on the input; `name` is PyTorch's if they are an array there, perhaps reshaped."""

    tensor: Tensor
    name: str | None = None
    computed_learns: bool = False

    @property
    def learns(self) -> bool:
        """Whether training changes them there."""
        return self.tensor.requires_grad or self.computed_learns

    @property
    def told(self) -> str:
        """What it is called in a sentence."""
        return f"the array {self.name}" if self.name else "numbers that do not depend on the input"


@dataclass
class Taking:
    """Everything that rules need: a builder, the tensors so far, and PyTorch's own arrays by name."""

    builder: GraphBuilder
    arrays: Mapping[str, Tensor]
    targets: Mapping[str, str]
    """The module's name for each parameter and buffer that the graph is given."""

    known: dict[fx.Node, Any] = field(default_factory=dict)
    """What represents each node: a `Held`, or a list of them."""

    names: dict[str, str] = field(default_factory=dict)
    """PyTorch's name of each of foveate's arrays."""

    made: dict[str, Tensor] = field(default_factory=dict)
    """The numbers of foveate's arrays that are PyTorch's in another shape, or were computed from them."""

    computed: dict[fx.Node, "Constant"] = field(default_factory=dict)
    """Operations on nothing but arrays, which are done during the conversion."""

    columns: dict[str, Columns] = field(default_factory=dict)
    """For a weight whose input's axes were moved in PyTorch: which column here corresponds to each one there."""

    frozen: set[str] = field(default_factory=set)
    keys: dict[tuple[str | None, ...], str] = field(default_factory=dict)
    """The key under which nodes share the same arrays of PyTorch."""

    used: Counter[str] = field(default_factory=Counter)

    def constant(self, node: Any) -> "Constant | None":
        """The numbers that a node always has, whatever the input is; None if it depends on that."""
        if not isinstance(node, fx.Node):
            return None
        if node.name in self.targets:
            target = self.targets[node.name]
            return Constant(self.arrays[target], target)
        return self.computed.get(node)

    def compute(self, node: fx.Node) -> bool:
        """Do an operation on nothing but arrays now; tells whether it is one."""
        filler = _FILLERS.get(str(node.target).removeprefix("aten.").partition(".")[0])
        if filler is not None:  # numbers that depend on the input's shape alone, the same in every sample
            shape = (1, *map(int, node.meta["val"].shape[1:]))
            self.computed[node] = Constant(torch.full(shape, filler))
            return True
        given = {each: fixed for each in node.all_input_nodes if (fixed := self.constant(each)) is not None}
        if len(given) < len(node.all_input_nodes) or not isinstance(node.meta.get("val"), Tensor):
            return False
        first = next(iter(given.values()), None)
        if first is not None and "expand" in str(node.target):  # what meets it repeats it anyway
            self.computed[node] = first
            return True
        with torch.no_grad():
            arguments, options = fx.node.map_arg((node.args, dict(node.kwargs)), lambda each: given[each].tensor)
            made = node.target(*arguments, **options)  # type: ignore[operator]
        name = first.name if first is not None and len(given) == 1 and _looks_at(made, first.tensor) else None
        self.computed[node] = Constant(made, name, any(each.learns for each in given.values()))
        return True

    def held(self, node: Any) -> Held:
        """What represents an input of an operation."""
        if not isinstance(node, fx.Node):
            raise NotTakenError(f"one of its inputs is the constant {node!r}")
        fixed = self.constant(node)
        if fixed is not None:
            raise NotTakenError(f"it computes with {fixed.told}, which no layer here does")
        found = self.known[node]
        if not isinstance(found, Held):
            raise NotTakenError("one of its inputs is a list of tensors")
        return found

    def value(self, node: Any) -> Value:
        """The value of an input in PyTorch's shape, with everything pending done."""
        waiting = self.held(node)
        value = self.done(waiting, where=node)
        if value is not waiting.value:
            self.known[node] = held(value)  # whoever else reads it finds it done
        return value

    def done(self, waiting: Held, where: fx.Node) -> Value:
        """A held tensor with everything pending done, named after `where`."""
        value = waiting.value
        if waiting.groups is not None:
            grouped = Reshape((waiting.groups, -1, *value.shape[1:]))
            order = (1, 0, *range(2, len(value.shape) + 1))
            value = self.add(Transpose(order), self.add(grouped, value, node=where), node=where)
        if waiting.order is not None:
            value = self.add(Transpose(waiting.order), value, node=where)
        if waiting.steps is not None:
            value = self.add(MaxPooling.over(len(waiting.steps))(1, stride=waiting.steps), value, node=where)
        if waiting.border is not None:
            value = self.padded(value, waiting.border, where)
        if value.shape == waiting.shape:
            return value
        layer = Flatten() if len(waiting.shape) == 1 else Reshape(waiting.shape)
        return self.add(layer, value, node=where)

    def padded(self, value: Value, border: Border, where: fx.Node) -> Value:
        """Padding as a layer of its own."""
        mode = border.mode.replace("zeros", "constant")
        return self.add(Pad(((0, 0), *border.pairs), mode), value, node=where)

    def add(
        self,
        layer: Layer,
        *inputs: Value,
        node: fx.Node,
        arrays: Mapping[str, fx.Node | None] | None = None,
        columns: Columns | None = None,
    ) -> Value:
        """Add a layer, under the name of the module that `node` is in.

        `arrays` are PyTorch's, by the layer's names for them; `columns` says which column of the weight
        here corresponds to each one there.
        """
        fixed = {}
        for name, array in (arrays or {}).items():
            found = self.constant(array)
            if array is not None and found is None:
                raise NotTakenError(f"its {name} depends on the input")
            if found is not None:
                fixed[name] = found
        return self.add_made(layer, *inputs, node=node, arrays=fixed, columns=columns)

    def add_made(
        self,
        layer: Layer,
        *inputs: Value,
        node: fx.Node,
        arrays: Mapping[str, Constant],
        columns: Columns | None = None,
    ) -> Value:
        """Add a layer as `add` does, with arrays that may have been computed."""
        given = {name: array.name for name, array in arrays.items() if array.name is not None}
        name = self.free(_home(node, given, layer))
        moved = "" if columns is None else str(columns.tolist())
        shared = (type(layer).__name__, *(f"{short}: {target}" for short, target in sorted(given.items())), moved)
        key = self.keys.setdefault(shared, name) if given else name
        value = self.builder.add(layer, *inputs, name=name, parameters=key)
        if columns is not None:
            self.columns[f"{key}.weight"] = columns
        for short, array in arrays.items():
            full = f"{key}.{short}"
            if array.name is not None:
                self.names[full] = array.name
            if array.name is None or array.tensor.shape != self.arrays[array.name].shape:
                self.made[full] = array.tensor
            if not array.learns and _learns(layer, short, [each.shape for each in inputs]):
                self.frozen.add(full)
        return value

    def free(self, name: str) -> str:
        """`name`, with the next number appended if it is taken."""
        self.used[name] += 1
        if self.used[name] == 1:
            return name
        return self.free(f"{name}_{self.used[name]}")

    def many(self, nodes: Sequence[Any]) -> list[Value]:
        """The values of several inputs."""
        return [self.value(node) for node in nodes]


def shape_of(node: fx.Node) -> Shape:
    """PyTorch's shape of a tensor, without the batch axis."""
    return tuple(int(size) for size in node.meta["val"].shape[1:])


def path_of(node: fx.Node) -> tuple[str, str]:
    """The path of the innermost module that an operation is in, and the module's type."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path, kind = stack[-1] if stack else ("", "")
    return str(path), kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


_FILLERS = {"zeros_like": 0.0, "ones_like": 1.0, "new_zeros": 0.0, "new_ones": 1.0}
"""Operations that make an array of one number in the shape of their input."""


def _looks_at(made: Tensor, before: Tensor) -> bool:
    """Whether an array is another in another shape: the same numbers in the same places of memory."""
    same = made.data_ptr() == before.data_ptr() and made.numel() == before.numel() and made.dtype == before.dtype
    return same and made.is_contiguous() and before.is_contiguous()


def _home(node: fx.Node, given: Mapping[str, str], layer: Layer) -> str:
    """A layer's name: that of the module that holds its arrays, or is it, else one after the module around it."""
    for target in given.values():
        if "." in target:
            return target.rpartition(".")[0]
    path, kind = path_of(node)
    if path and kind.startswith("torch.nn.modules"):
        return path
    label = layer.label if not given else next(iter(given.values()))
    return f"{path}.{label}" if path else label


def _learns(layer: Layer, name: str, shapes: Sequence[Shape]) -> bool:
    return name in layer.parameters(shapes)


def later_users(node: fx.Node, than: fx.Node) -> Iterator[fx.Node]:
    """The operations that read `node` after another."""
    for user in node.users:
        if user > than:
            yield user
