"""What windows leave out of their input, in sentences that say what would fit."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from foveate.errors import FoveateError
from foveate.geometry import Suggestions, Unseen, fit, format_sizes, formula, input_of, suggest
from foveate.graph.node import Node
from foveate.layers import Layer, Shape

Strict: TypeAlias = bool | Literal["all"]
"""Whether positions that no window sees are an error: True for those at borders, "all" also for those in between."""

_NAMES = {1: ("position",), 2: ("row", "column"), 3: ("layer of voxels",) * 3}


def drops(node: Node) -> str:
    """Why a node that drops a border is refused, and what fits."""
    sizes, windows = node.input_shapes[0][1:], node.windows or ()
    axis = next(axis for axis, count in enumerate(node.dropped) if count)
    window, size = windows[axis], sizes[axis]
    square = len({*zip(sizes, windows, node.unseen, strict=True)}) == 1
    ways = _ways_to_fit(node, range(len(sizes)) if square else (axis,))
    words = ways.sentence()
    if square:
        offered = [format_sizes((s,) * len(sizes)) for s in ways.sizes]
        words = words.rsplit("an input of ", 1)[0] + ("an input of " + " or ".join(offered) if offered else "")
    return (
        f"does not fit its {input_of(sizes)}: {formula(size, window)} = "
        f"{float(fit(size, window).exact_output):.2f}.\n"
        f"The {_ends(node.unseen[axis], _names(len(sizes), axis, square))} would never be seen."
        + (f" Fits: {words}." if words else "")
    )


def skips(node: Node) -> str:
    """Why a node that skips positions is refused by `strict="all"`, and what sees them all."""
    sizes, windows = node.input_shapes[0][1:], node.windows or ()
    axis = next(axis for axis, count in enumerate(node.skipped) if count)
    square = len({*zip(sizes, windows, strict=True)}) == 1
    count, window = node.skipped[axis], windows[axis]
    what = _plural(_names(len(sizes), axis, square), count)
    ways = " or ".join(f"{option} {value}" for option, value in seeing_options(node.layer, node.input_shapes, axis))
    return (
        f"skips {count} {what} of its {input_of(sizes)}, which lie between its windows: kernel "
        f"{window.kernel_size} moves by {window.stride}." + (f" Use {ways} to see them all." if ways else "")
    )


def dropping_sentence(nodes: Sequence[Node]) -> str:
    """The warning about nodes that drop a border."""
    first = nodes[0]
    subject, verb, whose = f"{first}", "sees", "its"
    if len(nodes) > 1:
        subject, verb, whose = f"{first} and {len(nodes) - 1} more", "see", "their"
    axes = len(first.unseen)
    if len(set(first.unseen)) == 1:
        lost = _ends(first.unseen[0], _names(axes, 0, square=True))
    else:
        dropping = [(axis, each) for axis, each in enumerate(first.unseen) if each.dropped]
        lost = " and the ".join(_ends(each, _names(axes, axis, square=False)) for axis, each in dropping)
    return (
        f"{subject} never {verb} the {lost} of {whose} input; "
        "build(strict=True) says what would fit, and graph.summary() lists them all"
    )


def seeing_options(layer: Layer, input_shapes: Sequence[Shape], axis: int) -> Iterator[tuple[str, int]]:
    """The largest smaller stride, and the smallest larger kernel, that see every position of `axis`."""
    options = layer.options()
    if not {"stride", "kernel_size"} <= set(options):
        return
    stride, kernel = options["stride"][axis], options["kernel_size"][axis]
    for option, values in (
        ("stride", range(stride - 1, 0, -1)),
        ("kernel_size", range(kernel + 1, kernel + stride + 1)),
    ):
        for value in values:
            changed = tuple(value if n == axis else old for n, old in enumerate(options[option]))
            try:
                seen = layer.with_options(**{option: changed}).unseen(input_shapes)
            except FoveateError:
                continue
            if seen[axis] == Unseen():
                yield option, value
                break


def _ways_to_fit(node: Node, axes: Sequence[int]) -> Suggestions:
    """Changes along `axes`, which are alike, that make the node drop nothing; each is tried."""
    window, size = (node.windows or ())[axes[0]], node.input_shapes[0][1 + axes[0]]
    most = window.effective_size - 1 if node.layer.pads_less_than_window else None
    ways = suggest(size, window, largest_padding=most)

    def works(option: str) -> Callable[[Any], bool]:
        return lambda value: _sees_borders(node, axes, option, value)

    return replace(
        ways,
        strides=tuple(filter(works("stride"), ways.strides or (1,))),
        symmetric_paddings=tuple(p for p in ways.symmetric_paddings if works("padding")((p, p))),
        asymmetric_paddings=tuple(filter(works("padding"), ways.asymmetric_paddings)),
        sizes=tuple(filter(works("input"), ways.sizes)),
    )


def _sees_borders(node: Node, axes: Sequence[int], option: str, value: Any) -> bool:
    """Whether nothing is dropped once `option`, or the size of the input, is `value` along `axes`."""
    sizes, options = list(node.input_shapes[0][1:]), node.layer.options()
    changed = sizes if option == "input" else [getattr(window, option) for window in node.windows or ()]
    for axis in axes:
        changed[axis] = value
    if option != "input" and option not in options:
        return False
    changes = {} if option == "input" else {option: tuple(changed)}
    try:
        unseen = node.layer.with_options(**changes).unseen([(node.input_shapes[0][0], *sizes)])
    except FoveateError:
        return False
    return not any(axis.dropped for axis in unseen)


def _names(axes: int, axis: int, square: bool) -> str:
    return "row and column" if axes == 2 and square else _NAMES[axes][axis]


def _ends(unseen: Unseen, what: str) -> str:
    """'last row', 'first 2 rows', or 'first 2 and last 3 rows'."""
    counted = [(word, count) for word, count in (("first", unseen.begin), ("last", unseen.end)) if count]
    return " and ".join(f"{word} {count}" for word, count in counted) + f" {_plural(what, counted[-1][1])}"


def _plural(what: str, count: int) -> str:
    if count > 1:
        for word in ("position", "row", "column", "layer"):
            what = what.replace(word, f"{word}s")
    return what
