"""Training: the loop over a network's state, what it measures, and what a person sees of it."""

from foveate.training.compatibility import (
    check_classes,
    check_dataset,
    check_preprocessing,
    check_training,
    class_count,
)
from foveate.training.curves import draw_curves, save_curves
from foveate.training.description import describe, described_task, frozen_names, training_facts, whole
from foveate.training.folder import RunFolder
from foveate.training.history import Epoch, History
from foveate.training.inputs import from_raw, prepared_inputs
from foveate.training.loop import Job, fit
from foveate.training.metrics import Evaluation, evaluate, in_batches, logits_of, named_batches, softmax
from foveate.training.objectives import GivenLoss, as_given, trained_losses, training_losses
from foveate.training.programs import LARGEST_BATCH, Programs
from foveate.training.progress import Progress, make_progress
from foveate.training.recipe import Recipe, default_schedule

__all__ = [
    "LARGEST_BATCH",
    "Epoch",
    "Evaluation",
    "GivenLoss",
    "History",
    "Job",
    "Programs",
    "Progress",
    "Recipe",
    "RunFolder",
    "as_given",
    "check_classes",
    "check_dataset",
    "check_preprocessing",
    "check_training",
    "class_count",
    "default_schedule",
    "describe",
    "described_task",
    "draw_curves",
    "evaluate",
    "fit",
    "from_raw",
    "frozen_names",
    "in_batches",
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
]
