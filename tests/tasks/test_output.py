"""What the last layer of a network has done already, and what is still to do."""

import numpy as np
import pytest

from foveate import (
    Conv2d,
    DataError,
    Flatten,
    GlobalAvgPool2d,
    GraphBuilder,
    Linear,
    LogSoftmax,
    ReLU,
    Sequential,
    Sigmoid,
    Softmax,
)
from foveate.tasks import Classification, MultiLabel, Output, Regression, Segmentation
from foveate.tasks.decoding import sigmoid, softmax

ROWS = np.array([[2.0, -1.0, 0.5], [-30.0, 40.0, 0.0]])


@pytest.mark.parametrize(
    ("last", "activation"),
    [((), "none"), ((ReLU(),), "none"), ((Softmax(),), "softmax"), ((LogSoftmax(),), "log_softmax")],
)
def test_what_the_last_layer_does(last, activation):
    graph = Sequential(Linear(3), *last).build((4,))
    assert Output.of(graph) == Output(graph.only_output, (3,), activation)


@pytest.mark.parametrize(
    ("layers", "activation"),
    [
        ((GlobalAvgPool2d(), Linear(3), Sigmoid(), Flatten()), "sigmoid"),
        ((Conv2d(3, 4), Softmax(), Flatten()), "softmax"),
        ((Conv2d(3, 3), Softmax(), Flatten()), "none"),
    ],
)
def test_a_flatten_is_looked_through_where_it_changes_no_channels(layers, activation):
    assert Output.of(Sequential(*layers).build((1, 4, 4))).activation == activation


def test_an_output_by_its_name_or_that_is_an_input():
    builder = GraphBuilder()
    data = builder.input((4,), "data")
    graph = builder.build(builder.add(Sigmoid(), data, name="chance"), builder.add(Linear(2), data, name="size"))
    assert Output.of(graph, "chance") == Output("chance", (4,), "sigmoid")
    assert Output.of(graph, "size") == Output("size", (2,))
    assert Output.of(graph, "data") == Output("data", (4,))


def test_logits_before_a_softmax_are_the_same_but_for_a_constant_of_each_row():
    probabilities = softmax(ROWS).astype(np.float32)
    for activation, values in (("softmax", probabilities), ("log_softmax", np.log(softmax(ROWS)))):
        logits = Output("fc", (3,), activation).logits(values)
        assert logits.dtype == np.float64
        np.testing.assert_allclose(softmax(logits), probabilities, rtol=1e-6, atol=1e-30)
    np.testing.assert_array_equal(Output("fc", (3,)).logits(ROWS), ROWS)


def test_logits_before_a_sigmoid_stay_finite_where_it_is_0_or_1():
    values = np.array([[-3.0, 0.0, 5.0]])
    output = Output("fc", (3,), "sigmoid")
    np.testing.assert_allclose(output.logits(sigmoid(values)), values, rtol=1e-6)
    limits = output.logits(np.array([[0.0, 1.0, 0.5]], np.float32))
    assert np.isfinite(limits).all()
    assert limits[0, 0] < -80
    assert limits[0, 1] > 16


def test_a_softmax_of_zero_has_a_finite_logit():
    assert np.isfinite(Output("fc", (2,), "softmax").logits(np.array([[0.0, 1.0]], np.float32))).all()


@pytest.mark.parametrize("activation", ["none", "softmax", "log_softmax"])
def test_no_network_gets_its_softmax_twice(activation):
    given = {"none": ROWS, "softmax": softmax(ROWS), "log_softmax": np.log(softmax(ROWS))}[activation]
    decoded = Classification(("a", "b", "c")).decode(given, Output("fc", (3,), activation))
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, softmax(ROWS), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_no_network_gets_its_sigmoid_twice(activation):
    given = sigmoid(ROWS) if activation == "sigmoid" else ROWS
    decoded = MultiLabel(("a", "b", "c")).decode(given, Output("fc", (3,), activation))
    np.testing.assert_allclose(decoded, 1 / (1 + np.exp(-ROWS)), rtol=1e-6, atol=1e-30)


@pytest.mark.parametrize("activation", ["none", "sigmoid"])
def test_one_number_for_two_classes_is_the_second_ones(activation):
    logits = np.array([[np.log(3.0)], [-200.0]])
    given = sigmoid(logits) if activation == "sigmoid" else logits
    decoded = Classification(("no", "yes")).decode(given, Output("fc", (1,), activation))
    np.testing.assert_allclose(decoded, [[0.25, 0.75], [1, 0]], rtol=1e-6, atol=1e-30)


def test_one_class_is_certain():
    assert Classification(("only",)).decode(np.array([[-3.0], [4.0]]), Output("fc", (1,))).tolist() == [[1], [1]]


FLAT, MAPS = Output("fc", (2,)), Output("conv9", (2, 1, 2))
SINGLE = Output("conv9", (1, 1, 2))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    ("task", "output"),
    [
        (Classification(("a", "b")), Output("fc", (1,))),
        (Classification(("a", "b")), Output("fc", (2,), "softmax")),
        (MultiLabel(("a", "b")), FLAT),
        (Regression(("a", "b")), FLAT),
        (Segmentation(("a", "b")), SINGLE),
        (Segmentation(("a", "b")), Output("conv9", (2, 1, 2), "softmax")),
    ],
)
def test_outputs_that_are_no_numbers_are_told(task, output, bad):
    values = np.full((5, *output.shape), 0.5)
    values[3].flat[0] = values[4].flat[-1] = bad
    with pytest.raises(
        DataError, match=rf"output {output.name} is NaN or infinite for 2 of 5 samples, first for sample 3; train"
    ):
        task.decode(values, output)


@pytest.mark.parametrize("bad", [[np.nan, 0.0], [0.0, np.nan], [np.inf, 0.0], [-np.inf, -np.inf], [np.nan, -np.inf]])
@pytest.mark.parametrize(("task", "output"), [(Classification(("a", "b")), FLAT), (Segmentation(("a", "b")), MAPS)])
def test_logits_that_leave_no_class_are_told(task, output, bad):
    values = np.zeros((2, *output.shape))
    values[1].reshape(2, -1)[:, 0] = bad
    with pytest.raises(DataError, match="NaN or infinite for 1 of 2 samples, first for sample 1"):
        task.decode(values, output)


def test_minus_infinity_is_the_logit_of_what_is_impossible():
    logits = np.array([[1, 0.8, -np.inf]])
    decoded = Classification(("a", "b", "c")).decode(logits, Output("fc", (3,)))
    assert decoded[0, 2] == 0
    assert -np.log(decoded[0, 1]) == pytest.approx(0.798, abs=5e-4)
    maps = Segmentation(("a", "b", "c")).decode(logits.reshape(1, 3, 1), Output("conv", (3, 1)))
    assert maps.tolist() == [[0]]
