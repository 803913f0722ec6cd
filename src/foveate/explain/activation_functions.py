"""Activation functions with their derivatives, and how a signal and its gradient survive a deep network of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.engines import Engine, Program, State, default_engine
from foveate.engines.base import FloatArray
from foveate.engines.random import generator
from foveate.errors import DataError, LayerError, ShapeError
from foveate.explain.draw.style import MARKERS, OKABE_ITO, colour, drawn, grid_shape, new_figure
from foveate.graph import Graph, GraphBuilder, Value
from foveate.layers import (
    ELU,
    GELU,
    Conv1d,
    Conv2d,
    Conv3d,
    Hardsigmoid,
    Hardswish,
    Layer,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Maxout,
    PReLU,
    ReLU,
    ReLU6,
    Shape,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from foveate.layers.base import ElementwiseLayer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ACTIVATION_FUNCTIONS: tuple[Layer, ...] = (
    Sigmoid(), Tanh(), ReLU(), LeakyReLU(), Maxout(2), ELU(), PReLU(),
    Softplus(), SiLU(), GELU(), ReLU6(), Hardsigmoid(), Hardswish(),
)  # fmt: skip
"""All there are, the lecture's six first."""

SURVIVORS: tuple[Layer, ...] = (Sigmoid(), Tanh(), ReLU(), LeakyReLU(), Maxout(2), ELU(), SiLU(), GELU())
"""Those whose deep networks are compared unless others are named."""

_CONVOLUTIONS = {1: Conv1d, 2: Conv2d, 3: Conv3d}


@dataclass(frozen=True, eq=False)
class ActivationCurve:
    """An activation function at the points `x`: its values and its derivatives, as the engine computes them."""

    x: FloatArray
    value: FloatArray
    derivative: FloatArray


def maxout_pieces(count: int) -> tuple[tuple[float, float], ...]:
    """An example of Maxout's linear pieces, as (slope, intercept): tangents of the parabola x^2 / 2.

    >>> maxout_pieces(2)
    ((-1.0, -0.5), (1.0, -0.5))
    """
    return tuple((float(slope), 0.0 - float(slope**2) / 2) for slope in np.linspace(-1, 1, count))


def activation_curve(
    layer: Layer, x: ArrayLike, *, pieces: Sequence[tuple[float, float]] | None = None, engine: Engine | None = None
) -> ActivationCurve:
    """The values and derivatives of an activation function.

    Args:
        layer: an activation function of one number; PReLU with the slope it starts with.
        x: where, one axis.
        pieces: for Maxout, the slope and intercept of each line it takes the maximum of; `maxout_pieces` unless given.
        engine: what computes it; the fastest there is unless given.

    Raises:
        LayerError: the layer is no function of one number, or `pieces` does not fit it.
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
    """Where between `low` and `high` the derivative jumps, to 0.001.

    The derivative is sampled at 0.01 and each large step of it looked at a hundred times finer: in a smooth function it
    has then become small.
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


def formula(layer: Layer, pieces: Sequence[tuple[float, float]] | None = None) -> str:
    """The function in matplotlib's mathematical notation; where there is none, the layer's description."""
    if isinstance(layer, Maxout):
        lines = [_line(*piece) for piece in pieces or maxout_pieces(layer.pieces)]
        return rf"$\max({', '.join(lines)})$"
    if isinstance(layer, ELU):
        return rf"$x$ for $x \geq 0$, $\alpha(e^x - 1)$ below, $\alpha = {layer.alpha:g}$"
    if isinstance(layer, LeakyReLU):
        return rf"$\max({layer.slope:g}x, x)$"
    if isinstance(layer, Softplus):
        beta = "" if layer.beta == 1 else f"{layer.beta:g}"
        return rf"$\log(1 + e^{{{beta}x}}){beta and ' / ' + beta}$"
    return _FORMULAS.get(type(layer), layer.describe())


