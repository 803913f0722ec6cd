"""Layer, group, instance and local response normalisation: each sample by itself, the same in both modes."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Rule
from foveate.graph import Node
from foveate.layers import GroupNorm, LayerNorm, LocalResponseNorm
from foveate.layers.sample_normalization import InstanceNormalization, SampleNormalization

CHANNEL_BLOCK = 16


class SampleNormalizationRule(Rule):
    """Rows of consecutive numbers of the plain layout, each normalised by a kernel of our own."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Centre, scale, and apply gamma and beta."""
        node, plan, layer = group.head, lowering.plan, group.head.layer
        assert isinstance(layer, SampleNormalization)
        rows, shape = _rows(lowering, node)
        source = plan.plain(lowering.values[node.inputs[0]])
        output = plan.new(source.layout)
        mean, inverse = (plan.new(_native.Layout.plain([rows])) for _ in range(2))
        operands: dict[str, Array | None] = {"source": source, "target": output, "mean": mean, "inverse": inverse}
        if layer.affine:
            operands |= {"scale": lowering.parameter(node, "weight"), "shift": lowering.parameter(node, "bias")}
        plan.run(_native.group_normalization_forward(shape), operands)
        lowering.saved[node.name] = {"source": source, "mean": mean, "inverse": inverse}
        return output

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """To the input, gamma and beta."""
        node, plan, layer = group.head, lowering.plan, group.head.layer
        assert isinstance(layer, SampleNormalization)
        saved = lowering.saved[node.name]
        source: Array = saved["source"]
        result = plan.new(source.layout)
        operands: dict[str, Array | None] = {
            "source": source,
            "mean": saved["mean"],
            "inverse": saved["inverse"],
            "gradient": plan.plain(gradient),
            "result": result,
        }
        written: dict[str, Array] = {}
        if layer.affine:
            operands["scale"] = lowering.parameter(node, "weight")
            for name in ("weight", "bias"):
                written[name] = lowering.parameter_gradient(node, name, lowering.parameter(node, name).layout)
            operands |= {f"diff_{name}_of_rows": array for name, array in written.items()}
        plan.run(_native.group_normalization_backward(_rows(lowering, node)[1]), operands)
        for name, array in written.items():
            lowering.finish_gradient(node, name, array)
        lowering.add_gradient(node.inputs[0], result)


def _rows(lowering: Lowering, node: Node) -> tuple[int, _native.Rows]:
    """How many rows there are, and how gamma and beta repeat in them."""
    layer, shape = node.layer, node.input_shapes[0]
    assert isinstance(layer, SampleNormalization)
    total = lowering.batch_size * prod(shape)
    match layer:
        case LayerNorm():
            length = layer.values_per_mean(shape)
            scales, tables = length, 1
        case GroupNorm():
            length, scales, tables = prod(shape) // layer.groups, shape[0] // layer.groups, layer.groups
        case InstanceNormalization():
            length, scales, tables = prod(shape[1:]), 1, shape[0]
        case _:
            raise AssertionError(f"{layer} is no normalisation of rows")
    rows = total // length
    return rows, _native.Rows(rows, length, scales if layer.affine else 0, tables, layer.eps)


class LocalResponseRule(Rule):
    """oneDNN's local response normalisation across channels."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Divide by the neighbouring channels' strength."""
        node, plan, layer = group.head, lowering.plan, group.head.layer
        assert isinstance(layer, LocalResponseNorm)
        source = _as_image(lowering, lowering.values[node.inputs[0]])
        operation = _native.local_response_forward(
            source.layout, layer.size, layer.alpha, layer.beta, layer.k, lowering.with_gradients
        )
        output = plan.new(source.layout)
        workspace_layout = operation.layout(_native.WORKSPACE)
        workspace = plan.new(workspace_layout) if workspace_layout.bytes else None
        plan.run(operation, {"src": source, "dst": output, "workspace": workspace})
        lowering.saved[node.name] = {"source": source, "workspace": workspace}
        return plan.reshaped(output, lowering.dims(node.name))

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """To the input."""
        node, plan, layer = group.head, lowering.plan, group.head.layer
        assert isinstance(layer, LocalResponseNorm)
        saved = lowering.saved[node.name]
        source: Array = saved["source"]
        result = plan.new(source.layout)
        operands: dict[str, Array | None] = {
            "src": source,
            "diff_dst": plan.in_layout(_as_image(lowering, gradient), source.layout),
            "diff_src": result,
            "workspace": saved["workspace"],
        }
        operation = _native.local_response_backward(source.layout, layer.size, layer.alpha, layer.beta, layer.k)
        plan.run(operation, operands)
        lowering.add_gradient(node.inputs[0], plan.reshaped(result, lowering.dims(node.inputs[0])))


def _as_image(lowering: Lowering, array: Array) -> Array:
    """oneDNN normalises across the channels of images only; other shapes are seen as such.

    Full blocks of channels are fast both ways; the plain layout falls to the reference implementation on the way back.
    """
    dims = array.layout.dims
    if len(dims) != 4:
        dims = [*dims[:2], 1, prod(dims[2:])]
        array = lowering.plan.reshaped(array, dims)
    if dims[1] % CHANNEL_BLOCK == 0:
        return lowering.plan.in_layout(array, _native.Layout.channel_blocked(dims, CHANNEL_BLOCK))
    return lowering.plan.plain(array)
