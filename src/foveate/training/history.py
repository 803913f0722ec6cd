"""What a training measured: a row for each epoch."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from io import StringIO
from pathlib import Path
from typing import Any

from foveate.errors import FileError
from foveate.files import write_atomically


@dataclass(frozen=True)
class Epoch:
    """One epoch.

    `epoch` counts from 1; accuracies go from 0 to 1; `learning_rate` is that of the last step; `seconds` and
    `images_per_second` are those of the training, without the validation.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float | None
    validation_accuracy: float | None
    learning_rate: float
    seconds: float
    images_per_second: float

    def __str__(self) -> str:
        text = f"epoch {self.epoch}: loss {self.train_loss:.4f}, accuracy {self.train_accuracy:.2%}"
        if self.validation_loss is not None and self.validation_accuracy is not None:
            text += f", validation loss {self.validation_loss:.4f}, accuracy {self.validation_accuracy:.2%}"
        return f"{text}, {self.seconds:.1f} s, {self.images_per_second:,.0f} images/s"


COLUMNS = tuple(column.name for column in fields(Epoch))


@dataclass
class History:
    """The epochs of a training, and whether it was interrupted before the last."""

    epochs: list[Epoch] = field(default_factory=list)
    interrupted: bool = False

    def __len__(self) -> int:
        return len(self.epochs)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain data: a dict for each epoch."""
        return [asdict(epoch) for epoch in self.epochs]

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]]) -> "History":
        """The history that `to_json` described."""
        return cls([Epoch(**row) for row in rows])

    def to_csv(self, path: str | Path) -> None:
        """Write the epochs as comma-separated values under a line of column names, atomically."""
        text = StringIO()
        writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            {name: "" if value is None else value for name, value in row.items()} for row in self.to_json()
        )
        write_atomically(Path(path), text.getvalue().encode())

    @classmethod
    def from_csv(cls, path: str | Path) -> "History":
        """The history that `to_csv` wrote.

        Raises:
            FileError: the file is missing, or is not such a table.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise FileError(f"{path} cannot be read as a history: {error}") from None
        reader = csv.DictReader(lines)
        if tuple(reader.fieldnames or ()) != COLUMNS:
            raise FileError(f"{path} is not a history: its first line should be {','.join(COLUMNS)}")
        try:
            return cls([_epoch_from(row) for row in reader])
        except (TypeError, ValueError) as error:
            raise FileError(f"{path}, line {reader.line_num}: expected {len(COLUMNS)} numbers ({error})") from None


def _epoch_from(row: Mapping[str, str]) -> Epoch:
    optional = {name: float(row[name]) if row[name] else None for name in ("validation_loss", "validation_accuracy")}
    needed = {name: float(row[name]) for name in COLUMNS if name not in ("epoch", *optional)}
    return Epoch(epoch=int(row["epoch"]), **needed, **optional)  # type: ignore[arg-type]
