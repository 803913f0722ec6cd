"""Which rule initialises each parameter: He before ReLU's family, Xavier otherwise, unless the layer names one."""

from foveate.graph.graph import Graph
from foveate.graph.node import Node


def initializers(graph: Graph) -> dict[str, str]:
    """The initializer of every parameter by its full name; "auto" is resolved."""
    rules = {}
    for node in graph.owners:
        for name, parameter in node.layer.parameters(node.input_shapes).items():
            rule = parameter.initializer
            if rule == "auto":
                rule = "he" if _meets_rectifier(graph, node) else "xavier"
            rules[f"{node.parameters}.{name}"] = rule
    return rules


def _meets_rectifier(graph: Graph, node: Node) -> bool:
    """Whether a rectifier follows, with only layers in between that preserve the signal."""
    if node.layer.rectifies:
        return True
    waiting = list(graph.consumers[node.name])
    seen: set[str] = set()
    while waiting:
        follower = waiting.pop()
        if follower.layer.rectifies:
            return True
        if follower.layer.keeps_signal and follower.name not in seen:
            seen.add(follower.name)
            waiting += graph.consumers[follower.name]
    return False
