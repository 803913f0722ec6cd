"""The table of PyTorch's operations: for each the layer that computes it, or how it changes what is pending.

A rule is given the operation's arguments by the names in PyTorch's schema. Rules for windows are in `rules_of_windows`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from typing import Any, TypeAlias

import torch
from torch import fx

from foveate.interop.held import Held, held
from foveate.interop.pytorch.taking import Taking, shape_of
from foveate.interop.walk import NotTakenError, columns_of
from foveate.layers import (
    CELU,
    ELU,
    GELU,
    SELU,
    Affine,
    ChannelShuffle,
    Dropout,
    Flatten,
    GroupNorm,
    Hardsigmoid,
    Hardswish,
    Layer,
    LayerNorm,
    LeakyReLU,
    Linear,
    LogSoftmax,
    Mish,
    PixelShuffle,
    PixelUnshuffle,
    PReLU,
    ReLU,
    ReLU6,
    RMSNorm,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    SpatialDropout,
    Tanh,
    Upsample,
)
from foveate.layers.normalization import BatchNormalization
from foveate.layers.sample_normalization import InstanceNormalization

Arguments: TypeAlias = Mapping[str, Any]
Rule: TypeAlias = Callable[[Taking, fx.Node, Arguments], Any]

RULES: dict[str, Rule] = {}
"""Rules by the operation's name without its variant; a name with a trailing "_" is the same operation in place."""

FREE = ("alias", "contiguous", "clone", "detach", "detach_", "lift_fresh_copy")
"""Operations that change nothing as far as foveate is concerned."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a rule under the names of operations."""

    def enter(function: Rule) -> Rule:
        RULES.update(dict.fromkeys(names, function))
        return function

    return enter


@rule(*FREE)
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    return taking.held(node.args[0])


@rule("to", "_to_copy")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    before = node.args[0].meta["val"].dtype  # type: ignore[union-attr]
    if node.meta["val"].dtype != before:
        raise NotTakenError(f"it turns {before} into {node.meta['val'].dtype}")
    return taking.held(node.args[0])


def activated(taking: Taking, node: fx.Node, source: Any, layer: Layer) -> Held:
    """A function of single numbers of `source`."""
    before = taking.held(source)
    if not before.waits_for_window and prod(before.value.shape) == prod(before.shape):
        return replace(before, value=taking.add(layer, before.value, node=node))  # it does not mind a shape that waits
    return held(taking.add(layer, taking.value(source), node=node))


def _activation(*names: str, make: Callable[[Arguments], Layer]) -> None:
    @rule(*names)
    def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
        return activated(taking, node, node.args[0], make(given))


for _name, _layer in (
    ("relu", ReLU), ("relu6", ReLU6), ("sigmoid", Sigmoid), ("tanh", Tanh), ("silu", SiLU), ("hardswish", Hardswish),
    ("hardsigmoid", Hardsigmoid), ("mish", Mish), ("selu", SELU),
):  # fmt: skip
    _activation(_name, make=lambda given, layer=_layer: layer())  # type: ignore[misc]

_activation("leaky_relu", make=lambda given: LeakyReLU(given["negative_slope"]))
_activation("celu", make=lambda given: CELU(given["alpha"]))
_activation("gelu", make=lambda given: GELU(given["approximate"]))


@rule("elu")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    if (given["scale"], given["input_scale"]) != (1, 1):
        raise NotTakenError("it is an ELU with a scale")
    return activated(taking, node, given["self"], ELU(given["alpha"]))


@rule("softplus")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    if given["threshold"] != 20:
        raise NotTakenError(f"its threshold is {given['threshold']}, not 20")
    return activated(taking, node, given["self"], Softplus(given["beta"]))


@rule("prelu", "_prelu_kernel")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value = taking.value(given["self"])
    layer = PReLU(per_channel=given["weight"].meta["val"].numel() > 1)
    return held(taking.add(layer, value, node=node, arrays={"weight": given["weight"]}))


@rule("softmax", "log_softmax", "_softmax", "_log_softmax")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value = taking.value(given["self"])
    axes = len(value.shape) + 1
    axis = given["dim"] % axes - 1
    if axis < 0:
        raise NotTakenError("it is over the batch")
    layer = LogSoftmax(axis=axis) if "log" in str(node.target) else Softmax(axis=axis)
    return held(taking.add(layer, value, node=node))


def refuse_places(node: fx.Node) -> None:
    """Refuse to return the places of maxima: the operation returns both, but the places are rarely read."""
    if any(user.args[1] != 0 and user.users for user in node.users):
        raise NotTakenError("the places of its maxima are used")


