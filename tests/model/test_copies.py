"""A model is a value: it survives copying, pickling, other processes, and the end of the program in any state.

Programs that may crash or hang run in a process of their own.
"""

import copy
import os
import pickle
import signal
import subprocess
import sys

import numpy as np
import pytest

from foveate import Model
from tests.model.conftest import blobs

PROGRAM = """
import multiprocessing, sys, time
from dataclasses import dataclass
from threading import Thread
import numpy as np
import foveate as fv

@dataclass(frozen=True)
class Same(fv.Layer):
    label = "same"
    def output_shape(self, input_shapes):
        return input_shapes[0]

fv.engines.register(Same, lambda layer, inputs, parameters: inputs[0], lambda layer, i, p, o, slope: ([slope], {}))
x = np.random.default_rng(0).standard_normal((40, 1, 24, 24), np.float32)

def network(*own):
    layers = fv.Conv2d(16, 3, padding=1), *own, fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(3)
    return fv.Sequential(*layers).build((1, 24, 24))

def answer(model):
    try:
        return model.logits(x).tobytes()
    except fv.FoveateError as error:
        return str(error)
"""
LOADED = """
fv.set_threads(2)
fv.Model(network()).save(sys.argv[1])
model = fv.load(sys.argv[1])
expected = answer(model)
"""
FORKED = """
def in_child(_):
    return answer(model)
if __name__ == "__main__":
    with multiprocessing.get_context("fork").Pool(2) as pool:
        print(*{"the same" if given == expected else given for given in pool.map(in_child, range(4))})
"""
SPAWNED = """
if __name__ == "__main__":
    {model}
    expected = answer(model)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        print(*{{given == expected for given in pool.map(answer, [model] * 4)}})
"""
FOR_EVER = """
def for_ever():
    while True:
        model.logits(x)
Thread(target=for_ever, daemon=True).start()
time.sleep(0.5)
"""


def run(tmp_path, *parts, seconds=60):
    """The exit status, stdout and stderr of a program; it and its children are ended after `seconds`."""
    program = tmp_path / "program.py"
    program.write_text("".join((PROGRAM, *parts)))
    command = [sys.executable, "-W", "error", str(program), str(tmp_path / "model.safetensors")]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
    ) as process:
        try:
            out, error = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            pytest.fail(f"the program did not end in {seconds} s")
    return process.returncode, out, error


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    **{f"pickle {n}": lambda model, n=n: pickle.loads(pickle.dumps(model, n)) for n in (2, pickle.HIGHEST_PROTOCOL)},
}


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_answers_the_same_and_goes_its_own_way(trained, data, copied):
    before = trained.predict(data.inputs)
    twin = copied(trained)
    np.testing.assert_array_equal(twin.predict(data.inputs), before)
    assert twin.classes == trained.classes
    assert twin.training == trained.training
    twin.fit(blobs(40, seed=1), epochs=1, batch_size=8, progress=False)
    assert not np.array_equal(twin.predict(data.inputs), before)
    np.testing.assert_array_equal(trained.predict(data.inputs), before)


@pytest.mark.parametrize("copied", [COPIES["deepcopy"], COPIES["pickle 2"]], ids=["deepcopy", "pickle"])
def test_a_deep_copy_shares_no_array(trained, data, copied):
    before = trained.predict(data.inputs)
    twin = copied(trained)
    for name in twin.state.names():
        twin.state.load(name, np.zeros_like(twin.read(name)))
    np.testing.assert_array_equal(trained.predict(data.inputs), before)


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_a_copy_of_a_fresh_model_trains_to_the_same_bits(engine, graph, data, copied):
    model = Model(graph, engine=engine, seed=3)
    twin = copied(model)
    for one in (model, twin):
        one.fit(data, epochs=2, batch_size=8, progress=False)
    for name in model.state.names():
        np.testing.assert_array_equal(twin.read(name), model.read(name), err_msg=name)


@pytest.mark.parametrize("made", ["model = fv.Model(network())", "model = fv.Model(network(Same()))"])
def test_a_model_goes_to_spawned_processes(tmp_path, made):
    status, out, error = run(tmp_path, SPAWNED.format(model=made))
    assert (status, out, error) == (0, "True\n", "")


def test_a_forked_process_answers_or_says_what_to_do(tmp_path):
    """Threads of OpenMP do not survive a fork; waiting for them would be for ever."""
    status, out, error = run(tmp_path, LOADED, FORKED, seconds=20)
    assert (status, error) == (0, "")
    assert out == "the same\n" or "spawn" in out


@pytest.mark.parametrize("own", ["", "Same()"], ids=["built-in layers", "own layer"])
def test_a_program_ends_in_silence(tmp_path, own):
    used = f"model = fv.Model(network({own}))\nmodel.logits(x)\n"
    assert run(tmp_path, used) == (0, "", "")


@pytest.mark.parametrize("own", ["", "Same()"], ids=["built-in layers", "own layer"])
def test_a_program_ends_in_silence_while_a_thread_predicts(tmp_path, own):
    used = f"model = fv.Model(network({own}))\n"
    assert run(tmp_path, used, FOR_EVER) == (0, "", "")
