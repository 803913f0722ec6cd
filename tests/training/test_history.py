"""What a training measured, as a table and as a picture."""

from dataclasses import replace

import pytest
from PIL import Image

from foveate.errors import FileError, TrainingError
from foveate.training import Epoch, History, draw_curves, save_curves
from foveate.training.history import columns

ROWS = [
    Epoch(1, 0.5, 0.8, 0.45, 0.85, 0.1, 12.25, 4490.1),
    Epoch(2, 0.3, 0.9, None, None, 1e-05, 12.0, 4500.0),
]


def test_csv_round_trip(tmp_path):
    History(ROWS).to_csv(tmp_path / "history.csv")
    assert History.from_csv(tmp_path / "history.csv") == History(ROWS)
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0] == (
        "epoch,train_loss,train_accuracy,validation_loss,validation_accuracy,learning_rate,seconds,images_per_second"
    )
    assert lines[2] == "2,0.3,0.9,,,1e-05,12.0,4500.0"


def test_json_round_trip():
    assert History.from_json(History(ROWS).to_json()) == History(ROWS)
    assert len(History(ROWS)) == 2


def test_a_row_as_a_line():
    assert str(ROWS[0]) == (
        "epoch 1: loss 0.5000, accuracy 80.00%, validation loss 0.4500, accuracy 85.00%, 12.2 s, 4,490 images/s"
    )
    assert str(ROWS[1]) == "epoch 2: loss 0.3000, accuracy 90.00%, 12.0 s, 4,500 images/s"
    waited = replace(ROWS[1], waiting=0.126)
    assert str(waited) == f"{ROWS[1]}, waiting for data: 13%"
    assert waited == ROWS[1]
    assert str(replace(ROWS[1], waiting=0.04)) == str(ROWS[1])


@pytest.mark.parametrize(
    ("content", "match"),
    [
        (b"", r"is not a history: its first line should be epoch,train_loss"),
        (b"a,b\n1,2\n", r"is not a history"),
        (b"\xff\xfe", r"cannot be read as a history"),
        (",".join(columns()).encode() + b"\n1,2,x,4,5,6,7,8\n", r"line 2: expected 8 numbers"),
        (",".join(columns()).encode() + b"\n1,2\n", r"line 2: expected 8 numbers"),
        (b"1" * 200_000, r"is not a history: its first line should be epoch,train_loss"),
        (",".join(columns()).encode() + b"\n" + b"1" * 200_000, r"expected 8 numbers \(field larger than "),
    ],
)
def test_other_tables(tmp_path, content, match):
    (tmp_path / "history.csv").write_bytes(content)
    with pytest.raises(FileError, match=match):
        History.from_csv(tmp_path / "history.csv")


def test_no_table(tmp_path):
    with pytest.raises(FileError, match="cannot be read as a history"):
        History.from_csv(tmp_path / "nowhere.csv")


def test_curves_show_every_figure():
    loss, accuracy = draw_curves(History(ROWS)).axes
    assert [line.get_label() for line in loss.lines] == ["training", "validation"]
    assert [line.get_xydata().tolist() for line in loss.lines] == [[[1, 0.5], [2, 0.3]], [[1, 0.45]]]
    assert [line.get_xydata().tolist() for line in accuracy.lines] == [[[1, 80.0], [2, 90.0]], [[1, 85.0]]]
    assert (loss.get_xlabel(), loss.get_ylabel(), accuracy.get_ylabel()) == ("epoch", "loss", "accuracy (%)")


def epochs(*validation: float | None) -> History:
    return History(
        [Epoch(number, 1 / number, 0.5, loss, 0.4, 0.1, 1.0, 100.0) for number, loss in enumerate(validation, start=1)]
    )


def test_a_loss_that_exploded_leaves_the_others_legible():
    for losses, scale in (((0.9, 4e6, 0.5, 0.4), "log"), ((2.3, 1.2, 0.5, 0.4), "linear"), ((0.9, 0.0, 4e6), "linear")):
        loss, accuracy = draw_curves(epochs(*losses)).axes
        assert (loss.get_yscale(), accuracy.get_yscale()) == (scale, "linear")
        assert loss.get_ylabel() == ("loss (logarithmic axis)" if scale == "log" else "loss")
    loss, _ = draw_curves(epochs(0.9, 4e6, 0.5, 0.4)).axes
    heights = loss.transData.transform([[1, value] for value in (0.4, 0.9)])[:, 1]
    assert heights[1] - heights[0] > 0.02 * loss.bbox.height  # on a linear axis 1e-7


