"""The experiments of `foveate experiment`: what they measure, what they say of it, and the page they write."""

import json
import subprocess
import sys
from dataclasses import asdict, fields, replace
from io import StringIO

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import foveate as fv
from foveate.data import Dataset, Preprocessing, Splits
from foveate.explain.experiments import EXPERIMENTS, batch_normalization_page, find, generalization_page, write_report
from foveate.explain.experiments import batch_normalization as bn
from foveate.explain.experiments import batch_statistics as bs
from foveate.explain.experiments import batch_statistics_page as bs_page
from foveate.explain.experiments import generalization as gen
from foveate.explain.experiments.progress import Lines, LiveBar, Progress, Watcher, make_progress
from foveate.explain.experiments.report import Finding, Report
from foveate.explain.experiments.running import draw_samples
from foveate.explain.page import html
from foveate.explain.page.drawing import Drawing
from tests.explain.test_html import Checker

CLASSES = ("left", "right", "<both>")


def pictures(count: int, seed: int) -> Dataset:
    """Grey 8x8 pictures, bright on the left, on the right or on both sides, under noise."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    inputs = random.normal(80, 30, (count, 1, 8, 8))
    inputs[labels != 1, :, :, :4] += 70
    inputs[labels != 0, :, :, 4:] += 70
    return Dataset(np.clip(inputs, 0, 255).astype(np.uint8), labels, CLASSES)


@pytest.fixture(scope="module")
def data() -> Splits:
    """A dataset on which each experiment takes a moment."""
    train = pictures(240, 0)
    return Splits(train, pictures(60, 1), pictures(72, 2), Preprocessing.measure(train), "sides")


BN = bn.Settings(
    engine="reference", learning_rates=(0.02, 1e20), initializations=("he", "normal 0.01"), channels=(4, 6), depth=1,
    training_images=96, validation_images=30, epochs=2, batch_size=16, seeds=2, seed=3,
)  # fmt: skip
GEN = gen.Settings(engine="reference", sizes=(24, 96), epochs=(4, 2), channels=(4, 6), batch_size=12, seeds=2)
BS = bs.Settings(
    engine="reference", batch_sizes=(2, 4, 8), images_per_class=16, companions=3, training_images=192, epochs=3,
    channels=(4, 6), batch_size=16,
)  # fmt: skip
TINY = {"batch-normalization": BN, "generalization": GEN, "batch-statistics-at-test-time": BS}


@pytest.fixture(scope="module")
def results(data):
    """Each experiment's result, by name."""
    return {name: EXPERIMENTS[name].run(settings, Progress(), data) for name, settings in TINY.items()}


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(name, data, results):
    assert EXPERIMENTS[name].run(TINY[name], Progress(), data) == results[name]
    other = EXPERIMENTS[name].run(replace(TINY[name], seed=7), Progress(), data)
    key = "tests" if name.startswith("batch-statistics") else "runs"
    assert other.to_json()[key] != results[name].to_json()[key]


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_json_holds_the_whole_result(name, results):
    data = json.loads(json.dumps(results[name].to_json(), allow_nan=False))
    assert data.pop("experiment") == name
    assert data == json.loads(json.dumps(asdict(results[name])))


# Batch normalisation


def test_a_training_that_diverges_is_a_result(results):
    result = results["batch-normalization"]
    assert len(result.runs) == 2 * 2 * 2 * 2
    wild = [run for run in result.runs if run.learning_rate == 1e20 and not run.normalized]
    assert all(run.accuracy is None for run in wild)
    assert all(1 <= len(run.losses) < 12 for run in wild)
    calm = [run for run in result.runs if run.learning_rate == 0.02]
    assert all(run.accuracy is not None and len(run.losses) == 12 for run in calm)
    assert [run.seed for run in calm] == [3] * 4 + [4] * 4
    assert result.accuracy(False, "he", 1e20) == pytest.approx(1 / 3)
    assert "diverged" in json.dumps([list(row) for row in batch_normalization_page.report(result).numbers.rows])


