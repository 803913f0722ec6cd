"""How good a network is: the metrics of all its outputs, accumulated batch by batch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.errors import DataError
from foveate.tasks.heads import Head
from foveate.tasks.metrics.base import ByName, Direction, Metric
from foveate.text import number_words

OwnMetrics: TypeAlias = Sequence[Callable[[], Metric]]
"""Custom metrics: classes, or functions that return a fresh one."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured.

    `numbers` are by name, None if the data do not determine one, and `better` says which direction is better;
    `each[number]` has it for each class, label or value; `tables` are counts, such as "confusion". If the network has
    several outputs, names begin with the output's: "age mae".
    """

    samples: int
    headline: str
    numbers: ByName
    better: Mapping[str, Direction]
    each: Mapping[str, ByName] = field(default_factory=dict)
    tables: Mapping[str, NDArray[np.int64]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float | None:
        if name not in self.numbers:
            raise KeyError(f"nothing called {name!r} was measured; there is {', '.join(self.numbers)}")
        return self.numbers[name]

    def __str__(self) -> str:
        return ", ".join(f"{name} {number_words(value)}" for name, value in self.numbers.items())

    @property
    def value(self) -> float | None:
        """The headline's number."""
        return self.numbers[self.headline]

    def beats(self, other: "Measured | None") -> bool:
        """Whether the headline is better than the other's; any number beats none."""
        return beats(self.value, None if other is None else other.value, self.better[self.headline])

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "samples": self.samples,
            "headline": self.headline,
            "numbers": dict(self.numbers),
            "better": dict(self.better),
            "each": {name: dict(values) for name, values in self.each.items()},
            "tables": {name: table.tolist() for name, table in self.tables.items()},
        }


class Metrics:
    """Accumulates the metrics of every output.

    Args:
        heads: the outputs with their tasks.
        own: custom metrics besides the tasks'; keyed by output if the network has several.

    Raises:
        DataError: `own` does not name the output it is for, or a number in it exists already.

    >>> from foveate.tasks import Classification, Head, Output
    >>> metrics = Metrics((Head(Classification(("cat", "dog")), Output("fc", (2,))),))
    >>> metrics.update({"fc": np.array([[3.0, 0.0], [2.0, 0.0]])}, {"fc": np.array([0, 1])})
    >>> print(metrics.result())
    accuracy 0.5, calibration_error 0.4641
    """

    def __init__(self, heads: Sequence[Head], own: OwnMetrics | Mapping[str, OwnMetrics] = ()) -> None:
        self.heads = tuple(heads)
        self._samples = 0
        by_output = self._own(own)
        self._metrics: dict[str, list[Metric]] = {
            head.name: [*head.task.metrics(head.output), *(make() for make in by_output.get(head.name, ()))]
            for head in self.heads
        }
        for head in self.heads:
            _check_numbers(head, self._metrics[head.name])

    @property
    def headline(self) -> tuple[str, Direction]:
        """The first output's headline, and which direction is better; known before anything is counted."""
        main = self.heads[0]
        better = {name: way for metric in self._metrics[main.name] for name, way in metric.better.items()}
        return self._prefix(main) + main.task.headline, better[main.task.headline]

    def update(self, outputs: Mapping[str, NDArray[Any]], targets: Mapping[str, NDArray[Any]]) -> None:
        """Count a batch: the network's outputs and the checked targets, keyed by output.

        Raises:
            DataError: an output is NaN or infinite.
        """
        decoded = {head.name: head.decode(outputs[head.name]) for head in self.heads}
        for name, metrics in self._metrics.items():
            for metric in metrics:
                metric.update(decoded[name], targets[name])
        self._samples += len(decoded[self.heads[0].name])

    def result(self) -> Measured:
        """What has been measured so far."""
        numbers: dict[str, float | None] = {}
        better: dict[str, Direction] = {}
        each: dict[str, ByName] = {}
        tables: dict[str, NDArray[np.int64]] = {}
        for head in self.heads:
            prefix = self._prefix(head)
            for metric in self._metrics[head.name]:
                better |= {prefix + name: direction for name, direction in metric.better.items()}
                numbers |= {prefix + name: value for name, value in _finite(metric.numbers()).items()}
                each |= {prefix + name: _finite(values) for name, values in metric.each().items()}
                tables |= {prefix + name: table for name, table in metric.tables().items()}
        return Measured(self._samples, self.headline[0], numbers, better, each, tables)

    def _own(self, own: OwnMetrics | Mapping[str, OwnMetrics]) -> Mapping[str, OwnMetrics]:
        names = [head.name for head in self.heads]
        if isinstance(own, Mapping):
            unknown = [name for name in own if name not in names]
            if unknown:
                raise DataError(f"the network has no output {unknown[0]} to measure; it has {', '.join(names)}")
            return own
        if own and len(names) > 1:
            raise DataError(
                f"the network has {len(names)} outputs; say which one your metrics are for: {{{names[0]!r}: [...]}}"
            )
        return {names[0]: own}

    def _prefix(self, head: Head) -> str:
        return "" if len(self.heads) == 1 else f"{head.name} "


def beats(value: float | None, other: float | None, direction: Direction) -> bool:
    """Whether `value` is better than `other`; any number beats none.

    >>> beats(0.1, 0.2, "lower"), beats(None, 0.2, "lower"), beats(0.3, None, "lower")
    (True, False, True)
    """
    if value is None or other is None:
        return value is not None
    return value > other if direction == "higher" else value < other


def _check_numbers(head: Head, metrics: Sequence[Metric]) -> None:
    seen: dict[str, Metric] = {}
    for metric in metrics:
        for name, direction in metric.better.items():
            if name in seen:
                raise DataError(f"two metrics measure {name!r}; give the one in {type(metric).__name__} another name")
            if direction not in ("higher", "lower"):
                raise DataError(f'{type(metric).__name__}: better[{name!r}] is {direction!r}, not "higher" or "lower"')
            seen[name] = metric
    if head.task.headline not in seen:
        raise DataError(
            f"the headline of {type(head.task).__name__} is {head.task.headline!r}, but its metrics measure "
            f"{', '.join(seen) or 'nothing'}; name one of them"
        )


def _finite(values: ByName) -> ByName:
    """Numbers that JSON can hold: NaN and infinity, which custom metrics may return, become None."""
    return {name: None if value is None or not isfinite(value) else float(value) for name, value in values.items()}
