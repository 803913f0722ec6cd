"""The training loop over a graph's state: epochs of steps, validation, checkpoints, and a clean end.

Which sample comes when, and how it is changed, depends on seed, epoch and position alone, so that a training that
was stopped at any instant goes on from its last checkpoint to the same bits.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from math import isfinite
from pathlib import Path
from time import perf_counter
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from foveate.data import Dataset, Preprocessing, batch_indices
from foveate.engines import State, StepResult
from foveate.engines.request import single_value_normalization
from foveate.errors import FileError, TrainingError
from foveate.files import Checkpoint, ModelDescription, read_checkpoint, write_checkpoint
from foveate.training.folder import RunFolder
from foveate.training.history import Epoch, History
from foveate.training.interruption import interruptible
from foveate.training.metrics import evaluate
from foveate.training.prefetch import prefetch
from foveate.training.programs import Programs
from foveate.training.progress import Progress
from foveate.training.recipe import Recipe


@dataclass
class Totals:
    """What the steps of an epoch measured so far."""

    loss: float = 0.0
    correct: float = 0.0
    samples: float = 0.0
    seconds: float = 0.0
    learning_rate: float = 0.0

    def add(self, result: StepResult, samples: int) -> None:
        """Count one step of `samples`."""
        self.loss += result.loss * samples
        self.correct += result.correct
        self.samples += samples


@dataclass(frozen=True, eq=False)
class Job:
    """What is trained, on what, and how; `description` is the model that checkpoints describe."""

    state: State
    programs: Programs
    recipe: Recipe
    train: Dataset
    preprocessing: Preprocessing
    description: ModelDescription
    validation: Dataset | None = None
    folder: RunFolder | None = None
    checkpoint_every: int | None = None
    frozen: frozenset[str] = frozenset()


def fit(job: Job, progress: Progress, *, resume: bool = False) -> History:
    """Train to the end of the recipe, or to Ctrl-C.

    With a folder, a checkpoint and the history are written after every epoch, after every `checkpoint_every` steps, and
    when interrupted.

    Args:
        job: what to train; its state is changed in place.
        progress: what a person sees.
        resume: go on from the folder's checkpoint where there is one.

    Returns:
        a row for each epoch; `interrupted` is set where Ctrl-C ended it.

    Raises:
        TrainingError: the loss is no number any more, or the checkpoint was made by another recipe or data set.
        FileError: a checkpoint cannot be read or written.
    """
    run = _Run(job)
    if resume and job.folder is not None and job.folder.checkpoint.exists():
        run.restore(job.folder.checkpoint)
    # What overflows is found by the loop itself and told in a sentence, so that NumPy need not warn of it.
    with np.errstate(over="ignore", invalid="ignore"), interruptible() as interrupted, progress:
        progress.start(job.recipe.epochs, run.steps, run.step)
        while run.epoch < job.recipe.epochs and not interrupted():
            if run.train(progress, interrupted):
                progress.epoch(run.finish_epoch())
                run.save()
        run.history.interrupted = run.epoch < job.recipe.epochs
        if run.history.interrupted:
            run.save()
    return run.history


class _Run:
    """A training as it stands: the epoch, the batches done in it, what they measured, and the epochs before."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.epoch = 0
        self.position = 0
        self.totals = Totals()
        self.history = History()
        self._merge = single_value_normalization(job.state.graph, 1, job.frozen) is not None
        self._batches = len(self._indices())
        self._configuration = _configuration(job) if job.folder is not None else {}

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.job.recipe.epochs * self._batches

    @property
    def step(self) -> int:
        """Steps done."""
        return self.epoch * self._batches + self.position

    def train(self, progress: Progress, stop: Callable[[], bool]) -> bool:
        """Train on the rest of the epoch's batches; False where `stop` ended it before the last."""
        remaining = self._indices()[self.position :]
        since = perf_counter()
        with closing(prefetch(self._prepare, remaining)) as batches:
            for inputs, labels in batches:
                result = self._step(inputs, labels)
                self.totals.add(result, len(labels))
                now = perf_counter()
                self.totals.seconds, since = self.totals.seconds + now - since, now
                means = self.totals.loss / self.totals.samples, self.totals.correct / self.totals.samples
                progress.step(self.epoch + 1, len(labels), *means, result.loss)
                if self._is_due():
                    self.save()
                if stop():
                    break
        return self.position >= self._batches

    def finish_epoch(self) -> Epoch:
        """Validate, add the epoch's row to the history and turn to the next."""
        job, totals = self.job, self.totals
        self._check_parameters()
        measured = None
        if job.validation is not None:
            loss = job.recipe.loss
            measured = evaluate(job.state, job.programs, job.validation, job.preprocessing, loss=loss)
            if not isfinite(measured.loss):
                raise self._diverged("the validation loss", measured.loss)
        row = Epoch(
            epoch=self.epoch + 1,
            train_loss=round(totals.loss / totals.samples, 6),
            train_accuracy=round(totals.correct / totals.samples, 6),
            validation_loss=None if measured is None else round(measured.loss, 6),
            validation_accuracy=None if measured is None else round(measured.accuracy, 6),
            learning_rate=totals.learning_rate,
            seconds=round(totals.seconds, 3),
            images_per_second=round(totals.samples / max(totals.seconds, 1e-9), 1),
        )
        self.history.epochs.append(row)
        self.epoch, self.position, self.totals = self.epoch + 1, 0, Totals()
        return row

    def save(self) -> None:
        """Write the checkpoint and the history, if there is a folder for them."""
        folder, state = self.job.folder, self.job.state
        if folder is None:
            return
        checkpoint = Checkpoint(
            description=self.job.description,
            arrays={name: state.read(name) for name in state.names(slots=True)},
            slots=self.job.recipe.optimizer.slots,
            step_count=state.step_count,
            epoch=self.epoch,
            position=self.position,
            totals=asdict(self.totals),
            history=self.history.to_json(),
            configuration=self._configuration,
        )
        write_checkpoint(folder.checkpoint, checkpoint)
        self.history.to_csv(folder.history)

    def restore(self, path: Path) -> None:
        """Go back to where the checkpoint at `path` was written."""
        checkpoint = read_checkpoint(path)
        state = self.job.state
        then = {"network": checkpoint.description.graph, **checkpoint.configuration}
        _check_same(path, then, {"network": state.graph, **self._configuration})
        try:
            for name in state.names(slots=True):
                state.load(name, checkpoint.arrays[name])
            self.totals = Totals(**checkpoint.totals)
            self.history = History.from_json(checkpoint.history)
        except (KeyError, TypeError) as error:
            raise FileError(f"{path} is damaged: its training state cannot be read ({error})") from None
        if checkpoint.position > self._batches or not self.totals.samples >= checkpoint.position:
            raise FileError(f"{path} is damaged: batch {checkpoint.position} of {self._batches} cannot come next")
        state.step_count = checkpoint.step_count
        self.epoch, self.position = checkpoint.epoch, checkpoint.position

    def _step(self, inputs: NDArray[np.float32], labels: NDArray[np.int64]) -> StepResult:
        recipe = self.job.recipe
        rate, momentum = recipe.schedule.at(self.step, self.steps)
        self.totals.learning_rate = rate
        program = self.job.programs.get(
            batch_size=len(labels),
            mode="training",
            loss=recipe.loss,
            optimizer=recipe.optimizer,
            freeze=sorted(self.job.frozen),
        )
        result = program.step(self.job.state, inputs, labels, learning_rate=rate, momentum=momentum)
        self.position += 1
        if not isfinite(result.loss):
            raise self._diverged("the loss", result.loss)
        return result

    def _indices(self) -> list[NDArray[np.int64]]:
        recipe = self.job.recipe
        return batch_indices(
            len(self.job.train), recipe.batch_size, seed=recipe.seed, epoch=self.epoch, merge_single=self._merge
        )

    def _prepare(self, indices: NDArray[np.int64]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """The augmented, normalised inputs and the labels of a batch; runs in the background."""
        job = self.job
        raw: NDArray[Any] = job.train.inputs[indices]
        changed = job.recipe.augmentation.apply(raw, indices, job.recipe.seed, self.epoch)
        return job.preprocessing.apply(changed), job.train.labels[indices]

    def _is_due(self) -> bool:
        every = self.job.checkpoint_every
        return every is not None and self.step % every == 0 and self.position < self._batches

    def _check_parameters(self) -> None:
        """The last step's update shows in no loss of this epoch."""
        state = self.job.state
        for name in state.names():
            if not np.isfinite(state.read(name)).all():
                raise self._diverged(name, "NaN or infinite")

    def _diverged(self, what: str, value: object) -> TrainingError:
        rate = self.totals.learning_rate
        folder = self.job.folder
        kept = f" {folder.checkpoint} is as it was." if folder is not None and folder.checkpoint.exists() else ""
        return TrainingError(
            f"{what} became {value} at step {self.step} of {self.steps} (epoch {self.epoch + 1}, learning rate "
            f"{rate:.3g}): the steps were too long. Try a learning rate of {rate / 10:.1g}, a longer warm-up, or "
            f"normalisation in the network.{kept}"
        )


def _configuration(job: Job) -> dict[str, Any]:
    """What, besides the network, must be the same for a training to go on: the recipe and the data."""
    train = job.train
    return {
        **job.recipe.to_json(),
        "samples": len(train),
        "data": crc32(train.labels.data, crc32(train.inputs.data)),
        "preprocessing": job.preprocessing.to_json(),
        **({"frozen": sorted(job.frozen)} if job.frozen else {}),
    }


def _check_same(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    for name, value in now.items():
        if then.get(name) != value:
            told = f" ({then.get(name)} then, {value} now)" if name not in ("network", "data") else ""
            raise TrainingError(
                f"{path} was made with another {name}{told}, so that training cannot go on from it; "
                "give the same as then, or start anew without resume or in another folder"
            )
