"""Which nodes run as one step: a convolution with what follows it, a normalisation or an addition with its ReLU."""

from collections.abc import Collection

from foveate.engines.native.elementwise import ACTIVATIONS, bounds_of, elementwise
from foveate.engines.native.group import Group
from foveate.engines.native.products import is_product
from foveate.engines.native.rules.depthwise import depthwise_fits
from foveate.graph import Graph, Node
from foveate.layers import Add, ReLU
from foveate.layers.normalization import BatchNormalization


def fuse(graph: Graph, keep: Collection[str], *, fold: bool) -> list[Group]:
    """The graph as groups in order; kept nodes and outputs stay visible.

    With `fold` (inference without gradients) normalisations go into the layer before them, and additions after it.
    Without it an activation whose derivative needs its input stays separate, so its input is there on the way back. A
    rectifier that oneDNN cannot fuse goes into a depthwise convolution that follows, or else into what comes before.
    """
    visible = {*keep, *graph.outputs}
    order = {node.name: position for position, node in enumerate(graph.nodes)}

    def only_follower(name: str) -> Node | None:
        followers = graph.consumers[name]
        alone = len(followers) == 1 and name not in visible and followers[0].inputs.count(name) == 1
        return followers[0] if alone else None

    def clipped_by_next(node: Node) -> Node | None:
        """The depthwise convolution that clips what it reads, in place of the rectifier `node`."""
        follower = only_follower(node.name)
        bounds = bounds_of(node.layer) if fold else None
        clips = bounds is not None and elementwise(node.layer).fused is None
        return follower if clips and follower and depthwise_fits(follower) else None

    groups: list[Group] = []
    taken: set[str] = set()
    for node in graph.nodes:
        if node.name in taken:
            continue
        normalization = addition = activation = clipping = None
        if fits := clipped_by_next(node):
            clipping, node = node, fits  # noqa: PLW2901 (the pair runs as one step)
        last, follower = node, only_follower(node.name)
        multiplies = is_product(node)
        if fold and multiplies and follower and isinstance(follower.layer, BatchNormalization):
            normalization = last = follower
            follower = only_follower(last.name)
        if fold and multiplies and not clipping and follower and _adds_last(follower, last, order):
            addition = last = follower
            follower = only_follower(last.name)
        if follower and not clipped_by_next(follower) and _absorbs(node, follower, from_input=fold):
            activation = follower
        group = Group(node, normalization, addition, activation, clipping)
        taken.update(member.name for member in group.members)
        groups.append(group)
    return sorted(groups, key=lambda group: order[group.output])


def _adds_last(follower: Node, last: Node, order: dict[str, int]) -> bool:
    """Whether `follower` adds one other value to `last`, and that value is computed before `last`."""
    if not isinstance(follower.layer, Add) or len(follower.inputs) != 2 or _repeats(follower):
        return False
    (other,) = (name for name in follower.inputs if name != last.name)
    return order.get(other, -1) < order[last.name]


def _absorbs(node: Node, follower: Node, *, from_input: bool) -> bool:
    """Whether the activation `follower` can be computed together with `node`."""
    if is_product(node):
        return type(follower.layer) in ACTIVATIONS and (from_input or elementwise(follower.layer).from_output)
    adds = isinstance(node.layer, Add) and not _repeats(node)
    return (adds or isinstance(node.layer, BatchNormalization)) and isinstance(follower.layer, ReLU)


def _repeats(node: Node) -> bool:
    """Whether an input is repeated to the shape of another."""
    return len(set(node.input_shapes)) > 1
