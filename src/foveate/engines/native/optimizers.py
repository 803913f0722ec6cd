"""The step that updates the parameters: stretch by stretch of the packed arrays, skipping those that do not learn."""

from foveate.engines.native import _native
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import aligned
from foveate.graph import SGD, Optimizer


def add_update(ledger: Ledger, optimizer: Optimizer) -> None:
    """Add the step; the program's gradients must be there."""
    stretches = _stretches(ledger)
    if not stretches:  # nothing learns, and there are no gradients
        return
    numbers = _native.Layout.plain([max(1, ledger.packing.parameter_bytes // 4)])
    spaces = {"parameters": "parameters", "gradients": "gradients"} | {s: f"slot:{s}" for s in optimizer.slots}
    operands = {name: ledger.outside(space, numbers) for name, space in spaces.items()}
    if isinstance(optimizer, SGD):
        operation = _native.sgd(stretches, optimizer.nesterov, optimizer.weight_decay)
    else:
        operation = _native.adamw(stretches, optimizer.second_momentum, optimizer.eps, optimizer.weight_decay)
    with ledger.plan.at("optimizer"):
        ledger.plan.run(operation, operands)


def _stretches(ledger: Ledger) -> list[_native.Stretch]:
    """The stretches that learn, in order; neighbours that decay alike, at one learning rate, form one stretch."""
    joined: list[tuple[int, int, bool, float]] = []
    factors = dict(ledger.request.rate_factors)
    places = sorted(ledger.packing.parameters.items(), key=lambda item: item[1].offset)
    for name, place in places:
        parameter = ledger.graph.parameters[name]
        if not parameter.trainable or not ledger.request.learns(name):
            continue
        begin, end = place.offset // 4, (place.offset + aligned(place.layout.bytes)) // 4
        how = parameter.decay, factors.get(name, 1.0)
        if joined and joined[-1][1:] == (begin, *how):
            begin = joined.pop()[0]
        joined.append((begin, end, *how))
    return [_native.Stretch(*stretch) for stretch in joined]
