"""Networks that people know, as graphs; `make(name)` finds one by its name."""

from collections.abc import Callable, Sequence

from foveate.errors import GraphError
from foveate.graph import Graph, nearest
from foveate.zoo.lenet import lenet5
from foveate.zoo.resnet import resnet20
from foveate.zoo.vgg import vgg6

__all__ = ["NETWORKS", "lenet5", "make", "resnet20", "vgg6"]

NETWORKS: dict[str, Callable[..., Graph]] = {"lenet5": lenet5, "vgg6": vgg6, "resnet20": resnet20}
"""Every network by its name."""


def make(name: str, *, input_shape: Sequence[int] | None = None, classes: int | None = None) -> Graph:
    """The network called `name`, at its own input shape and number of classes unless given.

    Raises:
        GraphError: there is no such network; the message lists the nearest names.
    """
    if name not in NETWORKS:
        raise GraphError(f'there is no network "{name}".{nearest(name, NETWORKS)}')
    options = {"input_shape": input_shape, "classes": classes}
    return NETWORKS[name](**{key: value for key, value in options.items() if value is not None})
