"""`foveate receptive-field`, `compare-dense` and `explain-arithmetic`: the lecture's arithmetic of whole networks."""

import sys
from itertools import accumulate
from math import log10
from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.networks import ClassesOption, InputOption, NetworkArgument, find_graph
from foveate.cli.output import LARGEST, JsonOption, print_json, table, wrapped
from foveate.cli.shapes import parse_numbers, parse_shape
from foveate.geometry import format_sizes
from foveate.graph import Graph
from foveate.graph.analysis.dense import Comparison, Way
from foveate.graph.analysis.explanation import explain_arithmetic as explain
from foveate.graph.analysis.explanation import sight_sentences
from foveate.graph.analysis.receptive_field import ReceptiveField, sees_whole_image
from foveate.graph.analysis.summary import bytes_in_words

MOST_LAYERS = 1_000
"""The most layers listed one by one."""

LONGEST_INPUT = 18
"""The longest input of a stack, as a power of ten; with a stride, the numbers grow without end."""


def receptive_field(
    net_or_model: Annotated[
        str | None,
        typer.Argument(help="Name of a network, or a model file; or give --kernel and --layers."),
    ] = None,
    node: Annotated[
        str | None, typer.Option(help="Show this layer only, by its name in the summary (default: all).")
    ] = None,
    position: Annotated[
        str | None,
        typer.Option(metavar="HxW", help="Also show the part of the input that --node sees at this position: 0x0."),
    ] = None,
    kernel: Annotated[
        int | None, typer.Option(min=1, max=LARGEST, metavar="K", help="Instead of a network: a stack of K x K layers.")
    ] = None,
    layers: Annotated[
        int | None, typer.Option(min=1, max=MOST_LAYERS, metavar="L", help="Number of layers in the stack.")
    ] = None,
    stride: Annotated[int, typer.Option(min=1, max=LARGEST, metavar="S", help="Stride of each stacked layer.")] = 1,
    input_shape: InputOption = None,
    classes: ClassesOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show how much of the input each layer sees: size, jump, first centre, and the first layer to see it all.

    Example: foveate receptive-field resnet20 --node stage2.0.conv1

    Example: foveate receptive-field --kernel 3 --layers 5
    """
    if net_or_model is None:
        if kernel is None or layers is None:
            raise typer.BadParameter("name a network or a model file, or give --kernel and --layers")
        if input_shape or any(given is not None for given in (node, position, classes)):
            raise typer.BadParameter(
                "--node, --position, --input and --classes go with a network, not with --kernel and --layers"
            )
        _show_stack(kernel, layers, stride, as_json)
        return
    if kernel is not None or layers is not None or stride != 1:
        raise typer.BadParameter("--kernel, --layers and --stride do not go with a network, which has its own")
    graph = find_graph(net_or_model, input_shape, classes)
    fields = graph.receptive_fields()
    if position is not None and node is None:
        raise typer.BadParameter("--position needs --node")
    chosen = [graph.receptive_field(node)] if node is not None else [fields[each.name] for each in graph.nodes]
    box = None if node is None or position is None else graph.region(node, _position(position))
    if as_json:
        data = {"layers": [field.to_json() for field in chosen], **_sights(graph)}
        if box is not None:
            data["region"] = {
                "unclipped": [[axis.start, axis.stop - 1] for axis in box.unclipped],
                "clipped": [[axis.start, axis.stop - 1] for axis in box.clipped],
            }
        print_json(data)
        return
    for line in [str(chosen[0])] if node is not None else _table(chosen):
        typer.echo(line)
    if box is not None:
        real, padded = (_box(axes) for axes in (box.clipped, box.unclipped))
        typer.echo(f"at {position} it sees {real} (with padding {padded})")
    if node is None and len(graph.input_shape) > 1:
        typer.echo(wrapped("\n" + "\n".join(sight_sentences(graph)), sys.stdout))


def compare_dense(
    input_shape: Annotated[str, typer.Option("--input", metavar="SHAPE", help="Input shape: 3x32x32.")] = "3x32x32",
    filters: Annotated[int, typer.Option(metavar="K", help="Number of filters.")] = 10,
    kernel: Annotated[str, typer.Option(metavar="F", help="Filter size: 5, or one for each axis: 5x3.")] = "5",
    groups: Annotated[int | None, typer.Option(metavar="G", help="Groups in the grouped convolution.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Compare a fully connected layer with convolutions that have the same input and output.

    Example: foveate compare-dense --input 3x32x32 --filters 10 --kernel 5
    """
    from foveate.graph.analysis.dense import compare_dense as compare

    shape = parse_shape(input_shape, "--input")
    found = compare(shape, filters, parse_numbers(kernel, "--kernel"), groups)
    if as_json:
        print_json(found.to_json())
        return
    for line in comparison_lines(found):
        typer.echo(wrapped(line, sys.stdout))


def explain_arithmetic(
    net_or_model: NetworkArgument,
    input_shape: InputOption = None,
    classes: ClassesOption = None,
    batch_size: Annotated[int, typer.Option(min=1, max=LARGEST, help="Batch size for the memory estimate.")] = 1,
    out: Annotated[Path | None, typer.Option(help="File to write (default: print to the terminal).")] = None,
) -> None:
    """Work through a network as a lecturer would: each size, parameter count and receptive field.

    Example: foveate explain-arithmetic lenet5 --out lenet5.md
    """
    page = explain(find_graph(net_or_model, input_shape, classes), batch_size)
    if out is None:
        typer.echo(page.rstrip())
        return
    from foveate.files import write_atomically

    write_atomically(out, page.encode("utf-8"))
    typer.echo(f"wrote {out}")


def comparison_lines(found: Comparison) -> list[str]:
    """The comparison as text."""
    dense, conv = found.ways[:2]
    rows = [("", "parameters", "MACs", "memory", "dense", "conv")]
    for way in found.ways:
        saved = ("", "") if way is dense else (_times(dense, way), _times(conv, way))
        rows.append((way.name, f"{way.parameters:,}", f"{way.macs:,}", bytes_in_words(way.parameter_bytes), *saved))
    head, *told = table(rows, 1)
    lines = [
        f"{format_sizes(found.input_shape)} to {format_sizes(found.output_shape)}, one sample in float32",
        "",
        f"{'fewer parameters than':>{len(head)}}",
        head,
    ]
    for way, line in zip(found.ways, told, strict=True):
        lines += [line, f"  {way.layers}"]
    if found.groups == 1:
        lines += ["", "Groups would have to divide both the channels and the filters; here only 1 does."]
    return [*lines, "", found.argument()]


def _times(base: Way, way: Way) -> str:
    ratio = base.parameters / way.parameters
    return f"{ratio:,.1f}x" if ratio < 100 else f"{ratio:,.0f}x"


def _table(fields: list[ReceptiveField]) -> list[str]:
    rows = [("layer", "sees", "jump", "first centre")]
    for field in fields:
        local = field.sees and field.known and not field.whole
        centre = (_axes(field.jump), _axes(field.first_centre)) if local else ("", "")
        rows.append((field.node, field.short(), *centre))
    return table(rows, len(rows[0]))


def _axes(values: tuple[object, ...]) -> str:
    return str(values[0]) if len(set(values)) == 1 else "x".join(map(str, values))


def _box(axes: tuple[range, ...]) -> str:
    return " x ".join(f"{axis.start} to {axis.stop - 1}" if axis else "nothing" for axis in axes)


def _show_stack(kernel: int, layers: int, stride: int, as_json: bool) -> None:
    """The lecture's 1 + L(K - 1), layer by layer; with a stride each layer adds (K - 1) times the jump before it."""
    most = _most_layers(kernel, stride)
    if layers > most:
        raise typer.BadParameter(
            f"{layers:,} layers with --stride {stride} are for inputs of more than 10^{LONGEST_INPUT} positions, which "
            f"do not exist; give --layers {most} at most, or a smaller stride"
        )
    jumps = [stride**number for number in range(layers)]
    sizes = list(accumulate(((kernel - 1) * jump for jump in jumps), initial=1))[1:]
    if as_json:
        rows = [{"layer": n, "size": size, "jump": stride**n} for n, size in enumerate(sizes, start=1)]
        print_json({"kernel": kernel, "stride": stride, "size": sizes[-1], "layers": rows})
        return
    for number, size in enumerate(sizes, start=1):
        before = sizes[number - 2] if number > 1 else 1
        step = f"{before} + ({kernel} - 1)" + (f"*{jumps[number - 1]}" if stride > 1 else "")
        typer.echo(f"layer {number}: sees {step} = {size}")
    noun = "layer" if layers == 1 else "layers"
    if stride == 1:
        typer.echo(f"{layers} {noun} of {kernel}x{kernel}: 1 + L(K - 1) = 1 + {layers}*({kernel} - 1) = {sizes[-1]}")
    else:
        typer.echo(f"{layers} {noun} of {kernel}x{kernel} with stride {stride}: {sizes[-1]}")


def _most_layers(kernel: int, stride: int) -> int:
    """How many stacked layers see no more of an axis than it can have, about K S^(L - 1); at least one."""
    if stride == 1:
        return MOST_LAYERS
    return max(1, min(MOST_LAYERS, 1 + int((LONGEST_INPUT - log10(kernel)) / log10(stride))))


def _position(text: str) -> tuple[int, ...]:
    if text in ("", "()"):
        return ()
    numbers = parse_numbers(text, "--position")
    return numbers if isinstance(numbers, tuple) else (numbers,)


def _sights(graph: Graph) -> dict[str, object]:
    """Layers with windows until an output sees the whole input; null if none does."""
    if len(graph.input_shape) < 2:
        return {}
    sights = {name: sees_whole_image(graph, unstrided=flag) for name, flag in (("strided", False), ("unstrided", True))}
    return {
        "layers_until_whole_input": {
            name: {"layers": sight.depth if sight.node else None, "node": sight.node, "size": list(sight.size)}
            for name, sight in sights.items()
        }
    }
