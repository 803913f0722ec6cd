"""A page that derives a whole network as a lecturer would: sizes, parameters and receptive fields, number by number."""

from collections.abc import Mapping, Sequence
from math import prod

from foveate.geometry import Window, fit, format_sizes
from foveate.graph.builder import formula
from foveate.graph.graph import Graph, Node
from foveate.graph.receptive_field import ReceptiveField, sees_whole_image
from foveate.layers import Flatten, Linear
from foveate.layers.convolution import Convolution
from foveate.layers.normalization import axis_letters
from foveate.layers.transposed import TransposedConvolution

RULES = """\
A window of F taps, D apart, spans `F_eff = D(F - 1) + 1` positions. Over W positions with padding P on both sides,
moved by S, it gives `(W - F_eff + 2P)/S + 1` outputs, rounded down. A convolution with K filters on C channels in G
groups has `F*F*C/G*K` weights and K biases; each of its outputs is a dot product of `F*F*C/G` numbers.

An output sees r inputs, and its neighbour sees what lies j further on. A window makes `r + (F_eff - 1)*j` and `j*S` of
these: so L layers of K taps at stride 1 see `1 + L*(K - 1)`, and every stride before a layer multiplies what it adds.
"""


def explain_arithmetic(graph: Graph, batch_size: int = 1) -> str:
    """The page, in Markdown.

    >>> from foveate import Conv2d, Sequential
    >>> print(explain_arithmetic(Sequential(Conv2d(8, 3)).build((1, 9, 9))).splitlines()[0])
    # The arithmetic of network
    """
    fields = {name: graph.receptive_fields(name) for name in graph.inputs}
    inputs = " and ".join(f"`{name}` {format_sizes(shape)}" for name, shape in graph.inputs.items())
    parts = [f"# The arithmetic of {graph.name}", f"Input: {inputs}, channels first, one sample.", RULES.strip()]
    owners = {node.name for node in graph.owners}
    for number, node in enumerate(graph.nodes, start=1):
        views = [each for each in fields.values() if each[node.name].sees]
        steps = [*_size_steps(node), *_cost_steps(node, node.name in owners), *_field_steps(node, views)]
        parts += [f"## {number}. {node.name}: {node.layer.describe()}", "\n".join(f"- {step}" for step in steps)]
    summary = graph.summary()
    parts += ["## All together", summary.to_markdown(batch_size).strip(), *_sight_lines(graph)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _size_steps(node: Node) -> list[str]:
    """From the input's shape to the output's."""
    came = " and ".join(format_sizes(shape) for shape in node.input_shapes)
    joined = ", ".join(f"`{name}`" for name in node.inputs)
    steps = [f"in: {came} from {joined}", f"out: {format_sizes(node.output_shape)}"]
    sizes, made = node.input_shapes[0][1:], node.output_shape[1:]
    windows = node.layer.windows(node.input_shapes)
    if windows is not None:
        axes = list(zip(sizes, windows, made, strict=True))
        steps += [f"{_letters(axes, axis)}: {_size_words(*axis)}" for axis in dict.fromkeys(axes)]
    elif isinstance(node.layer, TransposedConvolution):
        layer = node.layer
        each = list(zip(sizes, layer.transposed_windows, layer.output_padding, made, strict=True))
        steps += [f"{_letters(each, axis)}: {_transposed_words(*axis)}" for axis in dict.fromkeys(each)]
    elif isinstance(node.layer, Flatten) and len(node.input_shapes[0]) > 1:
        steps.append(f"`{_product(node.input_shapes[0])} = {prod(node.output_shape):,}`")
    if any(node.dropped):
        steps.append(f"dropped: the last {format_sizes(node.dropped)} positions are seen by no window")
    return steps


def _size_words(size: int, window: Window, made: int) -> str:
    placed = fit(size, window)
    words = f"`{formula(size, window)} = "
    if placed.fits:
        return f"{words}{made}`"
    rounded = "up, by ceil_mode" if made > placed.output else "down"
    return f"{words}{float(placed.exact_output):.2f}`, rounded {rounded}: {made} (remainder {placed.remainder})"


def _transposed_words(size: int, window: Window, extra: int, made: int) -> str:
    begin, end = window.padding
    added = f" + {extra}" if extra else ""
    return f"`({size} - 1)*{window.stride} - {begin} - {end} + {window.effective_size}{added} = {made}`"


def _cost_steps(node: Node, owns: bool) -> list[str]:
    arrays = {name: parameter.shape for name, parameter in node.layer.parameters(node.input_shapes).items()}
    steps = []
    if arrays:
        counts = [prod(shape) for shape in arrays.values()]
        products = [f"{name} `{_product(shape)}`" for name, shape in arrays.items()]
        total = f" = {sum(counts):,}" if len(counts) > 1 or len(next(iter(arrays.values()))) > 1 else ""
        steps.append(f"parameters: {' + '.join(products)}{total}")
        if not owns:
            steps[-1] += f", shared with `{node.parameters}` and counted there"
    if node.cost.macs:
        steps.append(f"MACs: {_mac_words(node)} = {node.cost.macs:,}")
    return steps


def _mac_words(node: Node) -> str:
    layer = node.layer
    if isinstance(layer, (Convolution, Linear)):
        outputs = prod(node.output_shape)
        return f"{outputs:,} outputs of {node.cost.macs // outputs:,} products"
    inputs = prod(node.input_shapes[0])
    return f"{inputs:,} inputs of {node.cost.macs // inputs:,} products" if node.cost.macs % inputs == 0 else "in all"


def _field_steps(node: Node, views: Sequence[Mapping[str, ReceptiveField]]) -> list[str]:
    steps = []
    for fields in views:
        field = fields[node.name]
        words = str(field).removeprefix(f"{node.name} ")
        derived = _derivation(node, fields[node.inputs[0]], field) if len(node.inputs) == 1 else ""
        steps.append(words + derived)
    return steps


def _derivation(node: Node, below: ReceptiveField, field: ReceptiveField) -> str:
    """The recursion with the numbers put in, for a window along axes that are alike."""
    windows = node.layer.windows(node.input_shapes)
    if windows is None or not below.aligned or below.whole or not field.fields:
        return ""
    axes = [(low[0], window) for low, window in zip(below.fields, windows, strict=True)]
    kinds = dict.fromkeys((low.size, low.jump, w.effective_size, w.stride) for low, w in axes)
    if any(low.period != 1 for low, _ in axes):
        return ""
    sizes = ", ".join(f"`{r} + ({f} - 1)*{j} = {r + (f - 1) * j}`" for r, j, f, _ in kinds)
    jumps = ", ".join(f"`{j}*{s} = {j * s}`" for _, j, _, s in kinds)
    return f": size {sizes}; jump {jumps}"


def _sight_lines(graph: Graph) -> list[str]:
    if len(graph.inputs) != 1 or len(graph.input_shape) < 2:
        return []
    return sight_sentences(graph)


def sight_sentences(graph: Graph) -> list[str]:
    """How many layers with windows it takes until an output sees the whole input, with the strides and without."""
    image = format_sizes(graph.input_shape[1:])
    lines = []
    for unstrided, how in ((False, "With its strides"), (True, "With every stride at 1")):
        sight = sees_whole_image(graph, unstrided=unstrided)
        seen = format_sizes(sight.size)
        if sight.node is not None:
            lines.append(
                f"{how}, an output sees the whole {image} input after {sight.depth} layers with windows, "
                f"at {sight.node} ({seen})."
            )
            continue
        missing = max(size - reach for size, reach in zip(graph.input_shape[1:], sight.size, strict=True))
        more = f"; {-(-missing // 2)} more 3x3 layers would be needed" if unstrided else ""
        lines.append(
            f"{how}, no output sees the whole {image} input by windows alone: after {sight.depth} layers it is "
            f"{seen}{more}."
        )
    return lines


def _letters(axes: Sequence[object], axis: object) -> str:
    names = axis_letters(len(axes))
    return " and ".join(letter for letter, other in zip(names, axes, strict=True) if other == axis)


def _product(sizes: Sequence[int]) -> str:
    return "*".join(map(str, sizes))
