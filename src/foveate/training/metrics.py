"""How good a network is on a data set, and its raw outputs in batches."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import foveate.engines.reference  # noqa: F401 (fills the table of losses)
from foveate.data import Dataset, Preprocessing, batch_indices
from foveate.engines import State
from foveate.engines.base import FloatArray
from foveate.engines.losses import measure_loss
from foveate.engines.targets import check_targets
from foveate.graph import CrossEntropy, Graph, Loss
from foveate.layers.activations import Softmax
from foveate.training.compatibility import check_classes, class_count
from foveate.training.prefetch import prefetch
from foveate.training.programs import Programs


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How good a network is on a data set.

    `accuracy` goes from 0 to 1; `loss` is the mean over the samples, weighted where the loss has class weights;
    `per_class` is the accuracy on each class, None where the data have no sample of it; `confusion[i, j]` counts the
    samples of class i that were taken for class j.
    """

    accuracy: float
    loss: float
    samples: int
    per_class: tuple[float | None, ...]
    confusion: NDArray[np.int64]

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "accuracy": self.accuracy,
            "loss": self.loss,
            "samples": self.samples,
            "per_class": list(self.per_class),
            "confusion": self.confusion.tolist(),
        }


def evaluate(
    state: State,
    programs: Programs,
    dataset: Dataset,
    preprocessing: Preprocessing,
    *,
    batch_size: int = 256,
    loss: Loss | None = None,
) -> Evaluation:
    """Run the network over `dataset` in batches, with running statistics and without dropout.

    Args:
        state: the parameters and statistics.
        programs: of the same graph.
        dataset: inputs and labels.
        preprocessing: applied to each batch.
        batch_size: samples in a batch; the last may be smaller.
        loss: the cross-entropy to measure; without label smoothing unless given.

    Raises:
        DataError: the data do not fit the network.
    """
    check_classes(programs.graph, dataset.classes)
    classes, labels = class_count(programs.graph), dataset.labels
    measure = loss if isinstance(loss, CrossEntropy) else CrossEntropy()
    confusion = np.zeros((classes, classes), np.int64)
    total = weight = 0.0
    batches = batch_indices(len(dataset), batch_size)
    prepared = prefetch(lambda indices: preprocessing.apply(dataset.inputs[indices]), batches)
    with closing(prepared):
        for indices, inputs in zip(batches, prepared, strict=True):
            outputs = programs.outputs(state, {programs.graph.only_input: inputs})
            logits = logits_of(programs.graph, outputs[programs.graph.only_output])
            targets = check_targets(measure, labels[indices], len(indices), (classes,), np.float64)
            measured = measure_loss(measure, logits, targets)
            total += measured.loss * measured.weight
            weight += measured.weight
            np.add.at(confusion, (labels[indices], logits.argmax(axis=1)), 1)
    return _evaluation(confusion, total / weight if weight else 0.0)


def logits_of(graph: Graph, outputs: FloatArray) -> FloatArray:
    """The network's (N, K) outputs as float64 logits: those of a network that ends with a softmax, before it."""
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
    """`inputs` in slices of `batch_size`, the last perhaps smaller."""
    for start in range(0, len(inputs), batch_size):
        yield inputs[start : start + batch_size]


def _evaluation(confusion: NDArray[np.int64], loss: float) -> Evaluation:
    correct, counts = confusion.diagonal(), confusion.sum(axis=1)
    return Evaluation(
        accuracy=int(correct.sum()) / int(counts.sum()),
        loss=loss,
        samples=int(counts.sum()),
        per_class=tuple(int(c) / int(n) if n else None for c, n in zip(correct, counts, strict=True)),
        confusion=confusion,
    )