def test_the_best_epoch_is_marked_in_both_panels():
    for panel, value in zip(draw_curves(epochs(0.9, 0.4, None, 0.5)).axes, (0.4, 40.0), strict=True):
        assert [text.get_text() for text in panel.get_legend().get_texts()] == [
            "training",
            "validation",
            "best loss: epoch 2",
        ]
        assert panel.lines[-1].get_xydata().tolist() == [[2, value]]
    for without in (epochs(None, None), epochs(0.5), epochs(None, 0.5), epochs(0.5, float("nan"))):
        labels = [line.get_label() for line in draw_curves(without).axes[0].lines]
        assert not any(label.startswith("best loss") for label in labels)


def test_the_epoch_that_was_kept_is_marked_instead():
    history = epochs(0.9, 0.4, 0.5)
    history.best = 3
    for panel, value in zip(draw_curves(history).axes, (0.5, 40.0), strict=True):
        assert panel.get_legend().get_texts()[-1].get_text() == "kept: epoch 3"
        assert panel.lines[-1].get_xydata().tolist() == [[3, value]]


def test_the_best_epoch_is_marked_where_its_metric_is_undefined():
    rows = [Epoch(number, 1.0, None, loss, None, 0.1, 1.0, 100.0, "iou", iou)
            for number, loss, iou in ((1, 0.9, 0.2), (2, 0.4, None), (3, 0.5, 0.3))]  # fmt: skip
    loss, iou = draw_curves(History(rows)).axes
    assert loss.lines[-1].get_xydata().tolist() == [[2, 0.4]]
    assert [line.get_label() for line in iou.lines] == ["validation", "best loss: epoch 2"]


def test_curves_without_validation():
    loss, _ = draw_curves(History(ROWS[1:])).axes
    assert [line.get_label() for line in loss.lines] == ["training"]


def test_curves_are_saved_as_an_image(tmp_path):
    save_curves(History(ROWS), tmp_path / "curves.png")
    with Image.open(tmp_path / "curves.png") as image:
        assert image.format == "PNG"
        assert image.width > 800
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_nothing_to_draw():
    with pytest.raises(TrainingError, match="there are no learning curves to draw: no epoch was finished"):
        draw_curves(History())


ROW = {
    "epoch": 1, "train_loss": 1.0, "train_accuracy": 0.5, "validation_loss": None, "validation_accuracy": None,
    "learning_rate": 0.1, "seconds": 1.0, "images_per_second": 9.0,
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"train_loss": "x" * 10_000}, r"train_loss is 'xxx.*\.\.\., not a number"),
        ({"train_loss": [1.0]}, r"train_loss is \[1.0\], not a number"),
        ({"epoch": None}, "epoch is None, not a number"),
        ({"seconds": True}, "seconds is True, not a number"),
        ({"learning_rate": float("inf")}, "learning_rate is inf, not a number"),
        ({"validation_accuracy": 10**400}, "validation_accuracy is 1000.*not a number"),
        ({"colour": 1}, "unexpected keyword argument 'colour'"),
        ({"validation_\x1b[2J": 0.5}, r"a metric is called \\x1b\[2J|unexpected"),
    ],
)
def test_a_row_that_is_no_epoch_is_a_sentence(change: dict[str, object], said: str):
    assert History.from_json([ROW]).to_json() == [ROW]
    with pytest.raises(FileError, match=f"^a row of the history is not an epoch's: .*{said}") as caught:
        History.from_json([{**ROW, **change}])
    assert len(str(caught.value)) < 400


def test_a_metric_that_cannot_be_printed_is_a_sentence():
    row = {name: value for name, value in ROW.items() if "accuracy" not in name}
    with pytest.raises(FileError, match=r"a metric is called \\x1b\[2J$"):
        History.from_json([{**row, "validation_\x1b[2J": 0.5}])
