"""The samples with the highest losses, against PyTorch's losses of single samples."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

import foveate as fv
from foveate.tasks import Classification, MultiLabel, Regression, Segmentation, Several

CLASSES = ("cat", "dog", "bird")


@pytest.fixture
def data():
    random = np.random.default_rng(0)
    return fv.Dataset(random.integers(0, 256, (40, 1, 6, 6), np.uint8), random.integers(0, 3, 40), CLASSES)


def classifier(data, engine="reference"):
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.ReLU(), fv.Flatten(), fv.Linear(3)).build((1, 6, 6))
    model = fv.Model(graph, classes=CLASSES, seed=1, engine=engine, preprocessing=fv.Preprocessing.measure(data))
    for name in ("linear1.weight",):
        model.state.load(name, 4 * model.read(name))
    return model


@pytest.mark.parametrize("engine", ["reference", "native"])
def test_they_are_those_that_pytorch_finds(data, engine):
    model = classifier(data, engine)
    logits = torch.tensor(model.logits(model.preprocessing.apply(data.inputs)))
    losses = F.cross_entropy(logits, torch.tensor(data.labels), reduction="none")
    expected, places = losses.topk(7)
    found = model.top_losses(data, 7)
    assert [sample.index for sample in found] == places.tolist()
    assert [sample.loss for sample in found] == pytest.approx(expected.tolist(), rel=1e-4)
    shares = logits.softmax(dim=1)
    for sample in found:
        assert sample.target == CLASSES[data.labels[sample.index]]
        assert sample.prediction == CLASSES[int(shares[sample.index].argmax())]
        assert sample.probability == pytest.approx(float(shares[sample.index].max()), rel=1e-4)
    assert np.array_equal(found.inputs, data.inputs[places.numpy()])


def test_they_are_measured_with_the_loss_of_the_training_unless_another_is_given(data):
    model = classifier(data)
    smoothed = fv.CrossEntropy(label_smoothing=0.2)
    model.fit(data, epochs=1, batch_size=16, loss=smoothed, schedule=fv.Constant(1e-6), progress=False)
    logits = torch.tensor(model.logits(model.preprocessing.apply(data.inputs)))
    labels = torch.tensor(data.labels)
    for options, smoothing in (({}, 0.2), ({"loss": fv.CrossEntropy()}, 0.0)):
        expected = F.cross_entropy(logits, labels, reduction="none", label_smoothing=smoothing)
        found = model.top_losses(data, 3, **options)
        assert [sample.loss for sample in found] == pytest.approx(expected.topk(3).values.tolist(), rel=1e-4)


def test_it_is_a_sequence_with_names_words_and_json(data):
    names = [f"photos/{place}.png" for place in range(len(data))]
    found = classifier(data).top_losses(data, names=names)
    assert len(found) == 9
    first = found[0]
    assert first.name == f"photos/{first.index}.png"
    assert str(first) == (
        f"{first.name}: loss {first.loss:.4g}, was {first.target}, said {first.prediction} ({first.probability:.1%})"
    )
    assert str(found).splitlines() == [str(sample) for sample in found]
    assert [sample.index for sample in found[2:4]] == [found[2].index, found[3].index]
    assert np.array_equal(found[2:4].inputs, found.inputs[2:4])
    rows = json.loads(json.dumps(found.to_json()))
    assert list(rows[0]) == ["index", "name", "loss", "target", "prediction", "probability"]
    assert rows[0]["loss"] == first.loss
    assert f'<td style="text-align: left">{first.name}</td>' in found._repr_html_()
    assert repr(found).startswith(f"TopLosses(9 samples, {first.name}: loss ")


def test_equal_losses_are_in_the_order_of_the_data(data):
    same = fv.Dataset(np.repeat(data.inputs[:1], 30, axis=0), np.zeros(30, int), CLASSES)
    assert [sample.index for sample in classifier(data).top_losses(same, 4)] == [0, 1, 2, 3]
    assert len(classifier(data).top_losses(data, 1_000)) == 40


def fitted(graph, dataset):
    model = fv.Model(graph, engine="reference", seed=2)
    model.fit(dataset, epochs=1, batch_size=8, schedule=fv.Constant(1e-4), progress=False)
    return model


def test_words_for_other_tasks():
    random = np.random.default_rng(0)
    inputs = random.random((20, 1, 6, 6), np.float32)
    numbers = fv.Dataset(inputs, 10 * random.random((20, 2)), Regression(("age", "weight")))
    body = (fv.Conv2d(2, 3), fv.ReLU(), fv.Flatten())
    found = fitted(fv.Sequential(*body, fv.Linear(2)).build((1, 6, 6)), numbers).top_losses(numbers, 2)
    values = numbers.targets[found[0].index]
    assert found[0].target == f"age {values[0]:.3g}, weight {values[1]:.3g}"
    assert found[0].probability is None
    labels = fv.Dataset(inputs, np.eye(4)[random.integers(0, 4, 20)] * 0, MultiLabel(("a", "b", "c", "d")))
    assert fitted(fv.Sequential(*body, fv.Linear(4)).build((1, 6, 6)), labels).top_losses(labels, 2)[0].target == "none"
    labels = fv.Dataset(inputs, np.ones((20, 4)), MultiLabel(("a", "b", "c", "d")))
    target = fitted(fv.Sequential(*body, fv.Linear(4)).build((1, 6, 6)), labels).top_losses(labels, 2)[0].target
    assert target == "a 1, b 1, c 1, ..."


def test_positions_that_are_ignored_do_not_count():
    random = np.random.default_rng(0)
    masks = random.integers(0, 2, (6, 4, 4))
    masks[2] = 255
    data = fv.Dataset(random.random((6, 1, 4, 4), np.float32), masks, Segmentation(("sky", "land"), ignore_index=255))
    model = fitted(fv.Sequential(fv.Conv2d(2, 3, padding="same")).build((1, 4, 4)), data)
    found = model.top_losses(data, 6)
    assert found[-1].index == 2
    assert found[-1].loss == 0
    assert found[-1].target == "none"
    shares = [(np.sum(masks[found[0].index] == label) / 16, name) for label, name in enumerate(("sky", "land"))]
    assert found[0].target == ", ".join(f"{name} {share:.3g}" for share, name in sorted(shares, reverse=True))
    assert all(sample.loss > 0 for sample in found[:-1])
    logits = torch.tensor(model.logits(model.preprocessing.apply(data.inputs)))
    each = F.cross_entropy(logits, torch.tensor(masks), reduction="none", ignore_index=255).mean(dim=(1, 2))
    assert [sample.loss for sample in found] == pytest.approx(sorted(each.tolist(), reverse=True), rel=1e-4)


def test_losses_of_several_outputs_are_added_with_their_weights():
    builder = fv.GraphBuilder()
    flat = builder.add(fv.Flatten(), builder.input((1, 6, 6)))
    graph = builder.build(builder.add(fv.Linear(3), flat, name="kind"), builder.add(fv.Linear(1), flat, name="age"))
    random = np.random.default_rng(0)
    task = Several({"kind": Classification(CLASSES), "age": (Regression(("age",)), 0.25)})
    targets = {"kind": random.integers(0, 3, 12), "age": random.random(12)}
    data = fv.Dataset(random.random((12, 1, 6, 6), np.float32), targets, task)
    model = fitted(graph, data)
    values = model.outputs(model.preprocessing.apply(data.inputs))
    kind = F.cross_entropy(torch.tensor(values["kind"]), torch.tensor(targets["kind"]), reduction="none")
    age = F.mse_loss(torch.tensor(values["age"][:, 0]), torch.tensor(targets["age"]), reduction="none")
    found = model.top_losses(data, 3)
    assert [sample.loss for sample in found] == pytest.approx((kind + 0.25 * age).topk(3).values.tolist(), rel=1e-4)
    assert found[0].target.startswith(f"kind: {CLASSES[targets['kind'][found[0].index]]}; age: age ")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"count": 0}, "count is 0; it must be an int of at least 1"),
        ({"count": True}, "count is True"),
        ({"names": ["a"]}, "there are 1 names for 40 samples; give one for each"),
        ({"number": 3}, "top_losses: there is no option number"),
    ],
)
def test_wrong_options_are_told(data, options, sentence):
    with pytest.raises((fv.DataError, fv.CallError), match=sentence):
        classifier(data).top_losses(data, **options)


def test_the_contact_sheet_has_each_sample_with_its_words(data):
    found = classifier(data).top_losses(data, 5, names=[f"a_long_folder_name/{place:010}.png" for place in range(40)])
    figure = found.plot()
    shown = [axes for axes in figure.axes if axes.get_visible()]
    assert len(shown) == 5
    for axes, sample in zip(shown, found, strict=True):
        assert axes.get_title() == f"a_long_folder…{sample.index:08}.png\nloss {sample.loss:.3g}"
        assert axes.get_xlabel() == f"was {sample.target}"
        assert axes.texts[0].get_text() == f"said {sample.prediction} {sample.probability:.0%}"
        assert np.asarray(axes.images[0].get_array()) == pytest.approx(data.inputs[sample.index][0] / 255)
    assert found[:1].plot()._repr_png_().startswith(b"\x89PNG")


@pytest.mark.parametrize("shape", [(2, 30), (3, 5, 5), (2, 5, 5), (1, 4, 5, 5), (7,)])
def test_samples_of_any_shape_are_drawn(shape):
    from foveate.training.drawing.samples import draw_samples

    inputs = np.random.default_rng(0).random((2, *shape), np.float32)
    assert draw_samples(inputs, [("a", "loss 1", "b", "c")] * 2)._repr_png_().startswith(b"\x89PNG")
