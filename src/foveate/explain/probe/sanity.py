"""The sanity check of attributions: a map that shows what a network has learnt changes with its parameters."""

import numpy as np

from foveate.errors import DataError, GraphError
from foveate.explain.measure.sanity import SanityCheck, stage_correlations
from foveate.explain.probe.attribution import METHODS, Method
from foveate.explain.probe.classes import Target, asked
from foveate.explain.probe.explanation import without_preprocessing
from foveate.explain.probe.probe import Images
from foveate.graph import Graph, initializers, nearest
from foveate.model import Model


def sanity_check(
    model: Model,
    images: Images,
    method: str | Method = "saliency",
    target: Target = None,
    *,
    seed: int = 1,
    stages: int | None = None,
) -> SanityCheck:
    """Compare a method's maps with those of the same network as its parameters become random, layer by layer.

    Cascading randomisation: the output layer is initialised afresh, then the one before it as well, and so on down to
    the input. Each gets the parameters and running statistics with which a training of its graph would start.

    Args:
        model: the network; it is not changed.
        images: N images, as `Model.predict` takes them.
        method: a name of `METHODS`, or method(model, images, target) -> (N, ...).
        target: the class, or one for each image (default: the one that the trained network predicts).
        seed: at least 1, added to the model's own seed, from which its training started.
        stages: the most stages, each of one or more layers (default: one for each layer with weights).

    Raises:
        DataError: there is no such method or class, or seed or stages are too small.
        GraphError: the network has no parameters that start at random.

    Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity checks for saliency maps, 2018.
    """
    name, function = _method(method)
    for what, value in (("seed", seed), ("stages", stages)):
        if value is not None and value < 1:
            raise DataError(f"{what} is {value}; it must be at least 1")
    plain, cascade = without_preprocessing(model), _cascade(model.graph, stages)
    # Made first: drawing random parameters takes the most memory, and running takes some too.
    other = Model(model.graph, classes=model.classes, seed=model.seed + seed, engine=model.engine)
    prepared, classes = asked(model, images, target)
    chosen = classes.tolist()
    maps = []
    # From random to trained: the lower layers get their own arrays back, so no third state is needed.
    for _, arrays in reversed(cascade):
        maps.append(np.asarray(function(other, prepared, chosen), np.float64))
        for array in arrays:
            other.state.load(array, model.state.read(array))
    trained = np.asarray(function(plain, prepared, chosen), np.float64)
    every = np.stack([trained, *reversed(maps)])
    return SanityCheck(
        method=name,
        stages=tuple(layer for layer, _ in cascade),
        maps=every,
        signed=stage_correlations(every),
        magnitudes=stage_correlations(np.abs(every)),
    )


def _method(method: str | Method) -> tuple[str, Method]:
    if not isinstance(method, str):
        return getattr(method, "__name__", "method"), method
    if method not in METHODS:
        raise DataError(f'there is no method "{method}".{nearest(method, METHODS)}')
    return method, METHODS[method]


def _cascade(graph: Graph, stages: int | None) -> list[tuple[str, list[str]]]:
    """From the output down: the lowest layer of each stage, and the arrays that become random with it.

    What starts at a constant (a normalisation, a bias) joins the next layer below that starts at random.
    """
    rules = initializers(graph)
    steps: list[tuple[str, list[str]]] = []
    waiting: list[str] = []
    for node in reversed(graph.owners):
        names = (*node.layer.parameters(node.input_shapes), *node.layer.statistics(node.input_shapes))
        waiting += [f"{node.parameters}.{name}" for name in names]
        if any(rules.get(f"{node.parameters}.{name}") in ("he", "xavier") for name in names):
            steps.append((node.name, waiting))
            waiting = []
    if not steps:
        raise GraphError("the network has no parameters that start at random, so there is nothing to randomise")
    steps[-1][1].extend(waiting)
    groups = np.array_split(np.arange(len(steps)), min(len(steps), stages or len(steps)))
    return [(steps[group[-1]][0], [name for step in group for name in steps[step][1]]) for group in groups]
