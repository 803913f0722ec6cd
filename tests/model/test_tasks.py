"""Models for every task: trained, measured, used, saved."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import metrics as sklearn_metrics

import foveate as fv
from foveate import BinaryCrossEntropy, CrossEntropy, DataError, Dataset, FileError, MeanSquaredError, Model
from foveate.errors import TrainingError
from foveate.tasks import Classification, MultiLabel, Regression, Segmentation, Several
from foveate.training import History, RunFolder, draw_curves
from tests.files.support import rewritten

SIDES = MultiLabel(("left", "right"))
VALUES = Regression(("brightness", "contrast"))
BOTH = Several({"sides": SIDES, "brightness": (Regression(("brightness",)), 0.5)})


def pictures(count, seed=0):
    """Grey 6x6 images whose left and right halves are lit or not, at random."""
    random = np.random.default_rng(seed)
    lit = random.integers(0, 2, (count, 2))
    images = random.normal(40, 10, (count, 1, 6, 6)) + 120 * np.repeat(lit, 3, axis=1)[:, None, None, :]
    return np.clip(images, 0, 255).astype(np.uint8), lit


def by_sides(count, seed=0):
    images, lit = pictures(count, seed)
    return Dataset(images, lit, SIDES)


def by_values(count, seed=0):
    images, _ = pictures(count, seed)
    return Dataset(images, np.stack([images.mean(axis=(1, 2, 3)), images.std(axis=(1, 2, 3))], axis=1) / 255, VALUES)


def by_both(count, seed=0):
    images, lit = pictures(count, seed)
    return Dataset(images, {"sides": lit, "brightness": images.mean(axis=(1, 2, 3)) / 255}, BOTH)


def network(*last):
    return fv.Sequential(fv.Flatten(), fv.Linear(8), fv.ReLU(), *last).build((1, 6, 6))


def two_headed():
    builder = fv.GraphBuilder()
    flat = builder.add(fv.Flatten(), builder.input((1, 6, 6)))
    trunk = builder.add(fv.ReLU(), builder.add(fv.Linear(8), flat))
    sides = builder.add(fv.Linear(2), trunk, name="sides")
    brightness = builder.add(fv.Linear(1), trunk, name="brightness")
    return builder.build(sides, brightness)


def fitted(graph, data, engine, **options):
    model = Model(graph, engine=engine)
    history = model.fit(data, progress=False, **{"epochs": 15, "batch_size": 8, **options})
    return model, history


def test_the_network_with_one_sigmoid(engine):
    """Softmax over its one output would be 1 for every image."""
    images, lit = pictures(80)
    data = Dataset(images, lit[:, 0], ("dark", "lit"))
    for last in ((fv.Linear(1),), (fv.Linear(2),)):
        model, _ = fitted(network(*last), data, engine)
        assert model.evaluate(data).accuracy > 0.95
        probabilities = model.predict(images)
        assert probabilities.shape == (80, 2)
        assert probabilities.min() < 0.2
        assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    ending = Model(network(fv.Linear(1), fv.Sigmoid()), task=model.task, engine=engine)
    ending.preprocessing = model.preprocessing
    single = Model(network(fv.Linear(1)), classes=("dark", "lit"), preprocessing=model.preprocessing, engine=engine)
    assert_allclose(ending.predict(images), single.predict(images), atol=1e-6)
    assert ending.evaluate(data).loss == pytest.approx(single.evaluate(data).loss, rel=1e-4)
    with pytest.raises(TrainingError, match="BinaryCrossEntropy applies the sigmoid itself, but"):
        ending.fit(data)


def test_labels_that_do_not_exclude_each_other(engine):
    data, test = by_sides(80), by_sides(40, seed=1)
    model, _ = fitted(network(fv.Linear(2)), data, engine)
    probabilities, found = model.predict(test.inputs), model.evaluate(test)
    assert model.task == SIDES
    assert model.classes is None
    assert found.samples == 40
    wanted = sklearn_metrics.average_precision_score(test.targets, probabilities, average="macro")
    assert found["average_precision"] == pytest.approx(wanted)
    assert found["f1"] == pytest.approx(sklearn_metrics.f1_score(test.targets, probabilities > 0.5, average="macro"))
    assert found["f1"] > 0.9
    assert found.loss == pytest.approx(
        np.mean([sklearn_metrics.log_loss(test.targets[:, k], probabilities[:, k].astype(float)) for k in (0, 1)]),
        rel=1e-4,
    )
    lit = test.inputs[(test.targets == [1, 0]).all(axis=1)][:1]
    assert [name for name, _ in model.answers(lit)[0]] == ["left"]


def test_numbers(engine):
    data, test = by_values(80), by_values(40, seed=1)
    model, history = fitted(network(fv.Linear(2)), data, engine, validation=test, schedule=fv.OneCycle(0.03))
    values, found = model.predict(test.inputs), model.evaluate(test)
    assert values.shape == (40, 2)
    assert found["mae"] == pytest.approx(sklearn_metrics.mean_absolute_error(test.targets, values))
    assert found["r2"] == pytest.approx(sklearn_metrics.r2_score(test.targets, values))
    assert found["r2"] > 0.5
    assert found.loss == pytest.approx(sklearn_metrics.mean_squared_error(test.targets, values))
    assert history.epochs[history.best - 1].validation_metric == round(found["mae"], 6)
    assert history.epochs[history.best - 1].validation_loss == round(found.loss, 6)
    assert [name for name, _ in model.answers(test.inputs[:1])[0]] == ["brightness", "contrast"]


def test_values_that_end_with_a_sigmoid_are_compared_as_they_are(engine):
    data = by_values(16)
    model, _ = fitted(network(fv.Linear(2), fv.Sigmoid()), data, engine, epochs=1)
    wanted = sklearn_metrics.mean_squared_error(data.targets, model.predict(data.inputs))
    assert model.evaluate(data).loss == pytest.approx(wanted, rel=1e-5)


def test_two_outputs(engine):
    data, test = by_both(80), by_both(40, seed=1)
    model, history = fitted(two_headed(), data, engine, validation=test, schedule=fv.OneCycle(0.03))
    found, decoded = model.evaluate(test), model.predict(test.inputs)
    assert set(decoded) == {"sides", "brightness"}
    assert found.loss == pytest.approx(found.losses["sides"] + 0.5 * found.losses["brightness"])
    assert found["sides f1"] > 0.9
    wanted = sklearn_metrics.mean_absolute_error(test.targets["brightness"], decoded["brightness"])
    assert found["brightness mae"] == pytest.approx(wanted)
    assert history.epochs[-1].metric == "sides average_precision"
    answers = model.answers(test.inputs[:3])
    assert [len(answers[name]) for name in ("sides", "brightness")] == [3, 3]
    outputs = model.outputs(model.preprocessing.apply(test.inputs))
    assert_array_equal(outputs["brightness"], decoded["brightness"])
    with pytest.raises(fv.GraphError, match=r"the network has 2 outputs \(sides, brightness\); name one of them"):
        model.logits(model.preprocessing.apply(test.inputs))


def test_one_loss_for_each_of_two_outputs(engine):
    data = by_both(16)
    loss = {"sides": BinaryCrossEntropy()}
    one, _ = fitted(two_headed(), data, engine, epochs=1, loss=loss)
    other, _ = fitted(two_headed(), data, engine, epochs=1)
    assert_array_equal(one.read("linear1.weight"), other.read("linear1.weight"))
    with pytest.raises(TrainingError, match=r"2 outputs \(sides, brightness\); give the loss of each by name"):
        one.fit(data, loss=MeanSquaredError())
    with pytest.raises(
        TrainingError, match=r"a loss is given for side, which is not an output of the network\. Nearest"
    ):
        one.fit(data, loss={"side": MeanSquaredError()})


def test_an_image_and_a_table(engine):
    images, lit = pictures(60)
    table = np.random.default_rng(2).normal(size=(60, 3)).astype(np.float32)
    targets = images.mean(axis=(1, 2, 3)) / 255 + table[:, 0]
    data = Dataset({"image": images, "table": table}, targets, Regression(("sum",)))
    assert repr(data) == "Dataset(60 samples of image 1x6x6 uint8, table 3 float32, Regression)"
    builder = fv.GraphBuilder()
    image, rows = builder.input((1, 6, 6), "image"), builder.input((3,), "table")
    joined = builder.add(fv.Concatenate(), builder.add(fv.Flatten(), image), rows)
    graph = builder.build(builder.add(fv.Linear(1), joined))
    model, _ = fitted(graph, data, engine, epochs=20, schedule=fv.OneCycle(0.01))
    assert model.preprocessing == fv.Preprocessing.measure(Dataset(images, lit[:, 0], ("a", "b")))
    assert model.evaluate(data)["r2"] > 0.8
    values = model.predict({"image": images[:5], "table": table[:5]})
    prepared = {"image": model.preprocessing.apply(images[:5]), "table": table[:5]}
    assert_array_equal(values, model.logits(prepared))
    wrong = [
        (images[:5], "the network has 2 inputs; give a mapping by their names: image, table"),
        ({"image": images}, "the network has the inputs image, table, but got image"),
        (
            {"image": images[:5], "table": table[:4]},
            "there are at least 5 images, but 4 of table; each sample needs every input",
        ),
    ]
    for given, message in wrong:
        with pytest.raises(DataError, match=message):
            model.predict(given)
    with pytest.raises(
        DataError, match="the network has the inputs image, table, but the data have input; give Dataset a"
    ):
        model.evaluate(Dataset(images, targets, Regression(("sum",))))
    with pytest.raises(DataError, match="the input table of a sample is 2, but the network takes 3"):
        model.evaluate(Dataset({"image": images, "table": table[:, :2]}, targets, Regression(("sum",))))


@pytest.mark.parametrize(
    ("data", "graph"),
    [(by_sides(16), network(fv.Linear(2))), (by_values(16), network(fv.Linear(2))), (by_both(16), two_headed())],
)
def test_files_keep_the_task(engine, tmp_path, data, graph):
    model, history = fitted(graph, data, engine, epochs=2, validation=data, out=tmp_path)
    for name in ("model.safetensors", "checkpoint.safetensors"):
        loaded = fv.load(tmp_path / name, engine=engine)
        assert loaded.task == data.task
    assert loaded.evaluate(data).loss == model.evaluate(data).loss
    assert History.from_csv(RunFolder(tmp_path).history) == history
    assert History.from_json(history.to_json()) == history
    again = Model(model.graph, engine=engine)
    again.fit(data, validation=data, epochs=2, batch_size=8, out=tmp_path, resume=True, progress=False)
    for name in model.state.names():
        assert_array_equal(again.read(name), model.read(name))


def test_a_file_with_a_damaged_task(engine, tmp_path):
    model, _ = fitted(network(fv.Linear(2)), by_sides(16), engine, epochs=1)
    model.save(tmp_path / "model")
    rewritten(tmp_path / "model", lambda document: document["task"].update(kind="multi_lapel"))
    with pytest.raises(FileError, match="model cannot be used: there is no task of kind 'multi_lapel'"):
        fv.load(tmp_path / "model", engine=engine)


def test_the_loss_that_was_trained_with_is_measured(engine, tmp_path):
    images, lit = pictures(16)
    data = Dataset(images, lit[:, 0], ("dark", "lit"))
    model, history = fitted(network(fv.Linear(2)), data, engine, epochs=1, validation=data, loss=CrossEntropy(0.3))
    model.save(tmp_path / "model")
    for each in (model, fv.load(tmp_path / "model", engine=engine)):
        assert round(each.evaluate(data).loss, 6) == history.epochs[-1].validation_loss
    assert model.evaluate(data, loss=CrossEntropy()).loss != model.evaluate(data).loss


def test_the_table_and_the_lines_speak_of_the_tasks_metric(engine, tmp_path, capsys):
    data = by_values(16)
    Model(network(fv.Linear(2)), engine=engine).fit(data, validation=data, epochs=1, out=tmp_path)
    said = capsys.readouterr().out
    assert said.startswith("epoch 1: loss ")
    assert ", validation loss " in said
    assert ", mae " in said
    assert "accuracy" not in said
    columns = (tmp_path / "history.csv").read_text().splitlines()[0]
    assert columns == "epoch,train_loss,validation_loss,validation_mae,learning_rate,seconds,images_per_second"
    _, metric = draw_curves(History.from_csv(tmp_path / "history.csv")).axes
    assert metric.get_ylabel() == "mae"
    assert [line.get_label() for line in metric.lines] == ["validation"]


def test_what_only_a_classification_has(engine):
    model, _ = fitted(network(fv.Linear(2)), by_values(16), engine, epochs=1)
    found = model.evaluate(by_values(16))
    for name in ("accuracy", "per_class", "confusion"):
        with pytest.raises(DataError, match=r"no classification was measured, but mae, rmse, r2; see evaluation"):
            getattr(found, name)
    with pytest.raises(DataError, match=r"the model is for Regression, which has no classes to choose from"):
        model.classify(by_values(1).inputs)
    data = by_values(4)
    with pytest.raises(DataError, match=r"the data are for Regression, which has no labels; see dataset\.targets"):
        data.labels  # noqa: B018 (the attribute raises)
    with pytest.raises(DataError, match=r"the data are for Regression, which has no classes; see dataset\.task"):
        data.classes  # noqa: B018
    report = found.to_json()
    assert report["format"] == 1
    assert report["numbers"] == dict(found.numbers)
    assert str(found).startswith("loss ")


def test_losses_that_do_not_fit_are_refused_before_training(engine):
    model = Model(network(fv.Linear(2)), task=SIDES, engine=engine)
    with pytest.raises(TrainingError, match="MultiLabel, which is trained with BinaryCrossEntropy or Focal, but "):
        model.fit(by_sides(8), loss=CrossEntropy())
    images, lit = pictures(8)
    with pytest.raises(TrainingError, match="is trained with CrossEntropy, but its loss is MeanSquared"):
        Model(network(fv.Linear(2)), engine=engine).fit(Dataset(images, lit[:, 0], ("a", "b")), loss=MeanSquaredError())


def test_tasks_that_do_not_fit(engine):
    with pytest.raises(DataError, match=r"both task and classes are given; classes=\.\.\. is short for task="):
        Model(network(fv.Linear(2)), task=SIDES, classes=("a", "b"), engine=engine)
    with pytest.raises(DataError, match=r"is 3, but there are 2 labels \(left, right\); make its last layer"):
        Model(network(fv.Linear(3)), task=SIDES, engine=engine)
    model = Model(network(fv.Linear(2)), task=SIDES, engine=engine)
    with pytest.raises(
        DataError, match=r"the model is for MultiLabel\(.*, but the data are for Regression\(.*; give both"
    ):
        model.fit(by_values(8))


def test_shares_of_classes_are_learnt_and_measured(engine):
    """Cross-entropy against shares, as torch.nn.functional.cross_entropy has it for probabilities."""
    images, _ = pictures(40)
    shares = np.random.default_rng(1).dirichlet((1, 1), 40).astype(np.float32)
    data = Dataset(images, shares, ("a", "b"))
    model = Model(network(fv.Linear(2)), engine=engine)
    model.fit(data, validation=data, epochs=1, batch_size=8, progress=False)
    logits = model.logits(model.preprocessing.from_images(images)).astype(np.float64)
    logs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    assert model.evaluate(data).loss == pytest.approx(float(-(shares * logs).sum(axis=1).mean()), rel=1e-5)


def test_maps_do_not_move_with_their_images(engine):
    graph = fv.Sequential(fv.Conv2d(2, 3, padding=1)).build((1, 6, 6))
    images, _ = pictures(4)
    data = Dataset(images, (images[:, 0] > 100).astype(int), Segmentation(("dark", "lit")))
    with pytest.raises(TrainingError, match="moves or mirrors the images, but not the maps that conv1 learns; leave"):
        Model(graph, engine=engine).fit(data, augmentation=fv.Augmentation(flip=True))
    with pytest.raises(DataError, match="a mask is 5x6, but the network's output conv1 has 6x6 positions"):
        Model(graph, engine=engine).fit(Dataset(images, data.targets[:, 1:], data.task))


def test_classifications_decode_as_before(engine):
    images, lit = pictures(12)
    model, _ = fitted(network(fv.Linear(2)), Dataset(images, lit[:, 0], ("dark", "lit")), engine, epochs=1)
    logits = model.logits(model.preprocessing.apply(images)).astype(np.float64)
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    assert_array_equal(model.predict(images), (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32))
    assert model.task == Classification(("dark", "lit"))
