"""A network as a table: each layer's shape, parameters and costs, with totals that are the columns' sums."""

import csv
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from html import escape
from io import StringIO
from math import prod
from typing import Any

from foveate.geometry import format_sizes
from foveate.graph.analysis.receptive_field import ReceptiveField
from foveate.graph.node import Node
from foveate.graph.nodes import Nodes
from foveate.text import for_csv, for_markdown

CONVENTION = (
    "One sample. MACs: multiply-accumulates with weights. FLOPs: every floating-point operation, a MAC counted as two."
)

DEEPEST = 16
"""How many levels of nested blocks get a line of their own."""

BYTES = 4
"""Size of a number: float32."""

TITLES = ("name", "layer", "output", "parameters", "MACs", "FLOPs", "memory", "sees", "dropped", "skipped")
NUMBERS = ("parameters", "MACs", "FLOPs", "memory")


@dataclass(frozen=True)
class Row:
    """One layer of the table; `activation_bytes` is the size of its output for one sample.

    `sees` is its receptive field, `dropped` how many positions at the borders of each axis no window sees, `skipped`
    how many between windows.
    """

    name: str
    type: str
    layer: str
    options: Mapping[str, Any]
    output_shape: tuple[int, ...]
    parameters: int
    macs: int
    flops: int
    activation_bytes: int
    sees: str
    dropped: tuple[int, ...]
    skipped: tuple[int, ...]


@dataclass(frozen=True)
class Memory:
    """Estimated bytes for batches of `batch_size` in float32; a compiled program knows its exact figure.

    Inference holds the parameters and the activations that are needed at once. Training holds each parameter with its
    gradient and a momentum, all activations, and the gradients of activations that are needed at once.
    """

    batch_size: int
    inference: int
    training: int