@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("initialization", ["xavier", "normal 0.3"])
def test_gradient_norms_are_pytorchs(normalized, initialization, data):
    settings = replace(BN, channels=(4, 6, 5), depth=2, initializations=("xavier", "normal 0.3"))
    model = bn.build_model(settings, data, normalized, initialization, 5)
    batch = data.train.subset(range(16))
    inputs = data.preprocessing.apply(batch.inputs)
    x, kept = torch.tensor(inputs), []
    for node in model.graph.nodes:
        arrays = {
            name.rsplit(".", 1)[-1]: torch.tensor(model.read(name))
            for name in model.graph.parameters
            if name.startswith(f"{node.name}.")
        }
        kind = type(node.layer).__name__
        if kind == "Conv2d":
            x = nn.functional.conv2d(x, arrays["weight"], arrays.get("bias"), padding=1).requires_grad_()
            kept.append(x)
        elif kind == "BatchNorm2d":
            x = nn.functional.batch_norm(x, None, None, arrays["weight"], arrays["bias"], training=True)
        elif kind == "Linear":
            x = nn.functional.linear(x, arrays["weight"], arrays["bias"])
        else:
            x = {"ReLU": torch.relu, "MaxPool2d": lambda v: nn.functional.max_pool2d(v, 2),
                 "GlobalAvgPool2d": lambda v: v.mean((2, 3))}[kind](x)  # fmt: skip
    loss = nn.functional.cross_entropy(x, torch.tensor(batch.labels))
    expected = [float(gradient.norm()) for gradient in torch.autograd.grad(loss, kept)]
    assert len(expected) == 6
    np.testing.assert_allclose(bn.gradient_norms(model, batch, inputs), expected, rtol=2e-4)


def test_initialisations_have_their_deviations(data):
    settings = replace(BN, channels=(32, 64))
    for name, deviation in (("normal 0.01", 0.01), ("normal 0.3", 0.3), ("he", (2 / 288) ** 0.5)):
        weight = bn.build_model(settings, data, True, name, 0).read("conv2.weight")
        assert weight.std() == pytest.approx(deviation, rel=0.03)
    xavier = bn.build_model(settings, data, True, "xavier", 0).read("conv2.weight")
    assert np.abs(xavier).max() <= (6 / (288 + 576)) ** 0.5 < 1.01 * np.abs(xavier).max()


def fabricated(plain: dict, normalized: dict, norms=((1.0, 1e3), (1.0, 2.0)), steps=(60, 20)) -> bn.Result:
    """A result with these accuracies by (initialisation, learning rate), None where a training diverged."""
    settings = bn.Settings(learning_rates=(0.01, 0.1), initializations=("he", "xavier"), seeds=1)
    runs = [
        bn.Run(kind, *cell, 0, (2.0,) * steps[kind] + (0.1,) * 40, accuracy)
        for kind, cells in ((False, plain), (True, normalized))
        for cell, accuracy in cells.items()
    ]
    flows = [
        bn.GradientFlow(kind, name, norms[kind], (bn.factor_of(norms[kind]),))
        for kind in (False, True)
        for name in settings.initializations
    ]
    return bn.Result(settings, "reference", (10, 12), 10, tuple(runs), tuple(flows))


def cells(*accuracies: float | None) -> dict:
    keys = [(name, rate) for name in ("he", "xavier") for rate in (0.01, 0.1)]
    return dict(zip(keys, accuracies, strict=True))


def test_sentences_on_batch_normalisation_that_helps():
    result = fabricated(cells(0.8, None, 0.3, 0.1), cells(0.85, 0.9, 0.84, 0.88))
    found = batch_normalization_page.findings(result)
    assert [finding.holds for finding in found] == [True] * 5
    easier, flow, rates, speed, robust = (str(finding) for finding in found)
    assert "“Makes deep networks much easier to train”: seen here." in easier
    assert "Of 4 combinations of initialisation and learning rate, 1 learn without batch normalisation and 4" in easier
    assert "1 of 4 training runs diverged without it, 0 of 4 with it" in easier
    assert "He: 10^3.0 without, 2.0 with" in flow
    assert "makes the gradient more even for 2 of 2 initialisations, and less even for 0" in flow
    assert "He: 0.01 without, 0.1 with; Xavier: none without, 0.1 with" in rates
    assert "the network without batch normalisation needs 66 steps, the one with it needs 26 steps" in speed
    assert "best learning rate 0.01, the mean validation accuracy goes from 30.0 % (Xavier) to 80.0 % (He)" in robust
    assert "a gap of 50.0 points" in robust
    assert "a gap of 2.0 points" in robust


