"""Layer, group, instance and local response normalisation: each sample separately, the same in both modes."""

from dataclasses import dataclass
from math import prod

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Result, Rule, blocks_of_channels, in_fast_layout
from foveate.engines.request import Request
from foveate.graph import Node
from foveate.layers import GroupNorm, LocalResponseNorm
from foveate.layers.sample_normalization import InstanceNormalization, SampleNormalization, TrailingNormalization

CHANNEL_BLOCK = 16

FEWEST_POSITIONS = 16
"""Channels that oneDNN's local response normalisation is used for: a vector of the widest kind."""


@dataclass(frozen=True, eq=False)
class Rows:
    """The input, and the mean and the inverse deviation of each of its rows."""

    source: Array
    mean: Array
    inverse: Array


class SampleNormalizationRule(Rule[Rows]):
    """Kernels of our own for rows of the plain layout, and for groups of channels where they lie in blocks."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Rows]:
        """Centre, scale, and apply gamma and beta."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, SampleNormalization)
        rows, shape = _rows(ledger, node)
        source = ledger.values[node.inputs[0]]
        groups = _groups_in_blocks(node, source.layout)
        if groups is None:
            source = plan.plain(source)
            operation = _native.group_normalization_forward(shape)
        else:
            operation = _native.channel_normalization_forward(source.layout, groups, layer.eps, layer.affine)
        output = plan.new(source.layout)
        mean, inverse = (plan.new(_native.Layout.plain([rows])) for _ in range(2))
        operands: dict[str, Array | None] = {"src": source, "dst": output, "mean": mean, "inverse": inverse}
        if layer.affine:
            operands["scale"] = ledger.parameter(node, "weight")
            operands["shift"] = ledger.parameter(node, "bias") if layer.centred else None
        plan.run(operation, operands)
        return Result(output, Rows(source, mean, inverse))

    def backward(self, ledger: Ledger, group: Group, saved: Rows, gradient: Array) -> None:
        """Compute gradients for the input, gamma and beta."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, SampleNormalization)
        source = saved.source
        result = plan.new(source.layout)
        operands: dict[str, Array | None] = {
            "src": source,
            "mean": saved.mean,
            "inverse": saved.inverse,
            "diff_dst": plan.in_layout(gradient, source.layout),
            "diff_src": result,
        }
        written: dict[str, Array] = {}
        if layer.affine:
            operands["scale"] = ledger.parameter(node, "weight")
            for name in layer.parameters(node.input_shapes):
                written[name] = ledger.parameter_gradient(node, name, ledger.parameter(node, name).layout)
            operands |= {"diff_scale": written["weight"], "diff_shift": written.get("bias")}
        groups = _groups_in_blocks(node, source.layout)
        if groups is None:
            operation = _native.group_normalization_backward(_rows(ledger, node)[1])
        else:
            operation = _native.channel_normalization_backward(source.layout, groups, layer.eps, layer.affine)
        plan.run(operation, operands)
        for name, array in written.items():
            ledger.finish_gradient(node, name, array)
        ledger.add_gradient(node.inputs[0], result)


def _groups_in_blocks(node: Node, layout: _native.Layout) -> int | None:
    """How many groups of channels are normalised apart, if the layout has them in whole blocks; else None."""
    layer, block = node.layer, blocks_of_channels(layout)
    if block is None or layout.dims[1] % block or not isinstance(layer, GroupNorm | InstanceNormalization):
        return None
    return layer.groups if isinstance(layer, GroupNorm) else layout.dims[1]


def _rows(ledger: Ledger, node: Node) -> tuple[int, _native.Rows]:
    """How many rows there are, and how gamma and beta repeat in them."""
    layer, shape = node.layer, node.input_shapes[0]
    assert isinstance(layer, SampleNormalization)
    total = ledger.batch_size * prod(shape)
    match layer:
        case TrailingNormalization():
            length = layer.values_per_mean(shape)
            scales, tables = length, 1
        case GroupNorm():
            length, scales, tables = prod(shape) // layer.groups, shape[0] // layer.groups, layer.groups
        case InstanceNormalization():
            length, scales, tables = prod(shape[1:]), 1, shape[0]
        case _:
            raise AssertionError(f"{layer} is not a normalisation of rows")
    rows = total // length
    return rows, _native.Rows(rows, length, scales if layer.affine else 0, tables, layer.eps, layer.centred)


@dataclass(frozen=True, eq=False)
class Responses:
    """The input as oneDNN saw it, and oneDNN's workspace."""

    source: Array
    workspace: Array | None


class LocalResponseRule(Rule[Responses]):
    """oneDNN's local response normalisation across channels."""

    def accepts(self, node: Node, request: Request) -> bool:
        """Whether oneDNN computes it as PyTorch does, without crashing.

        It centres an even window elsewhere, may crash if there is next to nothing to do, and looks for channels that
        are not there, however far from those that are.
        """
        assert isinstance(node.layer, LocalResponseNorm)
        size, (channels, *positions) = node.layer.size, node.input_shapes[0]
        return size % 2 == 1 and 1 < size < 2 * channels and prod(positions) >= FEWEST_POSITIONS

    def forward(self, ledger: Ledger, group: Group) -> Result[Responses]:
        """Divide by the neighbouring channels' strength."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, LocalResponseNorm)
        source = _as_image(ledger, ledger.values[node.inputs[0]])
        with_gradients = ledger.request.with_gradients

        def make(layout: _native.Layout) -> _native.Primitive:
            return _native.local_response_forward(layout, layer.size, layer.alpha, layer.beta, layer.k, with_gradients)

        source, operation = in_fast_layout(ledger, source, make)
        output = plan.new(source.layout)
        workspace = plan.new_workspace(operation)
        plan.run(operation, {"src": source, "dst": output, "workspace": workspace})
        return Result(plan.reshaped(output, ledger.dims(node.name)), Responses(source, workspace))

    def backward(self, ledger: Ledger, group: Group, saved: Responses, gradient: Array) -> None:
        """Compute the input's gradient."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, LocalResponseNorm)
        source = saved.source
        result = plan.new(source.layout)
        operands: dict[str, Array | None] = {
            "src": source,
            "diff_dst": plan.in_layout(_as_image(ledger, gradient), source.layout),
            "diff_src": result,
        }
        operation = _native.local_response_backward(source.layout, layer.size, layer.alpha, layer.beta, layer.k)
        if operation.layout("workspace").bytes:  # oneDNN's reference implementation has no use for it
            operands["workspace"] = saved.workspace
        plan.run(operation, operands)
        ledger.add_gradient(node.inputs[0], plan.reshaped(result, ledger.dims(node.inputs[0])))


def _as_image(ledger: Ledger, array: Array) -> Array:
    """The array viewed as images: oneDNN only normalises across the channels of those.

    Full blocks of channels are fast both ways; on the way back the plain layout gets oneDNN's reference implementation.
    """
    dims = array.layout.dims
    if len(dims) != 4:
        dims = [*dims[:2], 1, prod(dims[2:])]
        array = ledger.plan.reshaped(array, dims)
    if dims[1] % CHANNEL_BLOCK == 0:
        return ledger.plan.in_layout(array, _native.Layout.channel_blocked(dims, CHANNEL_BLOCK))
    return ledger.plan.plain(array)
