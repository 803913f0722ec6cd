"""What is minimised and measured: a loss for each output of a network."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.engines.losses import Measured, measure_loss
from foveate.engines.targets import check_targets
from foveate.errors import FoveateError, TrainingError
from foveate.graph import Loss, loss_from_json, nearest
from foveate.tasks import Head

GivenLoss: TypeAlias = "Loss | Mapping[str, Loss] | None"
"""One loss for the only output, one for each of several by name, or None for the tasks' own."""


def training_losses(heads: Sequence[Head], given: GivenLoss = None) -> dict[str, Loss]:
    """The loss of each output: the given one, or its task's default.

    Raises:
        TrainingError: a loss is for no output of the network, or does not fit the task or the network's last layer.
    """
    named = _by_output(heads, given)
    return {head.name: head.loss(named.get(head.name)) for head in heads}


def measuring_losses(heads: Sequence[Head], given: GivenLoss = None) -> dict[str, Loss]:
    """The loss of each output as in `training_losses`, but also for networks that end with a softmax or sigmoid.

    Raises:
        TrainingError: a loss is for no output of the network, or compares what the output's task does not have.
    """
    named = _by_output(heads, given)
    for head in heads:
        if head.name in named:
            head.task.check_measured(named[head.name], head.output)
    return {head.name: named.get(head.name) or head.task.default_loss(head.output) for head in heads}


def trained_losses(heads: Sequence[Head], facts: Mapping[str, Any]) -> dict[str, Loss]:
    """The losses that a model was trained with; unknown ones are left out.

    Args:
        heads: the network's outputs; losses that do not fit them are left out.
        facts: facts about the training, from the model's file.
    """
    recipe = facts.get("recipe")
    described = recipe.get("loss") if isinstance(recipe, Mapping) else None
    by_output = described if len(heads) > 1 else {heads[0].name: described}
    if not isinstance(by_output, Mapping):
        return {}
    found = {head.name: _from_json(head, by_output.get(head.name)) for head in heads}
    return {name: loss for name, loss in found.items() if loss is not None}


def as_given(losses: Mapping[str, Loss]) -> Loss | dict[str, Loss]:
    """Losses as a recipe holds them: a single one without its output's name."""
    return dict(losses) if len(losses) > 1 else next(iter(losses.values()))


def measured_loss(head: Head, loss: Loss, values: NDArray[Any], targets: NDArray[Any]) -> Measured:
    """The loss of a batch of outputs against checked targets, in float64 and without the output's weight."""
    outputs = head.compared(loss, values)
    wanted = check_targets(loss, head.loss_targets(targets), len(outputs), outputs.shape[1:], np.float64)
    return measure_loss(loss, outputs, wanted)


def _from_json(head: Head, described: Any) -> Loss | None:
    """A loss from plain data, or None if it does not fit: an older foveate may read a newer one's file."""
    if not isinstance(described, Mapping) or described.get("type") not in head.task.fitting_losses(head.output):
        return None
    try:
        return loss_from_json(described)
    except FoveateError:
        return None


def _by_output(heads: Sequence[Head], given: GivenLoss) -> Mapping[str, Loss]:
    names = [head.name for head in heads]
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(names) > 1:
            raise TrainingError(
                f"the network has {len(names)} outputs ({', '.join(names)}); give the loss of each by name: "
                f"loss={{{names[0]!r}: {type(given).__name__}(), ...}}"
            )
        return {names[0]: given}
    for name in given:
        if name not in names:
            raise TrainingError(
                f"a loss is given for {name}, which is not an output of the network.{nearest(name, names)}"
            )
    return given
