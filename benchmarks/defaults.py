"""How well networks train that were set up by nobody: the choices of `fv.choose` against other settings around them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import typer
from rich.console import Console

import foveate as fv
from benchmarks import environment
from benchmarks.errors import BenchmarkError
from benchmarks.options import Sets, Threads
from benchmarks.reports import check_writable
from benchmarks.small_sets import SMALL_SETS, SmallSet, small_sets
from foveate import zoo
from foveate.training.choices import choose

DEFAULT = "default"

OTHER_NETWORKS = {"vgg6": "resnet20", "resnet20": "vgg6"}


@dataclass(frozen=True)
class Setting:
    """How one network is trained."""

    net: str
    batch_size: int
    learning_rate: float
    epochs: int
    flip: bool
    shift: int

    def __str__(self) -> str:
        changes = [name for name in ("flip", "shift") if getattr(self, name)]
        told = f"{self.net}, batch {self.batch_size}, rate {self.learning_rate:.2g}, {self.epochs} epochs"
        return ", ".join([told, *changes])


# Network, and factors of the batch size, the learning rate and the epochs; what tells most comes first.
_AROUND: tuple[tuple[str, float, float, float], ...] = (
    ("other", 1, 1, 1), ("same", 1, 3, 1), ("same", 1, 1 / 3, 1), ("same", 1, 1, 1 / 2), ("same", 2, 2, 1),
    ("same", 1, 1, 2), ("other", 1, 3, 1), ("same", 1 / 2, 1 / 2, 1), ("other", 1, 1, 2), ("other", 1, 1 / 3, 1),
    ("same", 4, 4, 1), ("same", 1, 3, 2), ("same", 1, 1 / 3, 2), ("other", 2, 2, 1), ("other", 1 / 2, 1 / 2, 1),
    ("same", 4, 1, 1), ("same", 1, 10, 1), ("same", 1, 1 / 10, 2), ("other", 1, 3, 2),
)  # fmt: skip

BEFORE = ("vgg6", 128, 0.15, 6)
"""What `foveate train` did for any data before it chose."""


def chosen(small: SmallSet, training: fv.Dataset) -> Setting:
    """The default."""
    choices = choose(training, images=small.origin == "folder")
    changes = choices.augmentation
    return Setting(choices.net, choices.batch_size, choices.learning_rate, choices.epochs, changes.flip, changes.shift)


def around(default: Setting, count: int) -> list[Setting]:
    """`count` other settings: one for every data set as it was before, and the others around the default."""
    found = [Setting(*BEFORE, default.flip, default.shift)]
    for net, batch, rate, epochs in _AROUND:
        found.append(
            replace(
                default,
                net=default.net if net == "same" else OTHER_NETWORKS.get(default.net, default.net),
                batch_size=max(1, round(default.batch_size * batch)),
                learning_rate=default.learning_rate * rate,
                epochs=max(1, round(default.epochs * epochs)),
            )
        )
    return list(dict.fromkeys(found))[:count]


def accuracy(small: SmallSet, setting: Setting, split: int, part: str) -> float:
    """The accuracy on a part, in percent; 100 by the number of classes if training diverges."""
    training, validation, test = small.load(split)
    graph = zoo.make(setting.net, input_shape=training.shape, classes=len(training.classes))
    model = fv.Model(graph, classes=training.classes, seed=split)
    try:
        model.fit(
            training,
            epochs=setting.epochs,
            batch_size=setting.batch_size,
            schedule=fv.OneCycle(setting.learning_rate),
            augmentation=fv.Augmentation(flip=setting.flip, shift=setting.shift),
            progress=False,
        )
    except fv.TrainingError:
        return 100 / len(training.classes)
    return 100 * model.evaluate(test if part == "test" else validation, progress=False).accuracy


def defaults(
    settings: Annotated[int, typer.Option(min=0, max=20, help="Settings to compare the default with.")] = 20,
    splits: Annotated[int, typer.Option(min=1, help="Divisions of each set into training and test.")] = 5,
    first_split: Annotated[int, typer.Option(min=0, help="The first of them; rules were chosen on 0 and 1.")] = 0,
    only: Sets = "",
    part: Annotated[str, typer.Option(help="test; or validation, to choose rules by.")] = "test",
    threads: Threads = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every accuracy to this file; what it has is not run again.")
    ] = None,
) -> None:
    """Compare what is chosen for small sets of samples with other settings.

    Example: python -m benchmarks defaults --settings 20 --splits 5 --json defaults.json
    """
    check_writable(json_file)
    if part not in ("test", "validation"):
        raise typer.BadParameter(f'--part "{part}" is neither test nor validation')
    if threads is not None:
        fv.set_threads(threads)
    progress = Console(stderr=True)
    rows = _kept(json_file)
    chosen_splits = range(first_split, first_split + splits)
    for split in chosen_splits:
        for small in small_sets(only):
            for row in _measured(small, settings, split, part, rows):
                rows.append(row)
                if json_file is not None:
                    json_file.write_text(json.dumps({"environment": environment.describe(), "rows": rows}, indent=1))
                progress.print(f"{row['set']} {split + 1}: {row['accuracy']:.1f} % {row['told']}", highlight=False)
    wanted = [small.name for small in small_sets(only)]
    own = [row for row in rows if row["set"] in wanted and row["part"] == part and row["split"] in chosen_splits]
    print("\n".join(table(own)))
    print(environment.sentence(environment.describe(threads)))


def _kept(path: Path | None) -> list[dict[str, Any]]:
    """What an earlier run has measured."""
    if path is None or not path.exists():
        return []
    try:
        return list(json.loads(path.read_text())["rows"])
    except (ValueError, KeyError, TypeError):
        raise BenchmarkError(f"{path} is not a report of this benchmark; give another file") from None


def _measured(
    small: SmallSet, count: int, split: int, part: str, before: Sequence[dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Rows that `before` lacks: of the default, and of other settings."""
    default = chosen(small, small.load(split)[0])
    for setting in (default, *around(default, count)):
        key = {"set": small.name, "split": split, "part": part, **asdict(setting)}
        if any(key.items() <= row.items() for row in before):
            continue
        found = accuracy(small, setting, split, part)
        yield {**key, "told": str(setting), "default": setting == default, "accuracy": found}


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Mean accuracies of the default, of what was before and of the best setting, and the gap, as Markdown."""
    yield "| set | samples | default | before | best | gap | the best setting |"
    yield "|---|---|---|---|---|---|---|"
    for small in SMALL_SETS:
        own = [row for row in rows if row["set"] == small.name]
        if own:
            found = summary(own)
            before = "" if found["before"] is None else f"{found['before']:.1f}"
            means = f"{found['default']:.1f} | {before} | {found['best']:.1f} | {found['gap']:.1f}"
            yield f"| {small.name}: {small.kind} | {small.count:,} | {means} | {found['setting']} |"


def summary(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over the splits of one set; the best setting is one that every split has.

    The default is one of the settings, so the gap is never below 0.
    """
    splits = {row["split"] for row in rows}
    by_setting: dict[str, dict[int, float]] = {}
    for row in rows:
        by_setting.setdefault(DEFAULT if row["default"] else row["told"], {})[row["split"]] = row["accuracy"]
    means = {told: fmean(found.values()) for told, found in by_setting.items() if found.keys() == splits}
    best = max(means, key=means.__getitem__)
    before = next((means[row["told"]] for row in rows if _is_before(row) and row["told"] in means), None)
    return {
        "default": means[DEFAULT],
        "before": before,
        "best": means[best],
        "setting": best,
        "gap": means[best] - means[DEFAULT],
    }


def _is_before(row: dict[str, Any]) -> bool:
    return (row["net"], row["batch_size"], row["learning_rate"], row["epochs"]) == BEFORE
