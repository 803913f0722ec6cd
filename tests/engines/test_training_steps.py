"""What a training step does besides gradients: optimisers, losses, smaller batches, seeds."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.engines import Engine, Request
from foveate.graph import Optimizer
from tests.engines.example import BATCH, LABELS, NETWORK, batches, loaded, read, torch_network
from tests.support import Arrays, beyond, bound, normal, random_arrays, relative_error, single_layer, state_with


class TorchLion(torch.optim.Optimizer):
    """The paper's algorithm 2 (arXiv 2302.06675), line by line."""

    def __init__(self, groups: Any, lr: float, betas: tuple[float, float] = (0.9, 0.99), weight_decay: float = 0.1):
        super().__init__(groups, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                c = first * m + (1 - first) * p.grad
                p.sub_(group["lr"] * (torch.sign(c) + group["weight_decay"] * p))
                m.copy_(second * m + (1 - second) * p.grad)


OPTIMIZERS: dict[str, tuple[Optimizer, Any]] = {
    "plain SGD": (
        fv.SGD(momentum=0.0, nesterov=False, weight_decay=0.0),
        lambda groups: torch.optim.SGD(groups, lr=0.05),
    ),
    "SGD with weight decay": (
        fv.SGD(momentum=0.0, nesterov=False, weight_decay=0.1),
        lambda groups: torch.optim.SGD(groups, lr=0.05, weight_decay=0.1),
    ),
    "SGD with momentum": (
        fv.SGD(momentum=0.8, nesterov=False, weight_decay=0.01),
        lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.8, weight_decay=0.01),
    ),
    "SGD with Nesterov": (
        fv.SGD(momentum=0.9, nesterov=True, weight_decay=0.05),
        lambda groups: torch.optim.SGD(groups, lr=0.05, momentum=0.9, nesterov=True, weight_decay=0.05),
    ),
    "AdamW": (fv.AdamW(), lambda groups: torch.optim.AdamW(groups, lr=0.05)),
    "AdamW with other numbers": (
        fv.AdamW(momentum=0.8, second_momentum=0.95, eps=1e-3, weight_decay=0.3),
        lambda groups: torch.optim.AdamW(groups, lr=0.05, betas=(0.8, 0.95), eps=1e-3, weight_decay=0.3),
    ),
    "Lion": (fv.Lion(), lambda groups: TorchLion(groups, lr=0.05)),
    "Lion with other numbers": (
        fv.Lion(momentum=0.8, second_momentum=0.95, weight_decay=0.3),
        lambda groups: TorchLion(groups, lr=0.05, betas=(0.8, 0.95), weight_decay=0.3),
    ),
}


@pytest.mark.parametrize(("optimizer", "make_theirs"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_five_steps_move_every_parameter_as_pytorchs_optimiser_does(
    any_engine: Engine, optimizer: Optimizer, make_theirs: Any
):
    """Weight decay is PyTorch's too, once biases and normalisation stand in a group without it."""
    arrays = random_arrays(NETWORK)
    network = loaded(torch_network(), arrays).train()
    decayed = [p for p in network.parameters() if p.ndim > 1]
    spared = [p for p in network.parameters() if p.ndim == 1]
    theirs = make_theirs([{"params": decayed}, {"params": spared, "weight_decay": 0.0}])
    state = state_with(any_engine, NETWORK, arrays, optimizer=optimizer)
    program = any_engine.compile(
        NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer
    )
    for x in batches():
        program.step(state, x, LABELS, learning_rate=0.05)
        theirs.zero_grad()
        F.cross_entropy(network(torch.tensor(x)), torch.tensor(LABELS)).backward()
        theirs.step()
    expected = {name: p.detach().numpy() for name, p in zip(NETWORK.parameters, network.parameters(), strict=True)}
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), read(state, list(NETWORK.parameters)), expected) == {}


