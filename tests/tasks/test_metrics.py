"""Every metric, against scikit-learn, and by hand where scikit-learn has no answer."""

import numpy as np
import pytest
from sklearn import metrics as sklearn

from foveate.tasks import (
    AveragePrecision,
    CalibrationError,
    ClassAccuracy,
    LabelCounts,
    Overlap,
    RegressionErrors,
    TopAccuracy,
)
from foveate.tasks.metrics import labels as label_metrics
from foveate.tasks.metrics.tally import LARGEST_TABLE

SEEDS = range(4)


def in_batches(metric, answers, targets, size=7):
    """`metric` after it has counted everything, a few samples at a time."""
    for start in range(0, len(answers), size):
        metric.update(answers[start : start + size], targets[start : start + size])
    return metric


def probabilities(count, classes, seed):
    random = np.random.default_rng(seed)
    return random.dirichlet(np.ones(classes), count).astype(np.float32), random.integers(0, classes, count)


@pytest.mark.parametrize("classes", [2, 7])
@pytest.mark.parametrize("seed", SEEDS)
def test_accuracy_and_confusion(classes, seed):
    answers, targets = probabilities(60, classes, seed)
    metric = in_batches(ClassAccuracy(tuple(map(str, range(classes)))), answers, targets)
    taken, places = answers.argmax(axis=1), list(range(classes))
    assert metric.numbers() == {"accuracy": sklearn.accuracy_score(targets, taken)}
    confusion = sklearn.confusion_matrix(targets, taken, labels=places)
    np.testing.assert_array_equal(metric.tables()["confusion"], confusion)
    recall = sklearn.recall_score(targets, taken, labels=places, average=None)
    np.testing.assert_allclose(list(metric.each()["accuracy"].values()), recall)


def test_one_class_is_always_right():
    metric = ClassAccuracy(("only",))
    metric.update(np.ones((3, 1)), np.zeros(3, int))
    assert metric.numbers() == {"accuracy": 1}
    assert metric.tables()["confusion"].tolist() == [[3]]


def test_a_class_without_a_sample_has_no_accuracy():
    metric = ClassAccuracy(("a", "b", "c"))
    assert metric.numbers() == {"accuracy": None}
    metric.update(np.array([[0.5, 0.5, 0.0], [0.2, 0.3, 0.5]]), np.array([0, 0]))
    assert metric.numbers() == {"accuracy": 0.5}
    assert metric.each() == {"accuracy": {"a": 0.5, "b": None, "c": None}}


def test_shares_of_classes_count_for_the_largest():
    metric = ClassAccuracy(("a", "b"))
    metric.update(np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([[0.6, 0.4], [0.3, 0.7]]))
    assert metric.tables()["confusion"].tolist() == [[1, 0], [1, 0]]


def test_the_table_of_very_many_classes_is_left_out():
    classes = LARGEST_TABLE + 1
    answers, targets = np.eye(classes, dtype=np.float32)[[3, 4, classes - 1]], np.array([3, 5, classes - 1])
    metric = in_batches(ClassAccuracy(tuple(map(str, range(classes)))), answers, targets)
    assert metric.numbers() == {"accuracy": 2 / 3}
    assert metric.tables() == {}
    assert metric.each()["accuracy"]["5"] == 0


@pytest.mark.parametrize("count", [1, 3, 5])
@pytest.mark.parametrize("seed", SEEDS)
def test_top_accuracy(count, seed):
    answers, targets = probabilities(60, 8, seed)
    metric = in_batches(TopAccuracy(count), answers, targets)
    expected = sklearn.top_k_accuracy_score(targets, answers, k=count, labels=range(8))
    assert metric.better == {f"top{count}_accuracy": "higher"}
    assert metric.numbers() == {f"top{count}_accuracy": pytest.approx(expected)}


def test_equal_probabilities_gain_nothing():
    metric = TopAccuracy(2)
    metric.update(np.full((4, 4), 0.25), np.arange(4))
    assert metric.numbers() == {"top2_accuracy": 0.5}


def test_calibration_by_hand():
    metric = CalibrationError(bins=2)
    metric.update(np.array([[0.5, 0.5], [0.75, 0.25], [1.0, 0.0]]), np.array([1, 0, 1]))
    # Up to 0.5: one sample, confidence 0.5, wrong. Above: two, confidence 1.75, one right.
    assert metric.numbers() == {"calibration_error": pytest.approx((0.5 + 0.75) / 3)}
    assert CalibrationError().numbers() == {"calibration_error": None}


