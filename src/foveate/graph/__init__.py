"""Networks as graphs: how layers are joined, what they cost, and what training wants of them. No arrays."""

from foveate.graph.builder import DroppedBorderWarning, GraphBuilder, Value
from foveate.graph.compose import Block, Composite, Concat, Named, Residual, Sequential
from foveate.graph.folding import Folding, fold_normalizations
from foveate.graph.freezing import matching_arrays
from foveate.graph.graph import Graph, nearest
from foveate.graph.initialization import initializers
from foveate.graph.losses import (
    L1,
    BinaryCrossEntropy,
    CrossEntropy,
    Dice,
    Focal,
    Huber,
    Loss,
    MeanSquaredError,
    built_in_losses,
    loss_from_json,
)
from foveate.graph.node import Node
from foveate.graph.optimizers import SGD, AdamW, Optimizer
from foveate.graph.receptive_field import ReceptiveField, Region
from foveate.graph.schedules import Constant, Cosine, OneCycle, Schedule
from foveate.graph.summary import Summary

__all__ = [
    "L1",
    "SGD",
    "AdamW",
    "BinaryCrossEntropy",
    "Block",
    "Composite",
    "Concat",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "Dice",
    "DroppedBorderWarning",
    "Focal",
    "Folding",
    "Graph",
    "GraphBuilder",
    "Huber",
    "Loss",
    "MeanSquaredError",
    "Named",
    "Node",
    "OneCycle",
    "Optimizer",
    "ReceptiveField",
    "Region",
    "Residual",
    "Schedule",
    "Sequential",
    "Summary",
    "Value",
    "built_in_losses",
    "fold_normalizations",
    "initializers",
    "loss_from_json",
    "matching_arrays",
    "nearest",
]