@dataclass(frozen=True)
class Summary:
    """The table of a network.

    Prints itself as text, in a notebook as HTML; `to_json`, `to_markdown`, `to_csv`, `to_html` give the same figures.
    """

    name: str
    inputs: dict[str, tuple[int, ...]]
    rows: tuple[Row, ...]
    peak_activation_bytes: int = field(default=0, repr=False)
    """The most bytes of one sample's activations that are needed at once."""

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

    @property
    def total_activation_bytes(self) -> int:
        """Bytes of all layers' outputs for one sample."""
        return sum(row.activation_bytes for row in self.rows)

    def memory(self, batch_size: int = 1) -> Memory:
        """Estimated memory of inference and training with batches of `batch_size`."""
        parameters = BYTES * self.total_parameters
        inputs = BYTES * sum(prod(shape) for shape in self.inputs.values())
        kept = inputs + self.total_activation_bytes
        return Memory(
            batch_size,
            inference=parameters + batch_size * self.peak_activation_bytes,
            training=3 * parameters + batch_size * (kept + self.peak_activation_bytes),
        )

    def to_json(self, batch_size: int = 1) -> dict[str, Any]:
        """Plain data: `layers`, the totals, and the memory with batches of `batch_size`."""
        return {
            "name": self.name,
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "layers": [json.loads(json.dumps(asdict(row))) for row in self.rows],
            "total_parameters": self.total_parameters,
            "total_macs": self.total_macs,
            "total_flops": self.total_flops,
            "total_activation_bytes": self.total_activation_bytes,
            "memory": asdict(self.memory(batch_size)),
            "convention": CONVENTION,
        }

    def to_markdown(self, batch_size: int = 1) -> str:
        """A Markdown table."""
        marks = ["---:" if title in NUMBERS else "---" for title in TITLES]
        body = [[for_markdown(cell) for cell in _cells(row)] for row in self.rows]
        rows = [list(TITLES), marks, *body, self._totals()]
        table = "\n".join("| " + " | ".join(cells) + " |" for cells in rows)
        return f"{table}\n\n{CONVENTION}\n\n{self.memory_sentence(batch_size)}\n"

    def to_csv(self) -> str:
        """Comma-separated values: a line of titles, then one for each layer, numbers without separators."""
        text = StringIO()
        writer = csv.writer(text, lineterminator="\n")
        titles = ["name", "layer", "output", "parameters", "macs", "flops", "activation_bytes"]
        writer.writerow([*titles, "sees", "dropped", "skipped"])
        for row in self.rows:
            numbers = (row.parameters, row.macs, row.flops, row.activation_bytes)
            shown = _cells(row)
            writer.writerow([*map(for_csv, shown[:3]), *numbers, *map(for_csv, shown[-3:])])
        return text.getvalue()

    def to_html(self, batch_size: int = 1) -> str:
        """An HTML table, nested blocks indented."""

        def line(cells: list[str], tag: str, depth: int = 0) -> str:
            parts = []
            for title, cell in zip(TITLES, cells, strict=True):
                style = "text-align: right" if title in NUMBERS else "text-align: left"
                if title == "name" and depth:
                    style += f"; padding-left: {1 + depth}em"
                parts.append(f'<{tag} style="{style}">{escape(cell)}</{tag}>')
            return "<tr>" + "".join(parts) + "</tr>"

        body = [line(cells, "td", depth) for depth, cells in self._nested()]
        return "\n".join(
            [
                "<table>",
                f"<caption>{escape(self._title())}</caption>",
                "<thead>", line(list(TITLES), "th"), "</thead>",
                "<tbody>", *body, "</tbody>",
                "<tfoot>", line(self._totals(), "th"), "</tfoot>",
                "</table>",
                f"<p>{escape(CONVENTION)}<br>{escape(self.memory_sentence(batch_size))}</p>",
            ]
        )  # fmt: skip

    def memory_sentence(self, batch_size: int = 1) -> str:
        """The estimate in words."""
        memory = self.memory(batch_size)
        return (
            f"Estimated memory with batch size {batch_size}: {bytes_in_words(memory.inference)} for inference, "
            f"{bytes_in_words(memory.training)} for training."
        )

    def __str__(self) -> str:
        return self.render()

    def __rich__(self) -> object:
        return self._table(110)

    def _repr_html_(self) -> str:
        return self.to_html()

    def render(self, width: int = 110, batch_size: int = 1) -> str:
        """The table as plain text of at most `width` columns; if it is narrow, costs are in the totals only."""
        from rich.console import Console

        text = StringIO()
        Console(file=text, width=width).print(self._table(width, batch_size))
        return "\n".join(line.rstrip() for line in text.getvalue().rstrip().splitlines())

    def _table(self, width: int, batch_size: int = 1) -> Any:
        from rich.box import SIMPLE
        from rich.table import Table
        from rich.text import Text  # a bare string would be read as rich's markup

        totals = f"{self.total_parameters:,} parameters, {self.total_macs:,} MACs, {self.total_flops:,} FLOPs."
        table = Table(
            title=Text(self._title(), "table.title"), title_justify="left", box=SIMPLE, pad_edge=False,
            collapse_padding=True, caption_justify="left",
            caption=f"{totals} {CONVENTION} {self.memory_sentence(batch_size)}",
        )  # fmt: skip
        lines = [["  " * depth + cells[0], *cells[1:]] for depth, cells in self._nested()]
        cells = [list(TITLES), *lines, self._totals()]
        columns = _columns_that_fit(cells, width)
        left_out = [TITLES[column] for column in _columns_that_fit(cells, 1_000) if column not in columns]
        if left_out:
            table.caption = f"{table.caption} A wider terminal shows {' and '.join(left_out)} of each layer too."
        for column in columns:
            title, footer = TITLES[column], self._totals()[column]
            table.add_column(title, footer=footer, overflow="fold", no_wrap=title != "layer")
            table.columns[-1].justify = "right" if title in NUMBERS else "left"
        table.show_footer = True
        for line in lines:
            table.add_row(*(Text(line[column]) for column in columns))
        return table

    def _title(self) -> str:
        return f"{self.name}: input " + ", ".join(format_sizes(shape) for shape in self.inputs.values())

    def _nested(self) -> list[tuple[int, list[str]]]:
        """(depth, cells) of each line: the last part of each name, under a line for each block that contains it."""
        lines: list[tuple[int, list[str]]] = []
        open_blocks: list[str] = []
        for row in self.rows:
            *blocks, leaf = row.name.split(".", DEEPEST)
            shared = 0
            while shared < min(len(blocks), len(open_blocks)) and blocks[shared] == open_blocks[shared]:
                shared += 1
            lines += [(depth, [blocks[depth], *[""] * (len(TITLES) - 1)]) for depth in range(shared, len(blocks))]
            open_blocks = blocks
            lines.append((len(blocks), [leaf, *_cells(row)[1:]]))
        return lines

    def _totals(self) -> list[str]:
        totals = (self.total_parameters, self.total_macs, self.total_flops)
        return ["total", "", "", *(f"{total:,}" for total in totals), f"{self.total_activation_bytes:,}", "", "", ""]


