"""The samples on which a network is most wrong: those with the highest loss."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from heapq import nlargest
from typing import TYPE_CHECKING, Any, overload

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset, Preprocessing
from foveate.engines import State
from foveate.graph.shown import html_table
from foveate.progress import Bar
from foveate.tasks import Answer, Classification, Head, MultiLabel, Segmentation
from foveate.training.compatibility import check_targets
from foveate.training.feed import feed_of
from foveate.training.objectives import GivenLoss, measured_loss, measuring_losses
from foveate.training.programs import Programs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_TOLD = 3
"""The most labels, values or classes of a sample that words name."""


@dataclass(frozen=True)
class SampleLoss:
    """A sample with its loss.

    Args:
        index: its place in the dataset.
        loss: that of this sample alone.
        target: what would have been right, in words.
        prediction: what the network says, in words.
        probability: how sure it is of that; None unless it is a classification.
        name: the file that the sample came from, if known.
    """

    index: int
    loss: float
    target: str
    prediction: str
    probability: float | None = None
    name: str = ""

    def __str__(self) -> str:
        sure = "" if self.probability is None else f" ({self.probability:.1%})"
        name = self.name or f"sample {self.index}"
        return f"{name}: loss {self.loss:.4g}, was {self.target}, said {self.prediction}{sure}"

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {name: getattr(self, name) for name in ("index", "name", "loss", "target", "prediction", "probability")}


@dataclass(frozen=True, eq=False, repr=False)
class TopLosses(Sequence[SampleLoss]):
    """The samples with the highest losses, the highest first: a sequence of `SampleLoss`.

    `inputs` (n, C, *spatial) has them as they are in the dataset, in this order.
    """

    samples: tuple[SampleLoss, ...]
    inputs: NDArray[Any] = field(repr=False)

    @overload
    def __getitem__(self, place: int) -> SampleLoss: ...
    @overload
    def __getitem__(self, place: slice) -> "TopLosses": ...
    def __getitem__(self, place: int | slice) -> "SampleLoss | TopLosses":
        if isinstance(place, slice):
            return TopLosses(self.samples[place], self.inputs[place])
        return self.samples[place]

    def __len__(self) -> int:
        return len(self.samples)

    def __str__(self) -> str:
        return "\n".join(map(str, self.samples))

    def __repr__(self) -> str:
        highest = f", {self.samples[0]}" if self.samples else ""
        return f"TopLosses({len(self)} samples{highest})"

    def _repr_html_(self) -> str:
        """What a notebook shows: a row for each sample."""
        rows = [(one.name or one.index, one.loss, one.target, one.prediction, one.probability) for one in self.samples]
        return html_table("", ("sample", "loss", "target", "prediction", "probability"), rows)

    def to_json(self) -> list[dict[str, Any]]:
        """Plain data: a dict for each sample."""
        return [sample.to_json() for sample in self.samples]

    def plot(self) -> "Figure":
        """A contact sheet as a matplotlib figure: each input with its loss, its target and the prediction."""
        from foveate.training.drawing.samples import draw_samples

        return draw_samples(self.inputs, [_caption(sample) for sample in self.samples])


def top_losses(
    state: State,
    programs: Programs,
    dataset: Dataset,
    preprocessing: Preprocessing,
    *,
    count: int,
    outputs: Sequence[Head],
    loss: GivenLoss,
    names: Sequence[str],
    bar: Bar,
) -> TopLosses:
    """The `count` samples of `dataset` with the highest losses; of equal ones the first.

    Raises:
        DataError: the data do not fit the network, or its outputs are NaN or infinite.
    """
    check_targets(outputs, dataset)
    losses = measuring_losses(outputs, loss)
    feed = feed_of(programs.graph, outputs, dataset, preprocessing)
    batches = feed.batches(programs.size())
    found: list[SampleLoss] = []
    with bar, closing(feed.prefetched(feed.inputs, batches)) as prepared:
        for indices, inputs in zip(batches, prepared, strict=True):
            values, targets = programs.outputs(state, inputs), feed.targets(indices)
            own = sum(head.weight * _each(head, losses[head.name], values, targets) for head in outputs)
            highest = nlargest(count, range(len(indices)), lambda place, of=own: of[place])  # type: ignore[misc]
            found += _told(outputs, indices, np.asarray(own), values, targets, names, highest)
            found = nlargest(count, found, lambda sample: (sample.loss, -sample.index))
            bar.move(len(indices))
    places = [sample.index for sample in found]
    return TopLosses(tuple(found), dataset.by_input[dataset.image_input][places])


def _each(
    head: Head, loss: Any, values: Mapping[str, NDArray[Any]], targets: Mapping[str, NDArray[Any]]
) -> NDArray[np.float64]:
    """The loss of each sample of a batch by itself; 0 for one that does not count."""
    ones = [slice(place, place + 1) for place in range(len(values[head.name]))]
    measured = [measured_loss(head, loss, values[head.name][one], targets[head.name][one]) for one in ones]
    return np.asarray([each.loss if each.weight else 0.0 for each in measured])


def _told(
    outputs: Sequence[Head],
    indices: NDArray[np.int64],
    losses: NDArray[np.float64],
    values: Mapping[str, NDArray[Any]],
    targets: Mapping[str, NDArray[Any]],
    names: Sequence[str],
    places: Sequence[int],
) -> Iterator[SampleLoss]:
    """The samples of a batch at `places`, in words."""
    chosen = np.asarray(places, np.int64)
    right = [_words(head, _as_decoded(head, targets[head.name][chosen])) for head in outputs]
    said = [_words(head, head.decode(values[head.name][chosen])) for head in outputs]
    for row, place in enumerate(places):
        index = int(indices[place])
        alone = len(outputs) == 1
        yield SampleLoss(
            index=index,
            loss=float(losses[place]),
            target=_joined(outputs, [each[row][0] for each in right]),
            prediction=_joined(outputs, [each[row][0] for each in said]),
            probability=said[0][row][1] if alone else None,
            name=names[index] if names else "",
        )


def _joined(outputs: Sequence[Head], words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0]
    return "; ".join(f"{head.name}: {each}" for head, each in zip(outputs, words, strict=True))


def _as_decoded(head: Head, targets: NDArray[Any]) -> Any:
    """Targets in the form of what the task decodes: class indices become certainties, and of maps counts what counts
    in the loss."""
    if isinstance(head.task, Segmentation):
        return [each[(each >= 0) & (each < len(head.task.classes))] for each in targets]
    if isinstance(head.task, Classification) and targets.ndim == 1:
        return np.asarray(np.eye(len(head.task.classes))[targets])
    return targets


def _words(head: Head, decoded: Any) -> list[tuple[str, float | None]]:
    """Each sample's answer in words, and how sure a classification is."""
    answers = head.task.answers(decoded)
    if isinstance(head.task, Classification):
        return [answer[0] for answer in answers]
    if isinstance(head.task, MultiLabel):
        answers = [[(name, value) for name, value in answer if value > 0.5] for answer in answers]
    return [(_listed(answer), None) for answer in answers]


def _listed(answer: Answer) -> str:
    shown = ", ".join(f"{name} {value:.3g}" for name, value in answer[:MOST_TOLD])
    return f"{shown}, ..." if len(answer) > MOST_TOLD else shown or "none"


def _caption(sample: SampleLoss) -> Sequence[str]:
    sure = "" if sample.probability is None else f" {sample.probability:.0%}"
    return sample.name or f"sample {sample.index}", f"loss {sample.loss:.3g}", sample.target, sample.prediction + sure
