"""foveate: convolutional neural networks on ordinary computers.

Layers, networks and their arithmetic come at once; what needs NumPy is imported when first used.
"""

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from foveate.errors import (
    DataError,
    EngineError,
    FileError,
    FoveateError,
    GraphError,
    LayerError,
    ShapeError,
    TrainingError,
)
from foveate.graph import (
    SGD,
    AdamW,
    Concat,
    Constant,
    Cosine,
    CrossEntropy,
    DroppedBorderWarning,
    Graph,
    GraphBuilder,
    Named,
    Node,
    OneCycle,
    Residual,
    Sequential,
)
from foveate.layers import (
    ELU,
    Add,
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    Concatenate,
    Conv1d,
    Conv2d,
    Conv3d,
    Dropout,
    Flatten,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    Layer,
    LeakyReLU,
    Linear,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
    Pad,
    Parameter,
    ReLU,
    Sigmoid,
    Tanh,
)

if TYPE_CHECKING:
    from foveate import engines, zoo
    from foveate.data import Augmentation, Dataset, Preprocessing, Splits, datasets
    from foveate.engines import set_threads
    from foveate.model import Evaluation, Model, load

try:
    __version__ = version("foveate")
except PackageNotFoundError:
    __version__ = "0+unknown"

_LAZY = {
    "Augmentation": "foveate.data",
    "Dataset": "foveate.data",
    "Evaluation": "foveate.model",
    "Model": "foveate.model",
    "Preprocessing": "foveate.data",
    "Splits": "foveate.data",
    "load": "foveate.model",
    "set_threads": "foveate.engines",
}
_LAZY_MODULES = {"datasets": "foveate.data.datasets", "engines": "foveate.engines", "zoo": "foveate.zoo"}

__all__ = [
    "ELU",
    "SGD",
    "AdamW",
    "Add",
    "Augmentation",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Concat",
    "Concatenate",
    "Constant",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Cosine",
    "CrossEntropy",
    "DataError",
    "Dataset",
    "DroppedBorderWarning",
    "Dropout",
    "EngineError",
    "Evaluation",
    "FileError",
    "Flatten",
    "FoveateError",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalAvgPool3d",
    "Graph",
    "GraphBuilder",
    "GraphError",
    "Layer",
    "LayerError",
    "LeakyReLU",
    "Linear",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Model",
    "Named",
    "Node",
    "OneCycle",
    "Pad",
    "Parameter",
    "Preprocessing",
    "ReLU",
    "Residual",
    "Sequential",
    "ShapeError",
    "Sigmoid",
    "Splits",
    "Tanh",
    "TrainingError",
    "__version__",
    "datasets",
    "engines",
    "load",
    "set_threads",
    "zoo",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _LAZY_MODULES:
        return import_module(_LAZY_MODULES[name])
    raise AttributeError(f"module 'foveate' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
