"""One convolution, plain or transposed, or pooling on one input: its output, its costs, and what would fit."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

from foveate.errors import FoveateError
from foveate.geometry import (
    Fit,
    Unseen,
    Window,
    fit,
    fitting_paddings,
    fitting_strides,
    format_sizes,
    output_size,
    same_padding,
    suggest,
)
from foveate.graph.joining import Joining
from foveate.graph.nodes import Nodes
from foveate.layers import Cost, Layer, Shape
from foveate.layers.transposed import TransposedConvolution

BYTES = 4
"""Size of a number: float32."""


@dataclass(frozen=True)
class Adjustment:
    """A value of one option that makes a layer fit; `value` holds one for each axis, as the option takes them."""

    option: str
    value: tuple[Any, ...]
    distance: int

    @property
    def text(self) -> str:
        """For example 'stride 2', 'padding (1, 2)' or 'input 3x31x31'."""
        if self.option == "input":
            return f"input {format_sizes(self.value)}"
        return f"{self.option} {in_short(self.value)}"


@dataclass(frozen=True)
class Solution:
    """One way to choose a stride or padding along an axis so that the division is exact."""

    value: int | tuple[int, int]
    output: int
    same: bool = False
    """Whether it keeps ceil(W / S) outputs with the least padding, as "same" does."""


@dataclass(frozen=True)
class WindowReport:
    """What `layer`, a convolution or pooling layer, does to an input of shape `input_shape`."""

    layer: Layer
    input_shape: Shape
    output_shape: Shape

    @cached_property
    def sizes(self) -> Shape:
        """The input's spatial sizes."""
        return self.input_shape[1:]

    @cached_property
    def windows(self) -> tuple[Window, ...]:
        """The window of each axis, "same" resolved."""
        return tuple(self.layer.windows([self.input_shape]) or ())

    @cached_property
    def fits(self) -> tuple[Fit, ...]:
        """How the window fits each axis."""
        return tuple(fit(size, window) for size, window in zip(self.sizes, self.windows, strict=True))

    @cached_property
    def unseen(self) -> tuple[Unseen, ...]:
        """The real positions of each axis that no window sees."""
        return self.layer.unseen([self.input_shape])

    @property
    def dropped(self) -> tuple[int, ...]:
        """How many positions at the two ends of each axis no window sees."""
        return tuple(axis.dropped for axis in self.unseen)

    @property
    def skipped(self) -> tuple[int, ...]:
        """How many positions on each axis lie between windows, seen by none."""
        return tuple(axis.skipped for axis in self.unseen)

    @property
    def weights(self) -> int:
        """Number of weights in the filters."""
        return self._count("weight")

    @property
    def biases(self) -> int:
        """Number of biases, one for each filter."""
        return self._count("bias")

    @property
    def cost(self) -> Cost:
        """MACs and FLOPs of one sample."""
        return self.layer.cost([self.input_shape])

    @cached_property
    def adjustments(self) -> tuple[Adjustment, ...]:
        """Every small adjustment that makes the division exact on all axes, nearest first; none if it is exact."""
        if all(placed.fits for placed in self.fits):
            return ()
        found = [*self._option_adjustments("stride"), *self._option_adjustments("padding"), *self._input_adjustments()]
        return tuple(sorted(found, key=lambda adjustment: adjustment.distance))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "layer": self.layer.describe(),
            "input": list(self.input_shape),
            "output": list(self.output_shape),
            "fits": all(placed.fits for placed in self.fits),
            "exact_output": [float(placed.exact_output) for placed in self.fits],
            "remainder": [placed.remainder for placed in self.fits],
            "dropped": list(self.dropped),
            "skipped": list(self.skipped),
            "padding": [list(window.padding) for window in self.windows],
            "parameters": self.weights + self.biases,
            "weights": self.weights,
            "biases": self.biases,
            "macs": self.cost.macs,
            "flops": self.cost.flops,
            "input_bytes": BYTES * prod(self.input_shape),
            "output_bytes": BYTES * prod(self.output_shape),
            "parameter_bytes": BYTES * (self.weights + self.biases),
            "suggestions": [{"option": c.option, "value": _plain(c.value), "text": c.text} for c in self.adjustments],
        }

    def _count(self, name: str) -> int:
        parameter = self.layer.parameters([self.input_shape]).get(name)
        return 0 if parameter is None else prod(parameter.shape)

    def _option_adjustments(self, option: str) -> list[Adjustment]:
        """Values of `option` that make every axis fit; axes that fit already keep theirs."""
        lists: list[list[tuple[Any, int]]] = []
        for size, window in zip(self.sizes, self.windows, strict=True):
            if fit(size, window).fits:
                lists.append([(window.stride if option == "stride" else window.padding, 0)])
            else:
                lists.append(self._values(option, size, window))
        return [
            Adjustment(option, tuple(v for v, _ in picked), sum(d for _, d in picked))
            for picked in _side_by_side(lists)
            if self._works(option, tuple(v for v, _ in picked))
        ]

    def _values(self, option: str, size: int, window: Window) -> list[tuple[Any, int]]:
        most = window.effective_size - 1 if self.layer.pads_less_than_window else None
        ways = suggest(size, window, limit=3, padding_limit=2, largest_padding=most)
        if option == "stride":
            return [(stride, window.stride - stride) for stride in reversed(ways.strides)]
        pairs = [(p, p) for p in ways.symmetric_paddings] + list(ways.asymmetric_paddings)
        begin, end = window.padding
        return sorted(((pair, abs(pair[0] - begin) + abs(pair[1] - end)) for pair in pairs), key=lambda way: way[1])

    def _input_adjustments(self) -> list[Adjustment]:
        lists = []
        for size, window in zip(self.sizes, self.windows, strict=True):
            others = suggest(size, window).sizes
            near = sorted(((s, abs(s - size)) for s in others), key=lambda way: way[1])
            lists.append([(size, 0)] if fit(size, window).fits else near)
        channels = self.input_shape[0]
        return [
            Adjustment("input", (channels, *(v for v, _ in picked)), sum(d for _, d in picked))
            for picked in _side_by_side(lists)
        ]

    def _works(self, option: str, value: tuple[Any, ...]) -> bool:
        try:
            changed = explain_window(self.layer.with_options(**{option: value}), self.input_shape)
        except FoveateError:
            return False
        return all(placed.fits for placed in changed.fits)


