"""Figures of evaluations: what they show of classifications, segmentations, labels and numbers."""

import numpy as np
import pytest

import foveate as fv
from foveate.figures import theme
from foveate.tasks import Classification, Metrics, MultiLabel, Regression, Segmentation, Several
from foveate.training.drawing.evaluation import draw_confusion, draw_errors, draw_measured, draw_shares
from foveate.training.pairs import Pairs


def saved(figure):
    assert figure._repr_png_().startswith(b"\x89PNG")
    return figure.axes


def names(count):
    return [f"a very long name of class number {place}" for place in range(count)]


def table(count, seed=0):
    random = np.random.default_rng(seed)
    counts = 50 * np.eye(count, dtype=np.int64)
    counts[random.integers(0, count, 2 * count), random.integers(0, count, 2 * count)] += 7
    return counts


@pytest.mark.parametrize("background", ["light", "dark"])
def test_a_table_of_confusions_has_counts_names_and_shares(background):
    counts = np.array([[8, 2, 0], [0, 5, 0], [0, 0, 0]])
    with theme(background):
        axes, bar = saved(draw_confusion(counts, ("cat", "dog", "bird $x$")))
    assert np.asarray(axes.images[0].get_array()) == pytest.approx(np.array([[80, 20, 0], [0, 100, 0], [0, 0, 0]]))
    assert sorted((text.get_position()[::-1], text.get_text()) for text in axes.texts) == [
        ((0, 0), "8"), ((0, 1), "2"), ((1, 1), "5")
    ]  # fmt: skip
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "bird $x$ (none)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["cat", "dog", "bird $x$"]
    assert bar.get_ylabel() == "share of the row (%)"


@pytest.mark.parametrize("count", [1, 2, 16, 17, 60])
def test_up_to_sixty_classes_are_named(count):
    axes = saved(draw_confusion(table(count), names(count)))[0]
    assert len(axes.get_yticklabels()) == count
    assert bool(axes.texts) == (count <= 16)


@pytest.mark.parametrize("count", [61, 100, 1_000])
def test_of_more_classes_the_most_frequent_confusions_are_listed(count):
    counts = table(count)
    counts[3, 5] += 100
    axes, listed, _ = saved(draw_confusion(counts, names(count)))
    assert not axes.get_yticklabels()
    lines = listed.texts[0].get_text().split("\n")
    assert lines[0] == "the most frequent confusions"
    assert lines[2].startswith(f"{counts[3, 5]} of {counts[3].sum()} ")
    assert lines[2].endswith("lass number 3")
    assert lines[3].endswith("lass number 5")
    assert len(lines) == 2 + 2 * 15


def test_nothing_confused_is_said():
    _, listed, _ = saved(draw_confusion(np.eye(70, dtype=np.int64), names(70)))
    assert listed.texts[0].get_text().startswith("nothing was confused")


def test_bars_are_sorted_and_what_is_undetermined_is_said():
    (axes,) = saved(draw_shares({"road": 0.5, "car": None, "sky": 0.9}, "IoU", "classes"))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["sky", "road", "car"]
    assert [bar.get_width() for bar in axes.patches] == [0.9, 0.5, 0]
    assert [text.get_text() for text in axes.texts] == ["0.900", "0.500", "none in the data"]


def test_of_many_bars_the_lowest_are_drawn():
    values = {name: place / 100 for place, name in enumerate(names(100))} | {"none": None}
    figure = draw_shares(values, "F1", "labels")
    (axes,) = saved(figure)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx([place / 100 for place in range(39, -1, -1)])
    assert figure.get_suptitle() == "the 40 of 101 labels with the lowest F1"
    (axes,) = saved(draw_shares(dict.fromkeys(names(50)), "F1", "labels"))
    assert len(axes.patches) == 40


def test_answers_are_drawn_over_what_was_right():
    right = np.array([[1.0, 2.0, 3.0, 4.0], [2.0, 2.0, 3.5, 9.0]])
    figure = draw_errors(right + 0.5, right, ("age", "constant", "c", "d"), 5_000)
    panels = [axes for axes in saved(figure) if axes.get_visible()]
    assert [axes.get_title() for axes in panels] == ["age", "constant", "c", "d"]
    line, points = panels[0].lines
    assert points.get_xdata() == pytest.approx([1, 2])
    assert points.get_ydata() == pytest.approx([1.5, 2.5])
    assert (line.get_xdata() == line.get_ydata()).all()
    assert panels[0].get_xlim() == panels[0].get_ylim()
    assert figure.get_suptitle() == "2 of 5,000 samples, evenly chosen"
    saved(draw_errors(np.full((3, 1), 2.0), np.full((3, 1), 2.0), ("same",), 3))


