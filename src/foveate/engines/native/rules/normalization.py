"""Batch normalisation, with ReLU inside where it follows."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Rule, blocks_of_channels
from foveate.layers.normalization import BatchNormalization


class BatchNormalizationRule(Rule):
    """oneDNN's batch normalisation over (N, C, H, W) or (N, C, D, H, W); shorter shapes are seen as such."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Normalise by the batch or by the running statistics; in training, move the latter."""
        node, plan, layer = group.head, lowering.plan, group.head.layer
        assert isinstance(layer, BatchNormalization)
        measures = lowering.training and not layer.frozen
        source = _as_image(lowering, lowering.values[node.inputs[0]])
        relu = group.activation is not None
        primitive = _native.batch_normalization_forward(
            source.layout, layer.eps, layer.affine, not measures, relu, lowering.with_gradients or lowering.training
        )
        channels = node.input_shapes[0][0]
        if measures:
            mean, variance = (plan.new(_native.Layout.plain([channels])) for _ in range(2))
        else:
            mean, variance = (lowering.statistic(node, name) for name in ("running_mean", "running_var"))
        output = plan.new(source.layout)
        workspace_layout = primitive.layout(_native.WORKSPACE)
        workspace = plan.new(workspace_layout) if workspace_layout.bytes else None
        plan.run(
            primitive,
            {
                "src": source,
                "mean": mean,
                "variance": variance,
                "scale": lowering.parameter(node, "weight") if layer.affine else None,
                "shift": lowering.parameter(node, "bias") if layer.affine else None,
                "dst": output,
                "workspace": workspace,
            },
        )
        if measures:
            count = lowering.batch_size * prod(node.input_shapes[0][1:])
            running = [lowering.statistic(node, name) for name in ("running_mean", "running_var")]
            plan.run(
                _native.running_statistics(channels, layer.momentum, count / (count - 1)),
                {"mean": mean, "variance": variance, "running_mean": running[0], "running_var": running[1]},
            )
        lowering.saved[node.name] = {"source": source, "mean": mean, "variance": variance, "workspace": workspace}
        return plan.reshaped(output, lowering.dims(node.name))

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """To the input, gamma and beta; ReLU's mask is in the workspace."""
        node, plan, layer = group.head, lowering.plan, group.head.layer
        assert isinstance(layer, BatchNormalization)
        saved = lowering.saved[node.name]
        source: Array = saved["source"]
        gradient = plan.in_layout(_as_image(lowering, gradient), source.layout)
        measures = lowering.training and not layer.frozen
        primitive = _native.batch_normalization_backward(
            gradient.layout, source.layout, layer.eps, layer.affine, not measures, group.activation is not None
        )
        result = plan.new(source.layout)
        names = ("weight", "bias") if layer.affine else ()
        plain = _native.Layout.plain([node.input_shapes[0][0]])
        written = {name: lowering.parameter_gradient(node, name, plain) for name in names}
        plan.run(
            primitive,
            {
                "src": source,
                "mean": saved["mean"],
                "variance": saved["variance"],
                "diff_dst": gradient,
                "scale": lowering.parameter(node, "weight") if layer.affine else None,
                "diff_scale": written.get("weight"),
                "diff_shift": written.get("bias"),
                "diff_src": result,
                "workspace": saved["workspace"],
            },
        )
        for name, array in written.items():
            lowering.finish_gradient(node, name, array)
        lowering.add_gradient(node.inputs[0], plan.reshaped(result, lowering.dims(node.inputs[0])))


def _as_image(lowering: Lowering, array: Array) -> Array:
    """(N, C) and (N, C, L) as (N, C, 1, L): oneDNN normalises images and volumes fastest."""
    dims = array.layout.dims
    if len(dims) >= 4:
        known = array.layout.is_plain or blocks_of_channels(array.layout) is not None
        return array if known else lowering.plan.in_layout(array, _native.Layout.channel_blocked(dims, 16))
    return lowering.plan.reshaped(array, [*dims[:2], 1, prod(dims[2:])])
