"""Pooling. Where oneDNN counts differently from PyTorch (averages that overhang under ceil_mode), NumPy is called."""

from collections.abc import Sequence
from dataclasses import dataclass

from foveate.engines.native import _native
from foveate.engines.native.fusion import Group
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.base import Rule
from foveate.engines.native.rules.callback import CallbackRule
from foveate.geometry import Window
from foveate.graph import Node
from foveate.layers.adaptive import AdaptiveMaximumPooling, AdaptivePooling
from foveate.layers.pooling import AveragePooling, GlobalAveragePooling, GlobalMaximumPooling, MaxPooling


@dataclass(frozen=True)
class _Pool:
    """What oneDNN needs to know of a pooling: its kind, its window, and the output with all spatial axes."""

    kind: str
    window: _native.Window
    output_dims: list[int]


class PoolingRule(Rule):
    """oneDNN's pooling; the maximum remembers its winners in a workspace."""

    def forward(self, lowering: Lowering, group: Group) -> Array:
        """Pool each window."""
        node, plan = group.head, lowering.plan
        if _needs_callback(node):
            return CallbackRule().forward(lowering, group)
        pool = _pool_of(lowering, node)
        source = lowering.values[node.inputs[0]]
        any_target = _native.Layout.any(pool.output_dims)
        primitive = _native.pooling_forward(pool.kind, source.layout, any_target, pool.window, lowering.with_gradients)
        output = plan.new(primitive.layout(_native.DST))
        workspace_layout = primitive.layout(_native.WORKSPACE)
        workspace = plan.new(workspace_layout) if workspace_layout.bytes else None
        plan.run(primitive, {"src": source, "dst": output, "workspace": workspace})
        lowering.saved[node.name] = {"source": source.layout, "target": output.layout, "workspace": workspace}
        return plan.reshaped(output, lowering.dims(node.name))

    def backward(self, lowering: Lowering, group: Group, gradient: Array) -> None:
        """Each window's gradient to its winner, or in equal shares to its members."""
        node, plan = group.head, lowering.plan
        if not lowering.wants_gradient(node.inputs[0]):
            return
        if _needs_callback(node):
            CallbackRule().backward(lowering, group, gradient)
            return
        pool, saved = _pool_of(lowering, node), lowering.saved[node.name]
        primitive = _native.pooling_backward(pool.kind, saved["source"], saved["target"], pool.window)
        result = plan.new(primitive.layout(_native.DIFF_SRC))
        plan.run(
            primitive,
            {
                "diff_dst": plan.in_layout(plan.reshaped(gradient, pool.output_dims), saved["target"]),
                "diff_src": result,
                "workspace": saved["workspace"],
            },
        )
        lowering.add_gradient(node.inputs[0], result)


def _pool_of(lowering: Lowering, node: Node) -> _Pool:
    layer = node.layer
    spatial = node.input_shapes[0][1:]
    windows: Sequence[Window]
    if isinstance(layer, (GlobalAveragePooling, GlobalMaximumPooling)):
        windows = [Window(size) for size in spatial]
        outputs = [1] * len(spatial)
    elif isinstance(layer, AdaptivePooling):
        outputs = list(node.output_shape[1:])
        windows = [Window(size // count, size // count) for size, count in zip(spatial, outputs, strict=True)]
    else:
        windows = layer.windows(node.input_shapes) or ()
        outputs = list(node.output_shape[1:])
    is_maximum = isinstance(layer, (MaxPooling, GlobalMaximumPooling, AdaptiveMaximumPooling))
    kind = "max" if is_maximum else "average"
    if isinstance(layer, AveragePooling) and not layer.count_include_pad:
        kind = "average without padding"
    ends = [max(w.padding[1], reach) for w, reach in zip(windows, _reaches(node, windows, outputs), strict=True)]
    window = _native.Window(
        [w.kernel_size for w in windows],
        [w.stride for w in windows],
        [w.dilation for w in windows],
        [w.padding[0] for w in windows],
        ends,
    )
    return _Pool(kind, window, [lowering.batch_size, node.input_shapes[0][0], *outputs])


def _reaches(node: Node, windows: Sequence[Window], outputs: Sequence[int]) -> list[int]:
    """How far the last window reaches past the end of the input, on each axis."""
    return [
        (count - 1) * w.stride + w.effective_size - w.padding[0] - size
        for w, count, size in zip(windows, outputs, node.input_shapes[0][1:], strict=True)
    ]


def _needs_callback(node: Node) -> bool:
    """Whether oneDNN's windows, all of one size, cannot do it, or would count otherwise."""
    if isinstance(node.layer, AdaptivePooling):
        axes = zip(node.input_shapes[0][1:], node.output_shape[1:], strict=True)
        return any(size % count for size, count in axes)
    return _overhang_counts_differently(node)


def _overhang_counts_differently(node: Node) -> bool:
    layer = node.layer
    if not isinstance(layer, AveragePooling) or not layer.ceil_mode or not layer.count_include_pad:
        return False
    windows = layer.windows(node.input_shapes)
    reaches = _reaches(node, windows, node.output_shape[1:])
    return any(reach > w.padding[1] for reach, w in zip(reaches, windows, strict=True))