@pytest.mark.parametrize("seed", SEEDS)
def test_calibration_against_its_definition(seed):
    answers, targets = probabilities(200, 4, seed)
    confidence, right = answers.max(axis=1).astype(float), answers.argmax(axis=1) == targets
    expected = 0.0
    for b in range(15):
        inside = (confidence > b / 15) & (confidence <= (b + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    found = in_batches(CalibrationError(), answers, targets).numbers()["calibration_error"]
    assert found == pytest.approx(expected)


def test_a_probability_just_above_1_is_in_the_last_bin():
    metric = CalibrationError()
    metric.update(np.array([[1.0000001, 0.0]]), np.array([0]))
    assert metric.numbers()["calibration_error"] == pytest.approx(0, abs=1e-6)


def scores(count, labels, seed, digits=8):
    """Probabilities, rounded to `digits` so that some are equal, and targets that they know something about."""
    random = np.random.default_rng(seed)
    answers = random.random((count, labels))
    targets = (answers + random.normal(0, 0.5, answers.shape) > 0.6).astype(np.uint8)
    return answers.round(digits).astype(np.float32), targets


@pytest.mark.parametrize("threshold", [0.3, 0.5])
@pytest.mark.parametrize("labels", [1, 4])
@pytest.mark.parametrize("seed", SEEDS)
def test_precision_recall_and_f1(labels, threshold, seed):
    answers, targets = scores(50, labels, seed)
    metric = in_batches(LabelCounts(tuple(map(str, range(labels))), threshold), answers, targets)
    found = answers > threshold
    if labels == 1:  # scikit-learn takes a single column for two classes, of which the label is the second
        targets, found = targets.ravel(), found.ravel()
    for average in (None, "macro"):
        expected = sklearn.precision_recall_fscore_support(
            targets, found, average=average, labels=[1] if labels == 1 else range(labels), zero_division=np.nan
        )
        ours = metric.numbers() if average else {name: list(each.values()) for name, each in metric.each().items()}
        for name, value in zip(("precision", "recall", "f1"), expected, strict=False):
            np.testing.assert_allclose(ours[name], value)
    assert metric.numbers()["exact_match"] == pytest.approx(sklearn.accuracy_score(targets, found))


def test_labels_that_are_never_found_or_never_there():
    metric = LabelCounts(("found", "missed", "invented", "absent"))
    metric.update(np.array([[0.9, 0.1, 0.9, 0.5]]), np.array([[1, 1, 0, 0]]))
    assert metric.each() == {
        "precision": {"found": 1, "missed": None, "invented": 0, "absent": None},
        "recall": {"found": 1, "missed": 0, "invented": None, "absent": None},
        "f1": {"found": 1, "missed": 0, "invented": 0, "absent": None},
    }
    assert metric.numbers() == {"precision": 0.5, "recall": 0.5, "f1": pytest.approx(1 / 3), "exact_match": 0}


@pytest.mark.parametrize("digits", [8, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_average_precision(digits, seed):
    answers, targets = scores(80, 3, seed, digits)
    metric = in_batches(AveragePrecision(("a", "b", "c")), answers, targets)
    expected = sklearn.average_precision_score(targets, answers, average=None)
    np.testing.assert_allclose(list(metric.each()["average_precision"].values()), expected)
    macro = sklearn.average_precision_score(targets, answers)
    assert metric.numbers()["average_precision"] == pytest.approx(macro)


@pytest.mark.parametrize("kept", [0, 100])
def test_average_precision_of_more_than_is_kept_is_that_of_bins(monkeypatch, kept):
    answers, targets = scores(200, 3, 0, digits=3)
    monkeypatch.setattr(label_metrics, "SCORES_KEPT", kept)
    metric = in_batches(AveragePrecision(("a", "b", "c")), answers, targets)
    expected = sklearn.average_precision_score(targets, answers, average=None)
    np.testing.assert_allclose(list(metric.each()["average_precision"].values()), expected)


def test_probabilities_in_one_bin_share_a_threshold(monkeypatch):
    answers, targets = np.array([[0.50001], [0.5]]), np.array([[1], [0]])
    found = []
    for kept in (2, 1):
        monkeypatch.setattr(label_metrics, "SCORES_KEPT", kept)
        found.append(in_batches(AveragePrecision(("a",)), answers, targets, size=1).numbers()["average_precision"])
    assert found == [1, 0.5]


def test_a_label_without_a_positive_sample_has_no_part_in_the_mean():
    metric = AveragePrecision(("a", "never"))
    assert metric.numbers() == {"average_precision": None}
    metric.update(np.array([[0.9, 0.5], [0.8, 0.5], [1.0, 0.5]]), np.array([[1, 0], [0, 0], [0, 0]]))
    assert metric.each() == {"average_precision": {"a": 0.5, "never": None}}
    assert metric.numbers() == {"average_precision": 0.5}


@pytest.mark.parametrize("names", [("a",), ("a", "b", "c")])
@pytest.mark.parametrize("seed", SEEDS)
def test_errors_of_regression(names, seed):
    random = np.random.default_rng(seed)
    # Far from zero, where sums of squares would lose every digit.
    targets = random.normal(1e6, 3, (40, len(names)))
    answers = targets + random.normal(0.5, 1, targets.shape)
    metric = in_batches(RegressionErrors(names), answers, targets)
    for number, score in (
        ("mae", sklearn.mean_absolute_error),
        ("rmse", sklearn.root_mean_squared_error),
        ("r2", sklearn.r2_score),
    ):
        each = score(targets, answers, multioutput="raw_values")
        np.testing.assert_allclose(list(metric.each()[number].values()), each, rtol=1e-9)
        assert metric.numbers()[number] == pytest.approx(score(targets, answers), rel=1e-9)


def test_a_constant_target_has_no_r2():
    metric = RegressionErrors(("constant", "varied"))
    targets = np.array([[0.1, 1.0], [0.1, 3.0], [0.1, 5.0]])
    in_batches(metric, targets + np.array([0.0, 1.0]), targets, size=1)
    assert metric.each()["r2"] == {"constant": None, "varied": pytest.approx(1 - 3 / 8)}
    assert metric.numbers() == {"mae": 0.5, "rmse": 0.5, "r2": pytest.approx(1 - 3 / 8)}


def test_nothing_counted_and_a_single_sample():
    metric = RegressionErrors(("a",))
    assert metric.numbers() == {"mae": None, "rmse": None, "r2": None}
    metric.update(np.array([[2.0]]), np.array([[5.0]]))
    assert metric.numbers() == {"mae": 3, "rmse": 3, "r2": None}


@pytest.mark.parametrize("shape", [(6, 9), (6, 5, 4), (6, 2, 3, 4)])
@pytest.mark.parametrize("seed", SEEDS)
def test_overlap(shape, seed):
    random = np.random.default_rng(seed)
    targets = random.integers(0, 4, shape)
    answers = np.where(random.random(shape) < 0.6, targets, random.integers(0, 4, shape)).astype(np.uint8)
    metric = in_batches(Overlap(("a", "b", "c", "d")), answers, targets, size=4)
    true, taken = targets.ravel(), answers.ravel()
    each = sklearn.jaccard_score(true, taken, labels=range(4), average=None)
    np.testing.assert_allclose(list(metric.each()["iou"].values()), each)
    expected = {"mean_iou": each.mean(), "pixel_accuracy": sklearn.accuracy_score(true, taken)}
    assert metric.numbers() == pytest.approx(expected)
    np.testing.assert_array_equal(metric.tables()["confusion"], sklearn.confusion_matrix(true, taken))


@pytest.mark.parametrize("ignored", [255, -100])
def test_overlap_ignores_what_it_is_told_to(ignored):
    targets = np.array([[0, 0, 1, ignored, ignored]])
    answers = np.array([[0, 1, 1, 1, 2]], np.uint8)
    metric = Overlap(("a", "b", "c"), ignored)
    metric.update(answers, targets)
    assert metric.each() == {"iou": {"a": 0.5, "b": 0.5, "c": None}}
    assert metric.numbers() == {"mean_iou": 0.5, "pixel_accuracy": pytest.approx(2 / 3)}


def test_overlap_where_all_is_ignored():
    metric = Overlap(("a", "b"), 255)
    metric.update(np.zeros((1, 4), np.uint8), np.full((1, 4), 255))
    assert metric.numbers() == {"mean_iou": None, "pixel_accuracy": None}
