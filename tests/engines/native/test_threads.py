"""Every layer on several threads: sums over threads and the shares of each thread come out as on one."""

from collections.abc import Iterator

import pytest

from foveate.engines import Engine, set_threads
from foveate.engines.native import _native
from tests.engines.cases import ALL_CASES, Case
from tests.support import beyond, random_arrays, random_inputs, random_seed, relative_error, run, single_layer


@pytest.fixture(params=[3], ids="{} threads".format)
def _threads(request: pytest.FixtureRequest) -> Iterator[None]:
    """Several threads, and as many as before afterwards."""
    before = _native.threads()
    set_threads(request.param)
    yield
    set_threads(before)


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("case", ALL_CASES.values(), ids=ALL_CASES)
@pytest.mark.parametrize("engine", ["native"], indirect=True)
def test_a_layer_on_several_threads_agrees_with_the_reference(case: Case, engine: Engine, truth: Engine):
    graph, batch = single_layer(case.layer, *case.shapes), case.batch
    arrays, inputs, seed = random_arrays(graph), random_inputs(graph, batch), random_seed(graph, batch)
    ours = run(engine, graph, arrays, inputs, seed, mode=case.mode)
    exact = run(truth, graph, arrays, inputs, seed, mode=case.mode)
    assert relative_error(ours.output, exact.output) <= 1e-5
    assert beyond(1e-4, ours.gradients, exact.gradients) == {}
