"""The public names as they are, and the list of them that is committed beside: `python -m tests.docs.public_names`.

`public_names.txt` holds one name in a line, as a program reaches it. A name that shall go is first marked there
("foveate.Old deprecated 0.3", the first version that warns), and warns wherever it is asked for; a later version may
leave it out, and the line with it stays.
"""

import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import foveate

LIST = Path(__file__).with_name("public_names.txt")
MODULES = ("tasks", "explain", "datasets", "zoo", "testing", "engines")


def real_names() -> dict[str, object]:
    """What each public name stands for, by the way a program reaches it."""
    places = {"foveate": foveate, **{f"foveate.{name}": getattr(foveate, name) for name in MODULES}}
    return {f"{place}.{name}": getattr(module, name) for place, module in places.items() for name in module.__all__}


def listed_names() -> dict[str, str | None]:
    """The names in the list, each with the first version that warned of its end, if there is one."""
    lines = [line.split() for line in LIST.read_text(encoding="utf-8").splitlines() if line.strip()]
    assert all(len(line) == 1 or (len(line) == 3 and line[1] == "deprecated") for line in lines)
    return {line[0]: line[2] if len(line) == 3 else None for line in lines}


def problems(real: Mapping[str, object], listed: Mapping[str, str | None], version: str) -> list[str]:
    """What is wrong with the list, or with the names, each in a sentence."""
    found = [f"{name} is new: add it to {LIST.name}" for name in sorted(real.keys() - listed.keys())]
    for name, since in sorted(listed.items()):
        if name in real:
            continue
        if since is None:
            found.append(f"{name} is gone without a warning before: bring it back, and mark it as deprecated first")
        elif _numbers(since) >= _numbers(version):
            found.append(f"{name} is gone, but no version before {version} has warned: bring it back for one release")
    return found


def warns(name: str) -> bool:
    """Whether a program that asks for this name is warned that it will go."""
    place, _, last = name.rpartition(".")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(import_module(place), last)
    return any(issubclass(each.category, DeprecationWarning) for each in caught)


def _numbers(version: str) -> list[int]:
    """The major and minor version."""
    return [int(part) for part in version.partition("+")[0].split(".")[:2]]


def main() -> None:
    """Add the names that are new to the list."""
    listed = listed_names() if LIST.exists() else {}
    names = {**dict.fromkeys(real_names()), **listed}
    lines = [name if since is None else f"{name} deprecated {since}" for name, since in sorted(names.items())]
    LIST.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    sys.stdout.write(f"{len(names) - len(listed)} names added to {LIST}\n")


if __name__ == "__main__":
    main()