def test_sentences_on_batch_normalisation_that_does_not_help():
    result = fabricated(
        cells(0.85, 0.9, 0.84, 0.88), cells(0.8, None, 0.3, 0.1), norms=((1.0, 2.0), (0.0, 2.0)), steps=(20, 60)
    )
    found = batch_normalization_page.findings(result)
    assert [finding.holds for finding in found] == [False] * 5
    assert all("not seen here" in str(finding) for finding in found)
    easier, flow, rates, speed, robust = (finding.numbers for finding in found)
    assert "0 of 4 training runs diverged without it, 1 of 4 with it" in easier
    assert "infinite (it vanishes) with" in flow
    assert "higher with batch normalisation for 0 of 2 initialisations, lower for 2" in rates
    assert "needs 26 steps, the one with it needs 66 steps" in speed
    assert "a gap of 2.0 points" in robust


def test_gradient_flow_is_judged_beside_the_spread_of_the_seeds():
    same = cells(0.8, 0.8, 0.8, 0.8)
    plain = fabricated(same, same)

    def found(*spreads: tuple[tuple[float | None, ...], tuple[float | None, ...]]):
        flows = [
            bn.GradientFlow(kind, name, (1.0, 2.0), spread[kind])
            for name, spread in zip(("he", "xavier"), spreads, strict=True)
            for kind in (False, True)
        ]
        settings = replace(plain.settings, seeds=3)
        return batch_normalization_page.findings(replace(plain, flows=tuple(flows), settings=settings))[1]

    apart = ((50.0, 20.0, None), (2.0, 5.0, 19.0))
    overlap, reverse = ((1.2, 6.0, 3.0), (2.0, 4.9, 5.0)), ((1.1, 1.2, 1.3), (4.0, 4.9, 5.0))
    assert [found(apart, each).holds for each in (apart, overlap, reverse)] == [True, False, False]
    words = found(apart, reverse).numbers
    assert (
        "(from the smallest to the largest of 3 seeds) of: He: 20.0 to infinite (it vanishes) without, 2.0 to 19.0 with"
        in words
    )
    assert "Xavier: 1.1 to 1.3 without, 4.0 to 5.0 with" in words
    assert "more even for 1 of 2 initialisations, and less even for 1." in words


def test_no_difference_is_no_finding():
    same = cells(0.8, 0.8, 0.8, 0.8)
    found = batch_normalization_page.findings(fabricated(same, same, norms=((1.0, 2.0),) * 2, steps=(20, 20)))
    assert [finding.holds for finding in found] == [False] * 5


def test_a_network_that_never_converges():
    result = fabricated(cells(0.8, 0.8, 0.8, 0.8), cells(0.8, 0.8, 0.8, 0.8))
    never = replace(result, runs=tuple(replace(run, losses=(2.3,) * 50) for run in result.runs))
    speed = batch_normalization_page.findings(never)[3]
    assert not speed.holds
    assert speed.numbers.count("never reaches it") == 2


# Generalisation


def test_smaller_training_sets_are_parts_of_larger_ones(data):
    small, large = (draw_samples(data.train, count, 1, "training") for count in (20, 50))
    np.testing.assert_array_equal(large.inputs[:20], small.inputs)
    assert not np.array_equal(draw_samples(data.train, 20, 2, "training").inputs, small.inputs)
    with pytest.raises(fv.DataError, match=r"needs 300 training images, but there are 240"):
        draw_samples(data.train, 300, 1, "training")


