"""Training: the loop over a network's state, what it measures, and what a person sees of it."""

from foveate.training.compatibility import check_classes, check_dataset, check_preprocessing, class_count
from foveate.training.curves import draw_curves, save_curves
from foveate.training.folder import RunFolder
from foveate.training.history import Epoch, History
from foveate.training.loop import Job, fit
from foveate.training.metrics import Evaluation, evaluate, in_batches, logits_of, softmax
from foveate.training.programs import Programs
from foveate.training.progress import Progress, make_progress
from foveate.training.recipe import Recipe, default_schedule

__all__ = [
    "Epoch",
    "Evaluation",
    "History",
    "Job",
    "Programs",
    "Progress",
    "Recipe",
    "RunFolder",
    "check_classes",
    "check_dataset",
    "check_preprocessing",
    "class_count",
    "default_schedule",
    "draw_curves",
    "evaluate",
    "fit",
    "in_batches",
    "logits_of",
    "make_progress",
    "save_curves",
    "softmax",
]
