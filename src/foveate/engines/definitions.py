"""The table of definitions: how each layer type computes in NumPy, forward and backward.

Built-in layers are entered from `engines.reference`, custom ones with `register`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.calls import called
from foveate.engines.base import FloatArray
from foveate.errors import EngineError
from foveate.layers import Layer
from foveate.layers.registry import built_in_layers, register_layer_type


@dataclass
class Context:
    """What a definition may need in addition to its arrays.

    `statistics` are the layer's measured arrays, replaced by a forward pass in training; `saved` is the definition's
    own store from forward to backward; `random(count)` returns raw 64-bit numbers for this node and step.
    """

    training: bool
    statistics: dict[str, FloatArray]
    random: Callable[[int], NDArray[np.uint64]]
    saved: dict[str, Any] = field(default_factory=dict)


Arrays: TypeAlias = Sequence[FloatArray]
ByName: TypeAlias = Mapping[str, FloatArray]
Gradients: TypeAlias = tuple[Sequence[FloatArray | None], Mapping[str, FloatArray]]

Forward: TypeAlias = Callable[[Any, Arrays, ByName, Context], FloatArray]
"""forward(layer, inputs, parameters, context) -> output"""

Backward: TypeAlias = Callable[[Any, Arrays, ByName, FloatArray, FloatArray, Context], Gradients]
"""backward(layer, inputs, parameters, output, output_gradient, context) -> (input gradients, parameter gradients)"""


@dataclass(frozen=True)
class Definition:
    """How a layer computes in NumPy."""

    forward: Forward
    backward: Backward


DEFINITIONS: dict[type[Layer], Definition] = {}
"""By exact type: a layer is never computed as another, whatever it is derived from."""


def define(base: type[Layer], definition: Definition) -> None:
    """Enter `definition` for every built-in layer of the family `base`, or for `base` itself if it is one."""
    for kind in built_in_layers():
        if issubclass(kind, base):
            DEFINITIONS[kind] = definition


def definition_of(layer: Layer) -> Definition:
    """The definition of a layer's type, or an EngineError that says how to give it one."""
    definition = DEFINITIONS.get(type(layer))
    if definition is None:
        name = type(layer).__name__
        raise EngineError(
            f"no engine knows how {name} computes; teach it with foveate.engines.register({name}, forward, backward)"
        )
    return definition


@called()
def register(
    layer_type: type[Layer],
    forward: Callable[[Any, Arrays, ByName], FloatArray],
    backward: Callable[[Any, Arrays, ByName, FloatArray, FloatArray], Gradients],
) -> None:
    """Teach every engine a custom layer, in NumPy; the native engine calls it back.

    Args:
        layer_type: a frozen dataclass derived from foveate.Layer; saved in files by its class name.
        forward: (layer, inputs, parameters) -> output; inputs and output have the batch axis first.
        backward: (layer, inputs, parameters, output, output_gradient) -> (input gradients, parameter gradients).

    Raises:
        LayerError: foveate already has a layer of that name.
    """
    register_layer_type(layer_type)
    DEFINITIONS[layer_type] = Definition(
        lambda layer, inputs, parameters, _: forward(layer, inputs, parameters),
        lambda layer, inputs, parameters, output, gradient, _: backward(layer, inputs, parameters, output, gradient),
    )
