"""What a class is to a network: its score, its probability, its name, and the units that stand for it."""

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from foveate.engines.base import FloatArray
from foveate.errors import DataError, GraphError, ShapeError
from foveate.explain.probe.probe import Images, Outputs, Probe, check_model, fitting_batch, prepare
from foveate.geometry import format_sizes
from foveate.graph import Graph, nearest
from foveate.model import Model
from foveate.tasks import Classification, MultiLabel, Output, Regression
from foveate.tasks.decoding import exclusive, independent
from foveate.tasks.output import without_probabilities

Target: TypeAlias = "int | str | Sequence[int | str] | None"
"""A class by its index or name, one for all images or one for each; None for the class the model predicts."""

Classes: TypeAlias = NDArray[np.int64]


def check_classifier(model: Model) -> None:
    """Refuse a network whose output is not one number for each class."""
    check_model(model)
    if len(model.graph.outputs) != 1:
        raise GraphError(
            f"the network has {len(model.graph.outputs)} outputs ({', '.join(model.graph.outputs)}), but a class can "
            "be asked about only if there is one"
        )
    if len(model.graph.output_shape) != 1:
        raise ShapeError(
            f"the network's output is {format_sizes(model.graph.output_shape)}, but a class can be asked about only "
            "if there is one number for each; end the network with global pooling and Linear(classes)"
        )


def tells_two_apart(model: Model) -> bool:
    """Whether the only unit is the logit of the second of two classes; the first has its negative."""
    task = model.task
    return model.graph.output_shape == (1,) and (task is None or isinstance(task, Classification))


def classes_to_ask_for(model: Model) -> int:
    """How many classes can be asked about."""
    return 2 if tells_two_apart(model) else model.graph.output_shape[0]


def class_name(model: Model, index: int) -> str:
    """The name of a class, a label or a value; "class 3" if the model has no names."""
    names = _names(model)
    return f"class {index}" if names is None else names[index]


def targets(model: Model, target: Target, scores: FloatArray) -> Classes:
    """The index of the class meant for each of N samples; without a target, the one with the largest score.

    Args:
        model: the network.
        target: what the caller asked about.
        scores: (N, units), the output of `scored_graph`.

    Raises:
        DataError: there is no such class; the message names the nearest.
    """
    if target is None:
        found: Classes = (scores[:, 0] > 0).astype(np.int64) if tells_two_apart(model) else scores.argmax(axis=1)
        return found
    if not isinstance(target, int | str | np.integer | Iterable):
        raise DataError(f"the class is {target!r}; give its name, its index, or one for each image")
    count = len(scores)
    wanted = [target] * count if isinstance(target, int | str | np.integer) else list(target)
    if len(wanted) != count:
        raise DataError(f"there are {count} images, but {len(wanted)} targets; give one for all, or one for each")
    return np.array([_class_index(model, each) for each in wanted], np.int64)


def asked(model: Model, images: Images, target: Target) -> tuple[NDArray[np.float32], Classes]:
    """The prepared images, and the index of the class meant for each."""
    check_classifier(model)
    prepared = prepare(model, images)
    if target is not None:
        return prepared, targets(model, target, np.empty((len(prepared), model.graph.output_shape[0])))
    graph = scored_graph(model)
    outputs = Outputs(model, min(len(prepared), fitting_batch(graph, ())), graph=graph)
    return prepared, targets(model, None, outputs(prepared))


def logit_layers(graph: Graph) -> tuple[str, ...]:
    """The outputs, and the layers whose softmax or sigmoid they are: all with a unit for each class."""
    found = list(graph.outputs)
    for name in graph.outputs:
        ending = Output.ending(graph, name)
        found += () if ending is None else ending.inputs
    return tuple(found)


def scored_graph(model: Model) -> Graph:
    """The network up to its logits: a saturated softmax or sigmoid has no slope left to explain."""
    return without_probabilities(model.graph)


def class_scores(model: Model, scores: FloatArray, classes: Classes) -> FloatArray:
    """The score of each sample's class, from the output (N, units) of `scored_graph`."""
    columns, signs = _units(model, classes)
    return np.asarray(signs * scores[np.arange(len(classes)), columns])


def class_gradients(model: Model, probe: Probe, classes: Classes, *of: str) -> list[FloatArray]:
    """Gradients of each sample's `class_scores` with respect to each input or kept layer in `of`."""
    columns, signs = _units(model, classes)
    seed = np.zeros_like(probe.outputs)
    seed[np.arange(len(seed)), columns] = signs
    return probe.gradients({probe.graph.only_output: seed}, *of)


def gives_chances(model: Model) -> bool:
    """Whether the outputs are probabilities; those of a regression are numbers."""
    return not isinstance(model.task, Regression)


def class_chances(model: Model, prepared: FloatArray) -> FloatArray:
    """The probability of each class (N, classes): `decoded`, if that gives probabilities.

    Raises:
        DataError: the outputs are not probabilities, or a value is NaN or infinite.
    """
    if not gives_chances(model):
        raise DataError("the model is for Regression, whose outputs are numbers, not probabilities; see model.answers")
    return decoded(model, prepared)


def decoded(model: Model, prepared: FloatArray) -> FloatArray:
    """The outputs as the model's task decodes them, (N, classes); a single logit gives two probabilities.

    Without a task the network's last layer decides: independent labels after a sigmoid, otherwise classes of which one
    is right.

    Raises:
        DataError: a value is NaN or infinite.
    """
    output = Output.of(model.graph)
    values = Outputs(model, min(len(prepared), fitting_batch(model.graph, ())))(prepared)
    if isinstance(model.task, Classification | MultiLabel | Regression):
        return model.task.decode(values, output)
    if output.activation == "sigmoid" and not tells_two_apart(model):
        return independent(values, output)
    return exclusive(values, output, classes_to_ask_for(model))


def unit_names(model: Model, layer: str) -> tuple[str, ...] | None:
    """What each unit of a layer stands for: names at the output and before its softmax or sigmoid, None elsewhere."""
    names = _names(model)
    if names is None or layer not in logit_layers(model.graph):
        return None
    return names[1:] if tells_two_apart(model) else names


def _names(model: Model) -> tuple[str, ...] | None:
    match model.task:
        case Classification(classes=names) | MultiLabel(labels=names) | Regression(names=names):
            return names
    return None


def _units(model: Model, classes: Classes) -> tuple[Classes, Classes]:
    """The output that scores each sample's class, and its sign."""
    if tells_two_apart(model):
        return np.zeros_like(classes), np.where(classes == 0, -1, 1)
    return classes, np.ones_like(classes)


def _class_index(model: Model, target: int | str) -> int:
    classes = classes_to_ask_for(model)
    if isinstance(target, str):
        names = _names(model) or model.class_names  # which says that there are none
        if target not in names:
            raise DataError(f'there is no class "{target}".{nearest(target, names)}')
        return names.index(target)
    if not 0 <= int(target) < classes:
        raise DataError(f"there is no class {target}: the {classes} classes are numbered 0 to {classes - 1}")
    return int(target)