def summarize(graph: Nodes, fields: Mapping[str, Mapping[str, ReceptiveField]]) -> Summary:
    """The table of `graph`; `fields` says, by input and node, what is seen.

    Shared parameters are listed at the first layer that uses them.
    """
    owners = {node.name for node in graph.owners}
    rows = []
    for node in graph.nodes:
        views = {name: each[node.name].short() for name, each in fields.items()}
        seen = [view if len(views) == 1 else f"{view} of {name}" for name, view in views.items() if view != "nothing"]
        rows.append(_row(node, node.name in owners, ", ".join(seen)))
    return Summary(graph.name, dict(graph.inputs), tuple(rows), _peak_bytes(graph))


def _row(node: Node, owns: bool, sees: str) -> Row:
    parameters = node.layer.parameters(node.input_shapes).values() if owns else ()
    cost = node.cost
    return Row(
        name=node.name,
        type=type(node.layer).__name__,
        layer=node.layer.describe() + ("" if owns else f" (shares {node.parameters})"),
        options=node.layer.options(),
        output_shape=node.output_shape,
        parameters=sum(prod(parameter.shape) for parameter in parameters),
        macs=cost.macs,
        flops=cost.flops,
        activation_bytes=BYTES * prod(node.output_shape),
        sees=sees,
        dropped=node.dropped,
        skipped=node.skipped,
    )


def _cells(row: Row) -> list[str]:
    numbers = (row.parameters, row.macs, row.flops, row.activation_bytes)
    unseen = [format_sizes(counts) if any(counts) else "" for counts in (row.dropped, row.skipped)]
    return [row.name, row.layer, format_sizes(row.output_shape), *(f"{n:,}" for n in numbers), row.sees, *unseen]


def _columns_that_fit(lines: list[list[str]], width: int) -> list[int]:
    """Columns that fit in `width`: the least important ones are dropped first, as are empty ones."""
    widths = [max(len(line[column]) for line in lines) + 2 for column in range(len(TITLES))]
    widths[TITLES.index("layer")] = min(widths[TITLES.index("layer")], 18)
    empty = [c for c in range(len(TITLES)) if not any(line[c] for line in lines[1:])]
    columns = [c for c, title in enumerate(TITLES) if c not in empty or title not in ("dropped", "skipped")]
    for title in ("FLOPs", "memory", "MACs", "sees", "skipped", "dropped"):
        if sum(widths[c] for c in columns) <= width:
            break
        columns = [c for c in columns if TITLES[c] != title]
    return columns


def _peak_bytes(graph: Nodes) -> int:
    """The most bytes that are needed at once for one sample: each output lives until its last reader has run."""
    order = {node.name: number for number, node in enumerate(graph.nodes)}
    ends: dict[int, list[str]] = {}
    for name, readers in graph.consumers.items():
        last = (
            len(order) if name in graph.outputs else max((order[r.name] for r in readers), default=order.get(name, 0))
        )
        ends.setdefault(last, []).append(name)
    live = sum(prod(shape) for shape in graph.inputs.values())
    peak = live
    for number, node in enumerate(graph.nodes):
        live += prod(node.output_shape)
        peak = max(peak, live)
        live -= sum(prod(graph.shapes[name]) for name in ends.get(number, ()))
    return BYTES * peak


def bytes_in_words(count: int) -> str:
    """For example '1.5 MB'."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count} bytes"
