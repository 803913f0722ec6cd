"""The guide shows what the commands print now."""

import pytest

from tests.docs_blocks import PAGES, commands, renewed, run

BLOCKS = [(path.name, *block) for path in PAGES for block in commands(path.read_text(encoding="utf-8"))]


@pytest.mark.parametrize(
    ("page", "command", "output"), BLOCKS, ids=[f"{page}: {command}" for page, command, _ in BLOCKS]
)
def test_a_command_prints_what_the_page_says(page: str, command: str, output: str):
    assert run(command) == output, f"{page} is stale: python -m tests.docs_blocks --write"


def test_every_page_has_blocks_and_a_stale_one_is_noticed():
    assert {page for page, *_ in BLOCKS} == {path.name for path in PAGES}
    stale = "```console\n$ foveate --version\nfoveate 0.0.0\n```\n"
    assert commands(stale) == [("--version", "foveate 0.0.0\n")]
    assert renewed(stale) == f"```console\n$ foveate --version\n{run('--version')}```\n"
    assert renewed(stale) != stale


@pytest.mark.parametrize(
    "command", ["conv", "pool", "compare-dense", "receptive-field", "summary", "explain-arithmetic"]
)
def test_the_page_on_arithmetic_shows_every_command_of_it(command: str):
    assert any(shown.split()[0] == command for _, shown, _ in BLOCKS)
