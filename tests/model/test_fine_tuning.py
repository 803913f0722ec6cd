"""A model that learns something new from what it knows: a new head, frozen parameters, and `foveate train --from`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import foveate as fv
from foveate.cli import app
from foveate.layers import Layer


def network() -> fv.Model:
    layers = (fv.Conv2d(4, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.Flatten(), fv.Linear(5))
    graph = fv.Sequential(*layers).build((1, 6, 6))
    return fv.Model(graph, classes=tuple("abcde"), preprocessing=fv.Preprocessing((1, 6, 6), (0.5,), (0.25,)), seed=1)


def data(classes: tuple[str, ...], count: int = 24) -> fv.Dataset:
    random = np.random.default_rng(0)
    labels = np.arange(count) % len(classes)
    images = random.integers(0, 100, (count, 1, 6, 6)) + 50 * labels[:, None, None, None]
    return fv.Dataset(images.astype(np.uint8), labels, classes)


def test_a_new_head_keeps_everything_before_it():
    old = network().freeze("conv1")
    new = old.with_head(("cat", "dog", "eel"), seed=7)
    assert new.graph.output_shape == (3,)
    assert new.classes == ("cat", "dog", "eel")
    assert (new.preprocessing, new.frozen) == (old.preprocessing, {"conv1.weight", "conv1.bias"})
    for name in old.state.names():
        if not name.startswith("linear1"):
            np.testing.assert_array_equal(new.read(name), old.read(name))
    other = old.with_head(3, seed=8)
    assert other.task is None
    assert not np.array_equal(new.read("linear1.weight"), other.read("linear1.weight"))
    np.testing.assert_array_equal(new.read("linear1.weight"), old.with_head(3, seed=7).read("linear1.weight"))


def test_a_head_of_as_many_classes_is_new_too():
    old = network()
    old.state.load("linear1.weight", np.ones((5, 144)))
    assert not np.array_equal(old.with_head(5).read("linear1.weight"), old.read("linear1.weight"))
    assert (old.read("linear1.weight") == 1).all()


@pytest.mark.parametrize("ending", [fv.Softmax(), fv.LogSoftmax(), fv.Sigmoid()])
def test_the_last_probabilities_are_left_out(ending: Layer):
    old = fv.Model(fv.Sequential(fv.Flatten(), fv.Linear(5), ending).build((1, 6, 6)))
    assert old.with_head(2).graph.only_output == "linear1"


def test_they_are_left_out_before_a_flattening_too():
    layers = (fv.Conv2d(5, 1), fv.AvgPool2d(6), fv.Softmax(), fv.Flatten())
    new = fv.Model(fv.Sequential(*layers).build((1, 6, 6))).with_head(2)
    assert [node.name for node in new.graph.nodes] == ["conv1", "pool1", "flatten1"]


def test_a_convolution_whose_maps_are_averaged_is_a_head():
    new = fv.Model(fv.zoo.make("squeezenet1_1")).with_head(3)
    assert new.graph.owners[-1].output_shape[0] == 3
    assert new.graph.output_shape == (3,)


HEAVY = 12_000_000
"""Parameters from which a network takes seconds to be initialised twice."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=[pytest.mark.slow] * (each.parameters > HEAVY)) for n, each in fv.zoo.NETWORKS.items()],
)
def test_every_network_of_the_zoo_takes_a_new_head_and_keeps_all_else(name: str):
    """Another seed than the model's, so that what is not carried over is seen."""
    old = fv.Model(fv.zoo.make(name), seed=1)
    new = old.with_head(3, seed=2)
    assert new.graph.output_shape == (3,)
    assert new.state.names() == old.state.names()
    head = next(reversed(new.graph.parameters)).rpartition(".")[0]
    of_head = {each for each in new.state.names() if each.startswith(f"{head}.")}
    assert of_head
    for each in old.state.names():
        if each in of_head:
            assert new.read(each).shape == (3, *old.read(each).shape[1:])
        else:
            np.testing.assert_array_equal(new.read(each), old.read(each), err_msg=each)