def test_generalization_measures_the_test_images(results, data):
    result = results["generalization"]
    assert result.test_images == 72
    assert result.hidden == (4, 9)
    assert result.parameters == (65 * 4 + 5 * 9 + 10 * 3, 337)
    run = next(run for run in result.runs if (run.kind, run.images, run.seed) == ("convolutional", 96, 1))
    model = fv.Model(gen.convolutional_network((1, 8, 8), 3, (4, 6)), seed=1, engine="reference")
    training = draw_samples(data.train, 96, 1, "training")
    model.fit(training, epochs=2, batch_size=12, schedule=fv.OneCycle(0.05), progress=False)
    assert run.test_accuracy == np.mean(model.predict(data.test.inputs).argmax(1) == data.test.labels)
    assert run.training_accuracy == np.mean(model.predict(training.inputs).argmax(1) == training.labels)


def compared(dense: list, convolutional: list, known=(1.0, 0.9)) -> gen.Result:
    """A result with these test accuracies for each number of images and seed, and training accuracies by kind."""
    settings = gen.Settings(sizes=(500, 5000), epochs=(2, 1), seeds=2)
    runs = [
        gen.Run(kind, size, seed, None if value is None else training, value)
        for kind, training, rows in zip(gen.KINDS, known, (dense, convolutional), strict=True)
        for size, row in zip(settings.sizes, rows, strict=True)
        for seed, value in enumerate(row)
    ]
    return gen.Result(settings, "reference", (100, 101), (5, 5), 10, 1000, tuple(runs))


def test_sentences_on_generalisation():
    result = compared([[0.70, 0.72], [0.80, 0.81]], [[0.81, 0.83], [0.90, 0.89]])
    better, fewer, gap = generalization_page.findings(result)
    assert (better.holds, fewer.holds, gap.holds) == (True, True, True)
    assert "82.0 % against 71.0 % with 500 images; 89.5 % against 80.5 % with 5,000 images" in better.numbers
    assert "for 2 of 2 training-set sizes" in better.numbers
    assert "82.0 % with 500 images against 80.5 % with 5,000" in fewer.numbers
    assert "8.0 against 29.0 points with 500 images" in gap.numbers
    result = compared([[0.70, 0.82], [0.80, 0.81]], [[0.79, 0.79], [0.90, None]], known=(0.85, 1.0))
    better, fewer, gap = generalization_page.findings(result)
    assert (better.holds, fewer.holds, gap.holds) == (False, False, False)
    assert "for 0 of 2 training-set sizes" in better.numbers
    assert "50.0 % against 80.5 % with 5,000 images" in better.numbers
    assert "in 0 of 1 comparisons" in fewer.numbers
    assert generalization_page.report(result).numbers.rows[-1][-1] == "1"


def test_seeds_that_overlap_decide_nothing():
    result = compared([[0.70, 0.80], [0.80, 0.81]], [[0.79, 0.83], [0.90, 0.91]])
    better = generalization_page.findings(result)[0]
    assert not better.holds
    assert "for 1 of 2 training-set sizes" in better.numbers


# Batch statistics at test time


@pytest.fixture(scope="module")
def model(data, tmp_path_factory):
    """The path of a trained model like the one that the experiment trains."""
    model = fv.Model(bs.network((1, 8, 8), 3, (4, 6)), seed=2, engine="reference")
    model.fit(data.train, epochs=4, batch_size=16, progress=False)
    path = tmp_path_factory.mktemp("models") / "model.safetensors"
    model.save(path)
    return path


def twin(path) -> nn.Sequential:
    """The same network with the same parameters in PyTorch."""
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3),
    )  # fmt: skip
    model = fv.load(path, engine="reference")
    places = {"conv1": 0, "bn1": 1, "conv2": 4, "bn2": 5, "linear1": 9}
    names = [name.rsplit(".", 1) for name in model.state.names()]
    arrays = {f"{places[node]}.{kind}": torch.tensor(model.read(f"{node}.{kind}")) for node, kind in names}
    missing = net.load_state_dict(arrays, strict=False).missing_keys
    assert all(name.endswith("num_batches_tracked") for name in missing)
    return net


def batches_of(net: nn.Module, inputs: torch.Tensor, size: int) -> np.ndarray:
    with torch.no_grad():
        return torch.cat([net(batch) for batch in inputs.split(size)]).softmax(1).numpy()


