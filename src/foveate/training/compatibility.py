"""Whether a network, its class names, its preprocessing and a data set belong together."""

from collections.abc import Sequence

from foveate.data import Dataset, Preprocessing
from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.graph import Graph


def class_count(graph: Graph) -> int:
    """How many classes the network tells apart, or a DataError where its output is no row of numbers."""
    if len(graph.output_shape) != 1:
        raise DataError(
            f"the network's output {graph.only_output} is {format_sizes(graph.output_shape)}, not one number for each "
            "class; end it with Flatten or a global pooling, and Linear(classes)"
        )
    return graph.output_shape[0]


def check_classes(graph: Graph, classes: tuple[str, ...] | None) -> None:
    """Refuse class names that are not as many as the network's outputs."""
    if classes is not None and class_count(graph) != len(classes):
        raise DataError(
            f"the network has {class_count(graph):,} outputs, but there are {len(classes):,} class names "
            f"({_listed(classes)}); make its last layer Linear({len(classes)})"
        )


def check_preprocessing(graph: Graph, preprocessing: Preprocessing | None) -> None:
    """Refuse a preprocessing that gives another shape than the network takes."""
    if preprocessing is not None and preprocessing.shape != graph.input_shape:
        raise DataError(
            f"the preprocessing gives {format_sizes(preprocessing.shape)}, but the network takes "
            f"{format_sizes(graph.input_shape)}; make both for one shape"
        )


def check_dataset(graph: Graph, classes: tuple[str, ...] | None, dataset: Dataset) -> None:
    """Refuse data of another shape than the network takes, or with other classes than the model's."""
    if dataset.shape != graph.input_shape:
        raise DataError(
            f"a sample is {format_sizes(dataset.shape)}, but the network takes {format_sizes(graph.input_shape)}; "
            f"build it with input_shape={dataset.shape}"
        )
    if classes is not None and dataset.classes != classes:
        raise DataError(
            f"the model's classes are {_listed(classes)}, but the data's {_listed(dataset.classes)}; "
            "the same names in the same order are needed"
        )


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown}, ... {len(names)} in all"
