"""What lies between the gradients and the parameters: clipping, accumulation, optimisers of one's own."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine
from tests.engines.example import BATCH, LABELS, NETWORK, batches, loaded, read, torch_network
from tests.support import Array, Arrays, beyond, bound, random_arrays, state_with

PLAIN = fv.Sequential(
    fv.Conv2d(8, 3, padding=1), fv.LeakyReLU(), fv.MaxPool2d(2), fv.Conv2d(5, 3), fv.Flatten(), fv.Linear(4)
).build((3, 8, 8))
"""Without batch normalisation: a batch in parts is the batch."""

PARAMETERS = list(NETWORK.parameters)


def program(engine: Engine, graph: fv.Graph = NETWORK, size: int = BATCH, **options: Any):
    options = {"optimizer": fv.SGD(), **options}
    return engine.compile(graph, batch_size=size, mode="training", loss=fv.CrossEntropy(), **options)


# Clipping


@pytest.mark.parametrize("most", [0.05, 1.0, 1e6], ids=["small", "one", "never"])
def test_gradients_are_clipped_as_pytorch_clips_them(any_engine: Engine, most: float):
    arrays = random_arrays(NETWORK)
    network = loaded(torch_network(), arrays).train()
    theirs = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    optimizer = fv.SGD(weight_decay=0.0)
    state = state_with(any_engine, NETWORK, arrays, optimizer=optimizer)
    clipped = program(any_engine, optimizer=optimizer, clip_norm=most)
    for x in batches():
        result = clipped.step(state, x, LABELS, learning_rate=0.05)
        theirs.zero_grad()
        F.cross_entropy(network(torch.tensor(x)), torch.tensor(LABELS)).backward()
        norm = float(torch.nn.utils.clip_grad_norm_(network.parameters(), most))
        theirs.step()
        assert result.norm == pytest.approx(norm, rel=1e-4)
        gradients = {name: clipped.gradient(name) for name in PARAMETERS}
        after = np.sqrt(sum(float((array.astype(np.float64) ** 2).sum()) for array in gradients.values()))
        assert after == pytest.approx(min(norm, most), rel=1e-4)
    expected = {name: p.detach().numpy() for name, p in zip(PARAMETERS, network.parameters(), strict=True)}
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), read(state, PARAMETERS), expected) == {}


def test_only_what_learns_counts_in_the_norm(engine: Engine):
    arrays, x = random_arrays(NETWORK), batches()[0]
    frozen = program(engine, clip_norm=1e6, freeze=["conv2", "linear1.bias"])
    result = frozen.step(state_with(engine, NETWORK, arrays, optimizer=fv.SGD()), x, LABELS, learning_rate=0.1)
    names = [name for name in PARAMETERS if not name.startswith("conv2.") and name != "linear1.bias"]
    squares = sum(float((frozen.gradient(name).astype(np.float64) ** 2).sum()) for name in names)
    assert result.norm == pytest.approx(squares**0.5, rel=1e-5)


def test_a_norm_that_is_no_number_leaves_the_state_as_it_was(engine: Engine):
    """The loss is finite, but what flows back is not."""
    graph = fv.Sequential(fv.BatchNorm2d(), Steep(), fv.Flatten(), fv.Linear(2)).build((1, 2, 2))
    state = engine.new_state(graph, fv.SGD())
    before, x = read(state), np.arange(8, dtype=np.float32).reshape(2, 1, 2, 2)
    with np.errstate(all="ignore"):
        result = program(engine, graph, 2, clip_norm=1.0).step(state, x, [0, 1], learning_rate=0.1)
    assert np.isfinite(result.loss)
    assert not np.isfinite(result.norm)
    assert not result.is_finite
    assert beyond(0, read(state), before) == {}
    assert state.step_count == 0


@dataclass(frozen=True)
class Steep(fv.ElementwiseLayer):
    """The identity, whose gradient is infinite."""

    label = "steep"


fv.engines.register(
    Steep,
    lambda layer, inputs, parameters: inputs[0].copy(),
    lambda layer, inputs, parameters, output, slope: ([np.full_like(slope, np.inf)], {}),
)


@pytest.mark.parametrize("most", [0, -1.0, float("inf"), float("nan"), "1", True])
def test_the_largest_norm_is_a_positive_number(engine: Engine, most: Any):
    with pytest.raises(fv.TrainingError, match=r"^clip_norm is .*; it must be positive and finite \(1\.0 is usual\)"):
        program(engine, clip_norm=most)


@pytest.mark.parametrize("options", [{"clip_norm": 1.0}, {"accumulate": True}])
def test_what_prepares_an_update_needs_one(engine: Engine, options: Any):
    with pytest.raises(fv.EngineError, match=r"^clip_norm and accumulate prepare an update; compile with an optimizer"):
        program(engine, optimizer=None, **options)


# Accumulation


@pytest.mark.parametrize("optimizer", [fv.SGD(), fv.AdamW(), fv.Lion()], ids=lambda each: type(each).__name__)
@pytest.mark.parametrize("clip", [None, 0.1])
def test_a_batch_in_parts_is_the_batch(any_engine: Engine, optimizer: fv.Optimizer, clip: float | None):
    arrays = random_arrays(PLAIN)
    whole, parted = (state_with(any_engine, PLAIN, arrays, optimizer=optimizer) for _ in range(2))
    at_once = program(any_engine, PLAIN, optimizer=optimizer, clip_norm=clip)
    parts = {
        size: program(any_engine, PLAIN, size, optimizer=optimizer, clip_norm=clip, accumulate=True)
        for size in (3, 2, 1)
    }
    for update, x in enumerate(batches()):
        at_once.step(whole, x, LABELS, learning_rate=0.01)
        for begin, end in ((0, 3), (3, 5), (5, 6)):
            result = parts[end - begin].step(
                parted, x[begin:end], LABELS[begin:end], learning_rate=0.01, share=(end - begin) / 6,
                first=begin == 0, last=end == 6, update=update,
            )  # fmt: skip
            assert (result.norm is None) == (clip is None or end < 6)
    names = list(PLAIN.parameters)
    assert parted.step_count == 15
    if isinstance(optimizer, fv.Lion):  # where the sum is nearly zero, rounding decides on its sign
        different = np.concatenate([np.abs(parted.read(n) - whole.read(n)).ravel() > 1e-5 for n in names])
        assert different.mean() < 0.002
    else:
        assert beyond(bound(any_engine, double=1e-9, single=2e-4), read(parted, names), read(whole, names)) == {}


def test_parts_are_added_up_as_by_pytorchs_backward(any_engine: Engine):
    """With batch normalisation, whose statistics are each part's own; the running ones move with each part."""
    arrays = random_arrays(NETWORK)
    network = loaded(torch_network(), arrays).train()
    theirs = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    optimizer = fv.SGD(weight_decay=0.0)
    state = state_with(any_engine, NETWORK, arrays, optimizer=optimizer)
    added = program(any_engine, optimizer=optimizer, accumulate=True)
    for number, x in enumerate(batches(4)):
        first, last = number % 2 == 0, number % 2 == 1
        before = read(state, PARAMETERS)
        added.step(state, x, LABELS, learning_rate=0.05, share=0.5, first=first, last=last)
        if first:
            theirs.zero_grad()
            assert beyond(0, read(state, PARAMETERS), before) == {}
        (F.cross_entropy(network(torch.tensor(x)), torch.tensor(LABELS)) / 2).backward()
        if last:
            theirs.step()
    expected = {name: p.detach().numpy() for name, p in zip(PARAMETERS, network.parameters(), strict=True)}
    running = {"bn1.running_mean": network[1].running_mean.numpy(), "bn1.running_var": network[1].running_var.numpy()}
    tolerance = bound(any_engine, double=1e-10, single=1e-4)
    assert beyond(tolerance, read(state, [*PARAMETERS, *running]), {**expected, **running}) == {}