@drawn
def plot_activation_functions(
    layers: Sequence[Layer] = ACTIVATION_FUNCTIONS, *, limit: float = 7, engine: Engine | None = None
) -> "Figure":
    """A grid of activation functions: each with its derivative, its formula, and its kinks marked.

    Args:
        layers: activation functions of one number.
        limit: they are drawn from -limit to limit.
        engine: what computes them; the fastest there is unless given.

    Raises:
        LayerError: a layer is no function of one number.
    """
    rows, columns = grid_shape(len(layers) + 1, columns=4)
    figure = new_figure(2.7 * columns, 0.5 + 2.35 * rows, "Activation functions and their derivatives")
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    x = np.linspace(-limit, limit, 1401)
    for axes, layer in zip(panels, layers, strict=False):
        _draw_curve(axes, layer, activation_curve(layer, x, engine=engine), kinks(layer, -limit, limit))
    for axes in panels[len(layers) :]:
        axes.axis("off")
    samples = [
        panels[-1].plot([], [], color=OKABE_ITO[0], label="function $f(x)$")[0],
        panels[-1].plot([], [], color=OKABE_ITO[1], linestyle="--", label="derivative $f'(x)$")[0],
        panels[-1].plot([], [], "o", color=colour("ink"), fillstyle="none", label="kink: the derivative jumps")[0],
    ]
    panels[len(layers)].legend(handles=samples, loc="center")
    figure.supxlabel("x (no unit)", fontsize=10)
    return figure


