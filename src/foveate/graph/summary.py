"""A network as a table: each layer's shape, parameters and costs, with totals that are the columns' sums."""

import json
from dataclasses import asdict, dataclass
from io import StringIO
from math import prod
from typing import Any

from foveate.geometry import format_sizes
from foveate.graph.graph import Graph, Node

CONVENTION = (
    "One sample. MACs: multiply-accumulates with weights. FLOPs: every floating-point operation, a MAC counted as two."
)


@dataclass(frozen=True)
class Row:
    """One layer of the table."""

    name: str
    layer: str
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    flops: int
    dropped: tuple[int, ...]


@dataclass(frozen=True)
class Summary:
    """The table of a network; prints itself as text, `to_json` and `to_markdown` give the same figures."""

    name: str
    inputs: dict[str, tuple[int, ...]]
    rows: tuple[Row, ...]

    @property
    def total_parameters(self) -> int:
        """Trainable numbers, shared ones counted once."""
        return sum(row.parameters for row in self.rows)

    @property
    def total_macs(self) -> int:
        """Multiply-accumulates for one sample."""
        return sum(row.macs for row in self.rows)

    @property
    def total_flops(self) -> int:
        """Floating-point operations for one sample."""
        return sum(row.flops for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Plain data: `layers`, and the totals."""
        return {
            "name": self.name,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "layers": [json.loads(json.dumps(asdict(row))) for row in self.rows],
            "total_parameters": self.total_parameters,
            "total_macs": self.total_macs,
            "total_flops": self.total_flops,
            "convention": CONVENTION,
        }

    def to_markdown(self) -> str:
        """A Markdown table."""
        titles, lines = self._cells()
        rows = [titles, ["---"] * 3 + ["---:"] * 3 + ["---"], *lines, self._totals()]
        return "\n".join("| " + " | ".join(cells) + " |" for cells in rows) + f"\n\n{CONVENTION}\n"

    def __str__(self) -> str:
        return self.render()

    def __rich__(self) -> object:
        return self._table()

    def render(self, width: int = 110) -> str:
        """The table as plain text of at most `width` columns."""
        from rich.console import Console

        text = StringIO()
        Console(file=text, width=width).print(self._table())
        return text.getvalue().rstrip()

    def _table(self) -> Any:
        from rich.table import Table

        titles, lines = self._cells()
        table = Table(title=self._title(), caption=CONVENTION, title_justify="left", caption_justify="left")
        for title, total in zip(titles, self._totals(), strict=True):
            is_number = title in ("parameters", "MACs", "FLOPs")
            table.add_column(title, footer=total, justify="right" if is_number else "left", overflow="fold")
        table.show_footer = True
        for line in lines:
            table.add_row(*line)
        return table

    def _title(self) -> str:
        return f"{self.name}: input " + ", ".join(format_sizes(shape) for shape in self.inputs.values())

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        titles = ["name", "layer", "output", "parameters", "MACs", "FLOPs", "dropped"]
        return titles, [
            [
                row.name,
                row.layer,
                format_sizes(row.output_shape),
                f"{row.parameters:,}",
                f"{row.macs:,}",
                f"{row.flops:,}",
                format_sizes(row.dropped) if any(row.dropped) else "",
            ]
            for row in self.rows
        ]

    def _totals(self) -> list[str]:
        totals = (self.total_parameters, self.total_macs, self.total_flops)
        return ["total", "", "", *(f"{total:,}" for total in totals), ""]


def summarize(graph: Graph) -> Summary:
    """The table of `graph`; parameters stand at the first layer that uses them."""
    owners = {node.name for node in graph.owners}
    rows = tuple(_row(node, node.name in owners) for node in graph.nodes)
    return Summary(graph.name, dict(graph.inputs), rows)


def _row(node: Node, owns: bool) -> Row:
    parameters = node.layer.parameters(node.input_shapes).values() if owns else ()
    cost = node.cost
    return Row(
        name=node.name,
        layer=node.layer.describe() + ("" if owns else f" (shares {node.parameters})"),
        output_shape=node.output_shape,
        parameters=sum(prod(parameter.shape) for parameter in parameters),
        macs=cost.macs,
        flops=cost.flops,
        dropped=node.dropped,
    )
