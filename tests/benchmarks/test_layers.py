"""Every layer is among those that are timed, and what a layer adds is told apart from the convolutions around it."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from benchmarks import compare
from benchmarks.cli import main
from benchmarks.compare import LOSS_CHANGE_BOUND, Settings, summarize
from benchmarks.foveate_worker import prepare
from benchmarks.layers import measure, row
from benchmarks.modes import find_modes
from benchmarks.peaks import Peaks
from benchmarks.sandwiches import Sandwich, sandwiches
from benchmarks.workers import Job
from foveate.engines import get_engine
from foveate.engines.native import _native
from foveate.layers.registry import built_in_layers


def test_every_layer_is_timed():
    assert {type(each.layer) for each in sandwiches()} == set(built_in_layers())


def test_no_two_rows_have_one_name():
    names = [each.name for each in sandwiches()]
    assert len(set(names)) == len(names)


def kinds(each: Sandwich) -> list[str]:
    return [type(node.layer).__name__ for node in each.graph().nodes]


@pytest.mark.parametrize("each", sandwiches(), ids=lambda each: each.name)
def test_a_layer_stands_between_two_products(each: Sandwich):
    before = [*kinds(each)[:1], *["Sigmoid"] * each.positive] * each.inputs
    assert kinds(each)[: len(before) + 1] == [*before, type(each.layer).__name__]
    assert kinds(each)[len(before) + 1].startswith(("Conv", "Linear"))
    alone = each.alone()
    if alone is not None:
        assert kinds(alone)[: len(before)] == before
        assert kinds(alone)[len(before)].startswith(("Conv", "Linear"))


def test_only_what_leaves_as_many_positions_has_a_time_of_its_own():
    assert Sandwich(fv.MaxPool2d(2), (64, 56, 56), 1).alone() is None
    kept = Sandwich(fv.ReLU(), (64, 56, 56), 1).alone()
    assert kept is not None
    assert kinds(kept) == ["Conv2d", "Conv2d", "GlobalAvgPool2d", "Linear"]


def test_a_row_is_the_median_of_what_the_layer_adds_in_each_round():
    rounds = {"foveate": [5.0, 9.0, 6.0], "as_written": [9.0, 9.0, 9.0], "channels_last": [8.0, 8.0, 8.0]}
    base = {"foveate": [3.0, 7.0, 1.0], "as_written": [2.0, 2.0, 2.0], "channels_last": [4.0, 4.0, 4.0]}
    whole = {"net": "layer X", "batch_size": 2, "rounds": rounds, **summarize(rounds)}
    made = row("train", whole | {"base_rounds": base})
    assert made["added"] == {"foveate": 2.0, "as_written": 7.0, "channels_last": 4.0}
    assert (made["layer"], made["ratio"]) == ("X", 2.0)
    whole_alone = row("train", whole)
    assert (whole_alone["ratio"], whole_alone["alone"]) == (8 / 6, False)
    assert row("train", {"net": "layer X", "batch_size": 2, "error": "it broke"}) == {
        "layer": "X", "kind": "train", "batch_size": 2, "error": "it broke"
    }  # fmt: skip


def test_the_convolutions_alone_are_timed_in_the_round_of_each_layer(monkeypatch: pytest.MonkeyPatch):
    asked: list[tuple[str, ...]] = []

    class Recorder:
        """A worker that answers at once, and says 1 s for its first job and 3 s for its second."""

        ended = False

        def __init__(self, name: str, *_: object):
            self.name = name

        def prepare(self, job: Job) -> dict[str, object]:
            Path(job.arrays).touch()
            asked.append((self.name, job.net))
            return {"output": [1.0]}

        def time(self, seconds: float, at_least: int, place: int) -> dict[str, float]:
            asked.append((self.name, str(place)))
            return {"seconds_per_step": 1.0 + 2 * place}

        def close(self) -> None: ...

    monkeypatch.setattr(compare, "Worker", Recorder)
    monkeypatch.setattr(compare, "PAUSE", 0.0)
    settings = Settings("forward", find_modes(["as_written"]), rounds=2, seconds=0.0, threads=1)
    relu, pool = Sandwich(fv.ReLU(), (8, 6, 6), 2), Sandwich(fv.MaxPool2d(2), (8, 6, 6), 2)
    made = list(measure(settings, [relu, pool], lambda _: None))
    assert [each["added"] for each in made] == [dict.fromkeys(("foveate", "as_written"), time) for time in (2.0, 1.0)]
    both = ("foveate", "as_written")
    base = [(name, "layer no layer, 1 before, 8x6x6") for name in both]
    rounds = [(name, place) for name in (*both, *reversed(both)) for place in "01"]
    assert asked[:12] == [*base, *((name, relu.name) for name in both), *rounds]
    assert asked[12:] == [*((name, pool.name) for name in both), *((name, "0") for name in (*both, *reversed(both)))]


def test_a_layer_is_timed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    options = ["--only", "groupnorm", "--kinds", "forward", "--rounds", "1", "--seconds", "0.01", "--threads", "1"]
    monkeypatch.setattr(
        sys,
        "argv",
        [
            "benchmarks",
            "layers",
            *options,
            "--json",
            str(tmp_path / "layers.json"),
            "--plot",
            str(tmp_path / "layers.png"),
        ],
    )
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    assert end.value.code in (None, 0), printed.err
    (made,) = json.loads((tmp_path / "layers.json").read_text())["results"]
    assert made["layer"] == "GroupNorm 8, 64x56x56"
    assert (made["flops"], made["bytes"]) == (
        32 * fv.GroupNorm(8).cost([(64, 56, 56)]).flops,
        4 * (2 * 32 * 64 * 3136 + 128),
    )
    assert "geometric mean" in printed.out
    assert "both measured" in printed.out
    with Image.open(tmp_path / "layers.png") as drawn:
        assert drawn.width > 500


def test_losses_that_are_compared_change_by_far_more_than_float32_rounds(tmp_path: Path):
    alone = Sandwich(None, (24, 56, 56), 32)
    job = Job("train", alone.name, 32, threads=1, arrays=str(tmp_path / "arrays.npz"))
    before = _native.threads()
    losses = prepare(job).report["losses"]
    fv.set_threads(before)
    rounding = 2 * np.spacing(np.float32(losses[0]))
    assert rounding < LOSS_CHANGE_BOUND / 20 * abs(losses[-1] - losses[0])


def test_a_layer_for_positive_numbers_learns():
    for layer, inputs in ((fv.Log(), 1), (fv.Raise(), 2)):
        graph = Sandwich(layer, (8, 6, 6), 4, inputs, positive=True).graph()
        engine, optimizer = get_engine("native"), fv.SGD()
        state = engine.new_state(graph, optimizer, seed=0)
        program = engine.compile(graph, batch_size=4, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
        x = np.random.default_rng(0).standard_normal((4, 8, 6, 6))
        losses = [program.step(state, x, np.arange(4), learning_rate=0.01).loss for _ in range(3)]
        assert losses[2] < losses[1] < losses[0]


def test_work_is_counted_once_for_each_direction():
    product = Sandwich(fv.Conv2d(8, 1, bias=False), (4, 5, 6), 3)
    assert product.work(training=False) == (3 * 2 * 4 * 8 * 30, 4 * (3 * (4 + 8) * 30 + 32))
    assert product.work(training=True) == (3 * 3 * 2 * 4 * 8 * 30, 4 * (3 * (3 * 4 + 2 * 8) * 30 + 3 * 32))
    assert Sandwich(None, (4, 5, 6), 3).work(training=True) == (0, 0)


def test_the_share_of_the_peaks_is_the_larger_one():
    assert Peaks(flops=10.0, bytes=4.0).share(flops=5.0, moved=3.0, seconds=1.0) == 0.75
