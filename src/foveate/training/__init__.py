"""Training: the loop over a network's state, what it measures, and what it shows."""

from foveate.training.advice import advice
from foveate.training.arguments import FIT_HINTS, check_every, check_made, given_task
from foveate.training.assembling import assembled
from foveate.training.callbacks import Callback, Training
from foveate.training.choices import Choices, choose, choose_network, choose_pace
from foveate.training.claim import Words, claimed, in_claimed_folder
from foveate.training.compatibility import (
    check_arguments,
    check_classes,
    check_dataset,
    check_preprocessing,
    check_rates,
    check_training,
    class_count,
)
from foveate.training.curves import draw_curves, save_curves
from foveate.training.description import training_facts, whole
from foveate.training.examining import Examined
from foveate.training.fine_tuning import FineTuned
from foveate.training.folder import RunFolder
from foveate.training.history import Epoch, History
from foveate.training.inputs import prepared_inputs
from foveate.training.inspecting import Inspected
from foveate.training.job import Job
from foveate.training.loggers import JSONLines, TensorBoard
from foveate.training.loop import fit
from foveate.training.metrics import (
    Evaluation,
    evaluate,
    in_batches,
    logits_of,
    named_batches,
    softmax,
)
from foveate.training.objectives import GivenLoss, as_given, trained_losses, training_losses
from foveate.training.programs import Programs
from foveate.training.progress import Progress, make_progress
from foveate.training.recipe import Recipe, default_schedule
from foveate.training.saving import CheckpointWarning, arrays_in_turn, write_results
from foveate.training.streaming import answers_at_once, answers_one_by_one

__all__ = [
    "FIT_HINTS",
    "Choices",
    "Callback",
    "CheckpointWarning",
    "Epoch",
    "Evaluation",
    "Examined",
    "FineTuned",
    "GivenLoss",
    "History",
    "Inspected",
    "JSONLines",
    "Job",
    "Programs",
    "Progress",
    "Recipe",
    "RunFolder",
    "advice",
    "Words",
    "TensorBoard",
    "Training",
    "answers_at_once",
    "answers_one_by_one",
    "arrays_in_turn",
    "as_given",
    "assembled",
    "check_arguments",
    "check_classes",
    "check_dataset",
    "check_every",
    "check_made",
    "check_preprocessing",
    "check_rates",
    "check_training",
    "choose",
    "choose_network",
    "choose_pace",
    "claimed",
    "class_count",
    "default_schedule",
    "draw_curves",
    "evaluate",
    "fit",
    "given_task",
    "in_batches",
    "in_claimed_folder",
    "logits_of",
    "make_progress",
    "named_batches",
    "prepared_inputs",
    "save_curves",
    "softmax",
    "trained_losses",
    "training_facts",
    "training_losses",
    "whole",
    "write_results",
]