def test_wrong_tests_are_those_of_pytorch_without_eval(model, data):
    settings = replace(BS, model=str(model))
    result = bs.run(settings, Progress(), data)
    test = bs.test_images(settings, data.test)
    inputs, labels = torch.tensor(data.preprocessing.apply(test.inputs)), test.labels
    right = batches_of(twin(model).eval(), inputs, 16)
    assert result.accuracy == np.mean(right.argmax(1) == labels)
    for row in result.tests:
        net = twin(model)
        before = {name: value.clone() for name, value in net.state_dict().items() if "running" in name}
        order = bs.permutation(48, settings.seed, "order") if row.order == "shuffled" else np.arange(48)
        found = batches_of(net.train(), inputs[order], row.batch_size)
        assert row.accuracy == np.mean(found.argmax(1) == labels[order]), row
        after = {name: net.state_dict()[name] for name in before}
        change = torch.cat([after[name] - before[name] for name in before]).norm()
        assert row.moved == pytest.approx(float(change / torch.cat(list(before.values())).norm()), rel=1e-4)
        assert row.accuracy_after == np.mean(batches_of(net.eval(), inputs, 16).argmax(1) == labels), row
    chosen = bs.clear_image(right, labels)
    np.testing.assert_allclose(result.probabilities, right[chosen], atol=1e-5)
    for company in result.companies:
        batch = inputs[[chosen, *company.companions]]
        np.testing.assert_allclose(company.probabilities, batches_of(twin(model).train(), batch, 4)[0], atol=1e-5)
    assert result.companies[0].probabilities != result.companies[1].probabilities


def test_batches_and_companies_are_what_they_are_called(results, data):
    result = results["batch-statistics-at-test-time"]
    test = bs.test_images(BS, data.test)
    np.testing.assert_array_equal(test.labels, np.repeat([0, 1, 2], 16))
    mixed, other, own, next_class = result.companies
    assert len({*mixed.companions, *other.companions}) == 6
    assert own.name == f"images of {CLASSES[result.label]} only"
    assert set(test.labels[list(own.companions)]) == {result.label}
    assert set(test.labels[list(next_class.companions)]) == {(result.label + 1) % 3}
    shown = [index for company in result.companies for index in company.companions]
    np.testing.assert_allclose(result.images()[1:], test.inputs[shown] / 255, atol=1e-6)
    assert result.images().shape == (13, 1, 8, 8)
    assert test.labels[[index for index in range(48) if (test.inputs[index] / 255 == result.images()[0]).all()]] == (
        result.label
    )


def test_the_model_given_is_not_changed(model, data):
    content = model.read_bytes()
    bs.run(replace(BS, model=str(model)), Progress(), data)
    assert model.read_bytes() == content


def test_models_that_would_show_nothing_are_refused(data, tmp_path):
    conv = fv.Conv2d(4, 3, padding=1)
    for layers, shape, message in (
        ((conv, fv.GlobalAvgPool2d(), fv.Linear(3)), (1, 8, 8), "no batch normalisation that uses the batch"),
        ((conv, fv.BatchNorm2d(frozen=True), fv.Flatten(), fv.Linear(3)), (1, 8, 8), "no batch normalisation"),
        ((fv.BatchNorm1d(), fv.Linear(3)), (64,), "takes models for grey or colour images, but the network takes 64"),
        ((conv, fv.BatchNorm2d()), (1, 8, 8), "network's output is 4x8x8"),
    ):
        scale = Preprocessing(shape, (0.5,) * shape[0], (0.5,) * shape[0])
        graph = fv.Sequential(*layers).build(shape)
        fv.Model(graph, preprocessing=scale, engine="reference").save(tmp_path / "m.safetensors")
        with pytest.raises(fv.FoveateError, match=message):
            bs.run(replace(BS, model=str(tmp_path / "m.safetensors")), Progress(), data)


def test_a_model_without_preprocessing_is_refused(data, tmp_path):
    path = tmp_path / "m.safetensors"
    fv.Model(bs.network((1, 8, 8), 3, (4,)), engine="reference").save(path)
    with pytest.raises(fv.DataError, match="no preprocessing, so it is unknown how to prepare images for it"):
        bs.run(replace(BS, model=str(path)), Progress(), data)