def test_what_is_frozen_stays_bit_for_bit_while_the_head_learns():
    new = network().with_head(("dark", "light")).freeze("conv1", "bn1")
    before = {name: new.read(name) for name in new.state.names()}
    new.fit(data(("dark", "light")), epochs=2, batch_size=8, progress=False)
    changed = {name for name in before if not np.array_equal(before[name], new.read(name))}
    assert changed == {"linear1.weight", "linear1.bias"}


def test_the_body_learns_at_a_tenth_of_the_heads_rate():
    """Without momentum, the first step is as far as its rate says."""
    options = {"epochs": 1, "batch_size": 24, "optimizer": fv.SGD(momentum=0, weight_decay=0), "progress": False}
    models = [network().with_head(("dark", "light"), seed=3) for _ in range(2)]
    before = models[0].read("conv1.weight"), models[0].read("linear1.weight")
    for model, factors in zip(models, (None, {"conv*": 0.1, "bn1": 0.1}), strict=True):
        schedule = fv.Constant(0.01)
        model.fit(data(("dark", "light")), schedule=schedule, learning_rate_factors=factors, **options)
    names = ("conv1.weight", "linear1.weight")
    full, slow = ([m.read(name) - b for name, b in zip(names, before, strict=True)] for m in models)
    np.testing.assert_allclose(slow[0], 0.1 * full[0], atol=1e-6)
    np.testing.assert_array_equal(slow[1], full[1])
    assert models[1].training["recipe"]["learning_rate_factors"] == [["conv*", 0.1], ["bn1", 0.1]]
    assert "learning_rate_factors" not in models[0].training["recipe"]


def test_a_rate_for_what_is_frozen_is_refused():
    model = network().freeze("conv1")
    with pytest.raises(
        fv.TrainingError, match=r'learning_rate_factors has "conv\*", but every parameter there is frozen'
    ):
        model.fit(data(tuple("abcde")), learning_rate_factors={"conv*": 0.1}, progress=False)
    with pytest.raises(fv.GraphError, match=r'no parameter is called "features.\*"'):
        model.fit(data(tuple("abcde")), learning_rate_factors={"features.*": 0.1}, progress=False)
    with pytest.raises(fv.CallError, match="it is called learning_rate_factors"):
        model.fit(data(tuple("abcde")), learning_rates={"conv*": 0.1})


@pytest.mark.parametrize("classes", ["cat", 0, [], True, 2.5, None])
def test_classes_are_names_or_their_number(classes: object):
    with pytest.raises(fv.DataError, match="give the names of at least one class, or how many there are"):
        network().with_head(classes)  # type: ignore[arg-type]