def test_a_program_that_may_add_up_but_does_not_gives_the_same_bits(engine: Engine):
    arrays = random_arrays(NETWORK)
    states = [state_with(engine, NETWORK, arrays, optimizer=fv.SGD()) for _ in range(2)]
    for accumulate, state in zip((False, True), states, strict=True):
        compiled = program(engine, accumulate=accumulate)
        for x in batches():
            compiled.step(state, x, LABELS, learning_rate=0.1)
    assert beyond(0, *map(read, states)) == {}


def test_gradients_are_added_up_only_by_a_program_for_it(engine: Engine):
    state = engine.new_state(NETWORK, fv.SGD())
    with pytest.raises(fv.EngineError, match=r"added up only by a program that is compiled with accumulate=True"):
        program(engine).step(state, batches()[0], LABELS, learning_rate=0.1, last=False)


# Optimisers of one's own


@dataclass(frozen=True)
class Heavy(fv.Optimizer):
    """SGD with momentum and weight decay, as PyTorch has it."""

    slots = ("velocity",)
    momentum: float = 0.8
    weight_decay: float = 0.01

    def update(self, parameter, gradient, slots, now):
        gradient = gradient + (self.weight_decay * parameter if now.decays else 0)
        slots["velocity"][...] = now.momentum * slots["velocity"] + gradient
        return parameter - now.learning_rate * slots["velocity"]


