"""foveate: convolutional neural networks on ordinary computers.

Layers, networks and their arithmetic are imported at once; what needs NumPy is imported when first used.
"""

import signal
import sys

# While the command line imports its modules, nobody could catch what Python makes of Ctrl-C: it just ends the process.
# Until `python -m` has found its module, "-m" stands in sys.argv for the name, which precedes the rest in orig_argv.
_is_module = sys.argv[:1] == ["-m"] and sys.orig_argv[-len(sys.argv)] == "foveate"
_is_command = _is_module or "".join(sys.argv[:1]).endswith("/foveate")
if _is_command and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

from foveate.errors import (
    CallError,
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
    L1,
    SGD,
    AdamW,
    BinaryCrossEntropy,
    ChannelsLastWarning,
    Concat,
    Constant,
    Cosine,
    CrossEntropy,
    Dice,
    DroppedBorderWarning,
    Focal,
    Graph,
    GraphBuilder,
    Huber,
    Lion,
    Loss,
    MeanSquaredError,
    Named,
    Node,
    OneCycle,
    Optimizer,
    ReceptiveField,
    ReduceOnPlateau,
    Region,
    RepeatedLayerWarning,
    Residual,
    Schedule,
    Sequential,
    Step,
)
from foveate.layers import *
from foveate.layers import __all__

if TYPE_CHECKING:
    import foveate.testing as testing  # noqa: PLR0402
    from foveate import engines, explain, tasks, zoo
    from foveate.data import Augmentation, Dataset, Preprocessing, Splits, datasets
    from foveate.engines import set_threads
    from foveate.interop import from_onnx, from_torch, to_onnx
    from foveate.model import Evaluation, Model, load
    from foveate.training import Callback, Choices, JSONLines, TensorBoard, Training, choose

try:
    __version__ = version("foveate")
    """The installed version, such as "0.2.0"."""
except PackageNotFoundError:
    __version__ = "0+unknown"

_LAZY = {
    "Augmentation": "foveate.data",
    "Choices": "foveate.training",
    "choose": "foveate.training",
    "Callback": "foveate.training",
    "Dataset": "foveate.data",
    "Evaluation": "foveate.model",
    "from_onnx": "foveate.interop",
    "from_torch": "foveate.interop",
    "JSONLines": "foveate.training",
    "Model": "foveate.model",
    "Preprocessing": "foveate.data",
    "Splits": "foveate.data",
    "load": "foveate.model",
    "set_threads": "foveate.engines",
    "TensorBoard": "foveate.training",
    "Training": "foveate.training",
    "to_onnx": "foveate.interop",
}
_LAZY_MODULES = {
    "datasets": "foveate.data.datasets",
    "engines": "foveate.engines",
    "explain": "foveate.explain",
    "tasks": "foveate.tasks",
    "testing": "foveate.testing",
    "zoo": "foveate.zoo",
}

__all__ = [  # noqa: PLE0604 (those of layers first, which are strings too)
    *__all__,
    "__version__",
    "AdamW",
    "Augmentation",
    "BinaryCrossEntropy",
    "Callback",
    "CallError",
    "ChannelsLastWarning",
    "Choices",
    "choose",
    "Concat",
    "Constant",
    "Cosine",
    "CrossEntropy",
    "DataError",
    "Dataset",
    "datasets",
    "Dice",
    "DroppedBorderWarning",
    "EngineError",
    "engines",
    "Evaluation",
    "explain",
    "FileError",
    "Focal",
    "FoveateError",
    "from_onnx",
    "from_torch",
    "Graph",
    "GraphBuilder",
    "GraphError",
    "Huber",
    "JSONLines",
    "L1",
    "LayerError",
    "Lion",
    "load",
    "Loss",
    "MeanSquaredError",
    "Model",
    "Named",
    "Node",
    "OneCycle",
    "Optimizer",
    "Preprocessing",
    "ReceptiveField",
    "ReduceOnPlateau",
    "Region",
    "RepeatedLayerWarning",
    "Residual",
    "Schedule",
    "Sequential",
    "set_threads",
    "SGD",
    "ShapeError",
    "Splits",
    "Step",
    "tasks",
    "TensorBoard",
    "testing",
    "to_onnx",
    "Training",
    "TrainingError",
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
