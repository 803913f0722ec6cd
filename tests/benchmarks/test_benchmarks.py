"""The benchmarks run, say what they should, and refuse to compare what does not compute the same."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from benchmarks.cli import main
from benchmarks.compare import Case, check, summarize
from benchmarks.errors import BenchmarkError
from benchmarks.exchange import Exchange
from benchmarks.modes import find_modes
from benchmarks.networks import network
from benchmarks.pytorch_worker import decay_groups
from benchmarks.startup import commands
from benchmarks.startup import run as run_command
from benchmarks.workers import Job, Worker
from foveate import Dropout, zoo
from foveate.engines.torch import torch_network

QUICK = ("--rounds", "1", "--seconds", "0.01", "--threads", "1")


@pytest.fixture
def benchmarks(monkeypatch, capsys):
    """Runs the command line; returns the exit status, stdout and stderr."""

    def invoke(*arguments):
        monkeypatch.setattr(sys, "argv", ["benchmarks", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return invoke


def test_only_weights_decay():
    graph = zoo.make("resnet20")
    decayed, spared = decay_groups(torch_network(graph), graph, 0.1)
    assert {parameter.dim() for parameter in decayed["params"]} == {2, 4}
    assert {parameter.dim() for parameter in spared["params"]} == {1}
    assert (decayed["weight_decay"], spared["weight_decay"]) == (0.1, 0.0)


def test_train_reports_every_round_and_ratio(benchmarks, tmp_path):
    file = tmp_path / "train.json"
    options = ("--nets", "lenet5", "--batch-size", 8, "--modes", "as-written,channels_last", "--json", file)
    status, output, _ = benchmarks("train", *options, *QUICK)
    assert status == 0
    assert "lenet5" in output
    assert "Every mode computed what foveate did" in output

    report = json.loads(file.read_text())
    assert report["environment"]["threads"] == 1
    assert report["environment"]["versions"]["torch"] == torch.__version__
    (result,) = report["results"]
    assert (result["net"], result["batch_size"]) == ("lenet5", 8)
    assert list(result["rounds"]) == ["foveate", "as_written", "channels_last"]
    assert all(len(seconds) == 1 and seconds[0] > 0 for seconds in result["rounds"].values())
    assert result["medians"] == {name: seconds[0] for name, seconds in result["rounds"].items()}
    assert result["ratio"] == result["ratio_of_rounds"]
    assert result["ratio_to_best"] == min(result["ratio"].values()) == result["ratio"][result["best_mode"]]
    assert result["ratio_to_as_written"] == result["ratio"]["as_written"]
    assert all(difference["first_loss"] < 1e-5 for difference in result["differences"].values())


def test_other_parameters_are_found_out(benchmarks, monkeypatch, tmp_path):
    prepare = Worker.prepare

    def tampering(worker: Worker, job: Job):
        if worker.name != "foveate":
            path = Path(job.arrays)
            sent = Exchange.read(path)
            changed = sent.state["conv1.weight"] * 1.01
            replace(sent, state={**sent.state, "conv1.weight": changed}).write(path)
        return prepare(worker, job)

    monkeypatch.setattr(Worker, "prepare", tampering)
    file = tmp_path / "train.json"
    options = ("--nets", "lenet5", "--batch-size", 8, "--modes", "as-written", "--json", file)
    status, output, error = benchmarks("train", *options, *QUICK)
    assert status == 1
    assert "lenet5, batch 8: as_written begins with the loss" in error
    assert "do not compute the same" in error
    assert "1 of 1 comparisons failed" in error
    assert not output
    (result,) = json.loads(file.read_text())["results"]
    assert list(result) == ["net", "batch_size", "error"]


def test_a_network_that_fails_costs_its_own_row_only(benchmarks, monkeypatch, tmp_path):
    """And the rows before it are in the file already."""
    prepare, file, seen = Worker.prepare, tmp_path / "forward.json", []

    def failing(worker: Worker, job: Job):
        if job.batch_size == 2 and worker.name != "foveate":
            seen.append(len(json.loads(file.read_text())["results"]))
            worker._process.kill()
            worker._process.wait()
        return prepare(worker, job)

    monkeypatch.setattr(Worker, "prepare", failing)
    options = ("--nets", "lenet5", "--batch-sizes", "1,2,3", "--modes", "as-written", "--peers", "", "--json", file)
    status, output, error = benchmarks("forward", *options, *QUICK)
    assert status == 1
    assert seen == [1]
    assert "1 of 3 comparisons failed; the sentences above say why" in error
    first, second, third = json.loads(file.read_text())["results"]
    assert second["error"].startswith("the as_written worker ended unasked")
    assert first["ratio_to_best"] > 0
    assert third["ratio_to_best"] > 0
    assert output.count("lenet5") == 2


def test_a_mode_that_fails_costs_its_own_cell_only(benchmarks, monkeypatch, tmp_path):
    """Channels last cannot be prepared for the first batch size, and ends while it is timed for the second."""
    prepare, time, file = Worker.prepare, Worker.time, tmp_path / "forward.json"

    def failing(worker: Worker, job: Job):
        if worker.name == "channels_last" and job.batch_size == 1:
            raise BenchmarkError("the channels_last worker: out of memory")
        return prepare(worker, job)

    def ending(worker: Worker, seconds: float, at_least: int, place: int):
        if worker.name == "channels_last":
            worker._process.kill()
            worker._process.wait()
        return time(worker, seconds, at_least, place)

    monkeypatch.setattr(Worker, "prepare", failing)
    monkeypatch.setattr(Worker, "time", ending)
    options = (
        "--nets",
        "lenet5",
        "--batch-sizes",
        "1,2",
        "--modes",
        "as-written,channels_last",
        "--peers",
        "",
        "--json",
        file,
    )
    status, output, error = benchmarks("forward", *options, *QUICK)
    assert status == 1
    assert "the channels_last worker: out of memory" in error
    assert "2 of 2 comparisons failed" in error
    assert output.count("lenet5") == 2
    assert "Every mode with a time computed what foveate did" in output
    first, second = json.loads(file.read_text())["results"]
    assert first["errors"] == {"channels_last": "the channels_last worker: out of memory"}
    assert second["errors"]["channels_last"].startswith("the channels_last worker ended unasked")
    for result in (first, second):
        assert list(result["medians"]) == ["foveate", "as_written"]
        assert list(result["differences"]) == ["as_written"]
        assert result["best_mode"] == "as_written"


@pytest.mark.parametrize("name", zoo.NETWORKS)
def test_every_network_of_the_zoo_has_a_twin_to_time(name):
    """Without numbers, on PyTorch's device for shapes: that both compute the same is tested with those of the zoo."""
    graph = network(name, "train")
    with torch.device("meta"):
        twin = torch_network(graph)
        assert twin(torch.empty(2, *graph.input_shape)).shape == (2, *graph.output_shape)
    assert {key: tuple(each.shape) for key, each in twin.named_parameters()} == {
        key: each.shape for key, each in graph.parameters.items()
    }


