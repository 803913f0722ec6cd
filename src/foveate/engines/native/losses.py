"""The steps that compare outputs with their targets, and start the way back."""

from collections.abc import Callable, Sequence
from math import isfinite, prod
from typing import Any

import numpy as np

import foveate.engines.reference  # noqa: F401 (fills the table of losses)
from foveate.engines.losses import count_correct, measure_of
from foveate.engines.native import _native
from foveate.engines.native.callbacks import RunningState, view
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.program import StepResult
from foveate.engines.request import OutputLoss
from foveate.graph import L1, BinaryCrossEntropy, CrossEntropy, Dice, Focal, Huber, Loss, MeanSquaredError


def _pos_weight(loss: BinaryCrossEntropy, channels: int) -> list[float]:
    given = loss.pos_weight
    return list(given) if isinstance(given, tuple) else [1.0 if given is None else given] * channels


_KERNELS: dict[type[Loss], Callable[[Any, _native.LossShape], _native.Operation]] = {
    CrossEntropy: lambda loss, shape: _native.cross_entropy(
        shape, loss.label_smoothing, list(loss.class_weights or ())
    ),
    Dice: lambda loss, shape: _native.dice(shape, loss.smooth),
    BinaryCrossEntropy: lambda loss, shape: _native.binary_cross_entropy(shape, _pos_weight(loss, shape.channels)),
    Focal: lambda loss, shape: _native.focal(shape, loss.gamma, loss.alpha),
    MeanSquaredError: lambda loss, shape: _native.mean_squared_error(shape),
    L1: lambda loss, shape: _native.absolute_error(shape),
    Huber: lambda loss, shape: _native.huber(shape, loss.delta),
}
"""By exact type; other losses are called back for."""


def add_loss(ledger: Ledger, number: int, wanted: OutputLoss, gradient: Array) -> None:
    """Add the step that writes result `number`, and the output's `gradient`."""
    channels, *positions = ledger.graph.shapes[wanted.output]
    operands = {"outputs": ledger.plan.plain(ledger.values[wanted.output])}
    if "classes" in wanted.loss.targets:
        # Layouts count in float32: class indices take two each.
        indices = _native.Layout.plain([2 * ledger.batch_size * prod(positions)])
        operands["classes"] = ledger.outside(f"classes:{wanted.output}", indices)
    if wanted.loss.targets != ("classes",):
        operands["numbers"] = ledger.outside(f"numbers:{wanted.output}", ledger.plain_layout(wanted.output))
    operands["sample_weight"] = ledger.outside("sample_weight", _native.Layout.plain([ledger.batch_size]))
    operands["gradient"] = gradient
    make = _KERNELS.get(type(wanted.loss))
    if make is None:
        _call_back(ledger, number, wanted, operands)
    else:
        shape = _native.LossShape(number, ledger.batch_size, channels, prod(positions), wanted.weight)
        ledger.plan.run(make(wanted.loss, shape), operands)


def _call_back(ledger: Ledger, number: int, wanted: OutputLoss, operands: dict[str, Array]) -> None:
    """Hand plain arrays to the NumPy functions of a custom loss, in the middle of a run."""
    loss, measure, dims = wanted.loss, measure_of(wanted.loss), ledger.dims(wanted.output)

    def call(run: RunningState, addresses: Sequence[int]) -> bool:
        at = dict(zip(operands, addresses, strict=True))
        outputs = view(at["outputs"], dims)
        # Of the two places for targets the run gave one; the other's address is 0.
        classes = at.get("classes")
        targets = view(classes, [dims[0], *dims[2:]], np.int64) if classes else view(at["numbers"], dims)
        measured = measure(loss, outputs, targets, view(at["sample_weight"], dims[:1]))
        view(at["gradient"], dims)[...] = wanted.weight * measured.gradient
        run.measured[number] = StepResult(measured.loss, *count_correct(loss, outputs, targets))
        return not isfinite(measured.loss)

    ledger.call(type(loss).__name__, call, operands)
