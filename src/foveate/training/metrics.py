"""How good a network is on a dataset, and its raw outputs in batches."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import foveate.engines.reference  # noqa: F401 (fills the table of losses)
from foveate.data import Dataset, Preprocessing
from foveate.engines import State
from foveate.engines.base import FloatArray
from foveate.errors import DataError
from foveate.graph import Graph
from foveate.graph.shown import html_table, number_rows
from foveate.layers.softmax import Softmax
from foveate.progress import PATIENCE_SECONDS, Bar
from foveate.tasks import AnyTask, Head, Measured, Metrics, Regression, heads
from foveate.training.compatibility import check_targets
from foveate.training.feed import feed_of
from foveate.training.objectives import GivenLoss, measured_loss, measuring_losses
from foveate.training.pairs import Pairs
from foveate.training.programs import Programs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMAT = 1
"""Increased when the meaning of a number in `to_json` changes."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a network is on a dataset.

    `loss` is the mean over what the loss counts, for several outputs their weighted sum, and `losses` has each by
    output; `measured` holds the task's metrics. A classification also has `accuracy`, `per_class` and `confusion`.
    `compared` has the answers and the targets of a regression, both (N, K), by output: of many samples some, evenly
    chosen.
    """

    loss: float
    measured: Measured
    losses: Mapping[str, float] = field(default_factory=dict)
    compared: Mapping[str, tuple[FloatArray, FloatArray]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float | None:
        return self.loss if name == "loss" else self.measured[name]

    def __str__(self) -> str:
        return f"loss {self.loss:.4g}, {self.measured}"

    def __repr__(self) -> str:
        return f"Evaluation({self})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the numbers, and below them their values for each class, label or value."""
        rows = number_rows({"loss": self.loss, **self.numbers})
        for name, each in self.measured.each.items():
            rows += [(f"{name}, {part}", told) for part, told in number_rows(each)]
        return html_table(f"{self.samples:,} samples", ("metric", "value"), rows)

    @property
    def samples(self) -> int:
        """How many samples were measured."""
        return self.measured.samples

    @property
    def numbers(self) -> Mapping[str, float | None]:
        """The task's metrics by name; None if the data do not determine one."""
        return self.measured.numbers

    @property
    def accuracy(self) -> float:
        """Share of a classification's samples whose class is predicted correctly, from 0 to 1."""
        return float(self._of_classes(self.numbers.get("accuracy")))

    @property
    def per_class(self) -> tuple[float | None, ...]:
        """The accuracy on each class, None if the data have no sample of it."""
        return tuple(self._of_classes(self.measured.each.get("accuracy")).values())

    @property
    def confusion(self) -> NDArray[np.int64]:
        """[i, j] counts the samples of class i that were taken for class j; for up to 1,024 classes."""
        self._of_classes(self.numbers.get("accuracy"))
        table = self.measured.tables.get("confusion")
        if table is None:
            raise DataError("there is no confusion table: it is kept for up to 1,024 classes; see per_class")
        return table

    def plot(self, output: str | None = None) -> "Figure":
        """A matplotlib figure of what was measured; `savefig("evaluation.png")` of it writes a file.

        It shows the confusions of a classification, the IoU of each class of a segmentation, the F1 of each label, or
        the answers of a regression over what was right.

        Args:
            output: which of a network's outputs (default: the first).

        Raises:
            DataError: there is no such output, or nothing of it can be drawn.
        """
        from foveate.training.drawing.evaluation import draw_measured

        outputs = list(self.losses)
        chosen = next(iter(outputs), "") if output is None else output
        if output is not None and output not in outputs:
            raise DataError(f"no output {output} was measured; there is {', '.join(outputs)}")
        return draw_measured(self.measured, f"{chosen} " if len(outputs) > 1 else "", self.compared.get(chosen))

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        loss = {"loss": self.loss, **({"losses": dict(self.losses)} if len(self.losses) > 1 else {})}
        if "accuracy" not in self.numbers:
            return {"format": FORMAT, **loss, **self.measured.to_json()}
        table = self.measured.tables.get("confusion")
        return {
            "format": FORMAT,
            "accuracy": self.accuracy,
            **loss,
            "samples": self.samples,
            "numbers": dict(self.numbers),
            "per_class": list(self.per_class),
            "confusion": None if table is None else table.tolist(),
        }

    def _of_classes(self, value: Any) -> Any:
        """`value`, which only a classification has."""
        if value is None:
            raise DataError(f"no classification was measured, but {', '.join(self.numbers)}; see evaluation.numbers")
        return value