@pytest.mark.parametrize(("optimizer", "make_theirs"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_parameters_learn_at_rates_of_their_own_as_pytorchs_groups_do(
    any_engine: Engine, optimizer: Optimizer, make_theirs: Any
):
    """A group for each parameter; the second pattern goes before the first where both match."""
    arrays, factors = random_arrays(NETWORK), {"conv*": 0.1, "conv2": 0.3, "*.bias": 2.0}
    by_name = {"conv1.weight": 0.1, "conv2.weight": 0.3, "bn1.bias": 2.0, "conv2.bias": 2.0, "linear1.bias": 2.0}
    network = loaded(torch_network(), arrays).train()
    ours = dict(zip(NETWORK.parameters, network.parameters(), strict=True))
    assert ours.keys() >= by_name.keys()
    groups = [
        {"params": [p], "lr": 0.05 * by_name.get(name, 1.0), **({} if p.ndim > 1 else {"weight_decay": 0.0})}
        for name, p in ours.items()
    ]
    theirs = make_theirs(groups)
    state = state_with(any_engine, NETWORK, arrays, optimizer=optimizer)
    options = {"loss": fv.CrossEntropy(), "optimizer": optimizer, "learning_rate_factors": factors}
    program = any_engine.compile(NETWORK, batch_size=BATCH, mode="training", **options)
    for x in batches():
        program.step(state, x, LABELS, learning_rate=0.05)
        theirs.zero_grad()
        F.cross_entropy(network(torch.tensor(x)), torch.tensor(LABELS)).backward()
        theirs.step()
    expected = {name: p.detach().numpy() for name, p in ours.items()}
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), read(state, list(NETWORK.parameters)), expected) == {}


def test_factors_that_are_one_make_the_program_that_has_none(engine: Engine):
    options = {"batch_size": BATCH, "mode": "training", "loss": fv.CrossEntropy(), "optimizer": fv.SGD()}
    plain = Request.of(NETWORK, **options)
    assert Request.of(NETWORK, **options, learning_rate_factors={"*": 0.5, "conv*": 1, "*1.*": 1, "bn1": 1.0}) == plain


@pytest.mark.parametrize("factor", [0, -0.1, float("inf"), float("nan"), True, "0.1", None])
def test_a_factor_is_a_positive_number(factor: object):
    with pytest.raises(fv.TrainingError, match=r'factor of "conv\*" is .+; it must be positive and finite \(freeze'):
        Request.of(NETWORK, batch_size=2, mode="training", learning_rate_factors={"conv*": factor})


def test_factors_stand_by_patterns_of_parameters():
    with pytest.raises(fv.GraphError, match=r'no parameter is called "features.\*"\. Nearest: '):
        Request.of(NETWORK, batch_size=2, mode="training", learning_rate_factors={"features.*": 0.1})
    with pytest.raises(fv.GraphError, match=r'"\*.running_mean" matches statistics alone'):
        Request.of(NETWORK, batch_size=2, mode="training", learning_rate_factors={"*.running_mean": 0.1})
    with pytest.raises(fv.TrainingError, match=r"learning_rate_factors is 0.1; give factors by name or pattern"):
        Request.of(NETWORK, batch_size=2, mode="training", learning_rate_factors=0.1)


def test_the_momentum_of_a_step_goes_before_the_optimisers_own(any_engine: Engine):
    arrays = random_arrays(NETWORK)
    given, own = fv.SGD(momentum=0.5), fv.SGD(momentum=0.8)
    states = [state_with(any_engine, NETWORK, arrays, optimizer=optimizer) for optimizer in (given, own)]
    for optimizer, state, momentum in ((given, states[0], 0.8), (own, states[1], None)):
        program = any_engine.compile(
            NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer
        )
        for x in batches(3):
            program.step(state, x, LABELS, learning_rate=0.1, momentum=momentum)
    assert beyond(0, *map(read, states)) == {}


def test_a_step_without_an_optimiser_computes_gradients_and_moves_no_parameter(engine: Engine):
    arrays = random_arrays(NETWORK)
    state = state_with(engine, NETWORK, arrays)
    program = engine.compile(NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy())
    program.step(state, batches()[0], LABELS, learning_rate=1.0)
    assert beyond(0, read(state, list(NETWORK.parameters)), {n: arrays[n] for n in NETWORK.parameters}) == {}
    assert all(np.any(program.gradient(name)) for name in NETWORK.parameters)


