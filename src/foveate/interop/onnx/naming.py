"""Names for layers: a person can read them, and they follow the modules of the framework that wrote the file."""

import re
from collections.abc import Mapping, Sequence

from foveate.interop.onnx.reading import Operation
from foveate.layers import Layer

_ODD = re.compile(r"[^0-9A-Za-z_.-]+")
_OPERATOR = re.compile(r"[A-Z][A-Za-z0-9]*(_\d+)?")
_NUMBER_ONLY = re.compile(r"(node_|n|_)?([A-Z][A-Za-z0-9]*|[a-z]+)?(_?\d+)?")
"""Names that say no more than what kind of operator it is, and which."""

_MADE_UP = ("onnx::", "val_", "_")
"""How arrays begin whose names say nothing about the module that they are in."""

LONGEST = 120


def layer_name(operation: Operation, given: Mapping[str, str], layer: Layer) -> str:
    """The name of a layer that an operation becomes; `given` has the file's names of its arrays by its own.

    "features.0.weight" makes it "features.0", "/layer1/layer1.0/relu/Relu" makes it "layer1.0.relu".
    """
    for short, target in given.items():
        stem, _, last = target.rpartition(".")
        if stem and last.startswith((short, "weight", "bias", "running", "gamma", "beta")) and _says(stem):
            return tidy(stem)
    path = [part for part in operation.name.split("/") if part]
    if len(path) > 1:
        name = tidy(joined(path[:-1] if _OPERATOR.fullmatch(path[-1]) else path))
    else:
        name = tidy("".join(path))
        name = "" if _NUMBER_ONLY.fullmatch(name) else name
    return name or layer.label


def _says(stem: str) -> bool:
    return not stem.startswith(_MADE_UP)


def joined(path: Sequence[str]) -> str:
    """The parts of a path, without those that the next one repeats.

    >>> joined(["layer1", "layer1.0", "conv1"])
    'layer1.0.conv1'
    """
    kept: list[str] = []
    for part in path:
        if kept and part.startswith(f"{kept[-1]}."):
            kept.pop()
        kept.append(part)
    return ".".join(kept)


def kept(name: str) -> str:
    """A name that is valid here as it is, else a tidy one."""
    return name if name.isprintable() and "/" not in name and 0 < len(name) <= LONGEST else tidy(name) or "layer"


def tidy(name: str) -> str:
    """A name without slashes and odd characters.

    >>> tidy("model/stem: conv#1"), tidy("..a..b.")
    ('model.stem_conv_1', 'a.b')
    """
    parts = (_ODD.sub("_", part).strip("_-") for part in re.split(r"[./]+", name))
    return ".".join(filter(None, parts))[-LONGEST:].strip("._-")
