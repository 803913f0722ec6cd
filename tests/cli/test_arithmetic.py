"""`foveate receptive-field`, `compare-dense`, `explain-arithmetic`, and the forms of `foveate summary`."""

import csv
import io
import json

import pytest

import foveate as fv
from foveate import zoo
from foveate.graph.analysis.dense import compare_dense
from foveate.graph.analysis.explanation import explain_arithmetic, sight_sentences


def read(foveate, *arguments):
    result = foveate(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


# receptive-field


def test_receptive_field_of_every_layer(foveate):
    said = foveate("receptive-field", "lenet5").stdout
    assert "conv2     14x14       2     9/2" in said
    assert "linear1   everything" in said
    assert "after 4 layers it is 16x16" in said
    assert "after 4 layers it is 11x11; 9 more 3x3 layers would be needed" in said


def test_how_many_layers_until_the_whole_image_with_and_without_stride(foveate):
    said = foveate("receptive-field", "resnet20").stdout
    assert "With its strides, an output sees the whole 32x32 input after 12 layers with windows" in said
    assert "With every stride at 1, an output sees the whole 32x32 input after 16 layers" in said
    found = read(foveate, "receptive-field", "resnet20")["layers_until_whole_input"]
    assert (found["strided"]["layers"], found["unstrided"]["layers"]) == (12, 16)


def test_receptive_field_of_one_node_and_of_a_position(foveate):
    options = ["receptive-field", "resnet20", "--node", "stage2.0.conv1"]
    assert foveate(*options).stdout == "stage2.0.conv1 sees 17x17 of input, jump 2, first centre 0\n"
    said = foveate(*options, "--position", "0x3").stdout.splitlines()[1]
    assert said == "at 0x3 it sees 0 to 8 x 0 to 14 (with padding -8 to 8 x -2 to 14)"
    found = read(foveate, *options, "--position", "0x3")
    assert found["layers"][0]["size"] == [17, 17]
    assert found["region"] == {"unclipped": [[-8, 8], [-2, 14]], "clipped": [[0, 8], [0, 14]]}


def test_receptive_field_of_a_flat_layer_has_no_position(foveate):
    options = ["receptive-field", "lenet5", "--node", "linear1", "--position", "()"]
    assert "at () it sees 0 to 27 x 0 to 27" in foveate(*options).stdout


@pytest.mark.parametrize(
    ("options", "status", "sentence"),
    [
        (["resnet20", "--node", "stage2.0.conv9"], 1, 'there is no layer "stage2.0.conv9". Nearest: stage2.0.conv'),
        (["resnet20", "--position", "1x1"], 2, "--position needs --node"),
        (["resnet20", "--node", "conv1", "--position", "99x1"], 1, "conv1 has no position (99, 1)"),
        (["resnet20", "--node", "conv1", "--position", "a"], 2, '--position is "a"; write an int'),
        (["resnet2O"], 1, 'there is no network and no file "resnet2O". Nearest:'),
    ],
)
def test_wrong_input_is_a_sentence(foveate, options, status, sentence):
    result = foveate("receptive-field", *options)
    assert result.exit_code == status
    assert sentence in result.stderr


# compare-dense


def test_the_lectures_comparison(foveate):
    found = read(foveate, "compare-dense")
    ways = {way["name"]: way for way in found["ways"]}
    assert found["output"] == [10, 32, 32]
    assert ways["fully connected"]["parameters"] == 3072 * 10240 + 10240
    assert ways["fully connected"]["macs"] == 3072 * 10240
    assert ways["convolution"]["parameters"] == 760
    assert ways["convolution"]["macs"] == 768_000
    assert ways["1x1"]["parameters"] == 3 * 10 + 10
    assert ways["dilated, as wide"]["parameters"] == 3 * 9 * 10 + 10
    assert ways["depthwise, then 1x1"]["parameters"] == 25 * 3 + 3 + 40
    said = foveate("compare-dense").stdout
    assert "41,405 times fewer" in said
    assert "here only 1 does" in said


def test_groups_save_as_many_times(foveate):
    options = ["--input", "64x56x56", "--filters", 128, "--kernel", 3]
    ways = {way["name"]: way for way in read(foveate, "compare-dense", *options, "--groups", 4)["ways"]}
    assert ways["grouped"]["macs"] * 4 == ways["convolution"]["macs"]
    assert ways["grouped"]["parameters"] == 9 * 64 // 4 * 128 + 128
    assert compare_dense((64, 56, 56), 128, 3).groups == 2


@pytest.mark.parametrize(("shape", "kernel"), [((4, 100), 9), ((4, 8, 8, 8), 3), ((4, 20, 20), (5, 1))])
def test_every_way_has_the_same_output_in_1_2_and_3_dimensions(shape, kernel):
    found = compare_dense(shape, 8, kernel)
    assert found.output_shape == (8, *shape[1:])
    assert [way.name for way in found.ways][:3] == ["fully connected", "convolution", "grouped"]
    assert found.ways[0].parameters > max(way.parameters for way in found.ways[1:])


def test_a_convolution_with_more_parameters_than_dense_is_told_as_such(foveate):
    said = " ".join(foveate("compare-dense", "--input", "3x2x2", "--filters", 10, "--kernel", 5).stdout.split())
    assert "520 parameters with the biases" in said
    assert "a filter connects an output to 75, no fewer than there are: it is as wide as the input or wider" in said
    assert "serves all 4 positions, 4 times fewer. So the convolution has 760 parameters, 1.5 times more, and" in said
    one = compare_dense((12, 1, 1), 5, 1).argument()
    assert "all 1 position, no saving. So the convolution has 65 parameters, as many, and takes" in one
    slightly = compare_dense((3, 2, 2), 10, (2, 3)).argument()
    assert "190 parameters, 2.7 times fewer" in slightly


def test_the_warning_counts_the_axis_that_loses_most_in_good_english():
    for options, shape, lost in (
        ({"stride": 3}, (1, 11, 10), "last 2 rows and the last 1 column"),
        ({"stride": 3}, (1, 9, 10), "last 1 column"),
        ({"stride": 4}, (1, 10, 10), "last 3 rows and columns"),
        ({"stride": 2}, (1, 8, 8), "last 1 row and column"),
    ):
        with pytest.warns(fv.DroppedBorderWarning, match=rf"\) never sees the {lost} of its input; "):
            fv.Sequential(fv.Conv2d(4, 3, **options)).build(shape)
    with pytest.warns(fv.DroppedBorderWarning, match=r"never sees the last 1 position of its input; "):
        fv.Sequential(fv.Conv1d(4, 3, stride=2)).build((1, 8))


def test_wrong_comparisons_are_refused(foveate):
    result = foveate("compare-dense", "--groups", -1)
    assert (result.exit_code, result.stderr) == (
        1,
        "foveate: the grouped convolution: groups is -1; it must be at least 1\n",
    )
    result = foveate("compare-dense", "--groups", 2)
    assert result.exit_code == 1
    assert "groups is 2, which does not divide both 3 channels and 10 filters" in result.stderr
    assert foveate("compare-dense", "--input", "32").exit_code == 2
    with pytest.raises(Exception, match="does not have 1 to 3 spatial axes"):
        compare_dense((3,), 4, 3)


# explain-arithmetic


def test_the_page_derives_every_layer_of_every_kind_of_network():
    for name in ("lenet5", "resnet20", "audio4", "volume3d", "googlenet"):
        graph = zoo.make(name)
        page = explain_arithmetic(graph)
        headings = [line for line in page.splitlines() if line.startswith("## ")]
        assert len(headings) == len(graph.nodes) + 1
        assert all(f"{node.name}: {node.layer.describe()}" in page for node in graph.nodes)
        assert f"{graph.summary().total_parameters:,}" in page


def test_the_page_of_lenet5_has_the_numbers_put_in(foveate, tmp_path):
    page = foveate("explain-arithmetic", "lenet5").stdout
    for words in (
        "`(28 - 5 + 2*2)/1 + 1 = 28`", "weight `6*1*5*5` + bias `6` = 156", "4,704 outputs of 25 products = 117,600",
        "size `1 + (5 - 1)*1 = 5`; jump `1*1 = 1`", "size `6 + (5 - 1)*2 = 14`", "`16*5*5 = 400`",
        "weight `120*400` + bias `120` = 48,120",
    ):  # fmt: skip
        assert words in page
    result = foveate("explain-arithmetic", "lenet5", "--out", tmp_path / "lenet5.md")
    assert result.exit_code == 0
    assert (tmp_path / "lenet5.md").read_text(encoding="utf-8").rstrip() == page.rstrip()
    result = foveate("explain-arithmetic", "lenet5", "--out", tmp_path / "lenet5.md" / "below")
    assert (result.exit_code, "cannot be written" in result.stderr) == (1, True)


def test_every_equation_of_a_page_is_true():
    for name in ("lenet5", "resnet18", "mobilenet_v2"):
        page = explain_arithmetic(zoo.make(name))
        formulas = [
            part for line in page.splitlines() if line[:2] == "- " for part in line.split("`")[1::2] if "=" in part
        ]
        assert len(formulas) > 10
        for formula in formulas:
            left, right = formula.split(" = ")
            assert eval(left) == pytest.approx(float(right.replace(",", "")), abs=0.005), formula


def test_rounding_and_dropped_rows_are_told():
    page = explain_arithmetic(zoo.make("resnet18"))
    assert "`(224 - 7 + 2*3)/2 + 1 = 112.50`, rounded down: 112 (remainder 1)" in page
    assert "dropped: the last 1x1 positions are seen by no window" in page


def test_flat_networks_have_no_sight():
    graph = zoo.make("resnet20")
    assert len(sight_sentences(graph)) == 2


# The forms of a summary


def test_summary_as_csv_html_and_at_a_batch_size(foveate):
    rows = list(csv.DictReader(io.StringIO(foveate("summary", "resnet20", "--csv").stdout)))
    assert sum(int(row["parameters"]) for row in rows) == 269_722
    assert foveate("summary", "resnet20", "--html").stdout.startswith("<table>")
    assert "batch size 128" in foveate("summary", "resnet20", "--batch-size", 128).stdout
    assert read(foveate, "summary", "resnet20", "--batch-size", 128)["memory"]["batch_size"] == 128


def test_summary_warns_once_of_dropped_borders_and_strict_refuses_them(foveate):
    result = foveate("summary", "resnet18")
    assert result.exit_code == 0
    assert result.stderr.count("never see the last rows or columns") == 1
    result = foveate("summary", "resnet18", "--strict")
    assert result.exit_code == 1
    assert "It builds with" in result.stderr


def test_a_network_that_cannot_be_built_prints_table_reason_and_change(foveate):
    result = foveate("summary", "lenet5", "--input", "1x5x5")
    assert result.exit_code == 1
    assert "pool1" in result.stdout
    lines = result.stderr.splitlines()
    assert "does not fit its 2x2 input" in lines[0]
    assert lines[-1] == 'It builds with conv2: padding "same", or an input of 1x12x12.'
    assert foveate("summary", "lenet5", "--input", "1x12x12").exit_code == 0
