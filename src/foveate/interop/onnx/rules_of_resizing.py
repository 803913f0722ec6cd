"""Rules for Resize and Upsample: a layer with the same weights where there is one, else a product along each axis."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from foveate.errors import FoveateError
from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.onnx.resizing import Sampling, Weights, sizes_of
from foveate.interop.onnx.rules_of_movement import gathered
from foveate.interop.onnx.rules_of_products import multiplied
from foveate.interop.onnx.table import rule
from foveate.interop.onnx.taking import Fixed, Op
from foveate.interop.walk import NotTakenError
from foveate.layers import Layer, Resize, Shape, Transpose, Upsample
from foveate.layers.resize import axis_taps

MOST_OUTPUTS = 1 << 16
"""The longest axis that is made."""

MOST_WEIGHTS = 1 << 24
"""The most weights along an axis, outputs times inputs."""


CLOSE = 1e-6
"""How far weights may lie from those of a layer."""


@rule("Upsample")
def _(op: Op) -> Held:
    scales = op.option("scales", 1)
    how = Sampling(op.get("mode", "nearest"), "asymmetric", "floor")
    return _resized(op, list(range(op.rank())), scales, [], how)


@rule("Resize", since=10)
def _(op: Op) -> Held:
    how = Sampling(op.get("mode", "nearest"), "asymmetric", "floor")
    return _resized(op, list(range(op.rank())), op.fixed(1).tensor.tolist(), [], how)


@rule("Resize", since=11)
def _(op: Op) -> Held:
    rank = op.rank()
    axes = [axis % rank for axis in op.get("axes") or range(rank)]
    scales = [] if not op.has(2) else op.fixed(2).tensor.tolist()
    sizes = [] if not op.has(3) else op.fixed(3).tensor.tolist()
    if bool(scales) == bool(sizes) or len(scales or sizes) != len(axes):
        raise NotTakenError(f"it gives {len(scales)} scales and {len(sizes)} sizes for {len(axes)} axes")
    how = Sampling(
        op.get("mode", "nearest"),
        op.get("coordinate_transformation_mode", "half_pixel"),
        op.get("nearest_mode", "round_prefer_floor"),
        op.get("cubic_coeff_a", -0.75),
        bool(op.get("exclude_outside", 0)),
        bool(op.get("antialias", 0)),
    )
    return _resized(op, axes, scales, sizes, how)


def _resized(op: Op, axes: Sequence[int], scales: Sequence[float], sizes: Sequence[int], how: Sampling) -> Held:
    if how.mode not in ("nearest", "linear", "cubic"):
        raise NotTakenError(f'its mode is "{how.mode}"')
    full = op.shape()
    if len(scales or sizes) != len(axes):
        raise NotTakenError(f"it gives {len(scales or sizes)} numbers for {len(axes)} axes")
    policy = op.get("keep_aspect_ratio_policy", "stretch")
    made, factors = sizes_of(full, axes, scales, sizes, policy)
    if made[0] != full[0] or min(made) < 1:
        raise NotTakenError(f"it resizes the batch, or to nothing: {made}")
    whole = [how] * len(full)
    if how.coordinates == "tf_crop_and_resize":
        whole = _parts(op, axes, how)
    parted = {axis for axis in axes if whole[axis].part != (0, 1)}
    changing = [axis for axis in range(1, len(full)) if made[axis] != full[axis] or axis in parted]
    if any(made[axis] > MOST_OUTPUTS or made[axis] * full[axis] > MOST_WEIGHTS for axis in changing):
        raise NotTakenError(f"it resizes {full} to {made}")
    weights = {axis: whole[axis].weights(full[axis], made[axis], factors[axis]) for axis in changing}
    value = op.value()
    if not any(outside.any() for _, outside in weights.values()):
        layer = _layer(value.shape, tuple(made[1:]), {axis: table for axis, (table, _) in weights.items()}, factors)
        if layer is not None:
            return op.then(layer, value)
    filler = float(op.get("extrapolation_value", 0.0))
    for axis, (table, outside) in weights.items():
        value = _along(op, value, axis - 1, table, outside, filler)
    return held(value)


def _parts(op: Op, axes: Sequence[int], how: Sampling) -> list[Sampling]:
    from dataclasses import replace

    roi = op.fixed(1).tensor.tolist()
    if len(roi) != 2 * len(axes):
        raise NotTakenError(f"the part that it takes has {len(roi)} numbers")
    samplings = [how] * op.rank()
    for number, axis in enumerate(axes):
        samplings[axis] = replace(how, part=(float(roi[number]), float(roi[number + len(axes)])))
    return samplings


def _layer(before: Shape, made: Shape, weights: dict[int, Weights], factors: Sequence[float]) -> Layer | None:
    """A layer with these weights."""
    if not 2 <= len(before) <= 4 or made[0] != before[0]:
        return None
    for layer in _candidates(made, tuple(factors[2:])):
        try:
            if layer.output_shape([before]) != made:
                continue
        except FoveateError:
            continue
        if all(_has_weights(layer, before, made, axis - 1, weights[axis]) for axis in weights):
            return layer
    return None


def _candidates(made: Shape, factors: tuple[float, ...]) -> Iterator[Upsample | Resize]:
    whole = all(factor == int(factor) for factor in factors)
    scale = {"scale": tuple(int(f) for f in factors)} if whole else {"size": made[1:]}
    yield Upsample(**scale)  # type: ignore[arg-type]
    yield Upsample(**scale, mode="linear")  # type: ignore[arg-type]
    yield Upsample(size=made[1:], mode="linear", align_corners=True)
    for mode in ("nearest-exact", "cubic", "nearest", "linear"):
        yield Resize(size=made[1:], mode=mode)
        yield Resize(scale=factors, mode=mode)
    yield Resize(size=made[1:], mode="cubic", align_corners=True)
    for mode in ("linear", "cubic"):
        yield Resize(size=made[1:], mode=mode, antialias=True)


def _has_weights(layer: Upsample | Resize, before: Shape, made: Shape, axis: int, table: Weights) -> bool:
    """Whether a layer has these weights along an axis of a sample."""
    if isinstance(layer, Resize):
        taps = layer.taps(before)[axis - 1]
    else:
        taps = axis_taps(before[axis], made[axis], None, layer.mode, layer.align_corners, False)
    for row, (first, weights) in zip(table, taps, strict=True):
        part = row[first : first + len(weights)]
        elsewhere = np.abs(row).sum() - np.abs(part).sum()
        if elsewhere > CLOSE or not np.allclose(part, weights, atol=CLOSE):
            return False
    return True


def _along(op: Op, value: Value, axis: int, table: Weights, outside: NDArray[np.bool_], filler: float) -> Value:
    """Copies, or a product with the weights along the axis."""
    if not outside.any() and bool(((table == 0) | (table == 1)).all()):
        return gathered(op, value, axis, table.argmax(1).tolist()).value
    last = len(value.shape) - 1
    order = [*(each for each in range(last + 1) if each != axis), axis]
    moved = value if axis == last else op.add(Transpose(tuple(order)), value)
    bias = Fixed(np.where(outside, filler, 0.0).astype(np.float32)) if outside.any() else None
    made = multiplied(op, held(moved), Fixed(table.astype(np.float32)), bias).value
    return made if axis == last else op.add(Transpose(tuple(map(order.index, range(last + 1)))), made)
