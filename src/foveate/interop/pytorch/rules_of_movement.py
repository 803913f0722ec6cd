"""Rules for operations after which values lie elsewhere: other shapes, other orders of axes, parts of axes."""

from typing import Any

from torch import fx

from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.pytorch.rules import Arguments, operation, rule
from foveate.interop.pytorch.rules_of_arithmetic import affine
from foveate.interop.pytorch.taking import Constant, Taking, shape_of
from foveate.interop.walk import NotTakenError
from foveate.layers import Concatenate, Multiply, Rescale, Reshape, Sigmoid, Slice


@rule("view", "reshape", "flatten", "squeeze", "unsqueeze", "_unsafe_view", "unflatten")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    source = taking.held(node.args[0])
    batch, shape = node.meta["val"].shape[0], shape_of(node)
    if batch != node.args[0].meta["val"].shape[0] or not shape:  # type: ignore[union-attr]
        raise NotTakenError("it changes the batch axis")
    return taking.reshaped(source, shape, node)


@rule("transpose", "swapaxes", "swapdims", "mT")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """Transpose groups of channels, on the way to a channel shuffle, or any axes, on the way to a Linear."""
    source = taking.held(given["self"])
    pair = node.args[1:3] or (-2, -1)
    first, second = (int(each) % (len(source.shape) + 1) for each in pair)  # type: ignore[arg-type]
    shuffled = taking.exchanged(source, first, second)
    if shuffled is not None:
        return shuffled
    axes = list(range(len(source.shape) + 1))
    axes[first], axes[second] = second, first
    return taking.moved(taking.held(given["self"]), axes, node)


@rule("permute")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    order = order_of(node)
    if batch_second(node):
        order[:2] = 0, order[0]
    return taking.moved(taking.held(given["self"]), order, node)


def order_of(node: fx.Node) -> list[int]:
    """The axes of a permutation, counted from the front."""
    axes = len(shape_of(node)) + 1
    return [axis % axes for axis in node.args[1]]  # type: ignore[union-attr, operator, misc]


def batch_second(node: fx.Node) -> bool:
    """Whether it puts an axis before the batch of which only parts are read, as with queries, keys and values."""
    if operation(node)[0] != "permute" or order_of(node)[1:2] != [0]:
        return False
    return all(operation(user)[0] in ("unbind", "select") and (*user.args, 0)[1] == 0 for user in node.users)


def _axis(node: fx.Node, dim: int, refusal: str) -> int:
    """An axis of a sample, that before the batch as the first."""
    if dim == 0 and batch_second(node):
        return 0
    axis = dim % (len(shape_of(node)) + 1) - 1
    if axis < 0:
        raise NotTakenError(refusal)
    return axis


@rule("movedim", "moveaxis")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    axes = len(shape_of(node)) + 1
    sources, targets = ([axis % axes for axis in _many(given[name])] for name in ("source", "destination"))
    order = [axis for axis in range(axes) if axis not in sources]
    for target, source in sorted(zip(targets, sources, strict=True)):
        order.insert(target, source)
    return taking.moved(taking.held(given["self"]), order, node)


