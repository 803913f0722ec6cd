"""What lets a model be examined with data: which learning rate suits it, where it is most wrong; `Model` inherits
it."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from foveate.calls import called
from foveate.data import Augmentation, Dataset, Preprocessing
from foveate.engines import Engine, State
from foveate.errors import DataError
from foveate.graph import SGD, Graph, Optimizer
from foveate.progress import PATIENCE_SECONDS, Bar
from foveate.tasks import AnyTask, heads
from foveate.training.arguments import FIT_HINTS
from foveate.training.compatibility import check_arguments, check_dataset, check_rates, check_training
from foveate.training.description import whole
from foveate.training.feed import feed_of
from foveate.training.objectives import GivenLoss, as_given, trained_losses, training_losses
from foveate.training.programs import Programs
from foveate.training.rate_finder import RateTest, Trial, range_test, rates_between
from foveate.training.recipe import Recipe
from foveate.training.top_losses import TopLosses, top_losses


class Examined:
    """A graph with a state and a task."""

    graph: Graph
    task: AnyTask | None
    preprocessing: Preprocessing | None
    seed: int
    engine: Engine
    state: State
    frozen: frozenset[str]
    training: dict[str, Any]
    _programs: Programs

    if TYPE_CHECKING:

        def _prepared(self) -> Preprocessing: ...

    @called(**FIT_HINTS)
    def find_learning_rate(
        self,
        dataset: Dataset,
        *,
        batch_size: int = 128,
        optimizer: Optimizer | None = None,
        learning_rate_factors: Mapping[str, float] | None = None,
        loss: GivenLoss = None,
        augmentation: Augmentation | None = None,
        clip_norm: float | None = None,
        accumulate: int = 1,
        lowest: float | None = None,
        highest: float | None = None,
        steps: int = 100,
        progress: bool = True,
    ) -> RateTest:
        """Try learning rates: train a copy for some steps, each with a higher rate, until the loss explodes.

        The model stays as it is. Give the options with which it will be trained: what suits depends on them.

        Args:
            dataset: the data to train on.
            batch_size, optimizer, learning_rate_factors, loss, augmentation, clip_norm, accumulate: as for `fit`.
            lowest: the first learning rate (default: the optimiser's usual one / 10,000, so 1e-5 for SGD).
            highest: the last (default: the usual one x 100, so 10 for SGD).
            steps: how many rates are tried.
            progress: whether to show a live bar, on a terminal or in a notebook, if it takes over two seconds.

        Returns:
            the losses by learning rate, with a `suggestion`: the middle of the rates with which the smoothed loss was
            nearly lowest, a good peak for `OneCycle`. `plot()` draws them.

        Raises:
            DataError: the data do not fit the network.
            TrainingError: the loss does not fit the task, or explodes even at the lowest rate.

        Smith: Cyclical learning rates for training neural networks, 2015.
        """
        check_arguments(self.graph, [dataset], self.frozen, optimizer, None)
        check_rates(self.graph, self.frozen, learning_rate_factors or {})
        outputs = check_training(self.graph, self.task or dataset.task, [dataset], augmentation)
        optimizer = optimizer or SGD()
        rates = rates_between(optimizer, lowest, highest, steps)
        chosen = training_losses(outputs, loss)
        recipe = Recipe(
            batch_size=batch_size,
            optimizer=optimizer,
            loss=as_given(chosen),
            augmentation=augmentation or Augmentation(),
            seed=self.seed + whole(self.training.get("trainings")),
            learning_rate_factors=learning_rate_factors or {},
            clip_norm=clip_norm,
            accumulate=accumulate,
        )
        trial = Trial(recipe, {head.name: (chosen[head.name], head.weight) for head in outputs}, self.frozen)
        feed = feed_of(self.graph, outputs, dataset, self.preprocessing or Preprocessing.measure(dataset))
        state = self.engine.copied(self.state, optimizer, recipe.seed)
        with Bar(sys.stderr if progress else None, steps, "trying learning rates", patience=PATIENCE_SECONDS) as bar:
            return range_test(state, self._programs, feed, trial, rates, bar)

    @called()
    def top_losses(
        self,
        dataset: Dataset,
        count: int = 9,
        *,
        loss: GivenLoss = None,
        names: Sequence[str] = (),
        progress: bool = True,
    ) -> TopLosses:
        """The samples on which the model is most wrong: those with the highest loss.

        Among them are the hardest samples, and those with a wrong label.

        Args:
            dataset: the data to look through.
            count: how many samples to return.
            loss: as for `evaluate`.
            names: what the samples are called, such as their files (default: their places in the dataset).
            progress: whether to show a live bar, on a terminal or in a notebook, if it takes over two seconds.

        Returns:
            a sequence, the highest loss first: each has index, loss, target, prediction and, for a classification, its
            probability. `plot()` draws a contact sheet.

        Raises:
            DataError: the data do not fit the model, it has no preprocessing yet, or `names` are not one for each
                sample.
        """
        check_dataset(self.graph, self.task, dataset)
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise DataError(f"count is {count!r}; it must be an int of at least 1")
        if names and len(names) != len(dataset):
            raise DataError(f"there are {len(names):,} names for {len(dataset):,} samples; give one for each")
        outputs = heads(self.task or dataset.task, self.graph)
        return top_losses(
            self.state,
            self._programs,
            dataset,
            self._prepared(),
            count=count,
            outputs=outputs,
            loss=trained_losses(outputs, self.training) if loss is None else loss,
            names=names,
            bar=Bar(sys.stderr if progress else None, len(dataset), "measuring losses", patience=PATIENCE_SECONDS),
        )
