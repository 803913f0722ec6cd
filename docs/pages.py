"""A hook of MkDocs: the pages that lie beside `docs` join the site, and a module of layers becomes its layers."""

import ast
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BESIDE = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
}
"""Files of the repository and the pages that they become."""

_LINK = re.compile(r"(?<!!)\[(?P<words>[^\]]*)\]\((?P<target>[^)\s]+)\)")
_LAYERS = re.compile(r"^::: foveate\.layers\.(\w+)$", re.MULTILINE)
_PICTURE = re.compile(r"(!\[[^\]]*\]\()docs/")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie beside `docs`."""
    from mkdocs.structure.files import File

    for name, page in BESIDE.items():
        content = relocated((ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=content))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Name the layers of a module where a page of the reference names the module."""
    return expanded(markdown)


def expanded(text: str) -> str:
    """A page with "::: foveate.layers.linear" replaced by a line for each public layer of that module, as defined.

    >>> expanded("::: foveate.layers.linear")
    '::: foveate.Linear'
    """
    return _LAYERS.sub(lambda found: "\n\n".join(f"::: foveate.{name}" for name in _layers_of(found[1])), text)


def _layers_of(module: str) -> list[str]:
    """The public classes of a module of layers; its source is read, for foveate need not be built."""
    layers = ROOT / "src/foveate/layers"
    package, source = (ast.parse((layers / f"{name}.py").read_text(encoding="utf-8")) for name in ("__init__", module))
    public = next(
        ast.literal_eval(each.value)
        for each in package.body
        if isinstance(each, ast.Assign) and ast.unparse(each.targets[0]) == "__all__"
    )
    defined = [each.name for each in source.body if isinstance(each, ast.ClassDef)]
    aliases = [ast.unparse(each.target) for each in source.body if isinstance(each, ast.AnnAssign)]
    return [name for name in [*defined, *aliases] if name in public]


def relocated(text: str) -> str:
    """The text of a file at the top of the repository as a page at the top of the site.

    >>> relocated("[a](docs/guide.md), [b](SECURITY.md), [c](examples/), [d](https://example.org)")
    '[a](guide.md), [b](security.md), c, [d](https://example.org)'
    """
    return _PICTURE.sub(r"\1", _LINK.sub(_moved, text))


def _moved(link: re.Match[str]) -> str:
    words, target = link["words"], link["target"]
    if "://" in target or target.startswith("#"):
        return link[0]
    if target in BESIDE:
        return f"[{words}]({BESIDE[target]})"
    if target.startswith("docs/"):
        return f"[{words}]({target.removeprefix('docs/')})"
    return words