def test_a_model_of_other_classes_is_refused(data, tmp_path):
    path = tmp_path / "m.safetensors"
    fv.Model(bs.network((1, 8, 8), 4, (4,)), preprocessing=data.preprocessing, engine="reference").save(path)
    with pytest.raises(fv.DataError, match=r"4 outputs.* 3 class"):
        bs.run(replace(BS, model=str(path)), Progress(), data)


def test_settings_that_do_not_fit_the_images(data):
    with pytest.raises(fv.DataError, match=r"batches of 5 do not divide the 16 images of each class"):
        bs.run(replace(BS, batch_sizes=(2, 5)), Progress(), data)
    with pytest.raises(fv.DataError, match=r"needs 32 test images of each class, but there are 24 of left"):
        bs.run(replace(BS, images_per_class=32), Progress(), data)
    with pytest.raises(fv.DataError, match=r"16 companions .* cannot be found among 16 images"):
        bs.run(replace(BS, companions=16), Progress(), data)


@pytest.mark.parametrize("wrong", [{"epochs": (0, 0)}, {"batch_size": 0}])
def test_a_training_that_cannot_begin_has_not_diverged(wrong, data):
    with pytest.raises(fv.TrainingError, match=r"is 0; it must be an int of at least 1"):
        gen.run(replace(GEN, **wrong), Progress(), data)


def test_a_training_that_leaves_no_model_to_test(data):
    with pytest.raises(fv.TrainingError, match=r"diverged after step \d+, so there is no model to test"):
        bs.run(replace(BS, learning_rate=1e30), Progress(), data)


def test_sentences_on_batch_statistics(results):
    result = replace(
        results["batch-statistics-at-test-time"], accuracy=0.9, classes=("a", "b", "c"), label=0,
        probabilities=(0.8, 0.1, 0.1),
        tests=(
            bs.Test("shuffled", 2, 0.6, 0.2, 0.89), bs.Test("shuffled", 8, 0.85, 0.1, 0.9),
            bs.Test("sorted by class", 2, 0.2, 0.4, 0.5), bs.Test("sorted by class", 8, 0.1, 0.3, 0.6),
        ),
        companies=(
            bs.Company("mixed images", (1,), (0.7, 0.2, 0.1)), bs.Company("images of a only", (2,), (0.1, 0.9, 0.0)),
        ),
    )  # fmt: skip
    found = bs_page.findings(result)
    assert [finding.holds for finding in found] == [True] * 5
    differs, small, one_class, company, moves = (finding.numbers for finding in found)
    assert "it is 10.0 % in the worst test (sorted by class, batches of 8): 80.0 points lost" in differs
    assert "60.0 % with batches of 2, 85.0 % with batches of 8; correctly 90.0 %" in small
    assert "20.0 % with batches of 2, 10.0 % with batches of 8" in one_class
    assert "70.0 % among mixed images, 10.0 % among images of a only; tested correctly it is 80.0 %" in company
    assert "moved by 10.0 % to 40.0 % of their norm" in moves
    assert "gives 50.0 % at worst (sorted by class, batches of 2): 40.0 points lost" in moves
    harmless = replace(
        result,
        tests=tuple(replace(test, accuracy=0.905, moved=0.0, accuracy_after=0.9) for test in result.tests),
        companies=tuple(replace(company, probabilities=(0.8, 0.1, 0.1)) for company in result.companies),
    )
    found = bs_page.findings(harmless)
    assert [finding.holds for finding in found] == [False] * 5
    assert "0.5 points gained" in found[0].numbers


# Progress


def test_the_loss_of_each_step_is_kept_to_five_digits():
    watcher = Watcher(Progress())
    for epoch, loss in ((1, 2.0), (1, 1e20), (2, 0.123456)):
        watcher.step(epoch, 4, 7.0, 0.5, loss)
    assert watcher.losses == [2.0, 1e20, 0.12346]


