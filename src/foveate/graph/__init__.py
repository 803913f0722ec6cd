"""Networks as graphs: how layers are connected, what they cost, and how they are to be trained. No arrays.

Modules that building a network does not need are imported when first used.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from foveate.graph.analysis.receptive_field import ReceptiveField, Region
from foveate.graph.builder import (
    ChannelsLastWarning,
    DroppedBorderWarning,
    GraphBuilder,
    RepeatedLayerWarning,
    Value,
)
from foveate.graph.compose import Block, Composite, Concat, Named, Residual, Sequential
from foveate.graph.graph import Graph
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
from foveate.graph.nodes import nearest
from foveate.graph.optimizers import SGD, AdamW, Lion, Optimizer
from foveate.graph.schedules import Constant, Cosine, OneCycle, ReduceOnPlateau, Schedule, Step

if TYPE_CHECKING:
    from foveate.graph.analysis.summary import Summary
    from foveate.graph.folding import Folding, fold_normalizations
    from foveate.graph.freezing import matching_arrays, rate_factors
    from foveate.graph.heading import with_new_head
    from foveate.graph.initialization import initializers
    from foveate.graph.rewriting import Rebuilt, as_it_is, cut, rewrite

_LAZY = {
    "Folding": "foveate.graph.folding",
    "Rebuilt": "foveate.graph.rewriting",
    "Summary": "foveate.graph.analysis.summary",
    "as_it_is": "foveate.graph.rewriting",
    "cut": "foveate.graph.rewriting",
    "fold_normalizations": "foveate.graph.folding",
    "initializers": "foveate.graph.initialization",
    "matching_arrays": "foveate.graph.freezing",
    "rate_factors": "foveate.graph.freezing",
    "rewrite": "foveate.graph.rewriting",
    "with_new_head": "foveate.graph.heading",
}

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
    "ChannelsLastWarning",
    "DroppedBorderWarning",
    "RepeatedLayerWarning",
    "Focal",
    "Folding",
    "Graph",
    "GraphBuilder",
    "Huber",
    "Lion",
    "Loss",
    "MeanSquaredError",
    "Named",
    "Node",
    "OneCycle",
    "Optimizer",
    "Rebuilt",
    "ReceptiveField",
    "ReduceOnPlateau",
    "Region",
    "Residual",
    "Schedule",
    "Sequential",
    "Step",
    "Summary",
    "Value",
    "as_it_is",
    "built_in_losses",
    "cut",
    "fold_normalizations",
    "initializers",
    "loss_from_json",
    "matching_arrays",
    "nearest",
    "rate_factors",
    "rewrite",
    "with_new_head",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'foveate.graph' has no attribute {name!r}")
