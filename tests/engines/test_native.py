"""What only the native engine has: threads, folding, a profile, Winograd, and a sentence where it was not built."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.engines import Engine, get_engine, set_threads
from foveate.zoo import make
from tests.engines.cases import conv
from tests.engines.example import BATCH, LABELS, NETWORK, batches, read
from tests.support import (
    Arrays,
    beyond,
    normal,
    random_arrays,
    random_inputs,
    random_seed,
    relative_error,
    run,
    single_layer,
    state_with,
)


@pytest.fixture
def _threads() -> Iterator[None]:
    """Afterwards as many threads as before."""
    from foveate.engines.native import _native

    before = _native.threads()
    yield
    set_threads(before)


def train(threads: int) -> Arrays:
    """Three steps of SGD with this many threads."""
    set_threads(threads)
    engine, optimizer = get_engine("native"), fv.SGD()
    state = state_with(engine, NETWORK, random_arrays(NETWORK), optimizer=optimizer)
    program = engine.compile(NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    for x in batches(3):
        program.step(state, x, LABELS, learning_rate=0.05)
    return read(state, state.names(slots=True))


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_number_of_threads_gives_the_same_bits(threads: int):
    first, second = train(threads), train(threads)
    assert {name for name in first if first[name].tobytes() != second[name].tobytes()} == set()


@pytest.mark.usefixtures("_threads")
def test_a_program_keeps_its_threads_where_infinities_send_it_a_second_way():
    """The program of the second way is compiled when it is first needed, after `set_threads` said something else."""
    engine, random = get_engine("native"), np.random.default_rng(0)
    graph = fv.Sequential(fv.Conv2d(8, 3), fv.ReLU(), fv.Conv2d(12, 3), fv.ReLU(), fv.Flatten(), fv.Linear(3)).build(
        (3, 20, 20), quiet=True
    )
    x, y = random.standard_normal((12, 3, 20, 20)).astype(np.float32), np.arange(12) % 3

    def gradients(compiled_for: int, run_after: int) -> dict[str, bytes]:
        set_threads(compiled_for)
        program = engine.compile(graph, batch_size=12, mode="training", loss=fv.CrossEntropy())
        set_threads(run_after)
        state = engine.new_state(graph, seed=0)
        state.load("conv2.bias", [0, 0, -np.inf, *[0] * 9])
        assert np.isfinite(program.step(state, x, y).loss)
        return {name: program.gradient(name).tobytes() for name in graph.parameters}

    assert gradients(1, 3) == gradients(1, 1) != gradients(3, 3)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("threads", [2, 3, 5])
def test_another_number_of_threads_gives_the_same_numbers_but_for_rounding(threads: int):
    assert beyond(1e-4, train(threads), train(1)) == {}


def test_a_run_leaves_the_callers_denormal_numbers_alone():
    train_once = get_engine("native").compile(NETWORK, batch_size=BATCH, mode="inference")
    train_once.forward(get_engine("native").new_state(NETWORK), batches(1)[0])
    denormal = np.full(8, 1e-39, np.float32)
    assert np.all(denormal * np.float32(0.5) != 0)


def test_inference_folds_normalisation_into_the_convolution_and_fuses_relu():
    program = get_engine("native").compile(make("vgg6"), batch_size=8, mode="inference")
    operations = [step.operation for step in program.steps()]
    assert not any("norm" in operation or "relu" in operation for operation in operations)
    assert sum("convolution" in operation and "transform" not in operation for operation in operations) == 6


def test_a_profile_of_a_training_step_leaves_the_parameters_as_they_were():
    engine, optimizer = get_engine("native"), fv.SGD()
    state = state_with(engine, NETWORK, random_arrays(NETWORK), optimizer=optimizer)
    before = read(state, list(NETWORK.parameters))
    program = engine.compile(NETWORK, batch_size=BATCH, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
    program.profile(state, batches(1)[0], LABELS.astype(np.int64))  # type: ignore[attr-defined]
    assert beyond(0, read(state, list(NETWORK.parameters)), before) == {}


@pytest.mark.parametrize(
    ("shape", "filters", "batch", "options"),
    [
        ((16, 23, 21), 16, 4, {"padding": 1}),
        ((32, 24, 24), 48, 4, {"padding": 1}),
        ((16, 26, 27), 32, 4, {"padding": 0}),
        ((16, 21, 22), 16, 4, {"padding": 2}),
        ((16, 21, 22), 16, 4, {"padding": 3}),
        ((32, 45, 46), 16, 1, {"padding": 1}),
        ((16, 25, 23), 16, 4, {"padding": ((0, 1), (2, 0))}),
        ((16, 5, 6), 16, 40, {"padding": 1}),
        ((48, 3, 3), 16, 130, {"padding": 1}),
        ((16, 47, 48), 16, 4, {"padding": 1, "stride": 2}),
        ((16, 23, 22), 16, 4, {"padding": 2, "dilation": 2}),
        ((32, 23, 22), 32, 4, {"padding": 1, "groups": 2}),
        ((17, 23, 22), 16, 4, {"padding": 1}),
        ((16, 23, 22), 24, 4, {"padding": 1}),
        ((1, 28, 28), 32, 8, {"padding": 1}),
    ],
    ids=str,
)
@pytest.mark.parametrize("bias", [True, False], ids=["bias", "no bias"])
def test_a_convolution_large_enough_for_winograd_is_exact_whether_it_suits_him_or_not(
    truth: Engine, shape: tuple[int, ...], filters: int, batch: int, options: dict[str, Any], bias: bool
):
    graph = single_layer(conv(shape, filters, 3, bias=bias, **options).layer, shape)
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, batch), random_seed(graph, batch)
    ours, exact = (run(e, graph, arrays, inputs, seed) for e in (get_engine("native"), truth))
    assert relative_error(ours.output, exact.output) <= 1e-5
    assert beyond(1e-4, ours.gradients, exact.gradients) == {}


def test_where_it_was_not_built_one_sentence_says_what_to_install():
    script = (
        "import sys, warnings; sys.modules['foveate.engines.native._native'] = None\n"
        "from foveate.engines import default_engine\n"
        "with warnings.catch_warnings(record=True) as told:\n"
        "    warnings.simplefilter('always')\n"
        "    print(default_engine().name, default_engine().name, len(told))\n"
        "    print(told[0].message)\n"
    )
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    first, sentence = done.stdout.splitlines()
    assert first == "torch torch 1"
    assert re.match(r"the native engine cannot be loaded \(.*\)\. It needs a C\+\+ compiler and oneDNN", sentence)
    assert sentence.endswith("The torch engine is used instead.")


def test_many_programs_run_on_one_state():
    engine = get_engine("native")
    state = state_with(engine, NETWORK, random_arrays(NETWORK))
    programs = {size: engine.compile(NETWORK, batch_size=size, mode="inference") for size in (1, 3, 7)}
    x = normal((7, 3, 8, 8))
    together = programs[7].forward(state, x)["linear1"]
    apart = {str(size): programs[size].forward(state, x[:size])["linear1"] for size in (1, 3)}
    assert beyond(1e-5, apart, {str(size): together[:size] for size in (1, 3)}) == {}
