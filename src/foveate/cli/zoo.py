"""`foveate zoo`: well-known networks, with their figures."""

from shutil import get_terminal_size
from typing import Annotated, Any

import typer

from foveate.cli.output import JsonOption, print_json


def zoo(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the networks of the zoo with parameters, cost, input size and paper.

    Example: foveate zoo --json
    """
    if as_json:
        print_json(networks())
    elif markdown:
        typer.echo(to_markdown())
    else:
        typer.echo(_render(get_terminal_size((110, 24)).columns))


def networks() -> list[dict[str, Any]]:
    """Each network's figures at its own input shape and number of classes, as plain data."""
    from foveate.zoo import NETWORKS

    return [
        {
            "name": name,
            "title": network.title,
            "parameters": network.parameters,
            "macs": network().summary().total_macs,
            "input_shape": list(network.input_shape),
            "classes": network.classes,
            "paper": network.paper,
            "source": network.source,
        }
        for name, network in NETWORKS.items()
    ]


def to_markdown() -> str:
    """The Markdown table of the guide, whose counts say where they come from."""
    titles = ["name", "network", "parameters", "MACs", "input", "classes", "paper", "whose count"]
    rows = [[f"`{row['name']}`", row["title"], *_figures(row), row["paper"], row["source"]] for row in networks()]
    rules = ["---", "---", "---:", "---:", "---", "---:", "---", "---"]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [titles, rules, *rows])


def _render(width: int) -> str:
    from io import StringIO

    from rich.console import Console
    from rich.table import Table

    table = Table(caption="MACs: multiply-accumulates with weights, for one sample.", caption_justify="left")
    for title in ("name", "parameters", "MACs", "input", "classes", "paper"):
        table.add_column(title, justify="right" if title in ("parameters", "MACs", "classes") else "left")
    for row in networks():
        table.add_row(row["name"], *_figures(row), row["paper"])
    text = StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue().rstrip()


def _figures(row: dict[str, Any]) -> list[str]:
    size = "x".join(map(str, row["input_shape"]))
    return [f"{row['parameters']:,}", f"{row['macs']:,}", size, str(row["classes"])]
