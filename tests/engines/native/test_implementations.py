"""No step of a zoo network may fall to oneDNN's slow implementations, except those listed here with a reason."""

from dataclasses import dataclass

import numpy as np
import pytest

import foveate as fv
from foveate.engines import StepInfo, get_engine
from foveate.engines.native import _native


@dataclass(frozen=True)
class KnownSlowStep:
    """A slow implementation that is known: on which instruction set, of which primitive, and why it stays."""

    instruction_set: str
    operation: str
    implementation: str
    reason: str


KNOWN = (
    KnownSlowStep(
        "any", "concatenation", "simple:any", "oneDNN has one for each layout; simple copies whole stretches of memory"
    ),
    KnownSlowStep(
        "any", "reorder", "simple:any", "cuts an input's share out of a concatenation's gradient: a copy with offsets"
    ),
    KnownSlowStep(
        "below AVX-512", "local response norm backward", "ref:any", "oneDNN has no other for windows as long as ZFNet's"
    ),
)

SMALL = ("lenet5", "vgg6", "resnet20")
"""Networks small enough for a usual batch in the quick tests; the others are compiled at batch 2, and apart."""


def steps_of(name: str, mode: str) -> list[StepInfo]:
    graph = fv.zoo.make(name)
    batch_size = 32 if name in SMALL else 2
    options = {"loss": fv.CrossEntropy(), "optimizer": fv.SGD()} if mode == "training" else {}
    return get_engine("native").compile(graph, batch_size=batch_size, mode=mode, **options).steps()


@pytest.mark.parametrize("mode", ["training", "inference"])
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in SMALL else pytest.mark.slow) for name in sorted(fv.zoo.NETWORKS)]
)
def test_no_step_is_slow(name: str, mode: str):
    slow = [step for step in steps_of(name, mode) if step.implementation.split(":")[0] in ("ref", "simple")]
    sets = {"any"} if _native.winograd_available() else {"any", "below AVX-512"}
    known = {(entry.operation, entry.implementation) for entry in KNOWN if entry.instruction_set in sets}
    unknown = [step for step in slow if (step.operation, step.implementation) not in known]
    assert not unknown, "\n".join(map(str, unknown))


def test_steps_tell_node_implementation_layouts_and_bytes():
    step = next(step for step in steps_of("vgg6", "training") if step.operation == "convolution to weights")
    assert step.node == "conv6"
    assert step.phase == "backward"
    assert step.implementation.startswith(("jit", "brg", "foveate", "ref", "gemm", "x64:gemm"))
    assert {"src", "diff_dst", "diff_weights"} <= set(step.layouts)
    activations = 32 * 128 * 7 * 7 * 4
    assert step.bytes >= 2 * activations + 128 * 128 * 9 * 4
    assert "conv6" in str(step)


def test_a_profile_has_a_time_for_each_step():
    engine, graph = get_engine("native"), fv.zoo.lenet5()
    program = engine.compile(graph, batch_size=4, mode="inference")
    times = program.profile(engine.new_state(graph), np.zeros((4, 1, 28, 28), np.float32))
    assert [step for step, _ in times] == program.steps()
    assert all(0 <= seconds < 1 for _, seconds in times)
