"""What excites a channel most: an image made for it by gradient ascent on Fourier coefficients."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.engines.random import generator
from foveate.errors import DataError
from foveate.explain.measure.synthesis import ExcitingImages, Fourier, Objective
from foveate.explain.probe.classes import check_classifier, logit_layers, unit_names
from foveate.explain.probe.probe import Probe, fitting_batch, network_up_to
from foveate.graph import Graph, Node, nearest
from foveate.layers import Shape
from foveate.model import Model
from foveate.progress import Tell, told

WAVE_RANGE = 4.0
"""Standard deviations around the mean within which a synthetic wave (1-D) stays."""

DIFFERENTIABLE_MEMORY = 1 << 29
"""Bytes that the activations of a batch may take; their gradients take as many again."""

STEPS = 256
"""The default number of Adam steps."""

JITTER_DIVISOR, MOST_JITTER = 12, 8
"""The default jitter in pixels: this fraction of the receptive field, and at most this many."""


_FIRST_MOMENT, _SECOND_MOMENT, _EPSILON = 0.9, 0.999, 1e-8


@dataclass(frozen=True)
class Ascent:
    """How an image is made.

    Args:
        steps: the number of Adam steps.
        learning_rate: for the Fourier coefficients; for a part of the image, in proportion to the square root of its
            size. None chooses one to suit the steps.
        decay: exponent of the frequency by which the coefficients are divided; 0 treats every frequency alike.
        jitter: the most pixels by which the image is shifted before each step, along each axis; None chooses a suitable
            number.
        blur: standard deviation in pixels of the Gaussian blur after the first step; it falls to 0 by the last.
        objective: "mean" or "centre" of the channel.
        seed: for the first image and the shifts.
    """

    steps: int = STEPS
    learning_rate: float | None = None
    decay: float = 1.0
    jitter: int | None = None
    blur: float = 0.3
    objective: Objective = "centre"
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("jitter", 0), ("blur", 0), ("decay", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise DataError(f"{name} is {value}; it must be at least {least}")
        if self.learning_rate is not None and not self.learning_rate > 0:
            raise DataError(f"learning_rate is {self.learning_rate}; it must be above 0")
        if self.objective not in ("mean", "centre"):
            raise DataError(f'objective is "{self.objective}"; choose "mean" or "centre"')

    @property
    def rate(self) -> float:
        """The learning rate: 0.05 with the default number of steps, higher with fewer, but at most 0.2.

        A higher one drives pixels to black or white, where the sigmoid has no slope to bring them back.
        """
        return self.learning_rate or min(0.2, 0.05 * max(1.0, STEPS / self.steps))


def exciting_images(
    model: Model,
    layer: str | None = None,
    channels: Sequence[int | str] | None = None,
    *,
    steps: int = STEPS,
    seed: int = 0,
    learning_rate: float | None = None,
    decay: float = 1.0,
    jitter: int | None = None,
    blur: float = 0.3,
    objective: Objective = "centre",
    batch_size: int = 16,
    progress: bool | Tell = True,
) -> ExcitingImages:
    """An image for each channel that maximises its activation, by gradient ascent: sigmoid(irfft(coefficients /
    f**decay)).

    Starting from faint noise, Adam climbs the activation; shifting the image before each step, blurring it after, and
    letting low frequencies learn faster keep it from becoming noise that only the network can read. A layer after a
    ReLU has no slope where it is 0: name the layer before it. A model without preprocessing gets pixels from -2 to 2; a
    wave (1-D) stays within four standard deviations of its mean.

    Args:
        model: the network.
        layer: the layer's name (default: the output, before its softmax).
        channels: of the layer, by number, or for the output also by class name (default: all of them).
        steps: the number of ascent steps.
        seed: for the first image and the shifts; the same seed gives the same image, whatever else is asked for.
        learning_rate: for the Fourier coefficients; for a part of the image, in proportion to the square root of its
            size (default: 0.05 at 256 steps or more, up to 0.2 at fewer).
        decay: exponent of the frequency f; 0 treats every frequency alike.
        jitter: the largest shift in pixels, along each axis (default: a twelfth of the receptive field, at most 8, and
            none for waves, whose phase it would blur).
        blur: standard deviation in pixels of the Gaussian blur after the first step; it falls to 0 by the last.
        objective: "centre" for the channel's value in the middle, as in patches, or "mean" for its mean over all
            positions, which gives a texture.
        batch_size: images made at once; fewer if the network is very large.
        progress: whether to show a bar if it takes over two seconds; or a function to call with (steps done, total
            steps) after each step.

    Raises:
        GraphError: there is no such layer; the message names the nearest.
        ShapeError: without a layer, the network does not end with one number for each class.
        DataError: there is no such channel, or a number is out of range.

    After Olah, Mordvintsev, Schubert: Feature visualization, 2017.
    """
    ascent = Ascent(steps, learning_rate, decay, jitter, blur, objective, seed)
    if batch_size < 1:
        raise DataError(f"batch_size is {batch_size}; it must be at least 1")
    node = _layer(model, layer)
    wanted = _channels(model, node, channels)
    graph = network_up_to(model.graph, node.name)
    size = fitting_batch(graph, tuple(graph.by_name), memory=DIFFERENTIABLE_MEMORY, most=batch_size)
    parts = []
    with told(progress, "climbing") as tell:
        for first in range(0, len(wanted), size):
            part = wanted[first : first + size]

            def report(step: int, before: int = first, now: int = len(part)) -> None:
                tell(before * steps + step * now, len(wanted) * steps)

            parts.append(_climbed(model, graph, part, ascent, report))
    images, history, activations, largest = (list(each) for each in zip(*parts, strict=True))
    return ExcitingImages(
        node.name,
        objective,
        wanted,
        np.concatenate(images),
        np.concatenate(history, axis=1),
        np.concatenate(activations),
        np.concatenate(largest),
        _jitter(graph, ascent),
    )


def exciting_image(model: Model, layer: str | None, channel: int | str, **options: Any) -> ExcitingImages:
    """The same for one channel; `options` as for `exciting_images`."""
    return exciting_images(model, layer, [channel], **options)


def centre_field(model: Model, exciting: ExcitingImages) -> tuple[range, ...]:
    """What the middle element sees, or the whole input if the objective was the mean."""
    if exciting.objective == "mean":
        return tuple(range(size) for size in exciting.images.shape[2:])
    return model.graph.region(exciting.layer, _centre(model.graph.shapes[exciting.layer])).clipped


def _centre(shape: Shape) -> tuple[int, ...]:
    return tuple(size // 2 for size in shape[1:])


def _layer(model: Model, layer: str | None) -> Node:
    """The layer, or for None the one that feeds the output's softmax or sigmoid."""
    if layer is not None:
        return model.graph.node(layer)
    check_classifier(model)
    return model.graph.node(logit_layers(model.graph)[-1])


