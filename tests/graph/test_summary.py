"""The table of a network: rows, totals that are the columns' sums, and its three forms."""

import csv
import json
from io import StringIO
from math import prod

import pytest
from rich.console import Console

import foveate as fv
from foveate.engines import get_engine
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
@pytest.mark.parametrize("column", ["parameters", "macs", "flops", "activation_bytes"])
def test_the_columns_of_the_printed_table_sum_to_its_totals(graph: Graph, column: str):
    summary = graph.summary()
    cells = [line.split("|")[1:-1] for line in summary.to_markdown().splitlines() if line.startswith("|")]
    at = {"parameters": 3, "macs": 4, "flops": 5, "activation_bytes": 6}[column]
    printed = [int(row[at].replace(",", "")) for row in cells[2:]]
    assert sum(printed[:-1]) == printed[-1] == getattr(summary, f"total_{column}")


@pytest.mark.parametrize("graph", GRAPHS.values(), ids=GRAPHS)
def test_the_text_names_every_layer_and_prints_every_total(graph: Graph):
    summary = graph.summary()
    text = summary.render(width=140)
    totals = (summary.total_parameters, summary.total_macs, summary.total_flops)
    leaves = {part for node in graph.nodes for part in node.name.split(".")}
    wanted = [graph.name, *leaves, *(f"{total:,}" for total in totals)]
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
        "| name | layer | output | parameters | MACs | FLOPs | memory | sees | dropped | skipped |\n"
        "| --- | --- | --- | ---: | ---: | ---: | ---: | --- | --- | --- |\n"
        "| linear1 | Linear 3 | 3 | 15 | 12 | 27 | 12 | everything |  |  |\n"
        "| relu1 | ReLU | 3 | 0 | 0 | 3 | 12 | everything |  |  |\n"
        "| total |  |  | 15 | 12 | 30 | 24 |  |  |  |\n"
        "\n"
        "One sample. MACs: multiply-accumulates with weights. FLOPs: every floating-point operation, a MAC counted as "
        "two.\n"
        "\n"
        "Estimated memory with batch size 1: 88 bytes for inference, 248 bytes for training.\n"
    )


