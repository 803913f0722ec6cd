"""Whether a network, its task, its preprocessing and a dataset fit together."""

from collections.abc import Collection, Mapping, Sequence

from foveate.data import Augmentation, Dataset, Preprocessing
from foveate.data.dataset import image_input
from foveate.errors import DataError, TrainingError
from foveate.geometry import format_sizes
from foveate.graph import Graph, Schedule, matching_arrays, rate_factors
from foveate.graph.optimizers import check_optimizer
from foveate.graph.own import check_own
from foveate.tasks import AnyTask, Classification, Head, Several, heads
from foveate.training.arguments import check_data
from foveate.training.feed import targets_by_output


def class_count(graph: Graph) -> int:
    """How many classes the network tells apart, or a DataError if its output is not a vector."""
    if len(graph.output_shape) != 1:
        raise DataError(
            f"the network's output {graph.only_output} is {format_sizes(graph.output_shape)}, not one number for each "
            "class; end it with Flatten or a global pooling, and Linear(classes)"
        )
    return graph.output_shape[0]


def check_classes(graph: Graph, classes: tuple[str, ...] | None) -> None:
    """Refuse class names if there are not as many as the network has outputs."""
    if classes is not None and class_count(graph) != len(classes):
        raise DataError(
            f"the network has {class_count(graph):,} outputs, but there are {len(classes):,} class names "
            f"({_listed(classes)}); make its last layer Linear({len(classes)})"
        )


def check_preprocessing(graph: Graph, preprocessing: Preprocessing | None) -> None:
    """Refuse a preprocessing whose output shape differs from the network's image input."""
    taken = graph.inputs[image_input(graph.inputs)]
    if preprocessing is not None and preprocessing.shape != taken:
        raise DataError(
            f"the preprocessing makes {format_sizes(preprocessing.shape)}, but the network takes "
            f"{format_sizes(taken)}; make both for one shape"
        )


def check_dataset(graph: Graph, task: AnyTask | None, dataset: Dataset) -> None:
    """Refuse data whose inputs are not the network's, or whose task is not the model's.

    Raises:
        DataError: something differs; the message says what, and what would fit.
    """
    check_data(dataset)
    if len(graph.inputs) == len(dataset.by_input) == 1:
        if dataset.shape != graph.input_shape:
            if len(dataset.shape) > 1 and dataset.shape == (*graph.input_shape[1:], graph.input_shape[0]):
                raise DataError(
                    f"a sample is {format_sizes(dataset.shape)}, its channels last, but the network takes "
                    f"{format_sizes(graph.input_shape)}, channels first; give np.moveaxis(inputs, -1, 1)"
                )
            raise DataError(
                f"a sample is {format_sizes(dataset.shape)}, but the network takes {format_sizes(graph.input_shape)}; "
                f"build it with input_shape={dataset.shape}"
            )
    else:
        _check_several(graph, dataset)
    if isinstance(task, Classification) and isinstance(dataset.task, Classification):
        if dataset.classes != task.classes:
            raise DataError(
                f"the model's classes are {_listed(task.classes)}, but the data's are {_listed(dataset.classes)}; "
                "the same names in the same order are needed"
            )
    elif task is not None and _tasks(task) != _tasks(dataset.task):
        raise DataError(
            f"the model is for {_told(task)}, but the data are for {_told(dataset.task)}; give both the same task"
        )


def check_targets(outputs: Sequence[Head], dataset: Dataset) -> None:
    """Refuse targets that do not fit the network's outputs, which were unknown when the dataset was made.

    Raises:
        DataError: something differs; the message says what, and what would fit.
    """
    for name, targets in targets_by_output(outputs, dataset).items():
        next(head for head in outputs if head.name == name).check_targets(targets, len(dataset))


