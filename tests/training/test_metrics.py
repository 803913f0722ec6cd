"""Evaluation, against figures by hand."""

import numpy as np
import pytest

from foveate import CrossEntropy, DataError, Flatten, Linear, Sequential
from foveate.data import Dataset, Preprocessing
from foveate.layers.softmax import LogSoftmax, Softmax
from foveate.training import Programs, evaluate, in_batches, logits_of, softmax

GRAPH = Sequential(Flatten(), Linear(3, bias=False)).build((3, 1, 1))
PLAIN = Preprocessing((3, 1, 1), (0.0,) * 3, (1.0,) * 3)


@pytest.fixture
def network(engine):
    """Each output is one input, so the largest input is the class."""
    state = engine.new_state(GRAPH)
    state.load("linear1.weight", np.eye(3))
    return state, Programs(engine, GRAPH)


def rows(values, labels):
    return Dataset(np.asarray(values, np.float32).reshape(-1, 3, 1, 1), labels, ("a", "b", "c"))


@pytest.mark.parametrize("batch_size", [1, 2, 3, 4, 256])
def test_by_hand(network, batch_size):
    data = rows([[1, 0, 0], [0, 1, 0], [1, 0, 0], [0, 1, 0]], [0, 0, 0, 1])
    found = evaluate(*network, data, PLAIN, batch_size=batch_size)
    assert found.accuracy == 0.75
    assert found.samples == 4
    assert found.per_class == (2 / 3, 1.0, None)
    assert found.confusion.tolist() == [[2, 1, 0], [0, 1, 0], [0, 0, 0]]
    total = np.log(np.e + 2)
    assert found.loss == pytest.approx((3 * (total - 1) + total) / 4, rel=1e-6)
    assert found.to_json() == {
        "format": 1,
        "accuracy": 0.75,
        "loss": found.loss,
        "samples": 4,
        "numbers": {"accuracy": 0.75, "calibration_error": found["calibration_error"]},
        "per_class": [2 / 3, 1.0, None],
        "confusion": [[2, 1, 0], [0, 1, 0], [0, 0, 0]],
    }


def test_another_loss(network):
    data = rows([[1, 0, 0]], [0])
    smoothed = evaluate(*network, data, PLAIN, loss=CrossEntropy(0.3)).loss
    assert smoothed == pytest.approx(np.log(np.e + 2) - 0.8, rel=1e-6)


def test_the_loss_of_all_batches_is_the_mean_by_class_weights(network):
    data = rows([[1, 0, 0], [1, 0, 0], [1, 0, 0]], [0, 1, 0])
    weighted = evaluate(*network, data, PLAIN, loss=CrossEntropy(class_weights=(1, 3, 1)), batch_size=2).loss
    assert weighted == pytest.approx((2 * (np.log(np.e + 2) - 1) + 3 * np.log(np.e + 2)) / 5, rel=1e-6)
    assert evaluate(*network, data, PLAIN, loss=CrossEntropy(class_weights=(0, 0, 1))).loss == 0.0


def test_a_label_that_the_loss_ignores_costs_nothing(network):
    data = rows([[1, 0, 0], [1, 0, 0]], [0, 1])
    found = evaluate(*network, data, PLAIN, loss=CrossEntropy(ignore_index=1))
    assert found.loss == pytest.approx(np.log(np.e + 2) - 1, rel=1e-6)


def test_an_infinite_logit_of_another_class_leaves_the_loss_finite(network):
    state, programs = network
    state.load("linear1.weight", [[1, 0, 0], [0, 1, 0], [-3e38, -3e38, 0]])
    with np.errstate(over="ignore"):
        assert evaluate(state, programs, rows([[1, 0.8, 0]], [0]), PLAIN).loss == pytest.approx(0.598139, rel=1e-4)


def test_more_classes_than_the_network_tells_apart(network):
    data = Dataset(np.zeros((1, 3, 1, 1), np.float32), [3], tuple("abcd"))
    with pytest.raises(DataError, match="the network has 3 outputs, but there are 4 class names"):
        evaluate(*network, data, PLAIN)


@pytest.mark.parametrize("last", [(), (Softmax(),), (LogSoftmax(),)])
def test_a_network_that_ends_with_a_softmax_is_measured_as_the_same_without(engine, last):
    graph = Sequential(Flatten(), Linear(3, bias=False), *last).build((3, 1, 1))
    state = engine.new_state(graph)
    state.load("linear1.weight", np.eye(3))
    data = rows([[2, 0, 1], [0, 3, 0]], [0, 2])
    logits = np.array([[2, 0, 1], [0, 3, 0]], np.float64)
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    found = evaluate(state, Programs(engine, graph), data, PLAIN)
    assert found.loss == pytest.approx(-np.log(probabilities[[0, 1], [0, 2]]).mean(), rel=1e-5)
    outputs = Programs(engine, graph).outputs(state, {graph.only_input: data.inputs})[graph.only_output]
    np.testing.assert_allclose(softmax(logits_of(graph, outputs)), probabilities, rtol=1e-5)


def test_in_batches():
    assert [batch.tolist() for batch in in_batches(np.arange(5.0), 2)] == [[0, 1], [2, 3], [4]]
