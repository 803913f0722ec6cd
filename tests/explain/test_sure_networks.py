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
