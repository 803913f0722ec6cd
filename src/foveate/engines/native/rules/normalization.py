"""Batch normalisation, fused with a ReLU that follows: by kernels of our own or by oneDNN."""

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
    """The input and the statistics it was normalised with, and by what.

    `rectified` is ReLU's output if it was separate; if it was not, oneDNN keeps its mask in the workspace, and our own
    kernel computes it again.
    """

    source: Array
    mean: Array
    variance: Array
    own: bool
    workspace: Array | None = None
    rectified: Array | None = None


class BatchNormalizationRule(Rule[Normalized]):
    """Batch normalisation over (N, C, H, W) or (N, C, D, H, W); shorter shapes are viewed as such.

    oneDNN's threads wait for each other by spinning inside a kernel, for long if another process has their core. So
    statistics are measured by a kernel of our own wherever channels lie in blocks.
    """

    def forward(self, ledger: Ledger, group: Group) -> Result[Normalized]:
        """Normalise with the batch's or the running statistics; in training, update the latter."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, BatchNormalization)
        measures = ledger.request.measures(node)
        source = _as_image(ledger, ledger.values[node.inputs[0]])
        if measures and blocks_of_channels(source.layout) is not None:
            output, saved = _in_blocks(ledger, group, source)
        else:
            output, saved = _by_onednn(ledger, group, source)
        if measures:
            count = ledger.batch_size * prod(node.input_shapes[0][1:])
            running = [ledger.statistic(node, name) for name in ("running_mean", "running_var")]
            plan.run(
                _native.running_statistics(node.input_shapes[0][0], layer.momentum, count / (count - 1)),
                {
                    "mean": saved.mean,
                    "variance": saved.variance,
                    "running_mean": running[0],
                    "running_variance": running[1],
                },
            )
        return Result(plan.reshaped(output, ledger.dims(node.name)), saved)

    def backward(self, ledger: Ledger, group: Group, saved: Normalized, gradient: Array) -> None:
        """Compute gradients for the input, gamma and beta."""
        node, plan, layer = group.head, ledger.plan, group.head.layer
        assert isinstance(layer, BatchNormalization)
        source = saved.source
        gradient = plan.in_layout(_as_image(ledger, gradient), source.layout)
        relu = group.activation is not None and saved.rectified is None
        if group.activation is not None and saved.rectified is not None:
            gradient = activation_backward(ledger, group.activation, saved.rectified, gradient)
        result = plan.new(source.layout)
        names = ("weight", "bias") if layer.affine else ()
        plain = _native.Layout.plain([node.input_shapes[0][0]])
        written = {name: ledger.parameter_gradient(node, name, plain) for name in names}
        operands = {
            "src": source,
            "mean": saved.mean,
            "variance": saved.variance,
            "diff_dst": gradient,
            "scale": ledger.parameter(node, "weight") if layer.affine else None,
            "diff_scale": written.get("weight"),
            "diff_shift": written.get("bias"),
            "diff_src": result,
        }
        if saved.own:
            operands["shift"] = ledger.parameter(node, "bias") if layer.affine else None
            plan.run(_native.batch_normalization_in_blocks_backward(source.layout, layer.eps, relu), operands)
        else:
            primitive = _native.batch_normalization_backward(
                gradient.layout, source.layout, layer.eps, layer.affine, not ledger.request.measures(node), relu
            )
            plan.run(primitive, {**operands, "workspace": saved.workspace})
        for name, array in written.items():
            ledger.finish_gradient(node, name, array)
        ledger.add_gradient(node.inputs[0], plan.reshaped(result, ledger.dims(node.inputs[0])))


def _in_blocks(ledger: Ledger, group: Group, source: Array) -> tuple[Array, Normalized]:
    """The normalised blocks of channels, rectified if ReLU follows."""
    node, plan, layer = group.head, ledger.plan, group.head.layer
    assert isinstance(layer, BatchNormalization)
    mean, variance = (plan.new(_native.Layout.plain([node.input_shapes[0][0]])) for _ in range(2))
    output = plan.new(source.layout)
    relu = group.activation is not None
    plan.run(
        _native.batch_normalization_in_blocks(source.layout, layer.eps, relu),
        _operands(ledger, group, source, mean, variance, output),
    )
    return output, Normalized(source, mean, variance, own=True)


def _by_onednn(ledger: Ledger, group: Group, source: Array) -> tuple[Array, Normalized]:
    """What oneDNN normalises, and rectifies if it can."""
    node, plan, layer = group.head, ledger.plan, group.head.layer
    assert isinstance(layer, BatchNormalization)
    measures = ledger.request.measures(node)

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
    if measures:
        mean, variance = (plan.new(_native.Layout.plain([node.input_shapes[0][0]])) for _ in range(2))
    else:
        mean, variance = (ledger.statistic(node, name) for name in ("running_mean", "running_var"))
    output = plan.new(source.layout)
    workspace = plan.new_workspace(primitive)
    operands = _operands(ledger, group, source, mean, variance, output)
    plan.run(primitive, {**operands, "workspace": workspace})
    if relu:
        plan.run(_native.repair_channels(output.layout, layer.eps), operands)
    elif group.activation is not None:
        activated(ledger, group.activation, output, in_place=True)
    rectified = output if group.activation is not None and not relu else None
    return output, Normalized(source, mean, variance, False, workspace, rectified)


def _operands(
    ledger: Ledger, group: Group, source: Array, mean: Array, variance: Array, output: Array
) -> dict[str, Array | None]:
    layer = group.head.layer
    assert isinstance(layer, BatchNormalization)
    return {
        "src": source,
        "mean": mean,
        "variance": variance,
        "scale": ledger.parameter(group.head, "weight") if layer.affine else None,
        "shift": ledger.parameter(group.head, "bias") if layer.affine else None,
        "dst": output,
    }


def _as_image(ledger: Ledger, array: Array) -> Array:
    """(N, C) and (N, C, L) as (N, C, 1, L): oneDNN normalises images and volumes fastest."""
    dims = array.layout.dims
    if len(dims) >= 4:
        known = array.layout.is_plain or blocks_of_channels(array.layout) is not None
        known = known or (ledger.can_derive and array.layout == channels_last(dims))
        return array if known else ledger.plan.in_layout(array, _native.Layout.channel_blocked(dims, 16))
    return ledger.plan.reshaped(array, [*dims[:2], 1, prod(dims[2:])])