def check_arguments(
    graph: Graph, parts: Sequence[object], frozen: Collection[str], optimizer: object, schedule: object
) -> None:
    """Refuse anything but datasets, an optimiser and a schedule, and training in which nothing can be learnt.

    Args:
        graph: the network.
        parts: the data to train on and to validate with.
        frozen: names of frozen parameters.
        optimizer: an optimiser, or None.
        schedule: a schedule, or None.

    Raises:
        DataError: a part is not a Dataset.
        TrainingError: one of the others cannot be used.
    """
    for part in parts:
        check_data(part)
    if optimizer is not None:
        check_optimizer(optimizer)
    if schedule is not None and not isinstance(schedule, Schedule):
        raise TrainingError(f"schedule is {schedule!r}; give a schedule such as OneCycle(0.05) or Constant(0.01)")
    if schedule is not None:
        check_own(schedule, Schedule, "at")
    if not any(parameter.trainable and name not in frozen for name, parameter in graph.parameters.items()):
        raise TrainingError(
            "every parameter is frozen, so there is nothing to learn; model.unfreeze() lets all of them learn"
            if graph.parameters
            else "the network has no parameters, so there is nothing to learn"
        )


def check_rates(graph: Graph, frozen: Collection[str], factors: Mapping[str, float]) -> None:
    """Refuse factors of learning rates that would change nothing, or are none.

    Raises:
        GraphError: a pattern matches no parameter.
        TrainingError: a factor is not a positive number, or all that a pattern matches is frozen.
    """
    rate_factors(graph, factors)
    learning = {name for name, parameter in graph.parameters.items() if parameter.trainable and name not in frozen}
    for pattern in factors:
        if learning.isdisjoint(matching_arrays(graph, (pattern,))):
            raise TrainingError(
                f'learning_rate_factors has "{pattern}", but every parameter there is frozen; leave one of the two out'
            )


def check_training(
    graph: Graph, task: AnyTask, parts: Sequence[Dataset], augmentation: Augmentation | None
) -> tuple[Head, ...]:
    """Check that the network can be trained on such data; return its outputs with their tasks.

    Args:
        graph: the network.
        task: what it is to learn.
        parts: the data to train on and to validate with.
        augmentation: the random changes to the images.

    Raises:
        DataError: the data do not fit the network or the task.
        TrainingError: the augmentation would separate images from their targets.
    """
    for part in parts:
        check_dataset(graph, task, part)
    outputs = heads(task, graph)
    for part in parts:
        check_targets(outputs, part)
    _check_augmentation(outputs, augmentation)
    return outputs


def _check_augmentation(outputs: Sequence[Head], augmentation: Augmentation | None) -> None:
    """Refuse to move images whose targets are maps, which would not move with them."""
    if augmentation is not None and not isinstance(augmentation, Augmentation):
        raise TrainingError(
            f"augmentation is {augmentation!r}; it must be an Augmentation, such as Augmentation(flip=True)"
        )
    if augmentation is None or not (augmentation.shift or augmentation.flip):
        return
    for head in outputs:
        if len(head.output.shape) > 1:
            raise TrainingError(
                f"the augmentation moves or mirrors the images, but not the maps that {head.name} learns; leave shift "
                "and flip out, or put changed pairs of image and map into the dataset"
            )


def _check_several(graph: Graph, dataset: Dataset) -> None:
    """Check inputs by name: as many as the network's, with its shapes, and the same one as the image."""
    if set(graph.inputs) != set(dataset.by_input):
        raise DataError(
            f"the network has the inputs {', '.join(graph.inputs)}, but the data have {', '.join(dataset.by_input)}; "
            "give Dataset a mapping with an array for each of the network's"
        )
    for name, shape in graph.inputs.items():
        given = dataset.by_input[name].shape[1:]
        if given != shape:
            raise DataError(
                f"the input {name} of a sample is {format_sizes(given)}, but the network takes {format_sizes(shape)}"
            )
    image = image_input(graph.inputs)
    if dataset.image_input != image:
        raise DataError(
            f"the network's first image is {image}, but the data's is {dataset.image_input}; give the inputs in the "
            f"network's order: {', '.join(graph.inputs)}"
        )


def _tasks(task: AnyTask) -> object:
    """The part that must be equal; weights of the loss may differ."""
    return dict(task.tasks) if isinstance(task, Several) else task


def _told(task: AnyTask) -> str:
    if isinstance(task, Several):
        return ", ".join(f"{name}: {_told(each)}" for name, each in task.tasks.items())
    return str(task)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown}, ... {len(names)} in all"
