"""A hook of MkDocs: the pages that lie beside `docs` join the site, and links to what is no page become plain words."""

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
_PICTURE = re.compile(r"(!\[[^\]]*\]\()docs/")


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that lie beside `docs`."""
    from mkdocs.structure.files import File

    for name, page in BESIDE.items():
        content = relocated((ROOT / name).read_text(encoding="utf-8"))
        files.append(File.generated(config, page, content=content))
    return files


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