@pytest.mark.parametrize("kind", [Lines, LiveBar])
def test_each_run_is_a_line(kind, data):
    stream = StringIO()
    with kind(stream) as progress:
        bs.run(BS, progress, data)
    lines = [line.split("\x1b")[0] for line in stream.getvalue().splitlines() if "accuracy" in line]
    assert len([line for line in lines if "batches of" in line and "in a correct test afterwards" in line]) == 6
    if kind is Lines:
        assert stream.getvalue().splitlines()[0].startswith("1/7 training: loss ")
        assert stream.getvalue().splitlines()[-1].startswith("7/7 sorted by class, batches of 8: accuracy ")


def test_every_image_planned_is_counted(data):
    class Count(Progress):
        planned = begun = finished = runs = 0

        def start(self, runs, images):
            self.runs, self.planned = runs, images

        def begin(self, run, images):
            self.begun += images

        def finish(self, line):
            self.finished += 1

    for name, settings in TINY.items():
        count = Count()
        EXPERIMENTS[name].run(settings, count, data)
        assert (count.begun, count.finished) == (count.planned, count.runs), name


def test_a_pipe_gets_lines():
    assert isinstance(make_progress(StringIO()), Lines)


# The page


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_report_is_one_page_with_everything_inside(name, results, tmp_path):
    report = EXPERIMENTS[name].report(results[name])
    path = write_report(results[name], report, tmp_path / "new" / "folder")
    text = path.read_text(encoding="utf-8")
    page = Checker(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert "@import" not in text
    assert "url(" not in text
    inside = [address for address in page.addresses if not address.startswith("data:image/png;base64,")]
    assert inside == [f"#{name}" for name in page.ids if name.startswith("part-")]
    assert page.tags.count("source") == page.tags.count("img") == len(report.drawings)
    assert all(len(alt) > 40 for alt in page.alts)
    words = " ".join(page.words)
    for finding in report.findings:
        assert str(finding) in words
    for part in (*report.question, *report.method, *report.limits):
        assert part in words
    for row in (*report.numbers.rows, *report.settings.rows):
        assert all(cell in words for cell in row)
    for drawing in report.drawings:
        light, dark = (Image.open(path.parent / f"{drawing.name}-{theme}.png") for theme in ("light", "dark"))
        assert (light.getpixel((1, 1))[:3], dark.getpixel((1, 1))[:3]) == ((255, 255, 255), (13, 17, 23))
    written = json.loads((path.parent / "result.json").read_text())
    assert written == json.loads(json.dumps(results[name].to_json()))


def test_every_setting_stands_on_the_page(results):
    rows = dict(EXPERIMENTS["batch-normalization"].report(results["batch-normalization"]).settings.rows)
    assert rows["peak learning rates (cosine)"] == "0.02, 1e+20"
    assert rows["first seed"] == "3"
    assert rows["seeds"] == "2"
    assert rows["engine used for training"] == "reference"
    for name, settings in TINY.items():
        shown = {"engine", *type(settings).WORDS}
        assert shown == {field.name for field in fields(settings)}, name


def test_the_report_draws_each_figure_on_both_papers(tmp_path):
    from foveate.explain.draw.style import colour, new_figure

    seen = []

    def draw():
        seen.append(colour("paper"))
        return new_figure(1, 1)

    table = html.Table(("a",), [("1",)])
    drawing = Drawing("one", draw, "alt", "caption")
    report = Report("T", ["Q"], ["M"], table, [drawing], table, [Finding("C", False, "N.")], ["L"])

    class Plain:
        def to_json(self):
            return {}

    assert "“C”: not seen here. N." in write_report(Plain(), report, tmp_path).read_text(encoding="utf-8")
    assert seen == ["#ffffff", "#0d1117"]


def test_an_unknown_experiment_gets_the_nearest():
    with pytest.raises(fv.DataError, match=r'there is no experiment "generalisation"\. Nearest: generalization'):
        find("generalisation")


def test_importing_the_experiments_does_not_import_matplotlib():
    code = "import sys, foveate.explain.experiments; raise SystemExit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_quick_on_fashion_mnist(name, tmp_path):
    experiment = EXPERIMENTS[name]
    result = experiment.run(experiment.settings.quick(), Progress())
    report = experiment.report(result)
    write_report(result, report, tmp_path)
    assert report.findings[0].holds, report.findings[0]
