"""The check of gradients that users call for a layer of their own: quiet when right, and exact about what is wrong."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate.engines.definitions import DEFINITIONS, Definition
from foveate.layers import Parameter
from foveate.testing import check_gradients


@dataclass(frozen=True)
class Scale(fv.Layer):
    """y = weight x, one weight for each channel."""

    label = "scale"

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        return input_shapes[0]

    def parameters(self, input_shapes: Sequence[tuple[int, ...]]) -> Mapping[str, Parameter]:
        return {"weight": Parameter((input_shapes[0][0],), "ones", decay=False)}


def forward(layer: Scale, inputs: Any, parameters: Any) -> Any:
    return inputs[0] * parameters["weight"][:, None]


def backward(layer: Scale, inputs: Any, parameters: Any, output: Any, gradient: Any) -> Any:
    return [gradient * parameters["weight"][:, None]], {"weight": (gradient * inputs[0]).sum(axis=(0, 2))}


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Teach the engines Scale for one test."""

    def teach(forward: Any = forward, backward: Any = backward) -> None:
        definition = Definition(
            lambda layer, inputs, parameters, _: forward(layer, inputs, parameters),
            lambda layer, inputs, parameters, output, gradient, _: backward(
                layer, inputs, parameters, output, gradient
            ),
        )
        monkeypatch.setitem(DEFINITIONS, Scale, definition)

    return teach


def test_a_right_layer_passes(register: Callable[..., None]):
    register()
    check_gradients(Scale(), (3, 4))
    fv.testing.check_gradients(Scale(), (1, 1), batch_size=1, seed=7)


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (fv.Conv2d(2, 2, padding=1), (2, 3, 3)),
        (fv.BatchNorm2d(), (2, 2, 2)),
        (fv.Dropout(0.5), (4,)),
        (fv.Multiply(), ((3, 2), (3,))),
        (fv.Add(), [(3, 2), (3, 2)]),
    ],
    ids=repr,
)
def test_built_in_layers_pass(layer: fv.Layer, shape: Any):
    check_gradients(layer, shape)


WRONG: dict[str, tuple[dict[str, Callable[..., Any]], str]] = {
    "input gradient": (
        {"backward": lambda *a: ([2 * a[4]], {"weight": (a[4] * a[1][0]).sum(axis=(0, 2))})},
        r"Scale: the gradient of the input is wrong in 12 of 12 elements: at \[0, 0, 0\] backward gives \S+, but "
        r"central differences of forward give \S+",
    ),
    "parameter gradient": (
        {"backward": lambda *a: ([a[4] * a[2]["weight"][:, None]], {"weight": a[4].sum(axis=(0, 2))})},
        r"Scale: the gradient of the parameter weight is wrong in 3 of 3 elements: at \[0\] backward gives \S+, but "
        r"central differences of forward give \S+",
    ),
    "parameter gradient of a wrong shape": (
        {"backward": lambda *a: ([a[4] * a[2]["weight"][:, None]], {"weight": a[4] * a[1][0]})},
        re.escape("Scale: backward returns a gradient of the parameter weight of shape 2x3x2, but it must be 3"),
    ),
    "no gradient of the input": (
        {"backward": lambda *a: ([None], {"weight": (a[4] * a[1][0]).sum(axis=(0, 2))})},
        r"Scale: the gradient of the input is wrong in 12 of 12 elements: at \[0, 0, 0\] backward gives 0, .*",
    ),
    "no gradient of the parameter": (
        {"backward": lambda *a: ([a[4] * a[2]["weight"][:, None]], {})},
        re.escape("Scale: backward returns gradients of the parameters none, but the layer has weight"),
    ),
    "too many input gradients": (
        {"backward": lambda *a: ([a[4], a[4]], {"weight": a[4].sum(axis=(0, 2))})},
        re.escape("Scale: backward returns 2 input gradients, but there are 1 inputs"),
    ),
    "output of a wrong shape": (
        {"forward": lambda *a: a[1][0].sum(axis=2)},
        re.escape("Scale: forward returns an output of shape 2x3, but it must be 2x3x2"),
    ),
    "a gradient that is not a number": (
        {"backward": lambda *a: ([a[4] * np.nan], {"weight": (a[4] * a[1][0]).sum(axis=(0, 2))})},
        r"Scale: the gradient of the input is wrong in 12 of 12 elements: at \[0, 0, 0\] backward gives nan, .*",
    ),
}


@pytest.mark.parametrize(("functions", "pattern"), WRONG.values(), ids=WRONG)
def test_a_wrong_layer_is_told_what_is_wrong(
    register: Callable[..., None], functions: dict[str, Callable[..., Any]], pattern: str
):
    register(**functions)
    with pytest.raises(fv.FoveateError, match=f"^{pattern}$") as caught:
        check_gradients(Scale(), (3, 2))
    assert isinstance(caught.value, AssertionError)


def test_an_error_in_one_element_is_counted_and_placed(register: Callable[..., None]):
    def off(layer: Scale, inputs: Any, parameters: Any, output: Any, gradient: Any) -> Any:
        (of_input,), of_parameters = backward(layer, inputs, parameters, output, gradient)
        of_input[1, 2, 0] += 1e-4
        return [of_input], of_parameters

    register(backward=off)
    with pytest.raises(AssertionError, match=re.escape("wrong in 1 of 12 elements: at [1, 2, 0]")):
        check_gradients(Scale(), (3, 2))
    check_gradients(Scale(), (3, 2), tolerance=1e-3)


def test_a_layer_that_no_engine_knows_is_named():
    with pytest.raises(fv.EngineError, match="no engine knows how Scale computes"):
        check_gradients(Scale(), (3, 2))


def test_a_check_that_would_never_end_is_refused():
    sentence = (
        r"^ReLU: 1,073,741,824 samples of 2x3 have 6,442,450,944 elements, each of which costs two forward passes; "
        r"at most 1,000,000 are checked\. Use a smaller batch_size or shape$"
    )
    with pytest.raises(fv.CallError, match=sentence):
        fv.testing.check_gradients(fv.ReLU(), (2, 3), batch_size=2**30)
    with pytest.raises(fv.CallError, match=r"^CrossEntropy: 536,870,912 samples of 3 have 1,610,612,736 elements, "):
        fv.testing.check_loss_gradient(fv.CrossEntropy(), (3,), batch_size=2**29)