def _channels(model: Model, node: Node, channels: Sequence[int | str] | None) -> NDArray[np.int64]:
    count = node.output_shape[0]
    if channels is None:
        return np.arange(count)
    if not len(channels):
        raise DataError(f"no channel was asked for; {node} has {count}")
    names = unit_names(model, node.name) or ()
    return np.array([_channel(node, channel, names) for channel in channels], np.int64)


def _channel(node: Node, channel: int | str, names: Sequence[str]) -> int:
    """The index of a channel given by its index or, if units have names, by its name."""
    if isinstance(channel, str):
        if channel not in names:
            if names:
                raise DataError(f'{node} has no unit for a class "{channel}".{nearest(channel, names)}')
            raise DataError(f'{node} has no channel "{channel}"; give its number')
        return names.index(channel)
    count = node.output_shape[0]
    if not 0 <= channel < count:
        raise DataError(f"{node} has no channel {channel!r}: its {count} channels are numbered 0 to {count - 1}")
    return channel


class Climb:
    """The objective and its gradient, for the Fourier coefficients of a few images at once.

    Args:
        model: the model whose state to use.
        graph: the network up to the layer examined.
        channels: one for each image.
        ascent: how the images are made.
    """

    def __init__(self, model: Model, graph: Graph, channels: NDArray[np.int64], ascent: Ascent) -> None:
        seen = _seen(graph)
        # A pattern in a small part of the image gathers the change of every coefficient there.
        part_seen = prod(seen) / prod(graph.input_shape[1:]) if ascent.objective == "centre" else 1.0
        self.learning_rate = ascent.rate * part_seen**0.5
        self.jitter = _jitter(graph, ascent)
        # Waves longer than the receptive field all look alike to the channel.
        self.fourier = Fourier(graph.input_shape, ascent.decay, max(seen, default=1))
        self._model, self._graph = model, graph
        self._seeds = _seeds(graph.node(graph.only_output), channels, ascent.objective)
        part = None if graph is model.graph else graph
        self._probe = Probe(model, len(channels), differentiable=True, graph=part)

    def shift(self, seed: int, name: str, step: int) -> tuple[int, ...]:
        """The random shift of an image before a step, in pixels along each axis."""
        random = generator(seed, f"{name} jitter", step)
        return tuple(random.integers(-self.jitter, self.jitter + 1, len(self.fourier.shape) - 1).tolist())

    def images(self, coefficients: NDArray[Any]) -> NDArray[np.float64]:
        """The images as they look."""
        return _displayable(self._model, self.fourier.images(coefficients))[0]

    def activations(
        self, coefficients: NDArray[Any], shifts: Sequence[tuple[int, ...]] | None = None
    ) -> tuple[NDArray[np.float32], FloatArray]:
        """The objective for each shifted image (N,), and the layer's whole output."""
        pixels = _inputs(self._model, self.images(coefficients))
        outputs = self._probe.run(pixels if shifts is None else _rolled(pixels, shifts))
        return np.asarray((outputs * self._seeds).reshape(len(outputs), -1).sum(axis=1), np.float32), outputs

    def slope(self, coefficients: NDArray[Any], shifts: Sequence[tuple[int, ...]]) -> NDArray[np.complex128]:
        """The gradient of the activations last run with respect to the coefficients."""
        (gradient,) = self._probe.gradients({self._graph.only_output: self._seeds}, self._graph.only_input)
        back = _rolled(_swapped(self._model, gradient), [tuple(-offset for offset in shift) for shift in shifts])
        return self.fourier.gradient(back * _displayable(self._model, self.fourier.images(coefficients))[1])


