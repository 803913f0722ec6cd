"""Changes that make a failing network build: each is tried on the whole network before it is offered."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain
from math import prod
from typing import Any, Protocol, overload

from foveate.errors import FoveateError
from foveate.geometry import format_sizes
from foveate.graph.analysis.borders import Strict, seeing_options
from foveate.graph.analysis.window_report import explain_window
from foveate.graph.joining import Place
from foveate.graph.nodes import Nodes
from foveate.layers import Flatten, Layer, Shape
from foveate.layers.convolution import Convolution
from foveate.layers.pooling import GlobalAveragePooling

MOST_CHANGES = 4
LARGEST_INPUT = 1024
"""Larger inputs than this are not tried."""


class Network(Protocol):
    """Anything that can be built with some layers replaced, as every composite can."""

    def build_with(self, layers: Mapping[str, tuple[Layer, ...]], input_shape: Shape, strict: Strict) -> Nodes:
        """The graph for `input_shape`, with `layers` keyed by the path of the layer that they replace."""


@dataclass(frozen=True)
class Change:
    """One change that makes a network build.

    `layers` maps the path of each layer to be replaced to one layer, several, or none. `input_shape` is
    another input, or the same.
    """

    text: str
    input_shape: Shape
    layers: Mapping[str, tuple[Layer, ...]] = field(default_factory=dict)
    network: Network = field(repr=False, compare=False, kw_only=True)
    strict: Strict = field(default=False, kw_only=True)

    def build(self) -> Nodes:
        """The network with this change."""
        return self.network.build_with(self.layers, self.input_shape, self.strict)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, eq=False)
class Changes(Sequence[Change]):
    """The changes that make a failing network build; the search runs when they are first asked for.

    `place` is where building stopped, `partial` what had been built by then.
    """

    network: Network
    input_shape: Shape
    strict: Strict
    place: Place | None
    partial: Nodes

    @cached_property
    def _found(self) -> tuple[Change, ...]:
        return find_changes(self.network, self.input_shape, self.strict, self.place, self.partial)

    def __len__(self) -> int:
        return len(self._found)

    @overload
    def __getitem__(self, index: int) -> Change: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Change]: ...

    def __getitem__(self, index: int | slice) -> Change | Sequence[Change]:
        return self._found[index]


def find_changes(
    network: Network, input_shape: Shape, strict: Strict, place: Place | None, partial: Nodes
) -> tuple[Change, ...]:
    """Changes near `place`, where building stopped, then other inputs; only those that make all of it build."""
    common: dict[str, Any] = {"network": network, "strict": strict}
    found: list[Change] = []
    if place is not None:
        candidates = [*_instead(place, strict), *_same_in_branches(place, partial)]
        found += _that_build(Change(text, input_shape, layers, **common) for text, layers in candidates)
    shapes = [_other_input(network, input_shape, strict), _other_rank(place, input_shape)]
    found += _that_build(Change(f"an input of {format_sizes(s)}", s, **common) for s in shapes if s is not None)
    if place is not None and not found:
        found += _that_build([Change(f"without {place.path}", input_shape, {place.path: ()}, **common)])
    return tuple(found[:MOST_CHANGES])


def _that_build(changes: Iterable[Change]) -> list[Change]:
    found = []
    for change in changes:
        try:
            change.build()
        except FoveateError:
            continue
        found.append(change)
    return found


def _instead(place: Place, strict: Strict) -> Iterator[tuple[str, Mapping[str, tuple[Layer, ...]]]]:
    """(words, replacement) for the layer that did not fit its input."""
    if len(place.input_shapes) == 2:
        before, way = place.input_shapes
        strides = shortcut_strides(before, way)
        if strides is not None:
            shortcut = Convolution.over(len(strides))(way[0], 1, stride=strides)
            yield f"{place.path}: {shortcut.describe()} to {way[0]} channels", {place.path: (shortcut,)}
        return
    if place.layer.takes_flat:
        flat: list[Layer] = [Flatten()]
        if 2 <= len(place.input_shapes[0]) <= 4:
            flat.append(GlobalAveragePooling.over(len(place.input_shapes[0]) - 1)())
        for first in flat:
            yield f"{first.describe()} before {place.path}", {place.path: (first, place.layer)}
    for text, layer in _variants(place, strict):
        yield f"{place.path}: {text}", {place.path: (layer,)}


def _variants(place: Place, strict: Strict) -> Iterator[tuple[str, Layer]]:
    """The same layer with one option changed, or over another number of axes."""
    for text, option, value in _options(place, strict):
        try:
            yield text, place.layer.with_options(**{option: value})
        except FoveateError:
            continue
    axes = len(place.input_shapes[0]) - 1 if place.input_shapes else 0
    if place.layer.spatial_ranks and axes not in place.layer.spatial_ranks:
        options = {key: _for_axes(value, axes) for key, value in place.layer.options().items()}
        try:
            other = type(place.layer).over(axes)
            yield other.__name__, other(**options)
        except FoveateError:
            return


def _options(place: Place, strict: Strict) -> Iterator[tuple[str, str, Any]]:
    options = place.layer.options()
    if strict:
        yield from _seeing_more(place)
    if "kernel_size" in options and len(place.input_shapes[0]) == len(options["kernel_size"]) + 1:
        spatial = place.input_shapes[0][1:]
        smaller = tuple(min(k, size) for k, size in zip(options["kernel_size"], spatial, strict=True))
        yield f"kernel_size {format_sizes(smaller)}", "kernel_size", smaller
        yield 'padding "same"', "padding", "same"
    if options.get("groups", 1) != 1:
        yield "groups 1", "groups", 1


def _seeing_more(place: Place) -> Iterator[tuple[str, str, Any]]:
    """Options that make the windows drop or skip less."""
    try:
        seen = place.layer.unseen(place.input_shapes)
        adjustments = explain_window(place.layer, place.input_shapes[0]).adjustments if seen else ()
    except FoveateError:
        return
    yield from ((each.text, each.option, each.value) for each in adjustments if each.option != "input")
    if any(axis.skipped for axis in seen):
        axis = next(number for number, each in enumerate(seen) if each.skipped)
        for option, value in seeing_options(place.layer, place.input_shapes, axis):
            yield f"{option} {value}", option, (value,) * len(seen)


def _for_axes(value: Any, axes: int) -> Any:
    """An option for another number of axes: its first value for all of them."""
    return (value[0],) * axes if isinstance(value, tuple) and value else value


def _same_in_branches(place: Place, partial: Nodes) -> Iterator[tuple[str, Mapping[str, tuple[Layer, ...]]]]:
    """For branches that are joined but differ in size: padding "same" in all of their windows."""
    if len(place.input_shapes) < 2:
        return
    scope = place.path.rpartition(".")[0] + "."
    inside = [node for node in partial.nodes if node.name.startswith(scope) and "padding" in node.layer.options()]
    try:
        layers = {node.name: (node.layer.with_options(padding="same"),) for node in inside}
    except FoveateError:
        return
    if layers:
        yield f'padding "same" in {" and ".join(layers)}', layers


def _other_rank(place: Place | None, shape: Shape) -> Shape | None:
    """The input with as many axes as the layer slides over: the last ones merged, or the last repeated."""
    axes = getattr(place.layer, "spatial_axes", None) if place is not None else None
    if axes is None or len(shape) < 2 or axes == len(shape) - 1:
        return None
    if axes < len(shape) - 1:
        return *shape[:axes], prod(shape[axes:])
    return *shape, *shape[-1:] * (axes - len(shape) + 1)


def _other_input(network: Network, shape: Shape, strict: Strict) -> Shape | None:
    """The nearest larger input that makes the network build, or under the strict rule also a smaller one."""
    if len(shape) < 2:
        return None

    def tried(*sizes: int) -> Shape | None:
        fits = min(sizes) >= 1 and bool(_that_build([Change("", sizes, network=network, strict=strict)]))
        return sizes if fits else None

    def grown(by: int) -> Shape | None:
        return tried(shape[0], *(size + by for size in shape[1:]))

    if strict:
        steps = sorted(range(-16, 65), key=abs)
        square = (tried(shape[0], *(max(shape[1:]) + by,) * (len(shape) - 1)) for by in steps)
        return next((found for found in chain(map(grown, steps), square) if found is not None), None)
    low, high = 0, 1
    while grown(high) is None:
        low, high = high, 2 * high
        if max(shape[1:]) + high > LARGEST_INPUT:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if grown(middle) is not None else (middle, high)
    return grown(high)


def offer(changes: Sequence[Change]) -> str:
    """The changes as a sentence, or nothing if there are none."""
    return f"It builds with {', or '.join(map(str, changes))}." if changes else ""


def fitting_shortcut(before: Shape, way: Shape) -> str:
    """A sentence on how to make a residual block build if its input is `before` and its output `way`."""
    if len(before) != len(way) or len(before) < 2:
        return "Give it a shortcut whose output has the same shape"
    conv, strides = Convolution.over(len(before) - 1).__name__, shortcut_strides(before, way)
    if strides is not None:
        shown = strides[0] if len(set(strides)) == 1 else strides
        stride = "" if set(strides) == {1} else f", stride={shown}"
        return f"shortcut={conv}({way[0]}, 1{stride}) would do"
    return f'Its sizes do not match by any stride: use padding="same" in the block, and shortcut={conv}({way[0]}, 1)'


def shortcut_strides(before: Shape, way: Shape) -> tuple[int, ...] | None:
    """The strides with which a 1x1 convolution turns the sizes of `before` into those of `way`, if there are any."""
    if len(before) != len(way) or len(before) < 2:
        return None
    sizes = zip(before[1:], way[1:], strict=True)
    strides = [(-(-size // wanted), size, wanted) for size, wanted in sizes]
    return tuple(s for s, _, _ in strides) if all(-(-size // s) == wanted for s, size, wanted in strides) else None