def test_dropout_is_left_out_of_training_alone():
    kinds = [
        any(isinstance(node.layer, Dropout) for node in network("alexnet", kind).nodes) for kind in ("train", "forward")
    ]
    assert kinds == [False, True]
    assert network("alexnet", "train").parameters == zoo.make("alexnet").parameters


KINDS = ("zfnet", "squeezenet1_1", "shufflenet_v1", "mobilenet_v2", "mobilenet_v3_small", "audio4")
"""One network of each kind; all of them take half an hour: --nets with every name of the zoo."""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["train", "forward"])
def test_a_network_of_each_kind_is_compared(benchmarks, kind, tmp_path):
    file = tmp_path / "all.json"
    sizes = ("--batch-size", 2) if kind == "train" else ("--batch-sizes", 1)
    options = ("--nets", ",".join(KINDS), *sizes, "--modes", "as-written", "--json", file)
    status, _, error = benchmarks(kind, *options, *QUICK)
    assert status == 0, error
    assert [result["net"] for result in json.loads(file.read_text())["results"]] == list(KINDS)


def test_forward_reports_every_batch_size(benchmarks, tmp_path):
    file = tmp_path / "forward.json"
    options = ("--nets", "lenet5", "--batch-sizes", "1,3", "--modes", "channels-last", "--json", file)
    status, output, _ = benchmarks("forward", *options, *QUICK)
    assert status == 0
    assert "largest relative differences: output" in output
    results = json.loads(file.read_text())["results"]
    assert [result["batch_size"] for result in results] == [1, 3]
    assert all(result["differences"]["channels_last"]["output"] < 1e-5 for result in results)
    assert all(result["ratio_to_as_written"] is None for result in results)


def test_another_runtime_computes_the_same_and_one_that_cannot_costs_its_own_cell_only(
    benchmarks, monkeypatch, tmp_path
):
    prepare, file = Worker.prepare, tmp_path / "forward.json"

    def failing(worker: Worker, job: Job):
        if worker.name == "onnxruntime" and job.batch_size == 2:
            raise BenchmarkError("the onnxruntime worker: it has no such operator")
        return prepare(worker, job)

    monkeypatch.setattr(Worker, "prepare", failing)
    options = ("--nets", "lenet5", "--batch-sizes", "1,2", "--modes", "as-written", "--peers", "onnxruntime")
    status, output, error = benchmarks("forward", *options, "--json", file, *QUICK)
    assert status == 1
    assert "runtime" in output
    assert "it has no such operator" in error
    first, second = json.loads(file.read_text())["results"]
    assert first["differences"]["onnxruntime"]["output"] < 1e-5
    assert set(second["medians"]) == {"foveate", "as_written"}


