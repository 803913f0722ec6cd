"""Names that a stranger chose: each form of the table shows them as they are, and nothing more."""

import csv
from html.parser import HTMLParser
from io import StringIO

import pytest
from rich.console import Console

import foveate as fv
from foveate.graph import Graph
from foveate.graph.analysis.explanation import explain_arithmetic
from foveate.graph.analysis.summary import TITLES
from foveate.text import as_code, for_markdown

NAMES = (
    "[red]x[-foo]", "[bold]", ":smile:", "a|b", "`x`", "<script>alert(1)<b>", "[a](b)", "=cmd|' -C calc'!A0",
    "@SUM(A1)",
    "-1", "+1", r"$\frac{$", "{0}", "%s", "名" * 30, "a\u0301" * 10, "\\",
)  # fmt: skip


def network(name: str) -> Graph:
    builder = fv.GraphBuilder(name=f"{name}[/foo]")
    first = builder.add(fv.Conv2d(2, 3), builder.input((1, 8, 8), name=f"{name} in"), name=name)
    return builder.build(builder.add(fv.Conv2d(2, 1), first, name=f"{name} last"))


class Texts(HTMLParser):
    """The text of each element, and the tags."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize("name", NAMES)
def test_text(name: str):
    graph = network(name)
    screen = Console(file=StringIO(), width=150, force_terminal=True, color_system=None)
    screen.print(graph.summary())
    for shown in (graph.summary().render(150), screen.file.getvalue()):
        assert f"{name}[/foo]: input 1x8x8" in shown
        assert f"{name} last" in shown


@pytest.mark.parametrize("name", NAMES)
def test_csv(name: str):
    rows = list(csv.DictReader(StringIO(network(name).summary().to_csv())))
    assert [row["name"].removeprefix("'") for row in rows] == [name, f"{name} last"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


@pytest.mark.parametrize("name", NAMES)
def test_markdown(name: str):
    lines = network(name).summary().to_markdown().split("\n\n")[0].splitlines()
    for line in lines:
        assert line.replace(r"\|", "").count("|") == len(TITLES) + 1
    assert lines[2].replace("\\", "").startswith(f"| {name} |".replace("\\", ""))


@pytest.mark.parametrize("name", NAMES)
def test_html(name: str):
    read = Texts(network(name).summary().to_html())
    assert name in read.texts
    assert read.tags == {"table", "caption", "thead", "tbody", "tfoot", "tr", "th", "td", "p", "br"}


def test_blocks_within_blocks_get_a_line_each_up_to_a_depth():
    builder = fv.GraphBuilder()
    value = builder.input((1, 8, 8))
    for number in range(20):
        value = builder.add(fv.ReLU(), value, name=f"{number}" + ".x" * 400)
    lines = builder.build(value).summary().render(2000).splitlines()
    assert len(lines) < 20 * 18 + 20
    assert any(line.strip().startswith(".".join("x" * 385)) for line in lines)


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_arithmetic(name: str):
    """Its headings and lists are Markdown, in which a name is text or code."""
    page = explain_arithmetic(network(name))
    assert f"# The arithmetic of {for_markdown(name + '[/foo]')}" in page
    assert f"## 1. {for_markdown(name)}: Conv2d" in page
    assert f"from {as_code(name)}" in page
    if name == "`x`":
        assert "from `` `x` ``" in page
