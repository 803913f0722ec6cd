"""What an input and its elements are called, by the number of its spatial axes."""

from foveate.graph import Graph

_INPUTS = ("input", "signal", "image", "volume")
_ELEMENTS = ("value", "sample", "pixel", "voxel")


def network_name(graph: Graph) -> str:
    """Its name, or "the network" if it has none."""
    return "the network" if graph.name == "network" else graph.name


def input_noun(axes: int) -> str:
    """What an input with this many spatial axes is called.

    >>> input_noun(2)
    'image'
    """
    return _INPUTS[axes]


def element_noun(axes: int) -> str:
    """What one of its positions is called.

    >>> element_noun(1)
    'sample'
    """
    return _ELEMENTS[axes]