def test_pairs_are_kept_evenly():
    values = np.arange(10_000.0)[:, None]
    pairs = Pairs(most=100)
    for start in range(0, 10_000, 64):
        pairs.add(values[start : start + 64].astype(np.float32), values[start : start + 64])
    answers, targets = pairs.arrays()
    assert 50 < len(targets) <= 100
    assert len(set(np.diff(targets.ravel()))) == 1
    assert targets[-1] > 9_800
    assert np.array_equal(answers, targets)


def evaluated(task, targets, graph):
    """What an untrained network is worth."""
    count = len(next(iter(targets.values()))) if isinstance(targets, dict) else len(targets)
    data = fv.Dataset(np.random.default_rng(0).random((count, 1, 6, 6), np.float32), targets, task)
    return fv.Model(graph, engine="reference", preprocessing=fv.Preprocessing.measure(data)).evaluate(data)


def body(*layers):
    return fv.Sequential(fv.Conv2d(2, 3, padding="same"), fv.ReLU(), *layers).build((1, 6, 6))


def test_each_task_has_its_figure():
    random = np.random.default_rng(0)
    kinds = evaluated(Classification(("a", "b")), random.integers(0, 2, 20), body(fv.Flatten(), fv.Linear(2)))
    axes = saved(kinds.plot())[0]
    assert sum(int(text.get_text()) for text in axes.texts) == 20
    maps = evaluated(Segmentation(("sky", "land")), random.integers(0, 2, (20, 6, 6)), body(fv.Conv2d(2, 1)))
    assert saved(maps.plot())[0].get_xlabel() == "IoU"
    labels = evaluated(MultiLabel(("a", "b", "c")), random.integers(0, 2, (20, 3)), body(fv.Flatten(), fv.Linear(3)))
    (axes,) = saved(labels.plot())
    assert axes.get_xlabel() == "F1"
    assert {text.get_text() for text in axes.get_yticklabels()} == {"a", "b", "c"}
    numbers = evaluated(Regression(("age", "weight")), random.random((20, 2)), body(fv.Flatten(), fv.Linear(2)))
    answers, right = numbers.compared["linear1"]
    assert np.abs(answers - right).mean(axis=0) == pytest.approx(list(numbers.measured.each["mae"].values()))
    assert [axes.get_title() for axes in saved(numbers.plot())] == ["age", "weight"]
    assert "compared" not in numbers.to_json()


def test_one_of_several_outputs_is_drawn():
    builder = fv.GraphBuilder()
    flat = builder.add(fv.Flatten(), builder.input((1, 6, 6)))
    graph = builder.build(builder.add(fv.Linear(2), flat, name="kind"), builder.add(fv.Linear(1), flat, name="age"))
    task = Several({"kind": Classification(("a", "b")), "age": Regression(("years",))})
    targets = {"kind": np.array([0, 1, 1, 0]), "age": np.arange(4.0)}
    found = evaluated(task, targets, graph)
    assert len(saved(found.plot())) == len(saved(found.plot("kind"))) == 2
    assert saved(found.plot("age"))[0].get_title() == "years"
    with pytest.raises(fv.DataError, match="no output size was measured; there is kind, age"):
        found.plot("size")


def test_numbers_without_a_figure_are_told():
    from foveate.tasks.measuring import Measured

    with pytest.raises(fv.DataError, match="largest_error are numbers without a figure; print them"):
        draw_measured(Measured(3, "largest_error", {"largest_error": 1.0}, {"largest_error": "lower"}), "", None)


def test_a_classification_of_very_many_classes_is_drawn_as_bars():
    from foveate.tasks import Head, Output

    classes = tuple(names(1_025))
    metrics = Metrics((Head(Classification(classes), Output("fc", (1_025,))),))
    metrics.update({"fc": np.eye(1_025)[:30]}, {"fc": np.arange(30)})
    assert saved(draw_measured(metrics.result(), "", None))[0].get_xlabel() == "accuracy"


def test_history_plots_its_curves():
    from foveate.training import Epoch, History

    history = History([Epoch(number, 1 / number, 0.5, 0.6, 0.4, 0.1, 1.0, 100.0) for number in (1, 2, 3)])
    with theme("dark"):
        loss, accuracy = saved(history.plot())
    assert loss.lines[0].get_ydata() == pytest.approx([1, 0.5, 1 / 3])
    assert accuracy.get_ylabel() == "accuracy (%)"
    assert loss.get_facecolor() != (1, 1, 1, 1)
    with pytest.raises(fv.TrainingError, match="no epoch was finished"):
        History().plot()
