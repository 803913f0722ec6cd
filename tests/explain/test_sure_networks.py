"""What is explained of a network that ends with a sigmoid or softmax: the logit, which has a slope where it is sure."""

import numpy as np
import pytest
import torch

import foveate as fv
from foveate.explain.probe.attribution import METHODS
from foveate.layers import Layer
from tests.support import relative_error

X = np.linspace(-1, 1, 2 * 6 * 6, dtype=np.float32).reshape(1, 2, 6, 6)


def sure(units: int, ending: Layer | None, scale: float = 300.0, task: fv.tasks.Task | None = None) -> fv.Model:
    """A network whose logits are so large that their probabilities are 0 and 1 in float32."""
    layers = [fv.Conv2d(3, 3), fv.ReLU(), fv.Flatten(), fv.Linear(units), *([] if ending is None else [ending])]
    model = fv.Model(fv.Sequential(*layers).build((2, 6, 6)), engine="reference", seed=3, task=task)
    model.state.load("linear1.weight", scale * model.read("linear1.weight"))
    return model


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("ending", [fv.Softmax(), fv.LogSoftmax(), fv.Sigmoid()], ids=lambda layer: layer.describe())
def test_what_is_sure_is_explained_by_its_logit(ending: Layer, method: str):
    ended, plain = sure(4, ending), sure(4, None)
    for target in (None, 0, 3):
        found, expected = METHODS[method](ended, X, target), METHODS[method](plain, X, target)
        assert found.any() or method == "grad_cam", "only Grad-CAM may find nothing that speaks for a class"
        np.testing.assert_array_equal(found, expected)


def test_the_saliency_of_a_sure_sigmoid_is_the_logits_gradient_in_pytorch():
    model = sure(1, fv.Sigmoid())
    x = torch.tensor(X, requires_grad=True)
    maps = torch.conv2d(x, *(torch.tensor(model.read(f"conv1.{name}")) for name in ("weight", "bias"))).relu()
    logit = maps.flatten(1) @ torch.tensor(model.read("linear1.weight")).T + torch.tensor(model.read("linear1.bias"))
    (gradient,) = torch.autograd.grad(logit.sum(), x)
    assert abs(logit.item()) > 20
    assert relative_error(fv.explain.saliency(model, X, 1), gradient.numpy()) <= 1e-5
    assert relative_error(fv.explain.saliency(model, X, 0), -gradient.numpy()) <= 1e-5
    predicted = int(logit.item() > 0)
    np.testing.assert_array_equal(fv.explain.saliency(model, X), fv.explain.saliency(model, X, predicted))


def test_a_single_output_has_the_classes_0_and_1():
    with pytest.raises(fv.DataError, match="there is no class 2: the 2 classes are numbered 0 to 1"):
        fv.explain.saliency(sure(1, fv.Sigmoid()), X, 2)


@pytest.mark.parametrize("units", [1, 2])
def test_the_pictures_of_two_classes_give_both_their_probability(units: int):
    model = sure(units, fv.Sigmoid() if units == 1 else fv.Softmax(), 1.0, fv.tasks.Classification(("cat", "dog")))
    figure = fv.explain.plot_prediction(model, X)
    names = {text.get_text() for axes in figure.axes for text in axes.get_yticklabels()}
    assert names == {"cat", "dog"}
    assert "“dog”" in str(fv.explain.plot_attributions(model, X, "dog").get_suptitle())


def test_a_softmax_whose_axes_are_flattened_after_it_is_looked_behind():
    layers = (fv.Conv2d(4, 3), fv.AvgPool2d(4))
    ended = fv.Model(fv.Sequential(*layers, fv.Softmax(), fv.Flatten()).build((2, 6, 6)), engine="reference", seed=3)
    plain = fv.Model(fv.Sequential(*layers, fv.Flatten()).build((2, 6, 6)), engine="reference", seed=3)
    np.testing.assert_array_equal(fv.explain.saliency(ended, X, 2), fv.explain.saliency(plain, X, 2))


def test_labels_that_do_not_exclude_each_other_have_a_sigmoid_each():
    model = sure(3, None, 1.0, fv.tasks.MultiLabel(("cat", "dog", "fox")))
    figure = fv.explain.plot_prediction(model, X)
    shown = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert shown == {f"{100 * chance:.1f} %" for chance in 1 / (1 + np.exp(-model.logits(X)[0]))}
    assert {text.get_text() for axes in figure.axes for text in axes.get_yticklabels()} == {"cat", "dog", "fox"}


def test_what_raises_the_only_value_of_a_regression_is_explained_with_its_sign():
    model = sure(1, None, 1.0, fv.tasks.Regression(("age",)))
    np.testing.assert_array_equal(fv.explain.saliency(model, X), fv.explain.saliency(sure(1, None, 1.0), X, 1))
    title = fv.explain.plot_attributions(model, X).get_suptitle()
    assert title == f"What makes “age” {model.logits(X)[0, 0]:.4g}?"
    with pytest.raises(fv.DataError, match="the model is for Regression, whose outputs are numbers"):
        fv.explain.plot_response_curves(model, X)
    with pytest.raises(fv.DataError, match="there is no class 1"):
        fv.explain.saliency(model, X, 1)


def test_the_values_of_a_regression_are_drawn_and_told_on_its_page(tmp_path):
    model = sure(2, None, 1.0, fv.tasks.Regression(("age", "height")))
    values = model.logits(X)[0]
    axes = fv.explain.plot_prediction(model, X).axes[1]
    assert [text.get_text() for text in axes.texts] == [f"{value:.4g}" for value in values]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(values)
    report = fv.explain.explain_model(model, X, tmp_path)
    assert "overview" not in report.left_out
    assert f"it predicts: age {values[0]:.4g}, height {values[1]:.4g}." in report.path.read_text()


def test_the_only_unit_of_two_classes_stands_for_the_second():
    model = sure(1, fv.Sigmoid(), 1.0, fv.tasks.Classification(("cat", "dog")))
    options = {"steps": 2, "progress": False}
    assert fv.explain.exciting_images(model, channels=["dog"], **options).channels.tolist() == [0]
    with pytest.raises(fv.DataError, match=r'linear1 .* has no unit for a class "cat". Nearest: dog'):
        fv.explain.exciting_images(model, channels=["cat"], **options)
    names = {text.get_text() for axes in fv.explain.plot_activation_maps(model, X, "sigmoid1").axes
             for text in axes.get_xticklabels()}  # fmt: skip
    assert "dog" in " ".join(names)


def test_shifts_are_seen_to_change_what_a_single_logit_says():
    graph = fv.Sequential(fv.Flatten(), fv.Linear(1), fv.Sigmoid()).build((1, 6, 6))
    data = fv.Dataset(np.eye(6, dtype=np.uint8)[:, None, :, None] * np.full((1, 1, 1, 6), 200, np.uint8),
                      np.array([0, 0, 0, 1, 1, 1]), ("left", "right"))  # fmt: skip
    model = fv.Model(graph, preprocessing=fv.Preprocessing.measure(data), engine="reference", classes=data.classes)
    weight = np.where(np.arange(6)[:, None] < 3, -1.0, 1.0) * np.ones((6, 6))
    model.state.load("linear1.weight", weight.reshape(1, 36).astype(np.float32))
    shares = fv.explain.surviving_share(model, data, shifts=[0, 3])
    assert shares.accuracy[0].tolist() == [1.0] * 4
    assert (shares.share[1] < 1).any()