def test_a_network_without_a_head_to_replace_is_refused():
    with pytest.raises(fv.GraphError, match="there is no head to replace"):
        fv.Model(fv.Sequential(fv.Flatten()).build((1, 6, 6))).with_head(2)
    with pytest.raises(fv.GraphError, match=r"output comes from bn1 \(BatchNorm1d\), but a new head can only replace"):
        fv.Model(fv.Sequential(fv.Linear(3), fv.BatchNorm1d()).build((4,))).with_head(2)
    builder = fv.GraphBuilder()
    x = builder.input((4,))
    with pytest.raises(fv.GraphError, match=r"the network has 2 outputs \(linear1, linear2\)"):
        fv.Model(builder.build(builder.add(fv.Linear(3), x), builder.add(fv.Linear(2), x))).with_head(2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, grey in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(12):
            noise = np.random.default_rng(number).integers(-30, 30, (9, 9))
            Image.fromarray((grey + noise).astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


def train(*arguments: object):
    return CliRunner().invoke(app, ["train", *map(str, arguments)], catch_exceptions=False)


def test_the_command_starts_from_a_file_and_keeps_what_is_frozen(folder: Path, tmp_path: Path):
    network().save(tmp_path / "old.safetensors")
    options = ("--freeze", "conv1", "--freeze", "bn1", "--epochs", 2, "--batch-size", 4, "--out", tmp_path / "new")
    done = train(folder, "--from", tmp_path / "old.safetensors", *options)
    assert done.exit_code == 0, done.output
    old, new = fv.load(tmp_path / "old.safetensors"), fv.load(tmp_path / "new/model.safetensors")
    assert (new.classes, new.graph.input_shape) == (("dark", "light"), (1, 6, 6))
    assert new.preprocessing == old.preprocessing
    for name in ("conv1.weight", "bn1.running_mean"):
        np.testing.assert_array_equal(new.read(name), old.read(name))


def test_the_command_gives_layers_rates_of_their_own(folder: Path, tmp_path: Path):
    network().save(tmp_path / "old.safetensors")
    options = ("--epochs", 1, "--batch-size", 4, "--out", tmp_path / "new")
    rates = ("--learning-rate-factor", "conv*=0.1", "--learning-rate-factor", "bn1=0.5")
    done = train(folder, "--from", tmp_path / "old.safetensors", *rates, *options)
    assert done.exit_code == 0, done.output
    recipe = fv.load(tmp_path / "new/model.safetensors").training["recipe"]
    assert recipe["learning_rate_factors"] == [["conv*", 0.1], ["bn1", 0.5]]


@pytest.mark.parametrize("given", ["conv*", "=0.1", "conv*=fast", "conv*=0", "conv*=nan"])
def test_the_command_refuses_what_is_no_rate(folder: Path, given: str):
    done = train(folder, "--learning-rate-factor", given)
    assert done.exit_code == 2
    assert "is not a pattern and a positive factor, such as" in " ".join(done.output.replace("│", " ").split())


def test_the_command_has_one_network(folder: Path, tmp_path: Path):
    network().save(tmp_path / "old.safetensors")
    done = train(folder, "--from", tmp_path / "old.safetensors", "--net", "lenet5")
    assert done.exit_code == 2
    assert "--from has its own network; leave --net out" in done.output


@pytest.mark.slow
def test_classes_that_a_network_never_saw_are_learnt_from_few_pictures():
    """Five pictures of each: the features of seven other classes are worth more than what five pictures teach."""
    splits = fv.datasets.fashion_mnist()

    def part(dataset: fv.Dataset, names: tuple[str, ...], count: int) -> fv.Dataset:
        wanted = [dataset.classes.index(name) for name in names]
        chosen = np.concatenate([np.flatnonzero(dataset.labels == index)[:count] for index in wanted])
        labels = np.array([wanted.index(label) for label in dataset.labels[chosen]])
        return fv.Dataset(dataset.inputs[chosen], labels, names)

    new_names = ("Pullover", "Sandal", "Bag")
    old_names = tuple(name for name in splits.train.classes if name not in new_names)
    graph = fv.zoo.make("vgg6", classes=len(old_names))
    body = fv.Model(graph, classes=old_names, preprocessing=splits.preprocessing)
    body.fit(part(splits.train, old_names, 800), epochs=3, batch_size=64, progress=False)
    few, unseen = part(splits.train, new_names, 5), part(splits.validation, new_names, 400)
    tuned = body.with_head(new_names)
    head = {name for name in tuned.graph.parameters if tuned.read(name).shape[0] == 3}
    tuned.freeze(*(name for name in tuned.state.names() if name not in head))
    before = {name: tuned.read(name) for name in tuned.frozen}
    scratch = fv.Model(tuned.graph, classes=new_names, preprocessing=splits.preprocessing)
    for model in (tuned, scratch):
        model.fit(few, epochs=30, batch_size=15, schedule=fv.OneCycle(0.03), progress=False)
    assert all(np.array_equal(before[name], tuned.read(name)) for name in before)
    accuracies = [model.evaluate(unseen, progress=False).accuracy for model in (tuned, scratch)]
    assert accuracies[0] > accuracies[1] + 0.05, accuracies
