"""The training loop over a graph's state: epochs of steps, validation, checkpoints, and a clean end.

The order of samples, and how they are changed, depends only on seed, epoch and position, so training that
was stopped at any instant resumes from its last checkpoint and ends with the same bits.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import cached_property, partial
from math import isfinite, isnan, nan
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.engines import State, StepResult
from foveate.engines.program import StepOptions
from foveate.engines.request import single_value_normalization
from foveate.errors import DataError, FileError, TrainingError
from foveate.files import Checkpoint, read_checkpoint
from foveate.graph import Node, Schedule
from foveate.log import logger
from foveate.tasks import Classification, Metrics, heads
from foveate.training.callbacks import Training
from foveate.training.divergence import diverged, first_without_numbers
from foveate.training.feed import feed_of
from foveate.training.history import ACCURACY, Epoch, History
from foveate.training.interruption import interruptible
from foveate.training.job import Job, Totals
from foveate.training.keeping import Kept, told
from foveate.training.metrics import evaluate
from foveate.training.objectives import training_losses
from foveate.training.progress import Progress
from foveate.training.resuming import check_same, configuration_of
from foveate.training.saving import Saving, arrays_in_turn
from foveate.training.sharing import Shares
from foveate.training.updates import grouped, part_of, program_of, shares_of

Prepared: TypeAlias = tuple[int, Mapping[str, NDArray[Any]], Mapping[str, NDArray[Any]]]
"""The size of a batch, its inputs and its targets."""


def fit(job: Job, progress: Progress, *, resume: bool = False) -> History:
    """Train to the end of the recipe, or until Ctrl-C.

    With a folder, a checkpoint and the history are written after every epoch, after every `checkpoint_every` steps,
    `checkpoint_minutes` after the last, and when interrupted; a warning tells of one that cannot be.

    Args:
        job: what to train; its state is changed in place.
        progress: how progress is shown.
        resume: continue from the folder's checkpoint.

    Returns:
        a row for each epoch; `interrupted` is set if Ctrl-C ended it.

    Raises:
        TrainingError: the loss is no longer a number, or the checkpoint is from another recipe or dataset.
        FileError: no checkpoint can be read.
    """
    shares = Shares(job.programs.engine.group)
    progress = progress if shares.is_first else Progress()
    run = _Run(job, progress, shares)
    if resume and job.folder is not None:
        run.saving.restore(run.restore)
    shares.check_alike(job, run.step)
    # What overflows is found by the loop itself and told in a sentence, so NumPy need not warn of it.
    with np.errstate(over="ignore", invalid="ignore"), interruptible() as interrupted, progress:
        try:
            progress.start(job.recipe.epochs, run.steps, run.step)
            run.announce()
            while run.epoch < job.recipe.epochs and not run.has_ended(interrupted):
                if run.train(interrupted):
                    row = run.finish_epoch()
                    run.save()  # first, so that what is told is on the disk
                    progress.epoch(row)
                    run.tell("on_epoch")
            run.conclude()
        finally:
            run.tell("on_end")
    return run.history


class _Run:
    """A training run in progress: the epoch, the batches done in it, what they measured, and the epochs before."""

    def __init__(self, job: Job, progress: Progress, shares: Shares) -> None:
        self.job, self._progress, self._shares = job, progress, shares
        self.epoch = 0
        self.position = 0
        self.totals = Totals()
        self.history = History()
        self.saving = Saving(job)
        graph, task = job.state.graph, job.task or job.train.task
        self._heads = heads(task, graph)
        losses = training_losses(self._heads, job.recipe.loss)
        self._weighted = {head.name: (losses[head.name], head.weight) for head in self._heads}
        self._feed = feed_of(graph, self._heads, job.train, job.preprocessing)
        self._is_classification = isinstance(task, Classification)
        self._merge = single_value_normalization(job.state.graph, 1, job.frozen) is not None
        self._updates = len(shares.checked(self._groups(), 2 if self._merge else 1))
        self._kept = Kept(job, Metrics(self._heads).headline[1])
        self._notes: list[str] = []
        self._extended_from = 0
        self._seen = Training(job.recipe.epochs, self.steps)
        self._configuration = configuration_of(job) if job.folder is not None else {}

    @cached_property
    def _schedule(self) -> Schedule:
        """The schedule of this epoch, which may depend on the losses of those before."""
        losses = [row.train_loss if row.validation_loss is None else row.validation_loss for row in self.history.epochs]
        return self.job.recipe.schedule.after(losses)

    @property
    def steps(self) -> int:
        """Steps of the whole training."""
        return self.job.recipe.epochs * self._updates

    @property
    def step(self) -> int:
        """Steps done."""
        return self.epoch * self._updates + self.position

    def announce(self) -> None:
        """Say what is worth knowing of where the training begins."""
        self._seen = Training(self.job.recipe.epochs, self.steps, self.step, self.epoch + 1, history=self.history)
        self._show(self._kept.shown)
        if self._extended_from:
            rate = self._schedule.rates(min(self.step, self.steps - 1), self.steps)[0]
            self._notes.append(
                f"extended from {self._extended_from} to {self.job.recipe.epochs} epochs: the schedule is stretched "
                f"over all of them, so the learning rate goes on at {rate:.3g}"
            )
        for note in self._notes:
            self._progress.note(note)

    def has_ended(self, interrupted: Callable[[], bool]) -> bool:
        """Whether training ends before its last epoch: by Ctrl-C, a callback, or as validation gets no better."""
        patience = self.job.recipe.patience
        waited = self._kept.waited_for_better(self.history.epochs)
        if self._seen.reason is None and patience is not None and waited >= patience:
            self._seen.reason = f"no better in validation for {patience} epoch{'s' * (patience > 1)}"
        return self._is_stopped(interrupted)

    def _is_stopped(self, interrupted: Callable[[], bool]) -> bool:
        """Whether to stop now; of several processes all do if one does."""
        own = self._seen.reason is not None or self.history.failure is not None
        ctrl_c, stopped = self._shares.any(interrupted(), own)
        if stopped and not own:
            self._seen.reason = "another process ended it"
        return ctrl_c or stopped

    def train(self, interrupted: Callable[[], bool]) -> bool:
        """Train on the rest of the epoch's batches; False if it was stopped before the last."""
        groups = self._groups()[self.position :]
        if self.position == 0:
            self._kept.before_epoch(self.history.epochs)
        since = perf_counter()
        own = [self._shares.own(indices) for group in groups for indices in group]
        with closing(self._feed.prefetched(self._prepare, own)) as batches:
            awaited = self._awaited(batches)
            for group in groups:
                result, samples = self._update(group, awaited)
                now = perf_counter()
                self.totals.seconds, since = self.totals.seconds + now - since, now
                self._progress.step(self.epoch + 1, samples, *self._means(), result.loss)
                if self.job.callbacks:
                    self._seen.loss, self._seen.norm = result.loss, result.norm
                    self.tell("on_step")
                if self._is_due():
                    self.save()
                if self._is_stopped(interrupted):
                    break
        return self.position >= self._updates

    def tell(self, event: str) -> None:
        """Tell the callbacks, those of the first process; the first error of one ends the training."""
        if not self._shares.is_first:
            return
        seen = self._seen
        seen.step, seen.learning_rate = self.step, self.totals.learning_rate or seen.learning_rate
        seen.epoch = self.epoch if event == "on_epoch" else min(self.epoch + 1, self.job.recipe.epochs)
        for callback in self.job.callbacks:
            try:
                getattr(callback, event)(seen)
            except Exception as error:
                self.history.failure = self.history.failure or error

    def conclude(self) -> None:
        """Write down why training ended, and make the parameters that are kept the state's."""
        history, reason = self.history, self._seen.reason
        unfinished = self.epoch < self.job.recipe.epochs
        if unfinished and reason is not None and history.failure is None:
            history.stopped = reason
            self._progress.note(f"stopped after epoch {len(history)} of {self.job.recipe.epochs}: {reason}")
        history.interrupted = unfinished and not history.stopped
        if unfinished:
            self.save()
        history.best = self._kept.conclude(history.epochs, self.position)
        self._show(self.job.state)
        if history.best is not None and history.best < len(history):
            best = history.epochs[history.best - 1]
            self._progress.note(f"the model is that of epoch {best.epoch}, the best in validation ({told(best)})")

    def _show(self, state: State) -> None:
        """Let callbacks see the model with this state."""
        if self.job.model_of is not None:
            self._seen.make_model = partial(self.job.model_of, state, self.history)

    def _awaited(self, batches: Iterator[Prepared]) -> Iterator[Prepared]:
        """The batches, with the time that the engine waits for each."""
        while True:
            since = monotonic()
            batch = next(batches, None)
            self.totals.waiting += monotonic() - since
            if batch is None:
                return
            yield batch

    def finish_epoch(self) -> Epoch:
        """Validate, add the epoch's row to the history and move on to the next."""
        totals = self.totals
        self._check_parameters()
        measured, value = self._validate()
        loss, accuracy = self._means()
        metric, _ = Metrics(self._heads).headline
        row = Epoch(
            epoch=self.epoch + 1,
            train_loss=round(loss, 6),
            train_accuracy=_rounded(accuracy),
            validation_loss=_rounded(measured),
            validation_accuracy=_rounded(value) if metric == ACCURACY else None,
            learning_rate=totals.learning_rate,
            seconds=round(totals.seconds, 3),
            images_per_second=round(totals.samples / max(totals.seconds, 1e-9), 1),
            metric=metric,
            validation_metric=_rounded(value),
            waiting=min(1.0, totals.waiting / max(totals.seconds, 1e-9)),
        )
        self.history.epochs.append(row)
        self.epoch, self.position, self.totals = self.epoch + 1, 0, Totals()
        self.__dict__.pop("_schedule", None)
        return row

    def save(self) -> None:
        """Write the checkpoint and the history, if there is a folder for them."""
        self._check_parameters()
        if self._shares.is_first:
            self.saving.write(self.step, self._checkpoint, self.history)

    def _checkpoint(self) -> Checkpoint:
        state, sets = self.job.state, self._kept.sets(self.history.epochs, self.position)
        return Checkpoint(
            description=self.job.description,
            arrays=arrays_in_turn(state, slots=True, sets=sets),
            slots=self.job.recipe.optimizer.slots,
            step_count=state.step_count,
            epoch=self.epoch,
            position=self.position,
            totals=asdict(self.totals),
            history=self.history.to_json(),
            configuration=self._configuration,
            copies=tuple(copy for copy in sets if copy),
        )

    def restore(self, path: Path) -> None:
        """Go back to where the checkpoint at `path` was written."""
        checkpoint = read_checkpoint(path)
        state = self.job.state
        then = {"network": checkpoint.description.graph, **checkpoint.configuration}
        now = {"network": state.graph, **self._configuration}
        epochs = then.get("epochs")
        if self.job.extend and isinstance(epochs, int) and epochs < self.job.recipe.epochs:
            then["epochs"], self._extended_from = self.job.recipe.epochs, epochs
        check_same(path, then, now)
        try:
            # Until format 2, every sample counted.
            self.totals = Totals(**{"counted": checkpoint.totals.get("samples", 0.0), **checkpoint.totals})
            self.history = History.from_json(checkpoint.history)
            for name in state.names(slots=True):
                if "/" in name:
                    state.load(name, checkpoint.arrays[name])
            if not self._kept.restore(checkpoint.arrays, self.history.epochs, checkpoint.position):
                self._notes.append(f"{path} lacks the parameters of the best epoch, so those of the last one are kept")
        except (KeyError, TypeError, FileError) as error:
            raise FileError(f"{path} is damaged: its training state cannot be read ({error})") from None
        if checkpoint.position > self._updates or not self.totals.samples >= checkpoint.position:
            raise FileError(f"{path} is damaged: batch {checkpoint.position} of {self._updates} cannot come next")
        state.step_count = checkpoint.step_count
        self.epoch, self.position = checkpoint.epoch, checkpoint.position
        logger.info("continuing from %s: epoch %d, step %d", path, self.epoch + 1, self.step)

    def _validate(self) -> tuple[float | None, float | None]:
        """The loss and the headline metric on the validation data."""
        job = self.job
        if job.validation is None:
            return None, None
        options = {"loss": job.recipe.loss, "task": job.task}
        try:
            measured = evaluate(self._kept.shown, job.programs, job.validation, job.preprocessing, **options)  # type: ignore[arg-type]
        except DataError as error:  # all else was found before training
            raise self._diverged("the network's output in validation", "NaN or infinite") from error
        if not isfinite(measured.loss):
            raise self._diverged("the validation loss", measured.loss)
        value = measured.measured.value
        # Schedules and patience depend on them, and GPUs need not round alike.
        loss, known = self._shares.of_first(measured.loss, nan if value is None else value)
        return loss, None if isnan(known) else known

    def _means(self) -> tuple[float, float | None]:
        """Loss and, for a classification, accuracy over the epoch so far."""
        totals = self.totals
        accuracy = totals.correct / totals.counted if self._is_classification and totals.counted else None
        return totals.loss / totals.samples, accuracy

    def _update(self, group: Sequence[NDArray[np.int64]], batches: Iterator[Prepared]) -> tuple[StepResult, int]:
        """Take the batches of one update; returns the last result with the mean loss, and the number of samples."""
        recipe, loss, size = self.job.recipe, 0.0, sum(map(len, group))
        shares = shares_of(self._feed, self._weighted, group)
        rate, momentum = self._schedule.rates(self.step, self.steps)
        self.totals.learning_rate = rate
        for number, (share, (count, inputs, targets)) in enumerate(zip(shares, batches, strict=False)):
            options: StepOptions = {"learning_rate": rate, "momentum": momentum}
            options |= part_of(recipe, shares, number, self.step)
            program = program_of(self.job.programs, recipe, self._weighted, self.job.frozen, count)
            result = program.step(self.job.state, inputs, targets, **options)
            self.totals.add(result, share * size)
            loss += result.loss * share
            if not result.is_finite:
                self.position += 1
                raise self._overflown(result, inputs)
        self.position += 1
        if not self.job.state.looks_finite():
            self._check_parameters()
        self._kept.follow(self.step - 1)
        return result._replace(loss=loss if len(group) > 1 else result.loss), size

    def _overflown(self, result: StepResult, inputs: Mapping[str, NDArray[Any]]) -> TrainingError:
        if isfinite(result.loss):
            return self._diverged("the norm of the gradients", result.norm)
        job = self.job
        first = first_without_numbers(job.programs.engine, job.state, inputs, frozen=job.frozen)
        return self._diverged("the loss", result.loss, first)

    def _groups(self) -> list[Sequence[NDArray[np.int64]]]:
        """The epoch's batches, those of each update together."""
        recipe = self.job.recipe
        batches = self._feed.batches(recipe.batch_size, seed=recipe.seed, epoch=self.epoch, merge_single=self._merge)
        return grouped(batches, recipe)

    def _prepare(self, indices: NDArray[np.int64]) -> Prepared:
        """The size of a batch, its augmented, normalised inputs and its targets; runs in the background."""
        recipe, epoch = self.job.recipe, self.epoch
        inputs = self._feed.inputs(indices, lambda raw: recipe.augmentation.apply(raw, indices, recipe.seed, epoch))
        return len(indices), inputs, self._feed.loss_targets(indices)

    def _is_due(self) -> bool:
        every = self.job.checkpoint_every
        counted = every is not None and self.step % every == 0
        return (counted or self.saving.is_due()) and self.position < self._updates

    def _check_parameters(self) -> None:
        """Check the last step's update, which no loss shows before the next."""
        state = self.job.state
        for name in state.names():
            if not np.isfinite(state.read(name)).all():
                raise self._diverged(name, "NaN or infinite")

    def _diverged(self, what: str, value: object, first: Node | None = None) -> TrainingError:
        folder = self.job.folder
        return diverged(
            f"{what} became {value} at step {self.step} of {self.steps} (epoch {self.epoch + 1}, learning rate "
            f"{self.totals.learning_rate:.3g})",
            self.totals.learning_rate,
            first,
            folder.checkpoint if folder is not None and folder.checkpoint.exists() else None,
        )


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
