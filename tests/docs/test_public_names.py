"""Every public name is documented, is on a page of the reference, and does not go without a warning before."""

import ast
import importlib.util
import inspect
import re
from dataclasses import is_dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import foveate as fv
from tests.docs.public_names import listed_names, problems, real_names, warns

ROOT = Path(__file__).parents[2]
NAMES = real_names()
PAGES = {path.name: path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs/api").glob("*.md"))}


def docs_hook() -> Any:
    """docs/pages.py, which MkDocs runs."""
    spec = importlib.util.spec_from_file_location("pages", ROOT / "docs/pages.py")
    pages = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pages)
    return pages


HOOK = docs_hook()
SHOWN = [name for page in PAGES.values() for name in re.findall(r"^::: (\S+)$", HOOK.expanded(page), re.MULTILINE)]


def documented_values() -> set[str]:
    """Names of values at the top of a module that have a string below them, which is their docstring."""
    found = set()
    for path in (ROOT / "src/foveate").rglob("*.py"):
        for block in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            body = getattr(block, "body", None)
            for value, text in pairwise(body) if isinstance(body, list) else ():
                targets = value.targets if isinstance(value, ast.Assign) else [getattr(value, "target", None)]
                if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant):
                    found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


VALUES = documented_values()


def documented(name: str) -> bool:
    """Whether somebody has written a docstring; a dataclass without one is given its signature by Python."""
    thing, last = NAMES[name], name.rpartition(".")[2]
    if not (
        inspect.isroutine(thing) or inspect.isclass(thing) or inspect.ismodule(thing) or hasattr(thing, "cache_info")
    ):
        return last in VALUES
    text = thing.__doc__ or ""
    return bool(text.strip()) and not (is_dataclass(thing) and text.startswith(f"{last}("))


def test_the_list_of_public_names_is_that_of_the_code():
    assert problems(NAMES, listed_names(), fv.__version__) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_has_a_docstring(name: str):
    assert documented(name)


def test_every_public_name_is_on_one_page_of_the_reference_and_no_other_is():
    assert sorted(SHOWN) == sorted(NAMES)


def test_every_page_of_the_reference_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [name for name in PAGES if f"api/{name}" not in navigation] == []
    assert [path.name for path in (ROOT / "docs").glob("*.md") if f": {path.name}" not in navigation] == []


def test_every_deprecated_name_that_is_still_there_warns():
    deprecated = [name for name, since in listed_names().items() if since is not None and name in NAMES]
    assert [name for name in deprecated if not warns(name)] == []


@pytest.mark.parametrize(
    ("listed", "sentence"),
    [
        ({}, "foveate.A is new: add it to public_names.txt"),
        ({"foveate.A": None, "foveate.B": None}, "foveate.B is gone without a warning before"),
        ({"foveate.A": None, "foveate.B": "0.3"}, "foveate.B is gone, but no version before 0.3.1 has warned"),
        ({"foveate.A": None, "foveate.B": "0.2"}, None),
        ({"foveate.A": "0.3"}, None),
    ],
)
def test_a_name_that_comes_or_goes_is_noticed(listed: dict[str, str | None], sentence: str | None):
    found = problems({"foveate.A": 1}, listed, "0.3.1")
    assert [text.split(":")[0] for text in found] == ([] if sentence is None else [sentence.split(":")[0]])


def test_a_name_that_does_not_warn_is_noticed():
    assert not warns("foveate.Conv2d")


def test_links_of_pages_beside_the_docs_lead_into_the_site():
    text = "[a](docs/guide.md), [b](SECURITY.md), [c](examples/), [d](https://x.org), ![e](docs/images/e.png)"
    assert HOOK.relocated(text) == ("[a](guide.md), [b](security.md), c, [d](https://x.org), ![e](images/e.png)")
    assert all((ROOT / name).exists() for name in HOOK.BESIDE)