@dataclass(frozen=True, eq=False)
class SignalSurvival:
    """How large signal and gradient are at each depth of one network, from its input at 0 to its last layer.

    `signal` is the variance over samples and units of what each weighted layer gives, before its activation function;
    `gradient` is that of the gradient with respect to it, 1 at the last layer. A signal may keep its variance and yet
    say nothing of the input, as under a sigmoid: then the gradient is gone.
    """

    activation: str
    initializer: str
    signal: NDArray[np.float64]
    gradient: NDArray[np.float64]


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

    He's rule keeps the variance under a rectifier: Var(y_l) = width / 2 Var(w) Var(y_{l-1}), and Var(w) = 2 / width.

    Args:
        activations: what follows each weighted layer.
        depth: weighted layers.
        width: units, or channels, of each.
        initializer: "auto" (foveate's default: He before rectifiers, else Xavier), "he" or "xavier"; or a number, the
            standard deviation of normal weights.
        input_shape: of a sample, standard normal; (width,) unless given. With spatial axes the layers are convolutions
            of kernel size 3, whose zero padding costs some variance at the borders.
        samples: in the batch.
        seed: of inputs, weights and the gradient at the last layer.
        engine: what computes it; the fastest there is unless given.

    Raises:
        LayerError: there is no such initializer, or a layer is no function of one number.
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
    shape = (width,) if input_shape is None else tuple(input_shape)
    if not 1 <= len(shape) <= 4:
        raise ShapeError(f"the input of a sample has 1 axis, or channels and 1 to 3 spatial axes, not {len(shape)}")
    engine = engine or default_engine()
    results = []
    for activation in activations:
        _check_activation(activation)
        rule = initializer if isinstance(initializer, str) else "auto"
        graph = _deep(activation, shape, depth, width, rule)
        state = engine.new_state(graph, seed=seed)
        if not isinstance(initializer, str):
            _load_normal(state, initializer, seed)
        keep = [f"layer{number}" for number in range(1, depth + 1)]
        program = engine.compile(graph, batch_size=samples, mode="inference", keep=keep, differentiable=True)
        signal, gradient = _variances(program, state, keep, seed)
        words = _INITIALIZERS.get(rule, rule) if isinstance(initializer, str) else f"normal, deviation {initializer:g}"
        results.append(SignalSurvival(activation.describe(), words, signal, gradient))
    return tuple(results)


@drawn
def plot_signal_survival(
    activations: Sequence[Layer] = SURVIVORS,
    *,
    initializers: Sequence[str | float] = ("auto", 0.01),
    **options: Any,
) -> "Figure":
    """Signal and gradient by depth, on logarithmic axes: a column for each way in which the weights start.

    Args:
        activations: a line for each.
        initializers: as `initializer` of `signal_survival`.
        options: what else `signal_survival` takes.

    Raises:
        LayerError, DataError: as in `signal_survival`.
    """
    results = [signal_survival(activations, initializer=each, **options) for each in initializers]
    depth = len(results[0][0].signal) - 1
    spacing = max(1, min(len(activations), depth // 3))
    title = f"What is left of signal and gradient in a random network of {depth} layers"
    figure = new_figure(1.8 + 4.3 * len(results), 7.2, title)
    panels = figure.subplots(2, len(results), squeeze=False, sharex=True)
    for column, networks in zip(panels.T, results, strict=True):
        column[0].set_title(f"weights: {networks[0].initializer}", fontsize=10)
        for number, network in enumerate(networks):
            look: dict[str, Any] = {
                "color": OKABE_ITO[number % len(OKABE_ITO)],
                "marker": MARKERS[number % len(MARKERS)],
                "markevery": (number % spacing, spacing),
                "linewidth": 1.5,
                "label": network.activation,
            }
            for axes, values in zip(column, (network.signal, network.gradient), strict=True):
                axes.semilogy(np.where(values > 0, values, np.nan), **look)
        column[1].set_xlabel("depth: weighted layers from the input")
        for axes in column:
            axes.grid(visible=True)
    panels[0][0].set_ylabel("variance of the signal\n(input: 1)")
    panels[1][0].set_ylabel("variance of the gradient\n(last layer: 1)")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside right center", title="activation")
    note = "Where a signal keeps its variance, but not its gradient, it says nothing of the input any more."
    if any(
        (network.gradient == 0).any() or (network.signal == 0).any() for networks in results for network in networks
    ):
        note += "\nA line ends where the numbers are too small for the engine."
    figure.supxlabel(note, fontsize=9, color=colour("soft"))
    return figure


_INITIALIZERS = {"auto": "default (He before rectifiers, else Xavier)", "he": "He", "xavier": "Xavier"}

_FORMULAS: dict[type[Layer], str] = {
    Sigmoid: r"$1 / (1 + e^{-x})$",
    Tanh: r"$\tanh(x)$",
    ReLU: r"$\max(0, x)$",
    PReLU: r"$\max(0, x) + w\,\min(0, x)$, $w$ learned",
    ReLU6: r"$\min(\max(0, x), 6)$",
    SiLU: r"$x / (1 + e^{-x})$",
    Hardsigmoid: r"$\min(\max(0, x + 3), 6) / 6$",
    Hardswish: r"$x\,\min(\max(0, x + 3), 6) / 6$",
    GELU: r"$x\,\Phi(x)$",
}


def _check_activation(layer: Layer) -> None:
    elementwise = isinstance(layer, ElementwiseLayer) and not layer.keeps_signal
    if not (elementwise or isinstance(layer, Maxout)) or isinstance(layer, Softmax | LogSoftmax):
        known = ", ".join(type(each).__name__ for each in ACTIVATION_FUNCTIONS)
        raise LayerError(f"{layer.describe()} is no activation function of one number; there are {known}")


def _single(layer: Layer, pieces: Sequence[tuple[float, float]] | None) -> tuple[Graph, dict[str, ArrayLike]]:
    """A network of one activation function, for Maxout after its linear pieces, and the arrays to load."""
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


def _line(slope: float, intercept: float) -> str:
    """A straight line in words, for example '-x - 0.5'."""
    head = {0.0: "", 1.0: "x", -1.0: "-x"}.get(slope, f"{slope:g}x")
    if not head or not intercept:
        return head or f"{intercept:g}"
    return f"{head} {'-' if intercept < 0 else '+'} {abs(intercept):g}"


def _draw_curve(axes: "Axes", layer: Layer, curve: ActivationCurve, at: NDArray[np.float64]) -> None:
    axes.axhline(0, color=colour("faint"), linewidth=1)
    axes.axvline(0, color=colour("faint"), linewidth=1)
    axes.plot(curve.x, curve.value, color=OKABE_ITO[0])
    slopes = curve.derivative.astype(np.float64)
    slopes[np.searchsorted(curve.x, at)] = np.nan  # a gap, so that a jump is no steep line
    axes.plot(curve.x, slopes, color=OKABE_ITO[1], linestyle="--")
    heights = np.interp(at, curve.x, curve.value)
    axes.plot(at, heights, "o", color=colour("ink"), fillstyle="none", markersize=7)
    axes.set_title(f"{layer.describe()}\n{formula(layer)}", fontsize=9.5)
    axes.set_xlim(curve.x[0], curve.x[-1])


def _deep(activation: Layer, shape: Shape, depth: int, width: int, rule: str) -> Graph:
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
    """Normal weights of one standard deviation, whatever the width; biases stay zero."""
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
