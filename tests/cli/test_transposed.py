"""`foveate conv --transposed`, stacks of equal layers, and the small things of the command line."""

import json
import re
from math import prod

import pytest

import foveate as fv


def read(foveate, *arguments):
    result = foveate(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    ("options", "shape"),
    [
        ("--input 16x14x14 --kernel 4 --stride 2 --padding 1", [8, 28, 28]),
        ("--input 16x14 --kernel 3 --stride 2 --padding 1 --output-padding 1", [8, 28]),
        ("--input 4x5x6x7 --kernel 1x2x3 --stride 1x2x3 --groups 2 --no-bias", [8, 5, 12, 21]),
    ],
)
def test_a_transposed_convolution_is_explained(foveate, options, shape):
    command = ["conv", "--transposed", "--filters", 8, *options.split()]
    found = read(foveate, *command)
    assert found["output"] == shape
    said = foveate(*command).stdout
    assert f"output      {'x'.join(map(str, shape))}" in said
    for formula in found["size_steps"]:
        left, right = formula.split(": ")[1].split(" = ")
        assert eval(left) == int(right) in shape
        assert f"            {formula}\n" in said
    weights = re.search(r"weights: \S+ = (\S+) = ([\d,]+)", said)
    assert eval(weights[1]) == found["weights"] == int(weights[2].replace(",", ""))
    assert found["parameters"] == found["weights"] + found["biases"]
    assert f"inputs * {found['macs'] // prod(found['input']):,} = {found['macs']:,}" in said


def test_options_of_transposed_convolutions_stay_with_them(foveate):
    options = ["conv", "--input", "1x7x7", "--filters", 1, "--kernel", 3]
    assert foveate(*options, "--output-padding", 1).exit_code == 2
    assert foveate(*options, "--transposed", "--solve", "stride").exit_code == 2
    result = foveate(*options, "--transposed", "--padding", 9)
    assert result.exit_code == 1
    assert "conv1 (ConvTranspose2d 3x3, padding 9): leaves nothing of its 7x7 input" in result.stderr


def test_one_bias_is_a_bias(foveate):
    said = foveate("conv", "--input", "1x7x7", "--filters", 1, "--kernel", 3).stdout
    assert "9 weights + 1 bias = 10" in said
    assert "+ 25 for the bias = 475" in said
    assert (
        "64 weights + 1 bias = 65"
        in foveate("conv", "--input", "16x14", "--filters", 1, "--kernel", 4, "--transposed").stdout
    )


def test_channels_last_are_told_where_nothing_else_goes_wrong(foveate):
    hint = "foveate: The input 28x28x1 seems to have its channels last; foveate expects channels first: 1x28x28.\n"
    for command in ("conv --filters 4 --kernel 1", "pool --kernel 1"):
        result = foveate(*command.split(), "--input", "28x28x1")
        assert (result.exit_code, result.stderr) == (0, hint)
    result = foveate("conv", "--input", "32x32x3", "--filters", 10, "--kernel", 5)
    assert result.exit_code == 1
    assert "foveate expects channels first: 3x32x32." in result.stderr


def test_equal_layers_one_after_the_other(foveate):
    assert foveate("receptive-field", "--kernel", 3, "--layers", 5).stdout.splitlines()[-2:] == [
        "layer 5: sees 9 + (3 - 1) = 11",
        "5 layers of 3x3: 1 + L(K - 1) = 1 + 5*(3 - 1) = 11",
    ]
    for kernel, layers, stride in ((3, 4, 1), (5, 3, 2), (2, 4, 3), (1, 1, 1)):
        found = read(foveate, "receptive-field", "--kernel", kernel, "--layers", layers, "--stride", stride)
        size = stride**layers * 3 + kernel**2 + 200
        stack = fv.Sequential(*(fv.Conv1d(1, kernel, stride=stride) for _ in range(layers)))
        graph = stack.build((1, size), quiet=True)
        fields = [graph.receptive_field(node.name) for node in graph.nodes]
        assert [row["size"] for row in found["layers"]] == [field.size[0] for field in fields]
        assert [row["jump"] for row in found["layers"]] == [field.jump[0] for field in fields]


@pytest.mark.parametrize(
    "options", [[], ["--kernel", 3], ["--layers", 5], ["lenet5", "--kernel", 3], ["lenet5", "--stride", 2]]
)
def test_a_network_or_equal_layers(foveate, options):
    assert foveate("receptive-field", *options).exit_code == 2


@pytest.mark.parametrize(
    ("kernel", "stride", "most"), [(3, 2, 59), (3, 100_000, 4), (1, 10, 19), (2**31 - 1, 2**31 - 1, 1)]
)
def test_layers_that_see_more_than_any_input_has_are_refused(foveate, kernel, stride, most):
    options = ["receptive-field", "--kernel", kernel, "--stride", stride, "--layers"]
    for layers in (most + 1, 1000):
        result = foveate(*options, layers)
        assert result.exit_code == 2
        said = " ".join(result.stderr.replace("│", " ").split())
        assert f"{layers:,} layers with --stride {stride} are for inputs of more than 10^18 positions" in said
        assert f"give --layers {most} at most, or a smaller stride" in said
    assert foveate(*options, most).exit_code == 0
    assert foveate(*options[:3], "--layers", 1000).exit_code == 0


@pytest.mark.parametrize("more", [["--node", "conv1"], ["--position", "0x0"], ["--input", "3x32x32"], ["--classes", 5]])
def test_equal_layers_take_no_option_of_a_network(foveate, more):
    result = foveate("receptive-field", "--kernel", 3, "--layers", 5, *more)
    assert result.exit_code == 2
    said = " ".join(result.stderr.replace("│", " ").split())
    assert "--node, --position, --input and --classes go with a network, not with --kernel and --layers" in said


@pytest.mark.parametrize("command", [[], ["train"], ["data", "list"], ["summary"]])
def test_switches_show_no_type_in_help(foveate, command):
    said = foveate(*command, "--help").stdout
    assert "--help" in said
    assert "bool" not in said.lower()


def test_a_network_is_known_in_any_letters(foveate):
    assert read(foveate, "summary", "ResNet-20") == read(foveate, "summary", "resnet20")
