"""Products as oneDNN computes them: by definition, in the layouts that it prefers."""

from foveate.engines.native import _native
from foveate.engines.native.elementwise import elementwise
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.products import (
    Forward,
    backward_data_primitive,
    copies_border,
    data_dims,
    forward_primitive,
)
from foveate.engines.native.rules.base import activated
from foveate.engines.native.rules.resizing import border_sources, gather, scatter
from foveate.engines.native.rules.shares import in_shares, share_of, whole_of
from foveate.engines.native.rules.ways import Multiplied, ToData, ToOutput, ToWeights
from foveate.engines.native.rules.weights import bias_of, weights_of
from foveate.graph import Node
from foveate.layers.convolution import Convolution


class DirectForward(ToOutput):
    """oneDNN's convolution or inner product."""

    def forward(self, ledger: Ledger, group: Group) -> Multiplied:
        """One primitive with its post-operations."""
        node, plan = group.head, ledger.plan
        added: Array | None = None
        posts: list[_native.PostOperation] = []
        target: _native.Layout | None = None
        if group.addition is not None:
            target = forward_primitive(node, ledger.batch_size, Forward(training=False)).layout("dst")
            added = plan.in_layout(ledger.values[group.added], target)
            posts.append(_native.PostOperation("add", other=target))
        post: _native.PostOperation | None = None
        if group.activation is not None:
            function = elementwise(group.activation.layer)
            post = function.post_operation(exact=ledger.exact)
            ledger.infinities_become_nan |= post is not None and function.fused_makes_nan
        if post is not None:
            posts.append(post)
        with_bias = True if group.normalization is not None else None
        wanted = Forward(ledger.request.with_gradients, posts, with_bias, target)
        primitive = forward_primitive(node, ledger.batch_size, wanted)
        output = plan.new(primitive.layout("dst"))
        source = _bordered(ledger, node)
        operands: dict[str, Array | None] = {
            "src": plan.in_layout(source, primitive.layout("src")),
            "weights": weights_of(ledger, group, primitive.layout("weights")),
            "bias": bias_of(ledger, group),
            "dst": output,
            "post_operation_0": added,
        }
        plan.run(primitive, operands)
        if group.activation is not None and post is None:
            output = activated(ledger, group.activation, output, in_place=True)
        return Multiplied(output, source)


class DirectToWeights(ToWeights):
    """oneDNN's gradient of weights and bias."""

    def backward(self, ledger: Ledger, node: Node, source: Array, gradient: Array) -> None:
        """One primitive for both, or one for each thread's share of the batch."""
        plan = ledger.plan
        primitive = whole_of(ledger, node)
        share = share_of(ledger, node, primitive)
        made = share or primitive
        written = {"diff_weights": ledger.parameter_gradient(node, "weight", made.layout("diff_weights"))}
        if getattr(node.layer, "bias", False):
            written["diff_bias"] = ledger.parameter_gradient(node, "bias", made.layout("diff_bias"))
        read = {
            "src": plan.in_layout(source, primitive.layout("src")),
            "diff_dst": plan.in_layout(gradient, primitive.layout("diff_dst")),
        }
        if share is None:
            plan.run(primitive, {**read, **written})
        else:
            in_shares(ledger, share, read, written)
        for name, array in zip(("weight", "bias"), written.values(), strict=False):
            ledger.finish_gradient(node, name, array)


class DirectToData(ToData):
    """oneDNN's gradient of the input."""

    def backward(self, ledger: Ledger, node: Node, gradient: Array) -> Array:
        """One primitive; if the border was made of copies, their gradients go back to what they copied."""
        plan = ledger.plan
        primitive = backward_data_primitive(node, ledger.batch_size)
        result = plan.new(primitive.layout("diff_src"))
        plan.run(
            primitive,
            {
                "diff_dst": plan.in_layout(gradient, primitive.layout("diff_dst")),
                "weights": ledger.parameter_in(node, "weight", primitive.layout("weights")),
                "diff_src": result,
            },
        )
        if copies_border(node):
            result = scatter(ledger, plan.plain(result), ledger.dims(node.inputs[0]), _border(node))
        return result


def _border(node: Node) -> list[list[int]]:
    """Which position of the input each position of the padded input copies, axis by axis."""
    assert isinstance(node.layer, Convolution)
    axes = zip(node.input_shapes[0][1:], node.windows or (), strict=True)
    return [border_sources(size, window, node.layer.padding_mode) for size, window in axes]


def _bordered(ledger: Ledger, node: Node) -> Array:
    """The product's input, with its border if that repeats the input."""
    source = ledger.values[node.inputs[0]]
    if not copies_border(node):
        return source
    padded = gather(ledger, ledger.plan.plain(source), _border(node))
    assert padded.layout.dims == data_dims(node, ledger.batch_size)[0]
    return padded
