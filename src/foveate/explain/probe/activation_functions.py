"""Activation functions as an engine computes them, and deep random networks of each."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines import Engine, Program, State, default_engine
from foveate.engines.random import generator
from foveate.errors import DataError, LayerError, ShapeError
from foveate.explain.measure.activation_functions import (
    ACTIVATION_FUNCTIONS,
    SURVIVORS,
    ActivationCurve,
    SignalSurvival,
    maxout_pieces,
)
from foveate.graph import Graph, GraphBuilder, Value
from foveate.graph.joining import sample_shape
from foveate.layers import Conv1d, Conv2d, Conv3d, Layer, Linear, LogSoftmax, Maxout, Shape, Softmax
from foveate.layers.base import ElementwiseLayer

_CONVOLUTIONS = {1: Conv1d, 2: Conv2d, 3: Conv3d}


def activation_curve(
    layer: Layer, x: ArrayLike, *, pieces: Sequence[tuple[float, float]] | None = None, engine: Engine | None = None
) -> ActivationCurve:
    """The values and derivatives of an activation function.

    Args:
        layer: an activation function of one number; PReLU with the slope it starts with.
        x: the points to evaluate it at, along one axis.
        pieces: for Maxout, the slope and intercept of each line it takes the maximum of (default: `maxout_pieces`).
        engine: the engine to use (default: the fastest available).

    Raises:
        LayerError: the layer is not a function of one number, or `pieces` does not fit it.
        DataError: x has no values, or more than one axis.
    """
    points = np.asarray(x)
    if points.ndim != 1 or not points.size or not np.isfinite(points).all():
        raise DataError(
            f"x has the shape {points.shape}; give finite numbers along one axis, such as np.linspace(-4, 4)"
        )
    graph, arrays = _single(layer, pieces)
    engine = engine or default_engine()
    program = engine.compile(graph, batch_size=len(points), mode="inference", differentiable=True)
    state = engine.new_state(graph)
    for name, array in arrays.items():
        state.load(name, array)
    value = program.forward(state, points[:, None])[graph.only_output]
    program.backward({graph.only_output: np.ones_like(value)})
    gradient = program.gradient(graph.only_input)
    return ActivationCurve(points.astype(value.dtype), value[:, 0], gradient[:, 0])


def kinks(
    layer: Layer, low: float = -10, high: float = 10, *, pieces: Sequence[tuple[float, float]] | None = None
) -> NDArray[np.float64]:
    """The points between `low` and `high` where the derivative jumps, to within 0.001.

    The derivative is sampled every 0.01, and each large step in it a hundred times more finely: the steps of a smooth
    function are small then.
    """
    coarse = np.linspace(low, high, round((high - low) / 0.01) + 1)
    steps = np.abs(np.diff(activation_curve(layer, coarse, pieces=pieces).derivative))
    found: list[float] = []
    for place in np.flatnonzero(steps > 0.02):
        fine = np.linspace(coarse[place], coarse[place + 1], 101)
        jumps = np.abs(np.diff(activation_curve(layer, fine, pieces=pieces).derivative))
        if jumps.max() > steps[place] / 2:
            found.append(round(float(fine[jumps.argmax() : jumps.argmax() + 2].mean()), 3))
    return np.array(found)


def signal_survival(
    activations: Sequence[Layer] = SURVIVORS,
    *,
    depth: int = 30,
    width: int = 128,
    initializer: str | float = "auto",
    input_shape: Shape | None = None,
    samples: int = 64,
    seed: int = 0,
    engine: Engine | None = None,
) -> tuple[SignalSurvival, ...]:
    """The variance of signal and gradient by depth in random networks, one for each activation function.

    He's rule preserves the variance through a rectifier: Var(y_l) = width / 2 Var(w) Var(y_{l-1}), and Var(w) = 2 /
    width.

    Args:
        activations: the functions to compare; in its network, each follows every weighted layer.
        depth: the number of weighted layers.
        width: units, or channels, in each.
        initializer: "auto" (foveate's default: He before rectifiers, else Xavier), "he" or "xavier"; or a number, the
            standard deviation of normal weights.
        input_shape: the shape of a sample, whose values are standard normal (default: (width,)). With spatial axes, the
            layers are convolutions of kernel size 3, whose zero padding costs some variance at the borders.
        samples: how many are in the batch.
        seed: for the inputs, the weights and the gradient at the last layer.
        engine: the engine to use (default: the fastest available).

    Raises:
        LayerError: there is no such initializer, or a layer is not a function of one number.
        DataError: depth, width or samples is below 1, or the deviation is not positive.
        ShapeError: the input has too many axes.

    Glorot, Bengio: Understanding the difficulty of training deep feedforward neural networks, 2010. He et al.: Delving
    deep into rectifiers, 2015.
    """
    if min(depth, width, samples) < 1:
        raise DataError(f"depth is {depth}, width {width} and samples {samples}; each must be at least 1")
    if isinstance(initializer, int | float) and not initializer > 0:
        raise DataError(
            f"the weights' standard deviation is {initializer}; it must be positive (0.01 is a naive choice)"
        )
    shape = (width,) if input_shape is None else sample_shape(input_shape)
    if not 1 <= len(shape) <= 4:
        raise ShapeError(f"the input of a sample has 1 axis, or channels and 1 to 3 spatial axes, not {len(shape)}")
    engine = engine or default_engine()
    results = []
    for activation in activations:
        _check_activation(activation)
        rule = initializer if isinstance(initializer, str) else "auto"
        graph = deep_network(activation, shape, depth, width, rule)
        state = engine.new_state(graph, seed=seed)
        if not isinstance(initializer, str):
            _load_normal(state, initializer, seed)
        keep = [f"layer{number}" for number in range(1, depth + 1)]
        program = engine.compile(graph, batch_size=samples, mode="inference", keep=keep, differentiable=True)
        signal, gradient = _variances(program, state, keep, seed)
        words = _INITIALIZERS.get(rule, rule) if isinstance(initializer, str) else f"normal, deviation {initializer:g}"
        results.append(SignalSurvival(activation.describe(), words, signal, gradient))
    return tuple(results)


_INITIALIZERS = {"auto": "default (He before rectifiers, else Xavier)", "he": "He", "xavier": "Xavier"}


def _check_activation(layer: Layer) -> None:
    elementwise = isinstance(layer, ElementwiseLayer) and not layer.keeps_signal
    if not (elementwise or isinstance(layer, Maxout)) or isinstance(layer, Softmax | LogSoftmax):
        known = ", ".join(type(each).__name__ for each in ACTIVATION_FUNCTIONS)
        raise LayerError(f"{layer.describe()} is not an activation function of one number; those are {known}")


def _single(layer: Layer, pieces: Sequence[tuple[float, float]] | None) -> tuple[Graph, dict[str, ArrayLike]]:
    """A network of one activation function (for Maxout, after its linear pieces), and the arrays to load."""
    _check_activation(layer)
    if pieces is not None and (not isinstance(layer, Maxout) or len(pieces) != layer.pieces):
        wanted = f"takes {layer.pieces}" if isinstance(layer, Maxout) else "takes none"
        raise LayerError(f"{len(pieces)} linear pieces are given, but {layer.describe()} {wanted}")
    builder = GraphBuilder()
    value = builder.input((1,))
    arrays: dict[str, ArrayLike] = {}
    if isinstance(layer, Maxout):
        lines = np.array(pieces or maxout_pieces(layer.pieces), np.float64)
        value = builder.add(Linear(layer.pieces), value, name="pieces")
        arrays = {"pieces.weight": lines[:, :1], "pieces.bias": lines[:, 1]}
    return builder.build(builder.add(layer, value, name="activation"), quiet=True), arrays


def deep_network(activation: Layer, shape: Shape, depth: int, width: int, rule: str) -> Graph:
    """`depth` weighted layers "layer1", "layer2", ... with the activation function after each."""
    builder = GraphBuilder()
    value: Value = builder.input(shape)
    outputs = width * (activation.pieces if isinstance(activation, Maxout) else 1)
    for number in range(1, depth + 1):
        if len(shape) == 1:
            weighted: Layer = Linear(outputs, initializer=rule)
        else:
            weighted = _CONVOLUTIONS[len(shape) - 1](outputs, 3, padding="same", initializer=rule)
        value = builder.add(weighted, value, name=f"layer{number}")
        value = builder.add(activation, value, name=f"activation{number}")
    return builder.build(value, quiet=True)


def _load_normal(state: State, deviation: float, seed: int) -> None:
    """Load normal weights with the same standard deviation whatever the width; biases stay zero."""
    for name, parameter in state.graph.parameters.items():
        if name.startswith("layer") and name.endswith(".weight"):
            state.load(name, deviation * generator(seed, name).standard_normal(parameter.shape))


def _variances(
    program: Program, state: State, keep: Sequence[str], seed: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Variances of the input and each kept layer, and of the gradients with respect to them."""
    graph = program.graph
    inputs = generator(seed, "signal").standard_normal((program.batch_size, *graph.input_shape))
    program.forward(state, inputs)
    signal = [inputs, *(program.activation(name) for name in keep)]
    program.backward({keep[-1]: generator(seed, "gradient").standard_normal(signal[-1].shape)})
    gradient = [program.gradient(name) for name in (graph.only_input, *keep)]
    variances = [np.array([np.var(each, dtype=np.float64) for each in arrays]) for arrays in (signal, gradient)]
    return variances[0], variances[1]