def _seen(graph: Graph) -> list[int]:
    """How far an element of the output sees along each axis, at most the whole input."""
    sees = graph.receptive_field(graph.only_output).size
    return [min(pair) for pair in zip(sees, graph.input_shape[1:], strict=True)]


def _jitter(graph: Graph, ascent: Ascent) -> int:
    """The jitter asked for, or the default: none for waves, whose phase it would blur."""
    if ascent.jitter is not None or len(graph.input_shape) < 3:
        return ascent.jitter or 0
    return min(MOST_JITTER, max(_seen(graph)) // JITTER_DIVISOR)


def _climbed(
    model: Model, graph: Graph, channels: NDArray[np.int64], ascent: Ascent, report: Callable[[int], None]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Images, history, activations and largest activations for a few channels at once."""
    climb = Climb(model, graph, channels, ascent)
    names = [f"exciting image {graph.only_output} {channel}" for channel in channels]
    coefficients = np.stack([climb.fourier.start(ascent.seed, name) for name in names])
    history = np.empty((ascent.steps, len(channels)), np.float32)
    first, second = np.zeros_like(coefficients), np.zeros_like(coefficients)
    for step in range(ascent.steps):
        shifts = [climb.shift(ascent.seed, name, step) for name in names]
        history[step], _ = climb.activations(coefficients, shifts)
        upwards = adam_step(first, second, climb.slope(coefficients, shifts), step)
        coefficients = coefficients + climb.learning_rate * upwards
        coefficients = climb.fourier.blurred(coefficients, ascent.blur * (1 - (step + 1) / ascent.steps))
        report(step + 1)
    activations, outputs = climb.activations(coefficients)
    largest = outputs[np.arange(len(channels)), channels].reshape(len(channels), -1).max(axis=1)
    return climb.images(coefficients).astype(np.float32), history, activations, largest.astype(np.float32)


def adam_step(first: NDArray[Any], second: NDArray[Any], gradient: NDArray[Any], step: int) -> NDArray[np.complex128]:
    """One step of Adam (Kingma, Ba, 2015) with separate moments for real and imaginary parts, which are changed in
    place."""
    first += (1 - _FIRST_MOMENT) * (gradient - first)
    second += (1 - _SECOND_MOMENT) * (gradient.real**2 + 1j * gradient.imag**2 - second)
    mean, square = first / (1 - _FIRST_MOMENT ** (step + 1)), second / (1 - _SECOND_MOMENT ** (step + 1))
    # Relative to the image's largest, so one with small gradients climbs as fast; a dead channel stays.
    floor = _EPSILON + _EPSILON * np.abs(gradient).max(axis=tuple(range(1, gradient.ndim)), keepdims=True)
    real, imaginary = (
        part / (np.sqrt(size) + floor) for part, size in ((mean.real, square.real), (mean.imag, square.imag))
    )
    return np.asarray(real + 1j * imaginary)


def _seeds(node: Node, channels: NDArray[np.int64], objective: Objective) -> NDArray[np.float32]:
    """The weight (N, C, *spatial) of each output in the objective."""
    seeds = np.zeros((len(channels), *node.output_shape), np.float32)
    spatial = node.output_shape[1:]
    centre = _centre(node.output_shape)
    for image, channel in enumerate(channels):
        if objective == "mean":
            seeds[image, channel] = 1 / prod(spatial)
        else:
            seeds[(image, channel, *centre)] = 1
    return seeds


def _range(model: Model) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The smallest and the largest displayed value of each channel (C, 1, ...)."""
    shape = model.graph.input_shape
    axes = (shape[0], *(1,) * (len(shape) - 1))
    if model.preprocessing is None or len(shape) != 2:
        return np.zeros(axes), np.ones(axes)
    mean, std = _normalisation(model)
    return mean - WAVE_RANGE * std, mean + WAVE_RANGE * std


def _displayable(model: Model, raw: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Displayed images low + (high - low) sigmoid(raw), and the slope of the network's input with respect to raw."""
    low, high = _range(model)
    share = 0.5 * (1 + np.tanh(raw / 2))
    _, std = _normalisation(model)
    return low + (high - low) * share, (high - low) / std * share * (1 - share)


def _inputs(model: Model, pixels: NDArray[np.float64]) -> NDArray[np.float32]:
    mean, std = _normalisation(model)
    return _swapped(model, ((pixels - mean) / std).astype(np.float32))


def _swapped(model: Model, images: FloatArray) -> FloatArray:
    """Swap channels from red first to the order that the network takes, or back."""
    blue_first = model.preprocessing is not None and model.preprocessing.channel_order == "BGR"
    return images[:, ::-1] if blue_first else images


def _normalisation(model: Model) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and std of each displayed channel (C, 1, ...); without preprocessing 0 to 1 becomes -2 to 2."""
    shape = model.graph.input_shape
    axes = (shape[0], *(1,) * (len(shape) - 1))
    if model.preprocessing is None:
        return np.full(axes, 0.5), np.full(axes, 0.25)
    unit, order = 255 * model.preprocessing.scale, -1 if model.preprocessing.channel_order == "BGR" else 1
    mean, std = (np.reshape(each, axes)[::order] / unit for each in (model.preprocessing.mean, model.preprocessing.std))
    return mean, std


def _rolled(images: FloatArray, shifts: Sequence[tuple[int, ...]]) -> FloatArray:
    axes = tuple(range(1, images.ndim - 1))
    return np.stack([np.roll(image, shift, axes) for image, shift in zip(images, shifts, strict=True)])