def _many(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


@rule("slice")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    source, axis = taking.held(given["self"]), given["dim"]
    size, step = source.shape[axis - 1] if axis else 0, given["step"]
    begin, end, _ = slice(given["start"], given["end"]).indices(size)
    if axis == 0:
        if node.meta["val"].shape[0] != given["self"].meta["val"].shape[0]:
            raise NotTakenError("it takes a part of the batch")
        return source
    if (begin, end, step) == (0, size, 1):
        return source
    if step == 1:
        return taking.cropped(taking.value(given["self"]), axis - 1, begin, end, node)
    if axis == 1 or (begin, end) != (0, size) or source.order is not None:
        layer = Slice(axis - 1, begin, None if end == size else end, step)
        return held(taking.add(layer, taking.value(given["self"]), node=node))
    if source.steps is None:
        source = held(taking.value(given["self"]))
    steps = list(source.steps or (1,) * (len(source.shape) - 1))
    steps[axis - 2] *= step
    return Held(source.value, shape_of(node), steps=tuple(steps))


@rule("cat", "concat", "concatenate")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    sources = given["tensors"]
    axis = given["dim"] % (len(shape_of(node)) + 1) - 1
    if axis < 0:
        raise NotTakenError("it joins batches")
    like = next(taking.value(each) for each in sources if taking.constant(each) is None)
    values = []
    for each in sources:
        array = taking.constant(each)
        values.append(taking.value(each) if array is None else _repeated(taking, node, array, like, axis))
    return held(taking.add(Concatenate(axis=axis), *values, node=node))


def _repeated(taking: Taking, node: fx.Node, array: Constant, like: Value, axis: int) -> Value:
    """An array in every sample, such as a token for the class: a part of a tensor times 0, and the array added."""
    sizes = tuple(array.tensor.shape)
    part = tuple(
        size if place == axis else own for place, (own, size) in enumerate(zip(like.shape, sizes[1:], strict=False))
    )
    if sizes != (1, *part) or sizes[axis + 1] > like.shape[axis]:
        raise NotTakenError(f"it computes with {array.told}, which no layer in foveate does unless it is a short part")
    zeros = taking.add(Rescale(0.0), taking.cropped(like, axis, 0, sizes[axis + 1], node).value, node=node)
    return affine(taking, node, zeros, array, scale=False).value


@rule("stack")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    values = taking.many(given["tensors"])
    shape = list(shape_of(node))
    axis = given["dim"] % (len(shape) + 1) - 1
    if axis < 0:
        raise NotTakenError("it joins batches")
    shape[axis] = 1
    parts = [taking.add(Reshape(tuple(shape)), value, node=node) for value in values]
    return held(taking.add(Concatenate(axis=axis), *parts, node=node))


@rule("roll")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """What goes over an end of an axis, before what is left of it."""
    value = taking.value(given["self"])
    for shift, dim in zip(given["shifts"], given["dims"], strict=True):
        axis = dim % (len(value.shape) + 1) - 1
        if axis < 0:
            raise NotTakenError("it moves samples of the batch")
        size = value.shape[axis]
        cut = -shift % size
        if cut:
            ends = [taking.cropped(value, axis, *part).value for part in ((cut, size, node), (0, cut, node))]
            value = taking.add(Concatenate(axis=axis), *ends, node=node)
    return held(value)


@rule("glu")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """The first half times the sigmoid of the second."""
    value = taking.value(given["self"])
    axis = given["dim"] % (len(value.shape) + 1) - 1
    size, half = value.shape[axis], value.shape[axis] // 2
    first, second = (taking.cropped(value, axis, *part).value for part in ((0, half, node), (half, size, node)))
    return held(taking.add(Multiply(), first, taking.add(Sigmoid(), second, node=node), node=node))


@rule("select")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value, axis = taking.value(given["self"]), _axis(given["self"], given["dim"], "it takes one sample of the batch")
    begin = given["index"] % value.shape[axis]
    return taking.cropped(value, axis, begin, begin + 1, node).seen_as(shape_of(node))


@rule("narrow")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value, axis = taking.value(given["self"]), given["dim"] % (len(shape_of(node)) + 1) - 1
    if axis < 0:
        raise NotTakenError("it takes a part of the batch")
    begin = given["start"] % value.shape[axis]
    return taking.cropped(value, axis, begin, begin + given["length"], node)


@rule("flip")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value = taking.value(given["self"])
    for dim in given["dims"]:
        axis = dim % (len(value.shape) + 1) - 1
        if axis < 0:
            raise NotTakenError("it turns the batch round")
        value = taking.add(Slice(axis, None, None, -1), value, node=node)
    return held(value)


@rule("chunk", "split", "split_with_sizes", "unsafe_chunk", "unsafe_split", "unbind", "tensor_split")
def _(taking: Taking, node: fx.Node, given: Arguments) -> list[Held | None]:
    value = taking.value(given["self"])
    axis = _axis(given["self"], given["dim"], "it takes the batch apart")
    flat = operation(node)[0] == "unbind"
    parts: list[Held | None] = []
    begin = 0
    for number, part in enumerate(node.meta["val"]):
        size = 1 if flat else int(part.shape[axis + 1])
        used = any(user.args[1] == number and user.users for user in node.users)
        one = taking.cropped(value, axis, begin, begin + size, node) if used else None
        parts.append(one.seen_as(tuple(map(int, part.shape[1:]))) if one is not None else None)
        begin += size
    return parts
