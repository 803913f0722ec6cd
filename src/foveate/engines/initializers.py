"""How parameters are initialised. The numbers depend only on the seed and the parameter's name."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from math import prod, sqrt

import numpy as np

from foveate.engines.base import FloatArray
from foveate.engines.random import generator
from foveate.graph import Graph, initializers
from foveate.layers import Parameter, Shape

_PIECE = 1 << 20

_BLANK: ContextVar[bool] = ContextVar("blank", default=False)


def is_blank() -> bool:
    """Whether new states hold zeros now."""
    return _BLANK.get()


@contextmanager
def blank() -> Iterator[None]:
    """Inside, new states hold zeros: all of their arrays are about to be loaded, and drawing them takes long."""
    token = _BLANK.set(True)
    try:
        yield
    finally:
        _BLANK.reset(token)


def initial_arrays(graph: Graph, seed: int) -> dict[str, FloatArray]:
    """Every parameter and statistic of `graph` by its full name, as float32."""
    if is_blank():
        shapes = {name: parameter.shape for name, parameter in graph.parameters.items()}
        shapes |= {name: statistic.shape for name, statistic in graph.statistics.items()}
        return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}
    rules = initializers(graph)
    arrays = {name: _initial(parameter, rules[name], seed, name) for name, parameter in graph.parameters.items()}
    for name, statistic in graph.statistics.items():
        arrays[name] = np.full(statistic.shape, statistic.initial, np.float32)
    return arrays


def _initial(parameter: Parameter, rule: str, seed: int, name: str) -> FloatArray:
    """He: normal with variance 2/fan_in. Xavier: uniform with variance 2/(fan_in + fan_out)."""
    random = generator(seed, name)
    if rule == "he":
        deviation = sqrt(2 / parameter.fan_in)
        return _filled(parameter.shape, lambda count: random.standard_normal(count) * deviation)
    if rule == "xavier":
        bound = sqrt(6 / (parameter.fan_in + parameter.fan_out))
        return _filled(parameter.shape, lambda count: random.uniform(-bound, bound, count))
    value = {"zeros": 0.0, "ones": 1.0}.get(rule)
    return np.full(parameter.shape, float(rule.removeprefix("constant ")) if value is None else value, np.float32)


def _filled(shape: Shape, draw: Callable[[int], FloatArray]) -> FloatArray:
    """An array drawn piece by piece, so that a large one never exists in float64."""
    values = np.empty(prod(shape), np.float32)
    for start in range(0, values.size, _PIECE):
        piece = values[start : start + _PIECE]
        piece[:] = draw(piece.size)
    return values.reshape(shape)
