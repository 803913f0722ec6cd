"""`foveate doctor`: what it reports, what it advises, and how it ends where there is no native engine."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

import foveate as fv
from foveate.cli import doctor
from foveate.engines import get_engine

NATIVE = doctor.Native(threads=4, onednn="3.2.0", instruction_set="AVX2", winograd=True)
PROCESSOR = doctor.Processor("Fast One", 4, 4, [0, 1, 2, 3], None, {"L1": "32K", "L2": "1024K"})
DATA = doctor.Data("/home/ada/.cache/foveate", None, {"fashion-mnist": None})
FINDINGS = doctor.Findings({"foveate": "1", "python": "3", "numpy": "2", "onednn": "3"}, NATIVE, "why", PROCESSOR, DATA)
WITHOUT_NATIVE = (
    "import sys; sys.modules['foveate.engines.native._native'] = None; from foveate.cli import main; main()"
)
WITHOUT_BOTH = WITHOUT_NATIVE.replace("import sys;", "import sys; sys.modules['torch'] = None;")


def test_its_help_shows_an_example(foveate):
    assert "Example: foveate doctor --json" in foveate("doctor", "--help").stdout


def test_the_report_says_what_was_found(foveate):
    result = foveate("doctor")
    assert (result.exit_code, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0].startswith(f"foveate {fv.__version__}, Python 3.")
    labels = [line[:16].strip() for line in lines[2:] if not line.startswith(" ")]
    assert labels[:8] == [
        "engine", "threads", "instruction set", "Winograd", "processor", "logical CPUs", "CPU quota", "data caches"
    ]  # fmt: skip
    assert "engine           native" in result.stdout


def test_the_same_as_json(foveate):
    report = json.loads(foveate("doctor", "--json").stdout)
    assert set(report) == {"format", "versions", "engine", "native", "torch", "processor", "data", "advice"}
    assert report["format"] == 1
    assert report["versions"]["foveate"] == fv.__version__
    assert report["engine"]["name"] == "native"
    assert report["native"]["threads"] == get_engine("native").threads
    assert report["native"]["onednn"].startswith("3.")
    assert report["native"]["instruction_set"]
    assert report["processor"]["usable_cpus"] == sorted(os.sched_getaffinity(0))
    assert set(report["data"]["folders"]) == set(fv.datasets.DATASETS)


@pytest.mark.parametrize("width", [50, 60, 80])
def test_no_line_is_wider_than_the_terminal(width):
    crowded = replace(
        FINDINGS, processor=replace(PROCESSOR, quota=1.5, usable_cpus=[0, 2]), reason="a long reason " * 9
    )
    assert max(map(len, doctor.render(crowded, width).splitlines())) <= width


def test_affinity_and_threads(process):
    first = min(os.sched_getaffinity(0))
    variables = {**os.environ, "OMP_NUM_THREADS": "3"}
    done = process("doctor", env=variables, preexec_fn=lambda: os.sched_setaffinity(0, {first}))
    assert done.returncode == 0, done.stderr
    assert "threads          3; OMP_NUM_THREADS is 3" in done.stdout
    if (os.cpu_count() or 1) > 1:
        assert f"this process may use 1 of them ({first}), on 1 core\n" in done.stdout
    assert "3 threads share 1 logical CPU: they wait for each other" in done.stdout
    assert "Give --threads 1, or unset OMP_NUM_THREADS." in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("quota", "advice"),
    [
        (None, []),
        (4.0, []),
        (
            2.5,
            [
                "The container may use 2.5 CPUs, fewer than the 4 threads: they will be stopped again and again. "
                "Give --threads 2, or call foveate.set_threads(2)."
            ],
        ),
        (
            0.5,
            [
                "The container may use 0.5 CPUs, fewer than the 4 threads: they will be stopped again and again. "
                "Give --threads 1, or call foveate.set_threads(1)."
            ],
        ),
    ],
)
def test_a_quota_below_the_number_of_threads_is_told(quota, advice):
    found = replace(FINDINGS, processor=replace(PROCESSOR, quota=quota))
    assert found.advice() == advice
    assert found.to_json()["advice"] == advice
    shown = " ".join(doctor.render(found, 80).split())
    assert all(sentence in shown for sentence in advice)
    assert ("by the container's limit" in shown) == (quota is not None)


def test_where_data_sets_are_kept():
    data = doctor.Data("/cache", "/mine", {"fashion-mnist": "/mine/fashion-mnist", "other": None})
    shown = doctor.render(replace(FINDINGS, data=data), 80)
    assert "datasets         fashion-mnist in /mine/fashion-mnist\n                 other: not here\n" in shown
    assert "kept in /cache, looked for in /mine too (FOVEATE_DATA)" in " ".join(shown.split())


def test_winograd_kernels_that_do_not_run():
    shown = doctor.render(replace(FINDINGS, native=replace(NATIVE, winograd=False, instruction_set=None)), 80)
    assert "Winograd         does not run: it needs a larger instruction set" in shown
    assert "instruction set  unknown" in shown


def test_a_limit_of_the_instructions_is_named(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FOVEATE_MAX_ISA", "AVX2")
    shown = " ".join(doctor.render(FINDINGS, 80).split())
    assert "instruction set AVX2, the largest used here; FOVEATE_MAX_ISA is AVX2" in shown


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_with_the_reference_engine_alone_it_reports_why_and_ends_with_status_1(options):
    command = [sys.executable, "-c", WITHOUT_BOTH, "doctor", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "foveate: the native engine cannot be used, so the slow reference engine is used; the report says why\n"
    )
    if options:
        report = json.loads(done.stdout)
        assert (report["engine"]["name"], report["native"], report["advice"]) == ("reference", None, [])
        assert report["engine"]["reason"].startswith("the native engine cannot be loaded (")
    else:
        assert "engine           reference: the native engine cannot be loaded" in done.stdout
        assert "threads" not in done.stdout


def test_without_the_native_engine_pytorchs_is_the_default():
    command = [sys.executable, "-c", WITHOUT_NATIVE, "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    report = json.loads(done.stdout)
    assert (report["engine"]["name"], report["native"]) == ("torch", None)
    assert report["torch"]["version"] == report["torch"]["version"].strip()


@pytest.mark.parametrize(("gpu", "told"), [("cuda", "an NVIDIA GPU is here"), ("mps", "an Apple GPU is here")])
def test_a_gpu_is_told_of(gpu: str, told: str):
    found = replace(FINDINGS, torch=doctor.Torch("2.13.0", gpu))
    assert f"PyTorch          2.13.0, for --engine torch; {told}\n" in doctor.render(found, 80)
    (sentence,) = found.advice()
    assert sentence == 'This machine has a GPU. Give --engine torch, or Model(..., engine="torch"), to use it.'
    assert replace(found, torch=doctor.Torch("2.13.0", None)).advice() == []
