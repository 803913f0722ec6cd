"""The options of `foveate train` that say how parameters are updated, and what becomes of them."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.cli.output import LARGEST

if TYPE_CHECKING:
    from foveate.graph import Optimizer, Schedule
    from foveate.training import Callback

_UPDATES = "How parameters are updated"
_KEPT = "What is kept, and when training ends"
_LOGS = "Logs"

PLATEAU = 3
"""Epochs that the schedule of that name lets pass without a lower loss; were it a share, no run could be extended."""


class OptimizerName(StrEnum):
    """The built-in optimisers."""

    SGD = "sgd"
    ADAMW = "adamw"
    LION = "lion"


class ScheduleName(StrEnum):
    """The built-in schedules."""

    ONE_CYCLE = "one-cycle"
    COSINE = "cosine"
    STEP = "step"
    CONSTANT = "constant"
    PLATEAU = "plateau"


OptimizerOption = Annotated[
    OptimizerName, typer.Option(help="How parameters follow their gradients.", rich_help_panel=_UPDATES)
]
MomentumOption = Annotated[
    float | None,
    typer.Option(
        help="The optimiser's momentum (default: 0.9; one-cycle varies it, unless it is given).",
        rich_help_panel=_UPDATES,
    ),
]
DecayOption = Annotated[
    float | None,
    typer.Option(
        help="Pull of the weights towards zero (default: 0.0005 with sgd, 0.01 with adamw, 0.1 with lion).",
        rich_help_panel=_UPDATES,
    ),
]
ScheduleOption = Annotated[
    ScheduleName,
    typer.Option(
        "--schedule",
        help="How the learning rate changes; step divides it by 10 after 50 and 75 % of the training, plateau when "
        f"the loss has not fallen for more than {PLATEAU} epochs.",
        rich_help_panel=_UPDATES,
    ),
]
WarmupOption = Annotated[
    float | None,
    typer.Option(
        help="Fraction of the training in which the learning rate rises (default: 0.3 with one-cycle, else 0).",
        rich_help_panel=_UPDATES,
    ),
]
SmoothingOption = Annotated[
    float, typer.Option(help="Share of the target that all classes get alike, such as 0.1.", rich_help_panel=_UPDATES)
]
ClipOption = Annotated[
    float | None,
    typer.Option(help="Scale gradients down to this norm if theirs is larger.", rich_help_panel=_UPDATES),
]
AccumulateOption = Annotated[
    int,
    typer.Option(min=1, max=LARGEST, help="Number of batches whose gradients make a step.", rich_help_panel=_UPDATES),
]
EraseOption = Annotated[
    int,
    typer.Option(
        min=0, max=LARGEST, help="Side of a square that is blanked in each training sample.", rich_help_panel=_UPDATES
    ),
]
AverageOption = Annotated[
    float | None,
    typer.Option(
        help="Keep a running average of the parameters that decays at this rate, such as 0.999.", rich_help_panel=_KEPT
    ),
]
PatienceOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=LARGEST, help="Stop when this many epochs were no better in validation.", rich_help_panel=_KEPT
    ),
]
BestOption = Annotated[
    bool,
    typer.Option(
        "--keep-best/--keep-last",
        help="Keep the parameters of the epoch that was best in validation, or of the last.",
        rich_help_panel=_KEPT,
    ),
]
ExtendOption = Annotated[
    bool,
    typer.Option("--extend", help="With --resume, let a run of fewer epochs go on to --epochs.", rich_help_panel=_KEPT),
]
LinesOption = Annotated[
    Path | None,
    typer.Option("--log", help="File to which a line of JSON is added for each epoch.", rich_help_panel=_LOGS),
]
BoardOption = Annotated[
    Path | None,
    typer.Option(
        "--tensorboard", help="Folder for TensorBoard's files (needs foveate[tensorboard]).", rich_help_panel=_LOGS
    ),
]


def optimizer_of(given: Mapping[str, Any]) -> "Optimizer":
    """The optimiser that the options of `foveate train`, by their names, describe."""
    from foveate.graph import SGD, AdamW, Lion

    kinds = {OptimizerName.SGD: SGD, OptimizerName.ADAMW: AdamW, OptimizerName.LION: Lion}
    typed = {name: given[name] for name in ("momentum", "weight_decay") if given[name] is not None}
    made: Optimizer = kinds[given["optimizer"]](**typed)
    return made


def schedule_of(given: Mapping[str, Any], learning_rate: float) -> "Schedule":
    """The schedule that the options describe, with this peak."""
    from foveate.graph import Constant, Cosine, OneCycle, ReduceOnPlateau, Step

    warmup = {} if given["warmup"] is None else {"warmup": given["warmup"]}
    match given["schedule_name"]:
        case ScheduleName.COSINE:
            return Cosine(learning_rate, **warmup)
        case ScheduleName.STEP:
            return Step(learning_rate, milestones=(0.5, 0.75), **warmup)
        case ScheduleName.CONSTANT:
            return Constant(learning_rate, **warmup)
        case ScheduleName.PLATEAU:
            return ReduceOnPlateau(learning_rate, patience=PLATEAU, **warmup)
    if given["momentum"] is not None:
        return OneCycle(learning_rate, momentum=None, **warmup)
    return OneCycle(learning_rate, **warmup)


def further_options(given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of `Model.fit` that go through as they are, and the loss if it is not the task's own."""
    from foveate.graph import CrossEntropy

    options: dict[str, Any] = {
        name: given[name] for name in ("clip_norm", "accumulate", "ema", "patience", "keep_best", "extend")
    }
    if given["label_smoothing"]:
        options["loss"] = CrossEntropy(label_smoothing=given["label_smoothing"])
    return {**options, "callbacks": _callbacks(given)}


def _callbacks(given: Mapping[str, Any]) -> "list[Callback]":
    from foveate.training import JSONLines, TensorBoard

    callbacks: list[Callback] = []
    if given["log"] is not None:
        callbacks.append(JSONLines(given["log"]))
    if given["tensorboard"] is not None:
        callbacks.append(TensorBoard(given["tensorboard"]))
    return callbacks
