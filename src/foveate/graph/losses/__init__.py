"""Losses as descriptions; the engines know how to compute them."""

from foveate.graph.losses.base import Loss, TargetKind
from foveate.graph.losses.classes import CrossEntropy, Dice
from foveate.graph.losses.numbers import L1, BinaryCrossEntropy, Focal, Huber, MeanSquaredError
from foveate.graph.losses.registry import built_in_losses, loss_from_json, register_loss_type

__all__ = [
    "L1",
    "BinaryCrossEntropy",
    "CrossEntropy",
    "Dice",
    "Focal",
    "Huber",
    "Loss",
    "MeanSquaredError",
    "TargetKind",
    "built_in_losses",
    "loss_from_json",
    "register_loss_type",
]
