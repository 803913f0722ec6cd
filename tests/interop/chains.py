"""Short random chains of ONNX's operators that move, merge, reduce and join axes, wherever these leave the batch."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper


class Size(NamedTuple):
    """A size: a number, times the batch if it is open."""

    count: int
    of_batch: bool = False


Sizes = tuple[Size, ...]
MOST = 600
"""The most numbers of a sample."""


@dataclass
class Chain:
    """A network that grows by one operator at a time."""

    random: np.random.Generator
    batch: int | None
    """None if it is open."""

    opset: int
    nodes: list[Any] = field(default_factory=list)
    arrays: list[Any] = field(default_factory=list)
    values: list[tuple[str, Sizes]] = field(default_factory=list)
    """All values so far, with their sizes."""

    def start(self) -> "Chain":
        """With an input of a few axes."""
        sizes = tuple(Size(int(size)) for size in self.random.choice([1, 2, 3, 4], self.random.integers(2, 4)))
        self.values = [("x", (Size(1, True) if self.batch is None else Size(self.batch), *sizes))]
        return self

    def pick(self, number: int) -> int:
        """A whole number below another one."""
        return int(self.random.integers(number))

    def axis(self, rank: int) -> int:
        """An axis, counted from the front or from the back."""
        return self.pick(rank) - rank * self.pick(2)

    def array(self, numbers: Any, kind: Any = np.float32) -> str:
        """An array of the file."""
        name = f"k{len(self.arrays)}"
        self.arrays.append(numpy_helper.from_array(np.asarray(numbers, kind), name))
        return name

    def normal(self, *sizes: int) -> str:
        """An array of random numbers."""
        return self.array(self.random.standard_normal(sizes))

    def whole(self, *numbers: int) -> str:
        """An array of whole numbers."""
        return self.array(numbers, np.int64)

    def add(self, kind: str, inputs: list[str], sizes: Sizes, outputs: int = 1, **attributes: Any) -> str:
        """An operator, whose first output goes on."""
        names = [f"v{len(self.nodes)}_{number}" for number in range(outputs)]
        self.nodes.append(helper.make_node(kind, inputs, names, **attributes))
        self.values.append((names[0], sizes))
        return names[0]

    def axes(self, kind: str, source: str, axes: list[int], sizes: Sizes, since: int, **attributes: Any) -> None:
        """An operator whose axes are an input from a version on."""
        if self.opset >= since:
            self.add(kind, [source, self.whole(*axes)], sizes, **attributes)
        else:
            self.add(kind, [source], sizes, axes=axes, **attributes)

    def model(self) -> onnx.ModelProto:
        """The network, whose output is the last value."""
        _, sizes = self.values[0]
        shape = ["N" if size.of_batch else size.count for size in sizes]
        graph = helper.make_graph(
            self.nodes,
            "chain",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(self.values[-1][0], TensorProto.FLOAT, None)],
            self.arrays,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)], ir_version=8)


def random_chain(seed: int, batch: int | None) -> Chain:
    """A chain of three to seven operators."""
    random = np.random.default_rng(seed)
    chain = Chain(random, batch, int(random.choice([11, 13, 17, 18]))).start()
    length = 3 + chain.pick(5)
    while len(chain.nodes) < length:
        STEPS[chain.pick(len(STEPS))](chain, *chain.values[-1])
    if chain.pick(2):
        back(chain, *chain.values[-1])
    return chain


STEPS: list[Callable[[Chain, str, Sizes], Any]] = []


def step(weight: int = 1) -> Callable[[Any], Any]:
    """Register a step; it adds an operator, or nothing if the value does not suit it."""

    def enter(function: Any) -> Any:
        STEPS.extend([function] * weight)
        return function

    return enter


def joined(sizes: Sizes) -> Size:
    """Several axes as one."""
    return Size(prod(size.count for size in sizes), any(size.of_batch for size in sizes))


def replaced(sizes: Sizes, axis: int, *others: Size) -> Sizes:
    """The sizes with others in place of an axis."""
    axis %= len(sizes)
    return (*sizes[:axis], *others, *sizes[axis + 1 :])


@step(3)
def transpose(chain: Chain, source: str, sizes: Sizes) -> None:
    order = [int(axis) for axis in chain.random.permutation(len(sizes))]
    chain.add("Transpose", [source], tuple(sizes[axis] for axis in order), perm=order)


def reshape(chain: Chain, source: str, old: Sizes, sizes: Sizes) -> None:
    wanted = [-1 if size.of_batch else size.count for size in sizes]
    if -1 not in wanted and chain.pick(2):
        wanted[chain.pick(len(wanted))] = -1
    same = [axis for axis, size in enumerate(sizes[: len(old)]) if size == old[axis]]
    if same and chain.pick(2):
        wanted[same[chain.pick(len(same))]] = 0
    chain.add("Reshape", [source, chain.whole(*wanted)], sizes)


@step(3)
def merge(chain: Chain, source: str, sizes: Sizes) -> None:
    if len(sizes) > 1:
        axis = chain.pick(len(sizes) - 1)
        reshape(chain, source, sizes, (*sizes[:axis], joined(sizes[axis : axis + 2]), *sizes[axis + 2 :]))


@step(2)
def part(chain: Chain, source: str, sizes: Sizes) -> None:
    axis = chain.pick(len(sizes))
    count, of_batch = sizes[axis]
    factors = [each for each in range(1, count + 1) if count % each == 0]
    if len(sizes) < 6:
        one = factors[chain.pick(len(factors))]
        pair = [Size(one), Size(count // one, of_batch)]
        reshape(chain, source, sizes, replaced(sizes, axis, *pair[:: 1 - 2 * chain.pick(2)]))


@step(3)
def back(chain: Chain, source: str, sizes: Sizes) -> None:
    """To the sizes of a value before that has as many numbers."""
    fitting = [each for _, each in chain.values if joined(each) == joined(sizes) and each != sizes]
    if fitting:
        reshape(chain, source, sizes, fitting[chain.pick(len(fitting))])


@step()
def flatten(chain: Chain, source: str, sizes: Sizes) -> None:
    axis = chain.pick(len(sizes) + 1)
    chain.add("Flatten", [source], (joined(sizes[:axis]), joined(sizes[axis:])), axis=axis)


@step()
def squeeze(chain: Chain, source: str, sizes: Sizes) -> None:
    ones = [axis for axis, size in enumerate(sizes) if size == Size(1)]
    if ones and len(sizes) > 2:
        gone = ones[chain.pick(len(ones))]
        chain.axes("Squeeze", source, [gone], replaced(sizes, gone), 13)


@step()
def unsqueeze(chain: Chain, source: str, sizes: Sizes) -> None:
    if len(sizes) < 6:
        place = chain.pick(len(sizes) + 1)
        chain.axes("Unsqueeze", source, [place], (*sizes[:place], Size(1), *sizes[place:]), 13)


@step(2)
def softmax(chain: Chain, source: str, sizes: Sizes) -> None:
    chain.add(("Softmax", "LogSoftmax")[chain.pick(2)], [source], sizes, axis=chain.axis(len(sizes)))


@step(2)
def layer_norm(chain: Chain, source: str, sizes: Sizes) -> None:
    axis = chain.axis(len(sizes))
    over = sizes[axis:]
    if chain.opset >= 17 and not any(size.of_batch for size in over) and joined(over).count > 2:  # two are only signs
        weights = [chain.normal(*(size.count for size in over)) for _ in range(1 + chain.pick(2))]
        chain.add("LayerNormalization", [source, *weights], sizes, axis=axis)


@step(2)
def reduce(chain: Chain, source: str, sizes: Sizes) -> None:
    kinds = ("Mean", "Sum", "Max", "Min", "L1", "L2", "SumSquare", "LogSumExp", "Prod")
    kind, keepdims = kinds[chain.pick(len(kinds))], chain.pick(2)
    over = sorted({chain.pick(len(sizes)) for _ in range(1 + chain.pick(2))})
    rest = [(Size(1) if axis in over else size) for axis, size in enumerate(sizes) if keepdims or axis not in over]
    if rest:
        axes = [axis - len(sizes) * chain.pick(2) for axis in over]
        chain.axes(f"Reduce{kind}", source, axes, tuple(rest), 13 if kind == "Sum" else 18, keepdims=keepdims)


@step(2)
def gather(chain: Chain, source: str, sizes: Sizes) -> None:
    axis = chain.axis(len(sizes))
    count, of_batch = sizes[axis]
    if of_batch:
        return
    shape: tuple[int, ...] = ((), (2,), (1, 2))[chain.pick(3)]
    if len(sizes) == 1 and not shape:
        return
    indices = chain.array(chain.random.integers(-count, count, shape), np.int64)
    chain.add("Gather", [source, indices], replaced(sizes, axis, *map(Size, shape)), axis=axis)


@step(2)
def slices(chain: Chain, source: str, sizes: Sizes) -> None:
    axis = chain.axis(len(sizes))
    count, of_batch = sizes[axis]
    begin = chain.pick(count)
    left = len(range(begin, count))
    bounds = [chain.whole(each) for each in (begin, count, axis)]
    if not of_batch:
        chain.add("Slice", [source, *bounds], replaced(sizes, axis, Size(left)))


@step()
def split(chain: Chain, source: str, sizes: Sizes) -> None:
    axis = chain.axis(len(sizes))
    count, of_batch = sizes[axis]
    if of_batch or count < 2:
        return
    one = 1 + chain.pick(count - 1)
    parts, after = [one, count - one], replaced(sizes, axis, Size(one))
    if chain.opset >= 13:
        chain.add("Split", [source, chain.whole(*parts)], after, 2, axis=axis)
    else:
        chain.add("Split", [source], after, 2, axis=axis, split=parts)


@step(2)
def concat(chain: Chain, source: str, sizes: Sizes) -> None:
    axis = chain.axis(len(sizes))
    count, of_batch = sizes[axis]
    others = [size.count for size in replaced(sizes, axis, Size(1 + chain.pick(2)))]
    if of_batch:
        return
    if chain.pick(2) or any(size.of_batch for size in sizes):
        chain.add("Concat", [source, source], replaced(sizes, axis, Size(2 * count)), axis=axis)
        return
    array, same = chain.random.standard_normal(others), chain.batch or 1
    for each, size in enumerate(others):  # equal for all samples, if it is they that are along the axis
        if size == same and chain.pick(3):
            array = np.repeat(array.take([0], each), size, each)
    inputs = [source, chain.array(array)]
    after = replaced(sizes, axis, Size(count + others[axis]))
    chain.add("Concat", inputs if chain.pick(2) else inputs[::-1], after, axis=axis)


@step(3)
def with_array(chain: Chain, source: str, sizes: Sizes) -> None:
    kind = ("Add", "Sub", "Mul", "Max", "Div")[chain.pick(5)]
    shape = [1 if size.of_batch or chain.pick(2) else size.count for size in sizes][chain.pick(len(sizes) + 1) :]
    inputs = [source, chain.array(1 + chain.random.random(shape))]
    chain.add(kind, inputs if kind == "Div" or chain.pick(2) else inputs[::-1], sizes)


@step(3)
def with_value(chain: Chain, source: str, sizes: Sizes) -> None:
    """Together with a value that is there."""
    fitting = [
        (name, each)
        for name, each in chain.values
        if len(each) <= len(sizes)
        and all(Size(1) in (a, b) or a == b for a, b in zip(each[::-1], sizes[::-1], strict=False))
    ]
    other, its = fitting[chain.pick(len(fitting))]
    its = (*(Size(1),) * (len(sizes) - len(its)), *its)
    made = tuple(b if a == Size(1) else a for a, b in zip(its, sizes, strict=True))
    chain.add(("Add", "Mul", "Sub", "Min")[chain.pick(4)], [other, source], made)


@step(3)
def matmul(chain: Chain, source: str, sizes: Sizes) -> None:
    if len(sizes) < 2:
        return
    *front, rows, columns = sizes
    if columns.of_batch:
        return
    which = chain.pick(4)
    if which == 0:
        chain.add("MatMul", [source, chain.normal(columns.count, 3)], (*front, rows, Size(3)))
    elif which == 1:
        stack = [1 if size.of_batch or chain.pick(2) else size.count for size in front][chain.pick(len(front) + 1) :]
        chain.add("MatMul", [source, chain.normal(*stack, columns.count, 2)], (*front, rows, Size(2)))
    elif which == 2 and not rows.of_batch:
        chain.add("MatMul", [chain.normal(2, rows.count), source], (*front, Size(2), columns))
    elif which == 3 and not rows.of_batch:
        order = [*range(len(front)), len(front) + 1, len(front)]
        turned = chain.add("Transpose", [source], (*front, columns, rows), perm=order)
        chain.add("MatMul", [source, turned], (*front, rows, rows))


@step()
def gemm(chain: Chain, source: str, sizes: Sizes) -> None:
    if len(sizes) == 2 and not sizes[1].of_batch:
        chain.add("Gemm", [source, chain.normal(sizes[1].count, 2), chain.normal(2)], (sizes[0], Size(2)))


@step()
def repeat(chain: Chain, source: str, sizes: Sizes) -> None:
    axis = chain.pick(len(sizes))
    if sizes[axis].of_batch:
        return
    after = replaced(sizes, axis, Size(sizes[axis].count * 2))
    if sizes[axis] == Size(1) and chain.pick(2):
        shape = [1 if each != axis else 2 for each in range(len(sizes))]
        chain.add("Expand", [source, chain.whole(*shape)], after)
    else:
        chain.add("Tile", [source, chain.whole(*(1 + (each == axis) for each in range(len(sizes))))], after)


@step()
def function(chain: Chain, source: str, sizes: Sizes) -> None:
    chain.add(("Relu", "Sigmoid", "Tanh", "Neg", "Identity", "Abs")[chain.pick(6)], [source], sizes)


def too_large(chain: Chain) -> bool:
    """Whether it makes more numbers than are worth it."""
    return any(joined(sizes).count > MOST for _, sizes in chain.values)


Array = NDArray[np.float32]


def samples_first(theirs: Array, ours: Array) -> list[Array]:
    """What the file computes with each of its axes of the batch's length first, as arrays like ours."""
    if theirs.size != ours.size:
        return []
    turned = [np.moveaxis(theirs, axis, 0) for axis, size in enumerate(theirs.shape) if size == len(ours)]
    return [theirs.reshape(ours.shape), *(each.reshape(ours.shape) for each in turned)]
