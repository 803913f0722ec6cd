"""The steps that lead from gradients to an update: added up, clipped, then applied.

They work stretch by stretch on the packed arrays, skipping what does not learn.
"""

from collections.abc import Sequence

from foveate.engines.native import _native
from foveate.engines.native.callbacks import RunningState, view
from foveate.engines.native.ledger import Ledger, placed
from foveate.engines.native.plan import aligned
from foveate.engines.own_updates import Learning, own_update
from foveate.graph import SGD, AdamW, Lion, Optimizer


def add_preparation(ledger: Ledger) -> None:
    """Add the step that adds up the gradients of several batches."""
    stretches = _stretches(ledger)
    if stretches and ledger.request.accumulate:
        with ledger.plan.at("optimizer"):
            operands = {name: ledger.outside(name, _all_numbers(ledger)) for name in ("gradients", "accumulated")}
            ledger.plan.run(_native.accumulate(stretches), operands)


def add_update(ledger: Ledger, optimizer: Optimizer) -> None:
    """Add the steps that clip and apply the gradients; the program's gradients must be there."""
    stretches, request = _stretches(ledger), ledger.request
    if not stretches:  # nothing learns, and there are no gradients
        return
    with ledger.plan.at("optimizer"):
        if request.clip_norm is not None:
            clipped = _native.clip_norm(stretches, request.clip_norm, len(request.losses))
            ledger.plan.run(clipped, {"gradients": ledger.outside("gradients", _all_numbers(ledger))})
        if not isinstance(optimizer, SGD | AdamW | Lion):
            for name in _learning(ledger):
                _call_back(ledger, optimizer, name)
            return
        spaces = {"parameters": "parameters", "gradients": "gradients"} | {s: f"slot:{s}" for s in optimizer.slots}
        operands = {name: ledger.outside(space, _all_numbers(ledger)) for name, space in spaces.items()}
        ledger.plan.run(_operation(optimizer, stretches), operands)


def _operation(optimizer: SGD | AdamW | Lion, stretches: list[_native.Stretch]) -> _native.Operation:
    if isinstance(optimizer, SGD):
        return _native.sgd(stretches, optimizer.nesterov, optimizer.weight_decay)
    if isinstance(optimizer, Lion):
        return _native.lion(stretches, optimizer.second_momentum, optimizer.weight_decay)
    return _native.adamw(stretches, optimizer.second_momentum, optimizer.eps, optimizer.weight_decay)


def _call_back(ledger: Ledger, optimizer: Optimizer, name: str) -> None:
    """Hand plain arrays of one parameter to the NumPy function of an optimiser of one's own, and take them back."""
    place, parameter = ledger.packing.parameters[name], ledger.graph.parameters[name]
    factor = dict(ledger.request.rate_factors).get(name, 1.0)
    spaces = {"parameter": "parameters", "gradient": "gradients"} | {s: f"slot:{s}" for s in optimizer.slots}
    homes = {operand: placed(space, place) for operand, space in spaces.items()}
    plain = {operand: ledger.plan.in_layout(home, place.canonical) for operand, home in homes.items()}

    def call(run: RunningState, addresses: Sequence[int]) -> None:
        arrays = [view(address, parameter.shape) for address in addresses]
        value, gradient, *slots = arrays
        learning = Learning(value, gradient, dict(zip(optimizer.slots, slots, strict=True)), parameter.decay)
        rates = run.rates._replace(learning_rate=factor * run.rates.learning_rate)
        value[...] = own_update(optimizer, learning, rates, run.update + 1)

    ledger.call(type(optimizer).__name__, call, plain)
    for operand, home in homes.items():
        if operand != "gradient" and plain[operand] is not home:
            ledger.plan.run(
                _native.reorder_operation(plain[operand].layout, home.layout), {"src": plain[operand], "dst": home}
            )


def _all_numbers(ledger: Ledger) -> _native.Layout:
    return _native.Layout.plain([max(1, ledger.packing.parameter_bytes // 4)])


def _learning(ledger: Ledger) -> list[str]:
    """The names of the parameters that learn, in the order in which they lie."""
    places = sorted(ledger.packing.parameters.items(), key=lambda item: item[1].offset)
    return [name for name, _ in places if ledger.graph.parameters[name].trainable and ledger.request.learns(name)]


def _stretches(ledger: Ledger) -> list[_native.Stretch]:
    """The stretches that learn, in order; neighbours that decay alike, at one learning rate, form one stretch."""
    joined: list[tuple[int, int, bool, float]] = []
    factors = dict(ledger.request.rate_factors)
    for name in _learning(ledger):
        place, parameter = ledger.packing.parameters[name], ledger.graph.parameters[name]
        begin, end = place.offset // 4, (place.offset + aligned(place.layout.bytes)) // 4
        how = parameter.decay, factors.get(name, 1.0)
        if joined and joined[-1][1:] == (begin, *how):
            begin = joined.pop()[0]
        joined.append((begin, end, *how))
    return [_native.Stretch(*stretch) for stretch in joined]
