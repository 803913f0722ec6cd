"""Tables and sentences in narrow terminals: names are whole, what is left out is told, words are not cut."""

import pytest

from foveate import zoo
from foveate.cli import output
from foveate.cli.networks import step_lines
from foveate.engines import StepInfo


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_the_zoo_is_listed_with_whole_names(width, foveate, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    said = foveate("zoo").stdout
    lines = said.splitlines()
    assert max(map(len, lines)) <= width
    assert {line.split()[0] for line in lines if line.strip()} >= set(zoo.NETWORKS)
    assert "…" not in said
    papers = "Sandler et al. 2018" in said
    assert papers == (width >= 100)
    assert papers != ("A wider terminal shows the papers too." in " ".join(said.split()))


@pytest.mark.parametrize("width", [24, 32, 40, 50, 60, 70])
def test_a_narrow_zoo_leaves_columns_out_and_cuts_no_number(width, foveate, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    said = foveate("zoo").stdout
    assert "…" not in said
    assert max(map(len, said.splitlines())) <= width
    assert {line.split()[0] for line in said.splitlines() if line.strip()} >= set(zoo.NETWORKS)
    told = " ".join(said.split())
    assert "A wider terminal shows " in told
    for title in ("parameters", "MACs", "input", "classes"):
        heading = next(line for line in said.splitlines() if line.split()[:1] == ["name"])
        assert (title in heading.split()) != (title in told[told.index("A wider terminal") :])


def test_a_summary_tells_which_columns_do_not_fit(foveate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert "A wider terminal shows FLOPs and memory of each layer too." in " ".join(
        foveate("summary", "mobilenet_v2").stdout.split()
    )
    monkeypatch.setenv("COLUMNS", "160")
    assert "A wider terminal" not in foveate("summary", "mobilenet_v2").stdout


def test_sentences_break_between_words_on_a_terminal_alone(monkeypatch):
    class Terminal:
        def isatty(self):
            return True

    class Pipe:
        def isatty(self):
            return False

    monkeypatch.setenv("COLUMNS", "40")
    words = "foveate: layer 2, conv2 (Conv2d 3x3, stride 3): does not fit its 7x7 input\nShapes so far: 1x9x9"
    assert output.wrapped(words, Pipe()) == words
    assert output.wrapped(words, Terminal()) == (
        "foveate: layer 2, conv2 (Conv2d 3x3,\n  stride 3): does not fit its 7x7 input\nShapes so far: 1x9x9"
    )
    long = "x" * 90
    assert output.wrapped(f"foveate: {long} is gone", Terminal()).splitlines()[1] == f"  {long}"


@pytest.mark.parametrize(
    "command",
    [
        "compare-dense",
        "compare-dense --input 64x56x56 --filters 128 --kernel 3 --groups 4",
        "conv --common --input 3x224x224 --filters 64",
        "receptive-field resnet20 --node stage3.2.relu2",
        "steps lenet5 --mode training --engine reference",
        "steps lenet5 --mode training --engine native",
        "steps vgg6 --mode training --engine native",
        "steps densenet121 --engine native",
    ],
)
def test_tables_fit_in_eighty_columns(command, foveate, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    lines = foveate(*command.split()).stdout.splitlines()
    argument = "Fully connected, each of"  # a paragraph, which only a terminal breaks
    assert max(len(line) for line in lines if not line.startswith(argument)) <= 80
    assert len(lines) > 3 or "--node" in command


def test_the_layouts_of_steps_stand_beside_them_where_all_have_room():
    infos = [
        StepInfo("forward", "conv1", "convolution", "jit", {"src": "abcd", "dst": "aBcd16b"}, 1000),
        StepInfo("backward", "a", "sum", "numpy", {"output": "plain"}, 20),
    ]
    wide = [
        "phase     node   operation    implementation  bytes  layouts",
        "forward   conv1  convolution  jit             1,000  src:abcd dst:aBcd16b",
        "backward  a      sum          numpy              20  output:plain",
    ]
    assert step_lines(infos, 80) == step_lines(infos, max(map(len, wide))) == wide
    assert step_lines(infos, 60) == [
        "phase     node   operation    implementation  bytes",
        "forward   conv1  convolution  jit             1,000",
        "  src:abcd dst:aBcd16b",
        "backward  a      sum          numpy              20",
        "  output:plain",
    ]
    assert step_lines(infos, 40) == [
        "phase     node   operation    bytes",
        "forward   conv1  convolution  1,000",
        "  jit  src:abcd dst:aBcd16b",
        "backward  a      sum             20",
        "  numpy  output:plain",
    ]