def test_a_numpy_learning_rate_leaves_the_parameters_in_the_engines_type(engine: Engine):
    optimizer = fv.SGD()
    state = engine.new_state(NETWORK, optimizer)
    program = engine.compile(NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    program.step(state, batches()[0], LABELS, learning_rate=np.float64(0.1))
    assert state.read("conv1.weight").dtype == np.float32


@pytest.mark.parametrize("weight", [None, [1.0, 2.0, 0.0, 0.5, 3.0, 1.0]], ids=["equal", "weighted"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.7])
def test_the_loss_and_its_gradients_are_pytorchs(any_engine: Engine, smoothing: float, weight: list[float] | None):
    arrays, x = random_arrays(NETWORK), batches()[0]
    network = loaded(torch_network(), arrays).train()
    losses = F.cross_entropy(
        network(torch.tensor(x)), torch.tensor(LABELS), label_smoothing=smoothing, reduction="none"
    )
    weights = torch.ones(BATCH, dtype=torch.float64) if weight is None else torch.tensor(weight, dtype=torch.float64)
    expected = (losses * weights).sum() / weights.sum()
    expected.backward()
    program = any_engine.compile(
        NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(label_smoothing=smoothing)
    )
    result = program.step(state_with(any_engine, NETWORK, arrays), x, LABELS, sample_weight=weight)
    assert result.loss == pytest.approx(expected.item(), rel=bound(any_engine, double=1e-12, single=1e-5))
    theirs = {name: p.grad.numpy() for name, p in zip(NETWORK.parameters, network.parameters(), strict=True)}
    ours = {name: program.gradient(name) for name in NETWORK.parameters}
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), ours, theirs) == {}


def test_a_sample_of_weight_zero_teaches_nothing(engine: Engine):
    graph = single_layer(fv.Linear(3), (4,))
    arrays, x = random_arrays(graph), normal((3, 4))
    program = engine.compile(graph, batch_size=3, mode="training", loss=fv.CrossEntropy())
    loss = program.step(state_with(engine, graph, arrays), x, [0, 1, 2], sample_weight=[1, 1, 0]).loss
    smaller = engine.compile(graph, batch_size=2, mode="training", loss=fv.CrossEntropy())
    assert loss == pytest.approx(smaller.step(state_with(engine, graph, arrays), x[:2], [0, 1]).loss, rel=1e-6)
    assert relative_error(program.gradient("layer.weight"), smaller.gradient("layer.weight")) <= 1e-6


def test_a_smaller_last_batch_trains_the_same_state_as_another_program(any_engine: Engine):
    arrays, optimizer = random_arrays(NETWORK), fv.SGD(momentum=0.9, nesterov=True, weight_decay=0.0)
    network = loaded(torch_network(), arrays).train()
    theirs = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9, nesterov=True)
    state = state_with(any_engine, NETWORK, arrays, optimizer=optimizer)
    programs = {
        size: any_engine.compile(NETWORK, batch_size=size, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
        for size in (BATCH, 2)
    }
    for x, size in zip(batches(4), (BATCH, 2, BATCH, 2), strict=True):
        programs[size].step(state, x[:size], LABELS[:size], learning_rate=0.05)
        theirs.zero_grad()
        F.cross_entropy(network(torch.tensor(x[:size])), torch.tensor(LABELS[:size])).backward()
        theirs.step()
    expected = {name: p.detach().numpy() for name, p in zip(NETWORK.parameters, network.parameters(), strict=True)}
    assert beyond(bound(any_engine, double=1e-10, single=1e-4), read(state, list(expected)), expected) == {}


def train(engine: Engine, seed: int) -> Arrays:
    """Three steps with dropout from freshly initialised parameters."""
    graph = fv.Sequential(
        fv.Conv2d(16, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.Dropout(0.3), fv.Flatten(), fv.Linear(4)
    ).build((3, 8, 8))
    optimizer = fv.AdamW()
    state = engine.new_state(graph, optimizer, seed=seed)
    program = engine.compile(graph, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    for x in batches(3):
        program.step(state, x, LABELS, learning_rate=0.01)
    return read(state, state.names(slots=True))


def test_the_same_seed_twice_gives_identical_bits(engine: Engine):
    first, second = train(engine, 3), train(engine, 3)
    assert {name for name in first if first[name].tobytes() != second[name].tobytes()} == set()


def test_another_seed_gives_other_parameters(engine: Engine):
    first, second = train(engine, 3), train(engine, 4)
    assert relative_error(first["conv1.weight"], second["conv1.weight"]) > 0.1