def test_a_peer_that_nobody_knows_is_named(benchmarks):
    status, _, error = benchmarks("forward", "--peers", "onnxruntime,tensorflow", *QUICK)
    assert status == 1
    assert 'there is no peer "tensorflow"; the peers are onnxruntime, openvino' in error


def test_startup_times_each_command(benchmarks, monkeypatch, tmp_path):
    command = [sys.executable, "-c", "pass"]
    monkeypatch.setattr("benchmarks.startup.commands", lambda: {"python -c pass": command, "import foveate": command})
    file = tmp_path / "startup.json"
    status, output, _ = benchmarks("startup", "--rounds", 2, "--json", file)
    assert status == 0
    assert "import foveate" in output
    results = json.loads(file.read_text())["results"]
    assert [len(seconds) for seconds in results["rounds"].values()] == [2, 2]


def test_startup_times_what_people_type():
    assert list(commands()) == ["python -c pass", "import foveate", "foveate --help", "import torch"]


def test_a_failing_command_is_not_timed():
    with pytest.raises(BenchmarkError, match="failed with exit status 3 and said: nothing"):
        run_command([sys.executable, "-c", "raise SystemExit(3)"])


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([2.001, 1.0], "begins with the loss 2.001, but foveate 2: they differ by more than 0.0001"),
        ([2.0, 1.02], "changes the loss over 3 steps by -0.98, but foveate -1: they differ by more than 0.01"),
        ([float("nan"), 1.0], "begins with the loss nan"),
    ],
)
def test_another_loss_is_an_error(losses, message):
    with pytest.raises(BenchmarkError, match=f"net, batch 2: compile {message}"):
        check("train", Case("net", 2), {"foveate": {"losses": [2.0, 1.0]}, "compile": {"losses": losses}})


def test_another_output_is_an_error():
    with pytest.raises(
        BenchmarkError, match=r"net, batch 2: compile gives an output that differs from foveate's by 0\.1"
    ):
        check("forward", Case("net", 2), {"foveate": {"output": [1.0, 0.0]}, "compile": {"output": [1.1, 0.0]}})


def test_ratios_are_of_medians_and_of_rounds():
    summary = summarize({"foveate": [1.0, 2.0, 4.0], "as_written": [3.0, 2.0, 8.0], "compile": [2.0, 9.0, 4.0]})
    assert summary["medians"] == {"foveate": 2.0, "as_written": 3.0, "compile": 4.0}
    assert summary["ratio"] == {"as_written": 1.5, "compile": 2.0}
    assert summary["ratio_of_rounds"] == {"as_written": 2.0, "compile": 2.0}
    assert summary["best_mode"] == "as_written"
    assert summary["spread"]["foveate"] == 1.5


def test_a_worker_that_ends_is_reported_with_its_last_words(tmp_path):
    worker = Worker("lost", "benchmarks.nowhere", 1, tmp_path)
    try:
        with pytest.raises(BenchmarkError, match=r"the lost worker ended unasked.*nowhere"):
            worker.time(0.0, 1)
    finally:
        worker.close()


def test_a_worker_that_fails_says_why(tmp_path):
    worker = Worker("foveate", "benchmarks.foveate_worker", 1, tmp_path)
    try:
        with pytest.raises(BenchmarkError, match=r'the foveate worker: .*there is no network "lenet6"'):
            worker.prepare(Job("train", "lenet6", 2, 1, str(tmp_path / "arrays.npz")))
    finally:
        worker.close()


def test_without_pytorch_nothing_is_compared(benchmarks, monkeypatch):
    monkeypatch.setattr("benchmarks.compare.find_spec", lambda _: None)
    status, _, error = benchmarks("train", *QUICK)
    assert (status, error.count("pip install torch==2.13.0")) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["train", "--nets", "lenet6"], 1, 'there is no network "lenet6"'),
        (["train", "--json", "nowhere/at/all.json"], 1, "nowhere/at/all.json cannot be written: there is no folder"),
        (["train", "--modes", "faster"], 1, 'PyTorch has no mode "faster" here; the modes are as_written'),
        (["forward", "--batch-sizes", "1,many"], 2, "is not a list such as 1,64"),
        (["train", "--rounds", "0"], 2, "Invalid value for '--rounds'"),
    ],
)
def test_wrong_usage_is_a_sentence(benchmarks, arguments, status, message):
    code, _, error = benchmarks(*arguments)
    assert code == status
    assert message in error


def test_modes_come_in_the_order_of_the_table():
    assert [mode.name for mode in find_modes(["compile-channels-last", "as_written"])] == [
        "as_written",
        "compile_channels_last",
    ]
