"""The step that compares the output with its targets: cross-entropy in C++, other losses by the reference's NumPy."""

from collections.abc import Sequence
from math import prod

import numpy as np

from foveate.engines.native import _native
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.engines.native.rules.callback import numbered, view
from foveate.engines.reference.losses import count_correct, loss_and_gradient
from foveate.graph import CrossEntropy, Loss


def lower_loss(lowering: Lowering, loss: Loss, gradient: Array) -> None:
    """Add the step that writes the loss, the count of correct samples, and the output's `gradient`."""
    batch, shape = lowering.batch_size, lowering.graph.output_shape
    output = lowering.plan.plain(lowering.values[lowering.graph.only_output])
    weights = lowering.outside("sample_weight", _native.Layout.plain([batch]))
    results = lowering.outside("results", _native.Layout.plain([4]))
    if isinstance(loss, CrossEntropy):
        operands: dict[str, Array | None] = {
            "logits": output,
            "targets": lowering.outside("targets", _native.Layout.plain([2 * batch])),
            "weights": weights,
            "results": results,
            "gradient": gradient,
        }
        lowering.plan.run(_native.cross_entropy(batch, prod(shape), loss.label_smoothing), operands)
        return
    targets = lowering.outside("targets", _native.Layout.plain([batch * prod(shape)]))

    def call(addresses: Sequence[int]) -> None:
        dims = [batch, *shape]
        outputs, wanted = view(addresses[0], dims), view(addresses[1], dims)
        measured, slope = loss_and_gradient(loss, outputs, wanted, view(addresses[2], [batch]))
        view(addresses[3], [2], np.float64)[0] = measured
        view(addresses[3], [2], np.int64)[1] = count_correct(loss, outputs, wanted)
        view(addresses[4], dims)[...] = slope

    operands = numbered((output, targets, weights, results, gradient))
    lowering.plan.run(_native.callback(type(loss).__name__, call), operands)
