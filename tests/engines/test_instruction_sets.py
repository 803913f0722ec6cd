"""FOVEATE_MAX_ISA: one switch for the instructions that oneDNN's kernels and our own may use."""

import os
import re
import subprocess
import sys

import pytest

import foveate as fv
from foveate.engines import machine

SHOW = """
import os
from foveate.engines import get_engine
from foveate.engines.native import library
print(library.instruction_set(), library.runs_winograd(), os.environ.get("ONEDNN_MAX_CPU_ISA"), sep="; ")
"""


def loaded(**variables: str) -> str:
    """What a fresh process with these environment variables says of its kernels."""
    settings = {name: text for name, text in os.environ.items() if not name.endswith("_MAX_CPU_ISA")}
    settings.pop("FOVEATE_MAX_ISA", None)
    command = [sys.executable, "-c", SHOW]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**settings, **variables})
    return done.stdout.strip()


def test_the_switch_limits_onednn_and_the_kernels_of_our_own_and_leaves_the_environment_alone():
    assert loaded(FOVEATE_MAX_ISA="SSE41") == "SSE4.1; False; None"
    assert loaded(FOVEATE_MAX_ISA="sse4.1", ONEDNN_MAX_CPU_ISA="ALL") == "SSE4.1; False; ALL"


def test_onednns_own_limit_holds_for_the_kernels_of_our_own():
    assert loaded(ONEDNN_MAX_CPU_ISA="SSE41") == "SSE4.1; False; SSE41"


@pytest.mark.parametrize(
    ("variables", "limit"),
    [
        ({}, None),
        ({"FOVEATE_MAX_ISA": ""}, None),
        ({"ONEDNN_MAX_CPU_ISA": "AVX2"}, None),
        ({"FOVEATE_MAX_ISA": "AVX512"}, "AVX512_CORE"),
        ({"FOVEATE_MAX_ISA": "avx2"}, "AVX2"),
        ({"FOVEATE_MAX_ISA": "AVX512", "ONEDNN_MAX_CPU_ISA": "AVX2_VNNI"}, "AVX2_VNNI"),
        ({"FOVEATE_MAX_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "avx"}, "AVX"),
        ({"FOVEATE_MAX_ISA": "AVX2", "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_FP16"}, "AVX2"),
    ],
)
def test_of_two_limits_the_smaller_holds(variables: dict[str, str], limit: str | None):
    assert machine.limit_of_instructions(variables) == limit


def test_another_word_is_refused():
    sentence = "FOVEATE_MAX_ISA is 'NEON'; it must be SSE41, AVX2, AVX512, or not be set"
    with pytest.raises(fv.EngineError, match=f"^{re.escape(sentence)}$"):
        machine.limit_of_instructions({"FOVEATE_MAX_ISA": "NEON"})
