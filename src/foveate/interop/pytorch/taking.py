"""A PyTorch graph during conversion: what its tensors have become, which arrays are whose, what is refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor, fx

from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.walk import Columns, NotTakenError, Source, Walk
from foveate.layers import Layer, Shape


@dataclass(frozen=True)
class Constant:
    """Numbers that do not depend on the input; `name` is PyTorch's if they are an array there, perhaps reshaped."""

    tensor: Tensor
    name: str | None = None
    computed_learns: bool = False
    form: ClassVar[str] = ""

    @property
    def learns(self) -> bool:
        """Whether training changes them there."""
        return self.tensor.requires_grad or self.computed_learns

    @property
    def told(self) -> str:
        """What it is called in a sentence."""
        return f"the array {self.name}" if self.name else "numbers that do not depend on the input"


@dataclass
class Taking(Walk[fx.Node]):
    """Everything that rules need: a builder, the tensors so far, and PyTorch's own arrays by name."""

    arrays: Mapping[str, Tensor]
    targets: Mapping[str, str]
    """The module's name for each parameter and buffer that the graph is given."""

    known: dict[fx.Node, Any] = field(default_factory=dict)
    """What represents each node: a `Held`, or a list of them."""

    computed: dict[fx.Node, "Constant"] = field(default_factory=dict)
    """Operations on nothing but arrays, which are done during the conversion."""

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
            raise NotTakenError(f"it computes with {fixed.told}, which no layer in foveate does")
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

    def add(
        self,
        layer: Layer,
        *inputs: Value,
        node: fx.Node,
        arrays: Mapping[str, fx.Node | None] | None = None,
        columns: Columns | None = None,
    ) -> Value:
        """Add a layer, under the name of the module that `node` is in.

        `arrays` are PyTorch's, by the layer's names for them; `columns` says foveate's column of the
        weight for each of PyTorch's.
        """
        fixed = {}
        for name, array in (arrays or {}).items():
            found = self.constant(array)
            if array is not None and found is None:
                raise NotTakenError(f"its {name} depends on the input")
            if found is not None:
                fixed[name] = found
        return self.add_made(layer, *inputs, node=node, arrays=fixed, columns=columns)

    def home(self, node: fx.Node, given: Mapping[str, str], layer: Layer) -> str:
        """That of the module that holds its arrays, or is it, else one after the module around it."""
        for target in given.values():
            if "." in target:
                return target.rpartition(".")[0]
        path, kind = path_of(node)
        if path and kind.startswith("torch.nn.modules"):
            return path
        label = layer.label if not given else next(iter(given.values()))
        return f"{path}.{label}" if path else label

    def is_unchanged(self, array: Source) -> bool:
        """Whether it has the shape that it has in the module."""
        return array.name is not None and bool(array.tensor.shape == self.arrays[array.name].shape)

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


def later_users(node: fx.Node, than: fx.Node) -> Iterator[fx.Node]:
    """The operations that read `node` after another."""
    for user in node.users:
        if user > than:
            yield user
