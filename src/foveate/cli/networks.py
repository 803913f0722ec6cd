"""`foveate summary` and `foveate steps`: what a network is, and what a compiled program of it runs."""

from collections.abc import Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated

import typer

from foveate.cli.models import ONNX, is_onnx, open_model
from foveate.cli.output import (
    LARGEST,
    DeviceOption,
    EngineOption,
    JsonOption,
    ThreadsOption,
    chosen_engine,
    print_json,
    table,
    use_threads,
)
from foveate.cli.shapes import parse_inputs
from foveate.errors import FoveateError, GraphError
from foveate.graph import Graph, Rebuilt, nearest, rewrite
from foveate.text import broken

if TYPE_CHECKING:
    from foveate.engines import StepInfo


ANY_COLUMNS = 1_000
"""The width for a file or a pipe: lines are as long as they have to be, so they can be searched."""


class ModeName(StrEnum):
    """The two ways in which a program can be compiled."""

    INFERENCE = "inference"
    TRAINING = "training"


NetworkArgument = Annotated[str, typer.Argument(help="Name of a network, or a model.safetensors or ONNX file.")]
InputOption = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="SHAPE",
        help="Input shape of a named network or an ONNX file, channels first: 3x32x32. If there are several inputs, "
        "once for each: NAME=3x32x32.",
    ),
]
ClassesOption = Annotated[int | None, typer.Option(min=1, max=LARGEST, help="Number of classes for a named network.")]


def summary(
    net_or_model: NetworkArgument,
    input_shape: InputOption = None,
    classes: ClassesOption = None,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if a layer drops rows or columns.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, max=LARGEST, help="Batch size for the memory estimate.")] = 1,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    as_html: Annotated[bool, typer.Option("--html", help="Print an HTML table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Show a network's layers, shapes, parameters and costs.

    Example: foveate summary resnet20 --input 3x64x64 --classes 100
    """
    if markdown + as_csv + as_html + as_json > 1:
        raise typer.BadParameter("--markdown, --csv, --html and --json are forms of one table; give one of them")
    try:
        graph = find_graph(net_or_model, input_shape, classes)
        table = (_strictly(graph) if strict else graph).summary()
    except FoveateError as error:
        if error.partial is not None and not as_json:
            typer.echo(error.partial.summary().render())
        raise
    if as_json:
        print_json(table.to_json(batch_size))
    elif as_csv or as_html:
        typer.echo(table.to_csv().rstrip() if as_csv else table.to_html(batch_size))
    elif markdown:
        typer.echo(table.to_markdown(batch_size))
    else:
        typer.echo(table.render(get_terminal_size((110, 24)).columns, batch_size))
    drop = [row.name for row in table.rows if any(row.dropped)]
    if drop:
        more = f" and {len(drop) - 1} more never see" if len(drop) > 1 else " never sees"
        typer.echo(f"foveate: {drop[0]}{more} the last rows or columns; --strict says what fits", err=True)


def steps(
    net_or_model: NetworkArgument,
    batch_size: Annotated[int, typer.Option(min=1, max=LARGEST, help="Batch size.")] = 1,
    mode: Annotated[ModeName, typer.Option(help="Compile for inference or for training.")] = ModeName.INFERENCE,
    input_shape: InputOption = None,
    classes: ClassesOption = None,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """List what a compiled program runs: each step with its node, implementation, layouts and bytes.

    Example: foveate steps vgg6 --batch-size 128 --mode training
    """
    from foveate.model import Model

    use_threads(threads)
    model = Model(find_graph(net_or_model, input_shape, classes), engine=chosen_engine(engine, device))
    infos = model.steps(batch_size, "training" if mode is ModeName.TRAINING else "inference")
    if as_json:
        print_json([{**asdict(info), "layouts": dict(info.layouts)} for info in infos])
        return
    typer.echo("\n".join(step_lines(infos, get_terminal_size((ANY_COLUMNS, 24)).columns)))
    typer.echo(f"{len(infos)} steps, {sum(info.bytes for info in infos):,} bytes read and written")


def step_lines(infos: "Sequence[StepInfo]", width: int) -> list[str]:
    """A row for each step. If rows do not fit the terminal, their last columns move below, the layouts first."""
    layouts = ["layouts", *(" ".join(f"{name}:{each}" for name, each in info.layouts.items()) for info in infos)]
    cells = [("phase", "node", "operation", "implementation", "bytes")]
    cells += [(info.phase, info.node, info.operation, info.implementation, f"{info.bytes:,}") for info in infos]
    rows = table(cells, 4)
    beside = [f"{row}  {each}".rstrip() for row, each in zip(rows, layouts, strict=True)]
    if max(map(len, beside)) <= width:
        return beside
    kept = 4
    while kept > 2 and max(map(len, rows)) > width:
        kept -= 1
        rows = table([(*cell[:kept], cell[-1]) for cell in cells], kept)
    below = ["  ".join(("", *cell[kept:-1], each)) for cell, each in zip(cells, layouts, strict=True)]
    return [
        rows[0],
        *(line for row, each in zip(rows[1:], below[1:], strict=True) for line in (row, broken(each, width))),
    ]


def find_graph(net_or_model: str, input_shape: "Sequence[str] | None", classes: int | None) -> Graph:
    """The network of that name, or the one in that model file."""
    from foveate import zoo

    path = Path(net_or_model)
    if not path.is_file() and zoo.known(net_or_model):
        sizes = parse_inputs(input_shape, "--input")
        if isinstance(sizes, dict):
            raise typer.BadParameter(f"{net_or_model} has one input; give its shape without a name: 3x32x32")
        return zoo.make(net_or_model, input_shape=sizes, classes=classes)
    if not path.exists() and path.suffix not in (".safetensors", ONNX):
        raise GraphError(f'there is no network and no file "{net_or_model}".{nearest(net_or_model, zoo.NETWORKS)}')
    if is_onnx(path) and classes is None:
        return open_model(path, None, input_shape).graph
    if input_shape or classes is not None:
        raise typer.BadParameter("--input and --classes go with a network's name; a model file has its own")
    from foveate.files import read_description

    return read_description(path).graph


def _strictly(graph: Graph) -> Graph:
    """The same graph built again under the strict rule."""
    if len(graph.inputs) == 1 and len(graph.outputs) == 1:
        return Rebuilt(graph).build(graph.input_shape, strict=True, quiet=True, name=graph.name)
    return rewrite(graph, strict=True)