@dataclass(frozen=True)
class Trusting(fv.Optimizer):
    """A step as long as the parameter is, filter by filter: it needs the parameter's own shape. No slots."""

    def update(self, parameter, gradient, slots, now):
        axes = tuple(range(1, parameter.ndim))
        norms = [np.sqrt(np.square(array).sum(axis=axes, keepdims=True)) for array in (parameter, gradient)]
        return parameter - now.learning_rate / now.step * gradient * (norms[0] / (norms[1] + 1e-3))


@pytest.mark.parametrize("factors", [{}, {"conv*": 0.1}])
def test_an_optimiser_of_ones_own_updates_as_the_built_in_one_it_transcribes(any_engine: Engine, factors: Any):
    arrays, states = random_arrays(NETWORK), []
    for optimizer in (Heavy(), fv.SGD(momentum=0.8, weight_decay=0.01, nesterov=False)):
        states.append(state_with(any_engine, NETWORK, arrays, optimizer=optimizer))
        compiled = program(any_engine, optimizer=optimizer, learning_rate_factors=factors)
        for x, momentum in zip(batches(), (None, 0.5, None, 0.9, None), strict=True):
            compiled.step(states[-1], x, LABELS, learning_rate=0.05, momentum=momentum)
    assert beyond(bound(any_engine, double=1e-12, single=1e-5), *map(read, states)) == {}
    slots = [state.read(f"{slot}/conv2.weight") for state, slot in zip(states, ("velocity", "momentum"), strict=True)]
    assert beyond(bound(any_engine, double=1e-12, single=1e-5), {"slot": slots[0]}, {"slot": slots[1]}) == {}


def test_it_sees_each_parameter_in_its_own_shape_and_counts_updates(any_engine: Engine):
    arrays = random_arrays(NETWORK)
    network = loaded(torch_network(), arrays).train()
    state = state_with(any_engine, NETWORK, arrays, optimizer=Trusting())
    compiled = program(any_engine, optimizer=Trusting(), freeze=["conv2.bias"])
    for count, x in enumerate(batches(), 1):
        compiled.step(state, x, LABELS, learning_rate=0.05)
        network.zero_grad()
        F.cross_entropy(network(torch.tensor(x)), torch.tensor(LABELS)).backward()
        with torch.no_grad():
            for name, p in zip(PARAMETERS, network.parameters(), strict=True):
                if name != "conv2.bias":
                    weight, slope = (t.reshape(len(p), -1).norm(dim=1) for t in (p, p.grad))
                    p.sub_(0.05 / count * p.grad * (weight / (slope + 1e-3)).reshape(-1, *[1] * (p.ndim - 1)))
    expected: Arrays = {name: p.detach().numpy() for name, p in zip(PARAMETERS, network.parameters(), strict=True)}
    assert beyond(bound(any_engine, double=1e-10, single=2e-4), read(state, PARAMETERS), expected) == {}


@dataclass(frozen=True)
class Flat(fv.Optimizer):
    def update(self, parameter, gradient, slots, now) -> Array:
        return np.zeros(3)


@dataclass(frozen=True)
class Nothing(fv.Optimizer):
    pass


class Thawed(fv.Optimizer):
    def update(self, parameter, gradient, slots, now) -> Array:
        return parameter


