"""Batch normalisation, fused with a ReLU that follows."""

from dataclasses import dataclass
from functools import partial
from math import prod

from foveate.engines.native import _native
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import (
    Result,
    Rule,
    activated,
    activation_backward,
    blocks_of_channels,
    channels_last,
    in_fast_layout,
)
from foveate.layers.normalization import BatchNormalization


@dataclass(frozen=True, eq=False)
class Normalized:
    """The input, the statistics it was normalised with, and ReLU's mask, or its output if it was separate."""

    source: Array
    mean: Array
    variance: Array
    workspace: Array | None
    rectified: Array | None


class BatchNormalizationRule(Rule[Normalized]):
    """oneDNN's batch normalisation over (N, C, H, W) or (N, C, D, H, W); shorter shapes are viewed as such."""

    def forward(self, ledger: Ledger, group: Group) -> Result[Normalized]:
        """Normalise with the batch's or the running statistics; in training, update the latter."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, BatchNormalization)
        measures = ledger.request.measures(node)
        source = _as_image(ledger, ledger.values[node.inputs[0]])

        def make(layout: _native.Layout, *, relu: bool) -> _native.Primitive:
            return _native.batch_normalization_forward(
                layout, layer.eps, layer.affine, not measures, relu, not ledger.can_derive
            )

        source, primitive = in_fast_layout(ledger, source, partial(make, relu=False))
        relu = False
        if group.activation is not None and measures:
            fused = make(source.layout, relu=True)
            relu = not fused.implementation.startswith("ref")
            primitive = fused if relu else primitive
        channels = node.input_shapes[0][0]
        if measures:
            mean, variance = (plan.new(_native.Layout.plain([channels])) for _ in range(2))
        else:
            mean, variance = (ledger.statistic(node, name) for name in ("running_mean", "running_var"))
        output = plan.new(source.layout)
        workspace = plan.new_workspace(primitive)
        operands: dict[str, Array | None] = {
            "src": source,
            "mean": mean,
            "variance": variance,
            "scale": ledger.parameter(node, "weight") if layer.affine else None,
            "shift": ledger.parameter(node, "bias") if layer.affine else None,
            "dst": output,
        }
        plan.run(primitive, {**operands, "workspace": workspace})
        if relu:
            plan.run(_native.repair_channels(output.layout, layer.eps), operands)
        elif group.activation is not None:
            activated(ledger, group.activation, output, in_place=True)
        if measures:
            count = ledger.batch_size * prod(node.input_shapes[0][1:])
            running = [ledger.statistic(node, name) for name in ("running_mean", "running_var")]
            plan.run(
                _native.running_statistics(channels, layer.momentum, count / (count - 1)),
                {"mean": mean, "variance": variance, "running_mean": running[0], "running_variance": running[1]},
            )
        rectified = output if group.activation is not None and not relu else None
        saved = Normalized(source, mean, variance, workspace, rectified)
        return Result(plan.reshaped(output, ledger.dims(node.name)), saved)

    def backward(self, ledger: Ledger, group: Group, saved: Normalized, gradient: Array) -> None:
        """Compute gradients for the input, gamma and beta; ReLU's mask is in the workspace."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, BatchNormalization)
        source = saved.source
        gradient = plan.in_layout(_as_image(ledger, gradient), source.layout)
        relu = group.activation is not None and saved.rectified is None
        if group.activation is not None and saved.rectified is not None:
            gradient = activation_backward(ledger, group.activation, saved.rectified, gradient)
        measures = ledger.request.measures(node)
        primitive = _native.batch_normalization_backward(
            gradient.layout, source.layout, layer.eps, layer.affine, not measures, relu
        )
        result = plan.new(source.layout)
        names = ("weight", "bias") if layer.affine else ()
        plain = _native.Layout.plain([node.input_shapes[0][0]])
        written = {name: ledger.parameter_gradient(node, name, plain) for name in names}
        plan.run(
            primitive,
            {
                "src": source,
                "mean": saved.mean,
                "variance": saved.variance,
                "diff_dst": gradient,
                "scale": ledger.parameter(node, "weight") if layer.affine else None,
                "diff_scale": written.get("weight"),
                "diff_shift": written.get("bias"),
                "diff_src": result,
                "workspace": saved.workspace,
            },
        )
        for name, array in written.items():
            ledger.finish_gradient(node, name, array)
        ledger.add_gradient(node.inputs[0], plan.reshaped(result, ledger.dims(node.inputs[0])))


def _as_image(ledger: Ledger, array: Array) -> Array:
    """(N, C) and (N, C, L) as (N, C, 1, L): oneDNN normalises images and volumes fastest."""
    dims = array.layout.dims
    if len(dims) >= 4:
        known = array.layout.is_plain or blocks_of_channels(array.layout) is not None
        known = known or (ledger.can_derive and array.layout == channels_last(dims))
        return array if known else ledger.plan.in_layout(array, _native.Layout.channel_blocked(dims, 16))
    return ledger.plan.reshaped(array, [*dims[:2], 1, prod(dims[2:])])
