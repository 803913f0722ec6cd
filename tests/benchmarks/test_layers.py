"""Every layer is among those that are timed, and what a layer adds is told apart from the convolutions around it."""

import json
import sys
from pathlib import Path

import pytest

import foveate as fv
from benchmarks.cli import main
from benchmarks.layers import row
from benchmarks.sandwiches import Sandwich, sandwiches
from foveate.layers.registry import built_in_layers


def test_every_layer_is_timed():
    assert {type(each.layer) for each in sandwiches()} == set(built_in_layers())


def test_no_two_rows_have_one_name():
    names = [each.name for each in sandwiches()]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("each", sandwiches(), ids=lambda each: each.name)
def test_a_layer_stands_between_two_products(each: Sandwich):
    layers = [type(node.layer).__name__ for node in each.graph().nodes]
    alone = [type(node.layer).__name__ for node in each.alone().graph().nodes]
    begin = [type(each.graph().nodes[0].layer).__name__] * each.inputs
    assert layers[: each.inputs + 1] == [*begin, type(each.layer).__name__]
    assert layers[each.inputs + 1].startswith(("Conv", "Linear"))
    assert alone[: each.inputs] == begin


def test_what_leaves_fewer_positions_is_compared_with_the_first_convolution_alone():
    pooled, kept = Sandwich(fv.MaxPool2d(2), (64, 56, 56), 1), Sandwich(fv.ReLU(), (64, 56, 56), 1)
    assert [node.name for node in pooled.alone().graph().nodes] == ["conv1", "pool1", "linear1"]
    assert [node.name for node in kept.alone().graph().nodes] == ["conv1", "conv2", "pool1", "linear1"]


def test_a_row_is_what_the_layer_adds():
    whole = {"net": "layer X", "batch_size": 2, "medians": {"foveate": 5.0, "as_written": 9.0, "channels_last": 8.0}}
    base = {"net": "b", "batch_size": 2, "medians": {"foveate": 3.0, "as_written": 2.0, "channels_last": 4.0}}
    made = row("train", whole, base)
    assert made["added"] == {"foveate": 2.0, "as_written": 7.0, "channels_last": 4.0}
    assert (made["layer"], made["ratio"]) == ("X", 2.0)
    assert row("train", whole, {"error": "it broke"}) == {
        "layer": "X", "kind": "train", "batch_size": 2, "error": "it broke"
    }  # fmt: skip


def test_a_layer_is_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    options = ["--only", "groupnorm", "--kinds", "forward", "--rounds", "1", "--seconds", "0.01", "--threads", "1"]
    monkeypatch.setattr(sys, "argv", ["benchmarks", "layers", *options, "--json", str(tmp_path / "layers.json")])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    assert end.value.code in (None, 0), printed.err
    (made,) = json.loads((tmp_path / "layers.json").read_text())["results"]
    assert made["layer"] == "GroupNorm 8, 64x56x56"
    assert "geometric mean" in printed.out