def test_the_json_of_a_small_network():
    graph = fv.Sequential(fv.MaxPool2d(2), fv.Flatten(), fv.Linear(2)).build((1, 5, 5), quiet=True, name="tiny")
    data = json.loads(json.dumps(graph.summary().to_json()))
    assert data["layers"][0] == {
        "name": "pool1",
        "type": "MaxPool2d",
        "layer": "MaxPool2d 2x2, stride 2",
        "options": {
            "kernel_size": [2, 2], "stride": [2, 2], "padding": [[0, 0], [0, 0]], "dilation": [1, 1], "ceil_mode": False
        },
        "output_shape": [1, 2, 2],
        "parameters": 0,
        "macs": 0,
        "flops": 16,
        "activation_bytes": 16,
        "sees": "2x2",
        "dropped": [1, 1],
        "skipped": [0, 0],
    }  # fmt: skip
    del data["layers"]
    assert data == {
        "name": "tiny",
        "inputs": {"input": [1, 5, 5]},
        "total_parameters": 10,
        "total_macs": 8,
        "total_flops": 16 + 18,
        "total_activation_bytes": 4 * (4 + 4 + 2),
        "memory": {"batch_size": 1, "inference": 4 * 10 + 4 * (25 + 4), "training": 3 * 40 + 4 * (25 + 10) + 4 * 29},
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
    assert [row.skipped for row in summary.rows] == [(2, 4), ()]
    assert "| 2x0 | 2x4 |" in summary.to_markdown()


def test_printing_a_summary_renders_it():
    summary = make("lenet5").summary()
    assert str(summary) == summary.render()
    assert "61,706" in str(summary)


def test_rich_prints_the_same_table():
    summary = make("lenet5").summary()
    console = Console(width=110, record=True, file=StringIO())
    console.print(summary)
    lines = console.export_text().rstrip().splitlines()
    assert [line.rstrip() for line in lines] == summary.render(width=110).splitlines()


# Memory, nesting and the other forms


def test_memory_grows_with_the_batch_and_counts_what_lives_at_once():
    """A residual block holds its input until the sum: 3 maps of 4x8x8 at once, the fourth frees two."""
    graph = fv.Residual(fv.Conv2d(4, 3, padding=1), fv.ReLU()).build((4, 8, 8))
    summary = graph.summary()
    maps, parameters = 4 * 256, 4 * 148
    assert summary.peak_activation_bytes == 3 * maps
    for batch in (1, 5):
        memory = summary.memory(batch)
        assert (memory.batch_size, memory.inference) == (batch, parameters + batch * 3 * maps)
        assert memory.training == 3 * parameters + batch * (4 * maps + 3 * maps)
    assert "with batch size 5: " in summary.render(batch_size=5)
    assert summary.to_json(5)["memory"]["training"] == summary.memory(5).training


@pytest.mark.parametrize("name", ["vgg6", "resnet20", "lenet5"])
def test_the_estimate_is_near_what_a_compiled_program_takes(name: str):
    """Within a factor: layouts pad channels, fused steps leave activations out, weights are packed too."""
    graph, engine = make(name), get_engine("native")
    state = engine.new_state(graph, optimizer=fv.SGD())
    options = {"loss": fv.CrossEntropy(), "optimizer": fv.SGD()}
    program = engine.compile(graph, batch_size=64, mode="training", **options)
    assert state is not None
    assert 0.4 <= program.memory / graph.summary().memory(64).training <= 2.5


def test_nested_blocks_are_indented_under_a_line_of_their_own():
    block = fv.Named("block", fv.Sequential(fv.Named("0", fv.Sequential(fv.ReLU())), fv.Named("1", fv.ReLU())))
    summary = fv.Sequential(block, fv.Tanh()).build((3,)).summary()
    names = [line[:12].rstrip() for line in summary.render(100).splitlines()[4:9]]
    assert names == [" block", "   0", "     relu1", "   1", " tanh1"]


def test_receptive_fields_have_a_column():
    rows = make("lenet5").summary().rows
    assert [row.sees for row in rows if row.type in ("Conv2d", "MaxPool2d", "Linear")] == [
        "5x5", "6x6", "14x14", "16x16", "everything", "everything", "everything",
    ]  # fmt: skip


def test_several_inputs_are_named_in_that_column():
    builder = fv.GraphBuilder()
    left, right = builder.input((1, 8, 8), "left"), builder.input((1, 6, 6), "right")
    joined = builder.add(fv.Concatenate(), builder.add(fv.Conv2d(1, 3), left), right)
    assert [row.sees for row in builder.build(joined).summary().rows] == ["3x3 of left", "3x3 of left, 1x1 of right"]


def test_csv_has_a_line_for_each_layer():
    graph = make("lenet5")
    lines = list(csv.DictReader(StringIO(graph.summary().to_csv())))
    assert [line["name"] for line in lines] == [node.name for node in graph.nodes]
    assert sum(int(line["parameters"]) for line in lines) == 61_706
    assert lines[0]["layer"] == "Conv2d 5x5, padding 2"


def test_html_has_a_row_for_each_layer_and_escapes_names():
    summary = fv.Sequential(fv.Named("a<b", fv.ReLU()), fv.Named("c", fv.Sequential(fv.Tanh()))).build((3,)).summary()
    page = summary._repr_html_()
    assert page == summary.to_html()
    assert "a&lt;b" in page
    assert "a<b" not in page
    assert page.count("<tr>") == 1 + 3 + 1
    assert 'padding-left: 2em">tanh1' in page


def test_in_a_narrow_terminal_columns_are_left_out_before_numbers_are_broken():
    text = make("resnet20").summary().render(width=72)
    assert "FLOPs." in text
    assert "2,359,296" in text or "MACs" not in text.splitlines()[2]
    assert "269,722 parameters" in text
