"""The step that compares the output with its targets, and starts the way back."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.lowering import Lowering
from foveate.engines.native.plan import Array
from foveate.graph import BinaryCrossEntropy, CrossEntropy, Loss


def lower_loss(lowering: Lowering, loss: Loss, gradient: Array) -> None:
    """Add the step that writes the loss, the count of correct samples, and the output's `gradient`."""
    batch, outputs = lowering.batch_size, prod(lowering.graph.output_shape)
    # Layouts count in float32: class indices take two each, and so do the numbers of the results.
    target_numbers = 2 * batch if isinstance(loss, CrossEntropy) else batch * outputs
    operands: dict[str, Array | None] = {
        "outputs": lowering.plan.plain(lowering.values[lowering.graph.only_output]),
        "targets": lowering.outside("targets", _native.Layout.plain([target_numbers])),
        "weights_of_samples": lowering.outside("sample_weight", _native.Layout.plain([batch])),
        "results": lowering.outside("results", _native.Layout.plain([4])),
        "gradient": gradient,
    }
    if isinstance(loss, CrossEntropy):
        operation = _native.cross_entropy(batch, outputs, loss.label_smoothing)
    elif isinstance(loss, BinaryCrossEntropy):
        operation = _native.binary_cross_entropy(batch, outputs)
    else:
        operation = _native.mean_squared_error(batch, outputs)
    lowering.plan.run(operation, operands)
