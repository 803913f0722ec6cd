"""The table of a network: rows, totals that are the columns' sums, and its three forms."""

import json
from io import StringIO
from math import prod

import pytest
from rich.console import Console

import foveate as fv
from foveate.graph import Graph
from foveate.zoo import NETWORKS, make


def shared() -> Graph:
    builder = fv.GraphBuilder(name="shared")
    x = builder.input((4, 8, 8))
    first = builder.add(fv.Conv2d(4, 3, padding=1), x, parameters="both")
    return builder.build(builder.add(fv.Conv2d(4, 3, padding=1), first, parameters="both"))


GRAPHS = {name: make(name) for name in NETWORKS} | {"shared": shared()}


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_parameters_of_the_rows_are_all_parameters_of_the_graph(graph: Graph):
    assert graph.summary().total_parameters == sum(prod(p.shape) for p in graph.parameters.values())


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
@pytest.mark.parametrize("column", ["parameters", "macs", "flops"])
def test_the_columns_of_the_printed_table_sum_to_its_totals(graph: Graph, column: str):
    summary = graph.summary()
    cells = [line.split("|")[1:-1] for line in summary.to_markdown().splitlines() if line.startswith("|")]
    at = {"parameters": 3, "macs": 4, "flops": 5}[column]
    printed = [int(row[at].replace(",", "")) for row in cells[2:]]
    assert sum(printed[:-1]) == printed[-1] == getattr(summary, f"total_{column}")


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_text_names_every_layer_and_prints_every_total(graph: Graph):
    summary = graph.summary()
    text = summary.render(width=140)
    totals = (summary.total_parameters, summary.total_macs, summary.total_flops)
    wanted = [graph.name, *(node.name for node in graph.nodes), *(f"{total:,}" for total in totals)]
    assert [word for word in wanted if word not in text] == []


@pytest.mark.parametrize("width", [40, 80, 110, 200])
def test_the_text_keeps_to_its_width(width: int):
    assert max(len(line) for line in make("resnet20").summary().render(width=width).splitlines()) <= width


def test_the_table_of_a_small_network():
    graph = fv.Sequential(fv.Conv2d(10, 5, padding=2), fv.BatchNorm2d(), fv.MaxPool2d(2), fv.Flatten(), fv.Linear(3))
    rows = [
        (row.name, row.layer, row.output_shape, row.parameters, row.macs, row.flops)
        for row in graph.build((3, 32, 32)).summary().rows
    ]
    assert rows == [
        ("conv1", "Conv2d 5x5, padding 2", (10, 32, 32), 760, 768_000, 1_546_240),
        ("bn1", "BatchNorm2d", (10, 32, 32), 20, 0, 20_480),
        ("pool1", "MaxPool2d 2x2, stride 2", (10, 16, 16), 0, 0, 10_240),
        ("flatten1", "Flatten", (2560,), 0, 0, 0),
        ("linear1", "Linear 3", (3,), 7683, 7680, 15_363),
    ]


def test_the_markdown_of_a_small_network():
    graph = fv.Sequential(fv.Linear(3), fv.ReLU()).build((4,), name="tiny")
    assert graph.summary().to_markdown() == (
        "| name | layer | output | parameters | MACs | FLOPs | dropped |\n"
        "| --- | --- | --- | ---: | ---: | ---: | --- |\n"
        "| linear1 | Linear 3 | 3 | 15 | 12 | 27 |  |\n"
        "| relu1 | ReLU | 3 | 0 | 0 | 3 |  |\n"
        "| total |  |  | 15 | 12 | 30 |  |\n"
        "\n"
        "One sample. MACs: multiply-accumulates with weights. FLOPs: every floating-point operation, a MAC counted as "
        "two.\n"
    )


def test_the_json_of_a_small_network():
    graph = fv.Sequential(fv.MaxPool2d(2), fv.Flatten(), fv.Linear(2)).build((1, 5, 5), quiet=True, name="tiny")
    data = json.loads(json.dumps(graph.summary().to_json()))
    assert data["layers"][0] == {
        "name": "pool1",
        "layer": "MaxPool2d 2x2, stride 2",
        "output_shape": [1, 2, 2],
        "parameters": 0,
        "macs": 0,
        "flops": 16,
        "dropped": [1, 1],
    }
    del data["layers"]
    assert data == {
        "name": "tiny",
        "inputs": {"input": [1, 5, 5]},
        "total_parameters": 10,
        "total_macs": 8,
        "total_flops": 16 + 18,
        "convention": "One sample. MACs: multiply-accumulates with weights. FLOPs: every floating-point operation, "
        "a MAC counted as two.",
    }


def test_shared_parameters_stand_at_the_first_layer_that_uses_them():
    first, second = shared().summary().rows
    assert (first.parameters, first.layer) == (148, "Conv2d 3x3, padding 1")
    assert (second.parameters, second.layer) == (0, "Conv2d 3x3, padding 1 (shares both)")
    assert first.macs == second.macs


def test_dropped_rows_and_columns_have_a_column():
    summary = fv.Sequential(fv.Conv2d(2, 1, stride=3), fv.ReLU()).build((1, 6, 7), quiet=True).summary()
    assert [row.dropped for row in summary.rows] == [(2, 0), ()]
    assert "| 2x0 |" in summary.to_markdown()


def test_printing_a_summary_renders_it():
    summary = make("lenet5").summary()
    assert str(summary) == summary.render()
    assert "61,706" in str(summary)


def test_rich_prints_the_same_table():
    summary = make("lenet5").summary()
    console = Console(width=110, record=True, file=StringIO())
    console.print(summary)
    assert console.export_text().rstrip() == summary.render(width=110)
