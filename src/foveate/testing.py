"""Checks for custom layers and losses."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

import foveate.engines.reference  # noqa: F401 (fills the tables of layers and losses)
from foveate.calls import called, is_number
from foveate.engines.definitions import Context, definition_of
from foveate.engines.losses import measure_of
from foveate.engines.random import raw
from foveate.engines.targets import check_targets
from foveate.errors import CallError, GradientError
from foveate.geometry import format_sizes
from foveate.graph import Loss
from foveate.graph.joining import sample_shape
from foveate.layers import Layer, Shape

__all__ = ["GradientError", "check_gradients", "check_loss_gradient"]

MOST_ELEMENTS = 1_000_000
"""In the largest array that is checked, which takes a quarter of an hour at a millisecond for both passes."""

STEP = 1e-5
"""How far an element is moved either way: half the digits of float64."""

_Array: TypeAlias = NDArray[np.float64]


@called()
def check_gradients(
    layer: Layer,
    input_shape: Shape | Sequence[Shape],
    *,
    batch_size: int = 2,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> None:
    """Compare a layer's backward pass with central differences of its forward pass, in float64 and in training mode.

        (f(x + h) - f(x - h)) / 2h   for each element x of each input and parameter, f = sum(random weights * output)

    Every element costs two forward passes, so choose a small `input_shape`.

    Args:
        layer: a built-in layer, or one taught to the engines with `foveate.engines.register`.
        input_shape: shape of one sample, channels first; for a layer with several inputs one shape for each.
        batch_size: samples in the batch.
        seed: seed for the random inputs, parameters and weights.
        tolerance: the largest difference, relative to 1 + the slope's magnitude.

    Raises:
        GradientError: an output or gradient has a wrong shape, is missing, or is wrong; it is an AssertionError too.
    """
    if not isinstance(layer, Layer):
        raise CallError(f"check_gradients: layer is {layer!r}; give a layer such as ReLU()")
    if not isinstance(input_shape, Sequence) or not input_shape:
        raise CallError(f"check_gradients: input_shape is {input_shape!r}; give the sizes of one sample: (3, 8, 8)")
    _check_numbers("check_gradients", batch_size, seed, tolerance)
    if isinstance(input_shape[0], int):
        input_shape = (input_shape,)  # type: ignore[assignment]
    _Check(layer, [sample_shape(shape) for shape in input_shape], batch_size, seed, tolerance).run()


def _check_numbers(check: str, batch_size: object, seed: object, tolerance: object) -> None:
    for name, value, least in (("batch_size", batch_size, 1), ("seed", seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
            raise CallError(f"{check}: {name} is {value!r}; give an int of at least {least}")
    if not is_number(tolerance):
        raise CallError(f"{check}: tolerance is {tolerance!r}; it must be a number")


@called()
def check_loss_gradient(
    loss: Loss,
    output_shape: Shape,
    *,
    targets: ArrayLike | None = None,
    batch_size: int = 3,
    seed: int = 0,
    tolerance: float = 1e-6,
) -> None:
    """Compare a loss's gradient with central differences of its value, in float64, with random sample weights.

        (value(x + h) - value(x - h)) / 2h   for each element x of the outputs

    Args:
        loss: a built-in loss, or one taught to the engines with `foveate.engines.register_loss`.
        output_shape: shape of one sample's output, (K, *positions).
        targets: what the outputs are compared with (default: random ones of the first kind in `loss.targets`).
        batch_size: samples in the batch.
        seed: seed for the random outputs, targets and weights.
        tolerance: the largest difference, relative to 1 + the slope's magnitude.

    Raises:
        GradientError: the gradient has a wrong shape, or is wrong, or the value is not a finite number.
        DataError: the loss cannot take such targets.
    """
    if not isinstance(loss, Loss):
        raise CallError(f"check_loss_gradient: loss is {loss!r}; give a loss such as CrossEntropy()")
    _check_numbers("check_loss_gradient", batch_size, seed, tolerance)
    output_shape = sample_shape(output_shape, "output shape")
    _check_count(type(loss).__name__, batch_size, [output_shape])
    name, measure, random = type(loss).__name__, measure_of(loss), np.random.default_rng(seed)
    outputs: _Array = random.standard_normal((batch_size, *output_shape))
    given = _random_targets(loss, outputs.shape, random) if targets is None else targets
    wanted = check_targets(loss, given, batch_size, output_shape, np.float64)
    weights: _Array = random.uniform(0.5, 2, batch_size)

    def value() -> float:
        return measure(loss, outputs, wanted, weights).loss

    measured = measure(loss, outputs.copy(), wanted, weights)
    if not np.isfinite(measured.loss):
        raise GradientError(f"{name}: value returns {measured.loss}; it must be a finite number")
    wrong = _first_difference(measured.gradient, _central_differences(value, outputs), tolerance)
    if wrong is not None:
        place, ours, slope = wrong
        raise GradientError(
            f"{name}: the gradient is wrong in {place} it is {ours:.6g}, but central differences of value give "
            f"{slope:.6g}"
        )


def _random_targets(loss: Loss, shape: Shape, random: np.random.Generator) -> NDArray[Any]:
    """Random targets of the first kind that the loss takes."""
    if loss.targets[0] == "classes":
        return random.integers(0, shape[1], (shape[0], *shape[2:]))
    if loss.targets[0] == "numbers":
        return random.standard_normal(shape)
    numbers = random.uniform(0, 1, shape)
    return numbers / numbers.sum(axis=1, keepdims=True) if loss.targets[0] == "distributions" else numbers


def _check_count(name: str, batch_size: int, shapes: Sequence[Shape]) -> None:
    """Refuse what would take hours, or all memory."""
    largest = max(shapes, key=prod)
    if batch_size * prod(largest) > MOST_ELEMENTS:
        raise CallError(
            f"{name}: {batch_size:,} samples of {format_sizes(largest)} have {batch_size * prod(largest):,} elements, "
            f"each of which costs two forward passes; at most {MOST_ELEMENTS:,} are checked. Use a smaller batch_size "
            "or shape"
        )


class _Check:
    """One layer with random arrays."""

    def __init__(self, layer: Layer, shapes: list[Shape], batch_size: int, seed: int, tolerance: float) -> None:
        self.layer, self.shapes, self.seed, self.tolerance = layer, shapes, seed, tolerance
        self.name = type(layer).__name__
        self.definition = definition_of(layer)
        random = np.random.default_rng(seed)
        self.output_shape = (batch_size, *layer.output_shape(shapes))
        _check_count(self.name, batch_size, [*shapes, self.output_shape[1:]])
        self.inputs: list[_Array] = [random.standard_normal((batch_size, *shape)) for shape in shapes]
        self.parameters: dict[str, _Array] = {
            name: random.standard_normal(parameter.shape) for name, parameter in layer.parameters(shapes).items()
        }
        self.weights: _Array = random.standard_normal(self.output_shape)

    def run(self) -> None:
        """Raise a GradientError at the first thing that is wrong."""
        context = self._context()
        output = self.definition.forward(self.layer, self.inputs, self.parameters, context)
        self._check_shape("forward returns an output", output, self.output_shape)
        given = self.definition.backward(self.layer, self.inputs, self.parameters, output, self.weights.copy(), context)
        of_inputs, of_parameters = given
        if len(of_inputs) != len(self.inputs):
            raise self._wrong(
                f"backward returns {len(of_inputs)} input gradients, but there are {len(self.inputs)} inputs"
            )
        self._check_names(of_parameters)
        for number, (array, gradient) in enumerate(zip(self.inputs, of_inputs, strict=True), start=1):
            what = "the input" if len(self.inputs) == 1 else f"input {number}"
            self._compare(what, array, np.zeros_like(array) if gradient is None else gradient)
        for name, array in self.parameters.items():
            self._compare(f"the parameter {name}", array, of_parameters[name])

    def _context(self) -> Context:
        """A fresh context, with the same random numbers each time."""
        statistics = {
            name: np.full(statistic.shape, statistic.initial)
            for name, statistic in self.layer.statistics(self.shapes).items()
        }
        return Context(True, dict(statistics), partial(raw, self.seed, "layer", 0))

    def _value(self) -> float:
        """The weighted sum of the output."""
        output = self.definition.forward(self.layer, self.inputs, self.parameters, self._context())
        return float((self.weights * output).sum())

    def _compare(self, what: str, array: _Array, gradient: NDArray[np.floating]) -> None:
        self._check_shape(f"backward returns a gradient of {what}", gradient, array.shape)
        wrong = _first_difference(gradient, _central_differences(self._value, array), self.tolerance)
        if wrong is not None:
            place, given, slope = wrong
            raise self._wrong(
                f"the gradient of {what} is wrong in {place} backward gives {given:.6g}, but central differences of "
                f"forward give {slope:.6g}"
            )

    def _check_shape(self, what: str, array: NDArray[np.floating], expected: Shape) -> None:
        if np.shape(array) != expected:
            given = format_sizes(np.shape(array)) or "no axes"
            raise self._wrong(f"{what} of shape {given}, but it must be {format_sizes(expected)}")

    def _check_names(self, of_parameters: Mapping[str, object]) -> None:
        if set(of_parameters) != set(self.parameters):
            given, known = (", ".join(sorted(names)) or "none" for names in (of_parameters, self.parameters))
            raise self._wrong(f"backward returns gradients of the parameters {given}, but the layer has {known}")

    def _wrong(self, sentence: str) -> GradientError:
        return GradientError(f"{self.name}: {sentence}")


def _first_difference(
    gradient: NDArray[np.floating], slopes: _Array, tolerance: float
) -> tuple[str, float, float] | None:
    """How many elements differ and where the first does, in words, with both numbers; None if none does."""
    beyond = ~(np.abs(gradient - slopes) <= tolerance * (1 + np.abs(slopes)))
    if not beyond.any():
        return None
    at = np.unravel_index(int(beyond.argmax()), slopes.shape)
    place = ", ".join(str(int(index)) for index in at)
    return f"{int(beyond.sum())} of {slopes.size} elements: at [{place}]", float(gradient[at]), float(slopes[at])


def _central_differences(value: Callable[[], float], array: _Array) -> _Array:
    """The slope of `value` along each element of `array`, which is moved and then restored."""
    slopes = np.zeros_like(array)
    for at in np.ndindex(array.shape):
        kept = array[at]
        array[at] = kept + STEP
        ahead = value()
        array[at] = kept - STEP
        slopes[at] = (ahead - value()) / (2 * STEP)
        array[at] = kept
    return slopes
