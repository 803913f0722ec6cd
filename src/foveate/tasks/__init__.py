"""What a network is for: which losses fit, how its outputs are decoded, how it is measured.

    Classification   one of several classes            probabilities (N, K)
    MultiLabel       any number of labels              probabilities (N, K)
    Regression       numbers                           values (N, K)
    Segmentation     a class for each position         maps (N, *spatial)
    Several          a task for each of several outputs

Derive your own tasks from `Task`, and your own metrics from `Metric`.
"""

from foveate.tasks.base import Answer, Task
from foveate.tasks.classification import Classification
from foveate.tasks.heads import Head, heads
from foveate.tasks.measuring import Measured, Metrics, OwnMetrics, beats
from foveate.tasks.metrics.base import Direction, Metric
from foveate.tasks.metrics.classes import CalibrationError, ClassAccuracy, TopAccuracy
from foveate.tasks.metrics.errors import RegressionErrors
from foveate.tasks.metrics.labels import AveragePrecision, LabelCounts
from foveate.tasks.metrics.overlap import Overlap
from foveate.tasks.multi_label import MultiLabel
from foveate.tasks.output import Output
from foveate.tasks.registry import register
from foveate.tasks.regression import Regression
from foveate.tasks.segmentation import Segmentation
from foveate.tasks.several import AnyTask, Several, class_names, from_json

__all__ = [
    "Answer",
    "AnyTask",
    "AveragePrecision",
    "CalibrationError",
    "ClassAccuracy",
    "Classification",
    "Direction",
    "Head",
    "LabelCounts",
    "Measured",
    "Metric",
    "Metrics",
    "MultiLabel",
    "Output",
    "Overlap",
    "OwnMetrics",
    "Regression",
    "RegressionErrors",
    "Segmentation",
    "Several",
    "Task",
    "TopAccuracy",
    "beats",
    "class_names",
    "from_json",
    "heads",
    "register",
]
