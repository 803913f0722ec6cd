"""A page that derives a whole network as a lecturer would: sizes, parameters and receptive fields, number by number."""

from collections.abc import Callable, Mapping, Sequence
from math import prod

from foveate.geometry import format_sizes
from foveate.graph.analysis.receptive_field import ReceptiveField, receptive_fields, sees_whole_image
from foveate.graph.analysis.summary import summarize
from foveate.graph.node import Node
from foveate.graph.nodes import Nodes
from foveate.text import as_code, for_markdown

RULES = """\
A window of F taps, D apart, spans `F_eff = D(F - 1) + 1` positions. Over W positions with padding P on both sides,
moved by S, it gives `(W - F_eff + 2P)/S + 1` outputs, rounded down. A convolution with K filters on C channels in G
groups has `F*F*C/G*K` weights and K biases; each of its outputs is a dot product of `F*F*C/G` numbers.

An output sees r inputs, and its neighbour sees those j further on. A window turns r into `r + (F_eff - 1)*j` and j into
`j*S`: so L layers of K taps at stride 1 see `1 + L*(K - 1)`, and every stride before a layer multiplies what it adds.
"""


def explain_arithmetic(graph: Nodes, batch_size: int = 1) -> str:
    """The page, in Markdown.

    >>> from foveate import Conv2d, Sequential
    >>> print(explain_arithmetic(Sequential(Conv2d(8, 3)).build((1, 9, 9))).splitlines()[0])
    # The arithmetic of network
    """
    fields = {name: receptive_fields(graph, name) for name in graph.inputs}
    inputs = " and ".join(f"{as_code(name)} {format_sizes(shape)}" for name, shape in graph.inputs.items())
    parts = [
        f"# The arithmetic of {for_markdown(graph.name)}",
        f"Input: {inputs}, channels first, one sample.",
        RULES.strip(),
    ]
    owners = {node.name for node in graph.owners}
    for number, node in enumerate(graph.nodes, start=1):
        views = [each for each in fields.values() if each[node.name].sees]
        steps = [*_size_steps(node), *_cost_steps(node, node.name in owners), *_field_steps(node, views)]
        parts += [
            f"## {number}. {for_markdown(node.name)}: {node.layer.describe()}",
            "\n".join(f"- {step}" for step in steps),
        ]
    summary = summarize(graph, fields)
    parts += ["## All together", summary.to_markdown(batch_size).strip(), *_sight_lines(graph)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _size_steps(node: Node) -> list[str]:
    """From the input's shape to the output's."""
    came = " and ".join(format_sizes(shape) for shape in node.input_shapes)
    joined = ", ".join(as_code(name) for name in node.inputs)
    steps = [f"in: {came} from {joined}", f"out: {format_sizes(node.output_shape)}"]
    steps += node.layer.size_steps(node.input_shapes)
    if any(node.dropped):
        ends = format_sizes(tuple(axis.end for axis in node.unseen))
        begins = format_sizes(tuple(axis.begin for axis in node.unseen))
        where = f"last {ends}" if not any(axis.begin for axis in node.unseen) else f"first {begins} and last {ends}"
        steps.append(f"dropped: the {where} positions are seen by no window")
    if any(node.skipped):
        steps.append(f"skipped: {format_sizes(node.skipped)} positions between windows are seen by none")
    return steps


def _cost_steps(node: Node, owns: bool) -> list[str]:
    arrays = {name: parameter.shape for name, parameter in node.layer.parameters(node.input_shapes).items()}
    steps = []
    if arrays:
        counts = [prod(shape) for shape in arrays.values()]
        products = [f"{name} `{_product(shape)}`" for name, shape in arrays.items()]
        total = f" = {sum(counts):,}" if len(counts) > 1 or len(next(iter(arrays.values()))) > 1 else ""
        steps.append(f"parameters: {' + '.join(products)}{total}")
        if not owns:
            steps[-1] += f", shared with {as_code(node.parameters)} and counted there"
    if node.cost.macs:
        steps.append(f"MACs: {_mac_words(node)} = {node.cost.macs:,}")
    return steps


def _mac_words(node: Node) -> str:
    of = "inputs" if node.layer.scatters else "outputs"
    count = prod(node.input_shapes[0] if node.layer.scatters else node.output_shape)
    return f"{count:,} {of} of {node.cost.macs // count:,} products" if node.cost.macs % count == 0 else "in all"


def _field_steps(node: Node, views: Sequence[Mapping[str, ReceptiveField]]) -> list[str]:
    steps = []
    for fields in views:
        field = fields[node.name]
        words = str(field).removeprefix(f"{node.name} ")
        derived = _derivation(node, fields[node.inputs[0]], field) if len(node.inputs) == 1 else ""
        steps.append(words + derived)
    return steps


def _derivation(node: Node, below: ReceptiveField, field: ReceptiveField) -> str:
    """The recursion with the numbers filled in, for a window along axes that are alike."""
    windows = node.windows
    if windows is None or not below.known or not below.aligned or below.whole or not field.fields:
        return ""
    axes = [(low[0], window) for low, window in zip(below.fields, windows, strict=True)]
    kinds = dict.fromkeys((low.size, low.jump, w.effective_size, w.stride) for low, w in axes)
    if any(low.period != 1 for low, _ in axes):
        return ""
    sizes = ", ".join(f"`{r} + ({f} - 1)*{j} = {r + (f - 1) * j}`" for r, j, f, _ in kinds)
    jumps = ", ".join(f"`{j}*{s} = {j * s}`" for _, j, _, s in kinds)
    return f": size {sizes}; jump {jumps}"


def _sight_lines(graph: Nodes) -> list[str]:
    if len(graph.inputs) != 1 or len(graph.input_shape) < 2:
        return []
    return sight_sentences(graph, for_markdown)


def sight_sentences(graph: Nodes, shown: Callable[[str], str] = str) -> list[str]:
    """How many layers with windows it takes for an output to see the whole input, with the strides and without."""
    image = format_sizes(graph.input_shape[1:])
    lines = []
    for unstrided, how in ((False, "With its strides"), (True, "With every stride at 1")):
        sight = sees_whole_image(graph, unstrided=unstrided)
        seen = format_sizes(sight.size)
        if sight.node is not None:
            lines.append(
                f"{how}, an output sees the whole {image} input after {sight.depth} layers with windows, "
                f"at {shown(sight.node)} ({seen})."
            )
            continue
        missing = max(size - reach for size, reach in zip(graph.input_shape[1:], sight.size, strict=True))
        more = f"; {-(-missing // 2)} more 3x3 layers would be needed" if unstrided else ""
        lines.append(
            f"{how}, no output sees the whole {image} input by windows alone: after {sight.depth} layers it is "
            f"{seen}{more}."
        )
    return lines


def _product(sizes: Sequence[int]) -> str:
    return "*".join(map(str, sizes))
