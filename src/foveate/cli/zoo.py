"""`foveate zoo`: well-known networks, with their figures."""

from shutil import get_terminal_size
from typing import Annotated, Any, Literal

import typer

from foveate.cli.output import JsonOption, print_json

LEAST_FOR_PAPERS = 24
"""Columns without which papers would break into scraps."""


def zoo(
    markdown: Annotated[bool, typer.Option("--markdown", help="Print a Markdown table.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the networks in the zoo with their parameters, cost, input size and paper.

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
            "weights": network.weights,
        }
        for name, network in NETWORKS.items()
    ]


def to_markdown() -> str:
    """The Markdown table of the guide, whose counts say where they come from."""
    titles = ["name", "network", "parameters", "MACs", "input", "classes", "paper", "whose count", "whose weights"]
    told = ("paper", "source", "weights")
    rows = [[f"`{row['name']}`", row["title"], *_figures(row), *(row[each] for each in told)] for row in networks()]
    rules = ["---", "---", "---:", "---:", "---", "---:", "---", "---", "---"]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in [titles, rules, *rows])


def _render(width: int) -> str:
    from io import StringIO

    from rich.box import SIMPLE
    from rich.console import Console
    from rich.table import Table

    titles = ("name", "parameters", "MACs", "input", "classes", "paper")
    rows = [(row["name"], *_figures(row), row["paper"]) for row in networks()]
    figures = sum(max(map(len, column)) + 2 for column in list(zip(titles, *rows, strict=True))[:-1])
    papers = width >= figures + LEAST_FOR_PAPERS
    caption = "MACs: multiply-accumulates with weights, for one sample."
    hint = "" if papers else " A wider terminal shows the papers too."
    table = Table(caption=caption + hint, caption_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True)
    for title in titles if papers else titles[:-1]:
        justify: Literal["left", "right"] = "right" if title in ("parameters", "MACs", "classes") else "left"
        table.add_column(title, justify=justify, no_wrap=title != "paper")
    for row in rows:
        table.add_row(*(row if papers else row[:-1]))
    text = StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue().rstrip()


def _figures(row: dict[str, Any]) -> list[str]:
    size = "x".join(map(str, row["input_shape"]))
    return [f"{row['parameters']:,}", f"{row['macs']:,}", size, str(row["classes"])]