def evaluate(
    state: State,
    programs: Programs,
    dataset: Dataset,
    preprocessing: Preprocessing,
    *,
    batch_size: int | None = None,
    loss: GivenLoss = None,
    task: AnyTask | None = None,
    progress: bool = False,
) -> Evaluation:
    """Run the network over `dataset` in batches, with running statistics and without dropout.

    Args:
        state: the parameters and statistics.
        programs: compiled programs for the graph that `state` belongs to.
        dataset: inputs and targets.
        preprocessing: applied to each batch.
        batch_size: samples in a batch; the last may have fewer (default: chosen to use little memory).
        loss: what to measure besides the metrics (default: the task's own).
        task: what the outputs are measured as (default: the data's task); its weights may differ.
        progress: whether to show a live bar, on a terminal or in a notebook, if it takes over two seconds.

    Raises:
        DataError: the data do not fit the network, or its outputs are NaN or infinite.
    """
    outputs = heads(task or dataset.task, programs.graph)
    check_targets(outputs, dataset)
    losses, metrics = measuring_losses(outputs, loss), Metrics(outputs)
    totals, weights = dict.fromkeys(losses, 0.0), dict.fromkeys(losses, 0.0)
    pairs = {head.name: Pairs() for head in outputs if isinstance(head.task, Regression)}
    feed = feed_of(programs.graph, outputs, dataset, preprocessing)
    batches = feed.batches(programs.size(batch_size))
    watched = Bar(sys.stderr if progress else None, len(dataset), "evaluating", patience=PATIENCE_SECONDS)
    with watched as bar, closing(feed.prefetched(feed.inputs, batches)) as prepared:
        for indices, inputs in zip(batches, prepared, strict=True):
            values, targets = programs.outputs(state, inputs), feed.targets(indices)
            for head in outputs:
                measured = measured_loss(head, losses[head.name], values[head.name], targets[head.name])
                totals[head.name] += measured.loss * measured.weight
                weights[head.name] += measured.weight
            metrics.update(values, targets)
            for name, kept in pairs.items():
                kept.add(values[name], targets[name])
            bar.move(len(indices))
    means = {name: total / weights[name] if weights[name] else 0.0 for name, total in totals.items()}
    compared = {name: kept.arrays() for name, kept in pairs.items()}
    return Evaluation(sum(head.weight * means[head.name] for head in outputs), metrics.result(), means, compared)


def decoded_batches(
    state: State, programs: Programs, outputs: Sequence[Head], prepared: Iterable[Mapping[str, FloatArray]]
) -> Iterator[dict[str, NDArray[Any]]]:
    """Each batch of prepared inputs run and decoded by the tasks of `outputs`, by the outputs' names."""
    for inputs in prepared:
        values = programs.outputs(state, inputs)
        yield {head.name: head.decode(values[head.name]) for head in outputs}


def logits_of(graph: Graph, outputs: FloatArray) -> FloatArray:
    """The network's (N, K) outputs as float64 logits: if it ends with a softmax, those before it."""
    values: FloatArray = outputs.astype(np.float64)
    node = graph.by_name.get(graph.only_output)
    if node is not None and isinstance(node.layer, Softmax):
        values = np.log(np.maximum(values, np.finfo(np.float32).tiny))
    return values


def softmax(logits: FloatArray) -> FloatArray:
    """(N, K) logits to probabilities, without overflow."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def in_batches(inputs: FloatArray, batch_size: int) -> Iterator[FloatArray]:
    """`inputs` in slices of `batch_size`, the last possibly smaller."""
    for start in range(0, len(inputs), batch_size):
        yield inputs[start : start + batch_size]


def named_batches(inputs: Mapping[str, FloatArray], batch_size: int) -> Iterator[dict[str, FloatArray]]:
    """Inputs by name in slices of `batch_size`, the last possibly smaller."""
    for parts in zip(*(in_batches(array, batch_size) for array in inputs.values()), strict=True):
        yield dict(zip(inputs, parts, strict=True))
