"""The steps that compare outputs with their targets, and start the way back."""

from math import prod

from foveate.engines.native import _native
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.request import OutputLoss
from foveate.graph import BinaryCrossEntropy, CrossEntropy


def add_loss(ledger: Ledger, number: int, wanted: OutputLoss, gradient: Array) -> None:
    """Add the step that writes result `number`, and the output's `gradient`."""
    loss, batch, outputs = wanted.loss, ledger.batch_size, prod(ledger.graph.shapes[wanted.output])
    # Layouts count in float32: class indices take two each.
    target_numbers = 2 * batch if isinstance(loss, CrossEntropy) else batch * outputs
    operands: dict[str, Array | None] = {
        "outputs": ledger.plan.plain(ledger.values[wanted.output]),
        "targets": ledger.outside(f"targets:{wanted.output}", _native.Layout.plain([target_numbers])),
        "sample_weight": ledger.outside("sample_weight", _native.Layout.plain([batch])),
        "gradient": gradient,
    }
    shape = _native.LossShape(number, batch, outputs, wanted.weight)
    if isinstance(loss, CrossEntropy):
        operation = _native.cross_entropy(shape, loss.label_smoothing)
    elif isinstance(loss, BinaryCrossEntropy):
        operation = _native.binary_cross_entropy(shape)
    else:
        operation = _native.mean_squared_error(shape)
    ledger.plan.run(operation, operands)