@dataclass(frozen=True)
class Listed(Thawed):
    slots = ["mean"]  # noqa: RUF012 (it is refused)


@dataclass(frozen=True)
class Best(Thawed):
    slots = ("best",)


@dataclass(frozen=True)
class OfObjects(Thawed):
    table: Any = field(default_factory=object)


@pytest.mark.parametrize(
    ("optimizer", "sentence"),
    [
        (Nothing(), r"Nothing has no update\(\); every optimizer must define it"),
        (Thawed(), r"Thawed must be a frozen dataclass derived from foveate\.Optimizer: @dataclass\(frozen=True\)"),
        (Listed(), r"Listed: slots is \['mean'\]; it must be a tuple of names, such as \(\"mean\",\)"),
        (Best(), r'Best: a slot may not be called "best"; checkpoints use it'),
        (OfObjects(), r"OfObjects: table is <object object at .*>, which no file can hold"),
        (fv.SGD, r"optimizer is <class .*SGD'>; give an optimiser such as SGD\(\)"),
    ],
    ids=lambda each: type(each).__name__ if isinstance(each, fv.Optimizer) else "",
)
def test_an_optimiser_that_cannot_be_one_is_refused(engine: Engine, optimizer: Any, sentence: str):
    with pytest.raises(fv.TrainingError, match=f"^{sentence}"):
        program(engine, optimizer=optimizer)


def test_an_update_that_returns_nothing_is_told(engine: Engine):
    @dataclass(frozen=True)
    class InPlace(fv.Optimizer):
        def update(self, parameter, gradient, slots, now):  # type: ignore[override]
            parameter -= now.learning_rate * gradient

    state = engine.new_state(NETWORK, InPlace())
    with pytest.raises(fv.TrainingError, match="InPlace: update returns nothing; return the parameter's new value"):
        program(engine, optimizer=InPlace()).step(state, batches()[0], LABELS, learning_rate=0.1)


def test_an_update_of_another_kind_is_told(engine: Engine):
    @dataclass(frozen=True)
    class Complex(fv.Optimizer):
        def update(self, parameter, gradient, slots, now):
            return parameter + 1j * gradient

    state = engine.new_state(NETWORK, Complex())
    with pytest.raises(fv.TrainingError, match="Complex: update returns numbers of type complex64; a parameter needs"):
        program(engine, optimizer=Complex()).step(state, batches()[0], LABELS, learning_rate=0.1)


def test_a_slot_that_is_given_another_array_is_told(engine: Engine):
    @dataclass(frozen=True)
    class Rebinding(fv.Optimizer):
        slots = ("mean",)

        def update(self, parameter, gradient, slots, now):
            slots["mean"] = 0.9 * slots["mean"] + gradient
            return parameter - now.learning_rate * slots["mean"]

    state = engine.new_state(NETWORK, Rebinding())
    sentence = 'update gives the slot "mean" another array, which nobody keeps; change it in place'
    with pytest.raises(fv.TrainingError, match=f"Rebinding: {sentence}"):
        program(engine, optimizer=Rebinding()).step(state, batches()[0], LABELS, learning_rate=0.1)


def test_an_update_of_another_shape_is_told(engine: Engine):
    state = engine.new_state(NETWORK, Flat())
    with pytest.raises(fv.TrainingError, match=r"Flat: update returns the shape 3, but the parameter has 8x3x3x3"):
        program(engine, optimizer=Flat()).step(state, batches()[0], LABELS, learning_rate=0.1)


# Moving towards another state


@pytest.mark.parametrize("share", [0.25, 1.0])
def test_a_state_moves_towards_another(any_engine: Engine, share: float):
    first, second = random_arrays(NETWORK), random_arrays(NETWORK, seed=1)
    state, other = (state_with(any_engine, NETWORK, arrays, optimizer=fv.SGD()) for arrays in (first, second))
    version = state.version
    state.move_towards(other, share)
    assert state.version > version
    expected = {name: first[name] + share * (second[name] - first[name]) for name in state.names()}
    tolerance = 0 if share == 1 else bound(any_engine, double=1e-15, single=1e-6)
    assert beyond(tolerance, read(state), read(other) if share == 1 else expected) == {}
    assert beyond(0, read(other), read(state_with(any_engine, NETWORK, second))) == {}
