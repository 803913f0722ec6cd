"""Rules for operations that slide, pad, pool or resize."""

from collections.abc import Sequence
from typing import Any

from torch import fx

from foveate.interop.held import Border, Held, Pairs, held
from foveate.interop.pytorch.rules import Arguments, operation, refuse_places, rule
from foveate.interop.pytorch.taking import Taking, shape_of
from foveate.interop.walk import NotTakenError
from foveate.layers import Pad, Resize, Shape, Upsample
from foveate.layers.adaptive import AdaptiveAveragePooling, AdaptiveMaximumPooling, AdaptivePooling
from foveate.layers.convolution import Convolution
from foveate.layers.pooling import (
    AveragePooling,
    GlobalAveragePooling,
    GlobalMaximumPooling,
    GlobalPooling,
    MaxPooling,
)
from foveate.layers.transposed import TransposedConvolution

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
AVERAGES = ("avg_pool1d", "avg_pool2d", "avg_pool3d")
_RESHAPES = ("view", "reshape", "flatten", "squeeze", "_unsafe_view")


def _each(value: Any, axes: int) -> tuple[int, ...]:
    """One number for every axis; PyTorch may give a single one for all."""
    numbers = tuple(value) if isinstance(value, Sequence) else (value,)
    return numbers * axes if len(numbers) == 1 else numbers


def _joined(border: Border | None, own: Pairs) -> Pairs:
    """The operation's own padding together with what is pending before it."""
    around = border.pairs if border is not None else ((0, 0),) * len(own)
    return tuple((first + begin, last + end) for (first, last), (begin, end) in zip(around, own, strict=True))


