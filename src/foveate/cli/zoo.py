"""`foveate zoo`: well-known networks, with their figures."""

from itertools import accumulate
from shutil import get_terminal_size
from typing import Annotated, Any, Literal

import typer

from foveate.cli.output import JsonOption, print_json

LEAST_FOR_PAPERS = 24
"""The narrowest column for papers; a narrower one would break them into fragments."""

_COLUMNS = ("name", "parameters", "MACs", "input", "classes", "paper")
_LEFT_OUT = {"input": "the input", "paper": "the papers", "parameters": "the parameters", "classes": "the classes"}


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
    """The Markdown table of the guide, with the source of each count."""
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

    rows = [(row["name"], *_figures(row), row["paper"]) for row in networks()]
    longest = [max(map(len, column)) for column in zip(_COLUMNS, *rows, strict=True)]
    widths = (*longest[:-1], LEAST_FOR_PAPERS)
    shown = max(1, sum(end <= width for end in accumulate(each + 2 for each in widths)))
    caption = "MACs: multiply-accumulates with weights, for one sample." if shown > _COLUMNS.index("MACs") else ""
    left = [_LEFT_OUT.get(name, name) for name in _COLUMNS[shown:]]
    hint = f"A wider terminal shows {' and '.join(filter(None, [', '.join(left[:-1]), left[-1]]))} too." if left else ""
    table = Table(
        caption=f"{caption} {hint}".strip(), caption_justify="left", box=SIMPLE, pad_edge=False, collapse_padding=True
    )
    for title in _COLUMNS[:shown]:
        justify: Literal["left", "right"] = "right" if title in ("parameters", "MACs", "classes") else "left"
        table.add_column(title, justify=justify, no_wrap=title != "paper")
    for row in rows:
        table.add_row(*row[:shown])
    text = StringIO()
    Console(file=text, width=width).print(table)
    return text.getvalue().rstrip()


def _figures(row: dict[str, Any]) -> list[str]:
    size = "x".join(map(str, row["input_shape"]))
    return [f"{row['parameters']:,}", f"{row['macs']:,}", size, str(row["classes"])]
