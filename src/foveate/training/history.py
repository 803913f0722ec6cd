"""What training measured: a row for each epoch."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from foveate.errors import FileError
from foveate.files import write_atomically
from foveate.graph.shown import html_table
from foveate.opening import open_regular
from foveate.text import number_words, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LARGEST = 64 << 20
"""The most bytes of a history in a file."""

_LONGEST_METRIC = 200
_LARGEST_NUMBER = 1e300

WORTH_TELLING = 0.05
"""The share of an epoch spent waiting for data from which it is told."""

ACCURACY = "accuracy"
"""The metric of a classification."""


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    `epoch` counts from 1; accuracies are from 0 to 1, and None except for classifications; `learning_rate` is that
    of the last step; `seconds` and `images_per_second` are for training only, without validation. `metric` names the
    task's headline metric, and `validation_metric` is its value in validation. `waiting` is the share of the seconds in
    which the engine waited for data; the table does not have it.
    """

    epoch: int
    train_loss: float
    train_accuracy: float | None
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    images_per_second: float
    metric: str = ACCURACY
    validation_metric: float | None = None
    waiting: float = field(default=0.0, compare=False)

    def __post_init__(self) -> None:
        if self.metric == ACCURACY:
            object.__setattr__(self, "validation_metric", self.validation_accuracy)

    def __str__(self) -> str:
        text = f"epoch {self.epoch}: loss {self.train_loss:.4f}"
        if self.train_accuracy is not None:
            text += f", accuracy {self.train_accuracy:.2%}"
        if self.validation_loss is not None:
            text += f", validation loss {self.validation_loss:.4f}"
        if self.validation_metric is not None:
            text += f", {self.metric} {format_metric(self.metric, self.validation_metric)}"
        text += f", {self.seconds:.1f} s, {self.images_per_second:,.0f} images/s"
        return text if self.waiting < WORTH_TELLING else f"{text}, waiting for data: {self.waiting:.0%}"

    def to_json(self) -> dict[str, Any]:
        """Plain data under the names of the table's columns."""
        of_metric = {f"validation_{self.metric}": self.validation_metric}
        return {name: of_metric[name] if name in of_metric else getattr(self, name) for name in columns(self.metric)}

    @classmethod
    def from_json(cls, row: Mapping[str, Any]) -> "Epoch":
        """The epoch that `to_json` described; a KeyError, TypeError or ValueError if the row is not one."""
        metric = _metric(row)
        if not metric.isprintable() or len(metric) > _LONGEST_METRIC:
            raise ValueError(f"a metric is called {printable(metric)}")
        for name, value in row.items():
            _check_number(name, value)
        if metric == ACCURACY:
            return cls(**row)
        values = {name: value for name, value in row.items() if name != f"validation_{metric}"}
        value = row[f"validation_{metric}"]
        return cls(train_accuracy=None, validation_accuracy=None, metric=metric, validation_metric=value, **values)


def columns(metric: str = ACCURACY) -> tuple[str, ...]:
    """The columns of a training table; only a classification also measures its metric during training.

    >>> columns("mae")[:4]
    ('epoch', 'train_loss', 'validation_loss', 'validation_mae')
    """
    train = ("train_accuracy",) if metric == ACCURACY else ()
    validation = ("validation_loss", f"validation_{metric}")
    return ("epoch", "train_loss", *train, *validation, "learning_rate", "seconds", "images_per_second")


def format_metric(metric: str, value: float) -> str:
    """A metric's number, readable: an accuracy is a percentage.

    >>> format_metric("accuracy", 0.5), format_metric("mae", 1.23456)
    ('50.00%', '1.235')
    """
    return f"{value:.2%}" if metric == ACCURACY else number_words(value)


@dataclass
class History:
    """The epochs of one training run, and how it ended.

    `interrupted` says whether Ctrl-C ended it before the last epoch, `stopped` why it stopped early by itself (empty if
    it did not), and `best` is the epoch whose parameters the model has, if the best one in validation was kept.
    """

    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False
    stopped: str = field(default="", compare=False)
    best: int | None = field(default=None, compare=False)
    failure: Exception | None = field(default=None, compare=False, repr=False)
    """What a callback raised."""

    def __len__(self) -> int:
        return len(self.epochs)

    def __repr__(self) -> str:
        stopped = ", interrupted" if self.interrupted else f", stopped: {self.stopped}" if self.stopped else ""
        last = f", {self.epochs[-1]}" if self.epochs else ""
        return f"History({len(self)} epoch{'s' * (len(self) != 1)}{stopped}{last})"

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for each epoch."""
        names = columns(self.epochs[0].metric) if self.epochs else columns()
        return html_table(
            "", [name.replace("_", " ") for name in names], [tuple(row.values()) for row in self.to_json()]
        )

    def plot(self) -> "Figure":
        """Loss and metric over the epochs as a matplotlib figure; `savefig("curves.png")` of it writes a file.

        Raises:
            TrainingError: no epoch was finished.
        """
        from foveate.training.curves import draw_curves

        return draw_curves(self)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain data: a dict for each epoch."""
        return [epoch.to_json() for epoch in self.epochs]

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]]) -> "History":
        """The history that `to_json` described.

        Raises:
            FileError: a row is not an epoch's.
        """
        try:
            return cls([Epoch.from_json(row) for row in rows])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise FileError(f"a row of the history is not an epoch's: {printable(error)}") from None

    def to_csv(self, path: str | Path) -> None:
        """Write the epochs as comma-separated values under a line of column names, atomically."""
        text = StringIO()
        names = columns(self.epochs[0].metric) if self.epochs else columns()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: "" if value is None else value for name, value in row.items()} for row in self.to_json()
        )
        write_atomically(Path(path), text.getvalue().encode())

    @classmethod
    def from_csv(cls, path: str | Path) -> "History":
        """The history that `to_csv` wrote.

        Raises:
            FileError: the file is missing, or is not a table of this kind.
        """
        try:
            with open_regular(Path(path), _LARGEST) as file:
                lines = file.read().decode("utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{path} cannot be read as a history: {error}") from None
        reader = csv.DictReader(lines)
        try:
            found = tuple(reader.fieldnames or ())
        except csv.Error:
            found = ()
        if found != columns(_metric(found)):
            raise FileError(f"{path} is not a history: its first line should be {','.join(columns())}")
        try:
            return cls([_epoch_from(row) for row in reader])
        except (TypeError, ValueError, csv.Error) as error:
            raise FileError(f"{path}, line {reader.line_num}: expected {len(found)} numbers ({error})") from None


def _metric(names: Iterable[str]) -> str:
    """The metric of a table with these columns."""
    own = (name.removeprefix("validation_") for name in names if name.startswith("validation_"))
    return next((name for name in own if name != "loss"), ACCURACY)


def _check_number(name: str, value: Any) -> None:
    if value is None and name.startswith(("validation_", "train_accuracy")):
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not abs(value) < _LARGEST_NUMBER:
        raise ValueError(f"{printable(name)} is {printable(repr(value), 60)}, not a number")


def _epoch_from(row: Mapping[str, str]) -> Epoch:
    values = {name: None if not text and name.startswith("validation_") else float(text) for name, text in row.items()}
    return Epoch.from_json({**values, "epoch": int(row["epoch"])})