@rule(*CONVOLUTIONS)
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    source = taking.held(given["input"])
    taps = given["weight"].meta["val"].shape[2:]
    axes = len(taps)
    dilation = _each(given["dilation"], axes)
    padding, border = given["padding"], source.border
    if padding == "same":  # PyTorch's own: an odd position goes to the end
        whole = [gap * (size - 1) for gap, size in zip(dilation, taps, strict=True)]
        own = tuple((total // 2, total - total // 2) for total in whole)
    else:
        own = tuple((size, size) for size in ((0,) * axes if padding == "valid" else _each(padding, axes)))
    layer = Convolution.over(axes)(
        int(given["weight"].meta["val"].shape[0]),
        tuple(map(int, taps)),
        stride=_each(given["stride"], axes),
        padding=_joined(border, own),
        dilation=dilation,
        groups=given["groups"],
        bias=given["bias"] is not None,
        padding_mode="zeros" if border is None else border.mode,
    )
    value = taking.value(given["input"]) if border is None else source.value
    return held(taking.add(layer, value, node=node, arrays={"weight": given["weight"], "bias": given["bias"]}))


@rule("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    weight = given["weight"].meta["val"].shape
    axes = len(weight) - 2
    layer = TransposedConvolution.over(axes)(
        int(weight[1]) * given["groups"],
        tuple(map(int, weight[2:])),
        stride=_each(given["stride"], axes),
        padding=_each(given["padding"], axes),
        output_padding=_each(given["output_padding"], axes),
        dilation=_each(given["dilation"], axes),
        groups=given["groups"],
        bias=given["bias"] is not None,
    )
    value = taking.value(given["input"])
    return held(taking.add(layer, value, node=node, arrays={"weight": given["weight"], "bias": given["bias"]}))


@rule("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Any:
    value = taking.value(given["self"])
    axes = len(value.shape) - 1
    kernel = _each(given["kernel_size"], axes)
    layer = MaxPooling.over(axes)(
        kernel,
        stride=_each(given["stride"] or kernel, axes),
        padding=_each(given["padding"], axes),
        dilation=_each(given["dilation"], axes),
        ceil_mode=given["ceil_mode"],
    )
    pooled = held(taking.add(layer, value, node=node))
    if "indices" not in operation(node)[0]:
        return pooled
    refuse_places(node)
    return [pooled, None]


@rule(*AVERAGES)
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    source = taking.held(given["self"])
    axes = len(source.shape) - 1
    kernel = _each(given["kernel_size"], axes)
    if given.get("divisor_override") is not None:
        raise NotTakenError(f"it divides by {given['divisor_override']}")
    layer = AveragePooling.over(axes)(
        kernel,
        stride=_each(given["stride"] or kernel, axes),
        padding=_joined(source.border, tuple((size, size) for size in _each(given["padding"], axes))),
        ceil_mode=given["ceil_mode"],
        count_include_pad=given["count_include_pad"],
    )
    value = taking.value(given["self"]) if source.border is None else source.value
    return held(taking.add(layer, value, node=node))


@rule("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    return _adaptive(taking, node, (AdaptiveAveragePooling, GlobalAveragePooling))


@rule("adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def _(taking: Taking, node: fx.Node, given: Arguments) -> list[Held | None]:
    refuse_places(node)
    return [_adaptive(taking, node, (AdaptiveMaximumPooling, GlobalMaximumPooling)), None]


def _adaptive(taking: Taking, node: fx.Node, families: tuple[type[AdaptivePooling], type[GlobalPooling]]) -> Held:
    """Adaptive pooling; pooling to one position, if its result is only ever flattened, is a global pooling."""
    value = taking.value(node.args[0])
    axes = len(value.shape) - 1
    result = node.meta["val"]
    sizes = tuple(int(size) for size in (result[0] if isinstance(result, Sequence) else result).shape[2:])
    if set(sizes) == {1} and _becomes_flat(node):
        pooled = taking.add(families[1].over(axes)(), value, node=node)
        return Held(pooled, (*pooled.shape, *sizes))
    return held(taking.add(families[0].over(axes)(sizes), value, node=node))


def _becomes_flat(node: fx.Node) -> bool:
    """Whether everything made from (C, 1, 1) has the shape (C,)."""
    return all(
        (operation(user)[0] in _RESHAPES and len(shape_of(user)) == 1)
        or (operation(user)[0] in ("getitem", *_RESHAPES, "dropout") and _becomes_flat(user))
        for user in node.users
    )


def pooled(taking: Taking, node: fx.Node, kind: str, dims: Sequence[int], *, keepdim: bool) -> Held | None:
    """A mean or maximum over all positions as the pooling that it is; None if it is over other axes."""
    value, families = taking.value(node.args[0]), _GLOBAL.get(kind)
    axes = len(value.shape) - 1
    if families is None or not 1 <= axes <= 3 or sorted(dims) != list(range(2, axes + 2)):
        return None
    if not keepdim or _becomes_flat(node):
        return Held(taking.add(families[1].over(axes)(), value, node=node), shape_of(node))
    return held(taking.add(families[0].over(axes)(1), value, node=node))


_GLOBAL: dict[str, tuple[type[AdaptivePooling], type[GlobalPooling]]] = {
    "mean": (AdaptiveAveragePooling, GlobalAveragePooling),
    "max": (AdaptiveMaximumPooling, GlobalMaximumPooling),
}


@rule("pad", "constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d",
      "replication_pad2d", "replication_pad3d")  # fmt: skip
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    name = operation(node)[0]
    mode = given.get(
        "mode", "reflect" if "reflection" in name else "replicate" if "replication" in name else "constant"
    )
    value, amounts = taking.value(given["self"]), given["pad"] if "pad" in given else given["padding"]
    pairs = [(0, 0)] * len(value.shape)
    for place in range(0, len(amounts), 2):
        pairs[-1 - place // 2] = (int(amounts[place]), int(amounts[place + 1]))
    if not any(map(any, pairs)):
        return held(value)
    filler, user = float(given.get("value") or 0), next(iter(node.users), node)
    alone = operation(user)[0] if len(node.users) == 1 and user.op == "call_function" else ""
    inside = pairs[0] == (0, 0) and min(map(min, pairs)) >= 0 and not filler
    averages = mode == "constant" and alone in AVERAGES and _counts_padding(user)
    convolves = alone in CONVOLUTIONS and (mode == "constant" or not _padding(user))
    if inside and (averages or convolves):
        return Held(value, shape_of(node), border=Border(tuple(pairs[1:]), mode.replace("constant", "zeros")))
    return held(taking.add(Pad(tuple(pairs), mode, filler), value, node=node))


def _padding(node: fx.Node) -> bool:
    """Whether a convolution also pads with zeros."""
    given = node.args[4] if len(node.args) > 4 else 0
    return given not in (0, "valid") and (isinstance(given, str) or any(given))  # type: ignore[arg-type]


def _counts_padding(node: fx.Node) -> bool:
    """Whether an average counts zeros, and all its windows are whole, so that it can absorb further zeros."""
    return not any(node.args[4:5]) and all(node.args[5:6]) and not any(node.args[6:7])


@rule("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "upsample_linear1d", "upsample_bilinear2d",
      "upsample_trilinear3d")  # fmt: skip
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value, mode = taking.value(given["input"]), "nearest" if "nearest" in operation(node)[0] else "linear"
    aligned = bool(given.get("align_corners"))  # then its scale factors give the size, and nothing else
    factors = None if aligned else given.get("scale_factors")
    wanted = {"size": shape_of(node)[1:]} if aligned else _wanted(value.shape, shape_of(node), factors)
    if wanted is None:
        return held(taking.add(Resize(scale=_alike(factors), mode=mode), value, node=node))
    return held(taking.add(Upsample(**wanted, mode=mode, align_corners=aligned), value, node=node))


def _wanted(before: Shape, after: Shape, factors: Sequence[float] | None) -> dict[str, Any] | None:
    """The scale if it is whole, else the size; if neither will do, PyTorch reads positions by another rule: None."""
    if factors is None:
        return {"size": after[1:]}
    if any(factor * size != made for factor, size, made in zip(factors, before[1:], after[1:], strict=True)):
        return None
    if all(factor == int(factor) for factor in factors):
        return {"scale": _alike([int(factor) for factor in factors])}
    return {"size": after[1:]}


def _alike(numbers: Any) -> Any:
    """One number for all axes, if they are alike."""
    return numbers[0] if len(set(numbers)) == 1 else tuple(numbers)


@rule("_upsample_nearest_exact1d", "_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_bicubic2d",
      "_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa")  # fmt: skip
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    name, value = operation(node)[0], taking.value(given["input"])
    mode = "nearest-exact" if "exact" in name else "cubic" if "cubic" in name else "linear"
    aligned, factors = bool(given.get("align_corners")), given.get("scale_factors")
    by_factor = factors is not None and not aligned
    layer = Resize(
        None if by_factor else _alike(shape_of(node)[1:]),
        _alike(factors) if by_factor else None,
        mode,
        align_corners=aligned,
        antialias=name.endswith("_aa"),
    )
    return held(taking.add(layer, value, node=node))