def explain_window(layer: Layer, input_shape: Sequence[int]) -> WindowReport:
    """Report what `layer` does to one sample of shape `input_shape`.

    Raises:
        ShapeError: the layer cannot take such an input.

    >>> from foveate.layers import Conv2d
    >>> explain_window(Conv2d(8, 3, stride=3), (1, 7, 7)).adjustments[0].text
    'stride 2'
    """
    joining = Joining(Nodes, "window")
    shape = joining.input(tuple(input_shape))
    return WindowReport(layer, shape, joining.fitted(f"{layer.label}1", layer, ["input"]).output_shape)


def transposed_report(layer: TransposedConvolution, shape: Shape) -> dict[str, Any]:
    """What the layer does to an input of that shape, as plain data; a ShapeError if it has no output."""
    joining = Joining(Nodes)
    joining.input(shape)
    node = joining.fitted(f"{layer.label}1", layer, ["input"])
    counts = {name: prod(each.shape) for name, each in layer.parameters([shape]).items()}
    weights, biases = counts["weight"], counts.get("bias", 0)
    return {
        "layer": layer.describe(),
        "input": list(shape),
        "output": list(node.output_shape),
        "size_steps": [step.replace("`", "") for step in layer.size_steps([shape])],
        "parameters": weights + biases,
        "weights": weights,
        "biases": biases,
        "macs": node.cost.macs,
        "flops": node.cost.flops,
        "input_bytes": BYTES * prod(shape),
        "output_bytes": BYTES * prod(node.output_shape),
        "parameter_bytes": BYTES * (weights + biases),
    }


def solve_padding(size: int, window: Window) -> tuple[Solution, ...]:
    """Every padding shorter than the window that makes the division exact, that of "same" first.

    Symmetric ones come before those with one more at the end.

    >>> [solution.value for solution in solve_padding(32, Window(5, stride=2))]
    [(1, 2), (0, 1), (2, 3), (3, 4)]
    """
    most = window.effective_size - 1
    pairs = [(p, p) for p in fitting_paddings(size, window, most, asymmetric=False)]
    pairs += [(p, p + 1) for p in fitting_paddings(size, window, most, asymmetric=True)]
    same = same_padding(size, window)
    found = [Solution(pair, output_size(size, _padded(window, pair)), pair == same) for pair in pairs]
    return tuple(sorted(found, key=lambda solution: not solution.same))


def solve_stride(size: int, window: Window, limit: int = 8) -> tuple[Solution, ...]:
    """The smallest strides up to the window's length for which the division is exact.

    >>> [(solution.value, solution.output) for solution in solve_stride(7, Window(3))]
    [(1, 5), (2, 3)]
    """
    free = size - window.effective_size + sum(window.padding)
    strides = fitting_strides(free, window.effective_size + 1, window.effective_size)
    return tuple(Solution(stride, free // stride + 1) for stride in sorted(strides)[:limit])


def in_short(values: Sequence[Any]) -> str:
    """One value if all are equal, else all joined by x; a pair of equal numbers becomes one number.

    >>> in_short([(1, 1), (1, 1)]), in_short([(1, 2), (1, 2)]), in_short([2, 1])
    ('1', '(1, 2)', '2x1')
    """
    words = [str(v[0] if isinstance(v, tuple) and v[0] == v[1] else v) for v in values]
    return words[0] if len(set(words)) == 1 else "x".join(words)


def _padded(window: Window, pair: tuple[int, int]) -> Window:
    return Window(window.kernel_size, window.stride, pair, window.dilation)


def _side_by_side(lists: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    """The first value of each list, the second of each, and so on; a shorter list repeats its last."""
    if not all(lists):
        return []
    return [tuple(each[min(n, len(each) - 1)] for each in lists) for n in range(max(map(len, lists)))]


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