@rule("linear")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    source = taking.held(given["input"])
    columns = columns_of(source)
    value = taking.value(given["input"]) if columns is None else taking.add(Flatten(), source.value, node=node)
    layer = Linear(shape_of(node)[-1], bias=given["bias"] is not None, last_axis=len(value.shape) > 1)
    arrays = {"weight": given["weight"], "bias": given["bias"]}
    return held(taking.add(layer, value, node=node, arrays=arrays, columns=columns))


@rule("batch_norm")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value = taking.value(given["input"])
    if given["training"] or given["running_mean"] is None:
        raise NotTakenError("it normalises by the batch's statistics in inference too")
    layer = BatchNormalization.over(len(value.shape) - 1)(
        eps=given["eps"], momentum=given["momentum"], affine=given["weight"] is not None
    )
    arrays = {name: given[name] for name in ("weight", "bias", "running_mean", "running_var")}
    return held(taking.add(layer, value, node=node, arrays=arrays))


@rule("layer_norm")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value, axes = taking.value(given["input"]), len(given["normalized_shape"])
    arrays = {name: given[name] for name in ("weight", "bias")}
    both = arrays["weight"] is not None and arrays["bias"] is not None
    layer = LayerNorm(trailing_axes=None if axes == len(value.shape) else axes, eps=given["eps"], affine=both)
    if both or arrays["weight"] is arrays["bias"] is None:
        return held(taking.add(layer, value, node=node, arrays=arrays))
    name = "weight" if arrays["bias"] is None else "bias"
    over = tuple(range(len(value.shape) - axes, len(value.shape)))
    alone = Affine(over, scale=name == "weight", shift=name == "bias")
    value = taking.add(layer, value, node=node)
    return held(taking.add(alone, value, node=node, arrays={name: arrays[name]}))


@rule("rms_norm")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value, axes = taking.value(given["input"]), len(given["normalized_shape"])
    eps = torch.finfo(node.meta["val"].dtype).eps if given["eps"] is None else given["eps"]
    trailing = None if axes == len(value.shape) else axes
    layer = RMSNorm(trailing_axes=trailing, eps=eps, affine=given["weight"] is not None)
    return held(taking.add(layer, value, node=node, arrays={"weight": given["weight"]}))


@rule("group_norm")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    layer = GroupNorm(given["num_groups"], eps=given["eps"], affine=given["weight"] is not None)
    arrays = {name: given[name] for name in ("weight", "bias")}
    return held(taking.add(layer, taking.value(given["input"]), node=node, arrays=arrays))


@rule("instance_norm")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    value = taking.value(given["input"])
    if not given["use_input_stats"]:
        raise NotTakenError("it normalises by running statistics of each channel")
    layer = InstanceNormalization.over(len(value.shape) - 1)(eps=given["eps"], affine=given["weight"] is not None)
    return held(taking.add(layer, value, node=node, arrays={name: given[name] for name in ("weight", "bias")}))


@rule("alpha_dropout", "feature_alpha_dropout")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """Nothing in inference; no layer in foveate has such a dropout for training."""
    return taking.held(given["input"])


@rule("dropout", "feature_dropout")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    layer = SpatialDropout if "feature" in str(node.target) else Dropout
    return held(taking.add(layer(given["p"]), taking.value(given["input"]), node=node))


@rule("channel_shuffle", "native_channel_shuffle")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    return held(taking.add(ChannelShuffle(given["groups"]), taking.value(node.args[0]), node=node))


@rule("pixel_shuffle", "pixel_unshuffle")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    up = "upscale_factor" in given
    layer = PixelShuffle(given["upscale_factor"]) if up else PixelUnshuffle(given["downscale_factor"])
    return held(taking.add(layer, taking.value(given["self"]), node=node))


@rule("expand", "expand_as")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """An expansion before arithmetic, which repeats axes by itself; else copies of the only position of an axis."""
    source, shape = taking.held(given["self"]), shape_of(node)
    if source.shape == shape or all(operation(user)[0] in _REPEATING for user in node.users):
        return source
    value = taking.value(given["self"])
    if len(shape) != len(value.shape) or shape[0] != value.shape[0] or not 2 <= len(shape) <= 4:
        raise NotTakenError(
            "it repeats an axis that is not spatial, which is supported only directly before elementwise arithmetic"
        )
    return held(taking.add(Upsample(size=shape[1:]), value, node=node))


_REPEATING = ("mul", "multiply", "add", "sub", "subtract", "div", "divide", "true_divide")


@rule("getitem")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held | None:
    """One of several results, or None for those that nothing reads."""
    parts: list[Held | None] = taking.known[node.args[0]]  # type: ignore[index]
    return parts[node.args[1]]  # type: ignore[index]


def operation(node: fx.Node) -> tuple[str, bool]:
    """The name of a node's operation without its variant, and whether it works in place."""
    target = node.target
    name = str(getattr(getattr(target, "overloadpacket", target), "__name__", target))
    if name in RULES or not name.endswith("_") or name.endswith("__"):
        return name, False
    return name[:-1], True
