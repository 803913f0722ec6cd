"""What a program is compiled for, checked once against its graph."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import NotRequired, Self, TypeAlias, TypedDict, Unpack

from foveate.calls import is_number
from foveate.engines.base import Mode
from foveate.errors import EngineError, TrainingError
from foveate.geometry import format_sizes
from foveate.graph import Graph, Loss, Node, Optimizer, matching_arrays, nearest, rate_factors
from foveate.graph.optimizers import check_optimizer

Losses: TypeAlias = Loss | Mapping[str, Loss | tuple[Loss, float]]
"""One loss for the only output, or one for each output by name, with or without a weight."""

LARGEST_ARRAY = 2**31 - 1
"""The most numbers in an array: oneDNN counts many things in 32 bits."""


@dataclass(frozen=True)
class OutputLoss:
    """A loss on one output, and its weight in the sum of losses."""

    output: str
    loss: Loss
    weight: float = 1.0


class Options(TypedDict):
    """The options of a program; see `Engine.compile`."""

    batch_size: int
    mode: Mode
    loss: NotRequired[Losses | None]
    optimizer: NotRequired[Optimizer | None]
    keep: NotRequired[Sequence[str]]
    differentiable: NotRequired[bool]
    parameter_gradients: NotRequired[bool]
    freeze: NotRequired[Sequence[str]]
    learning_rate_factors: NotRequired[Mapping[str, float]]
    clip_norm: NotRequired[float | None]
    accumulate: NotRequired[bool]


@dataclass(frozen=True, kw_only=True)
class Request:
    """Everything that a program is compiled for, in one form; equal requests lead to equal programs.

    `frozen` names the parameters without gradients, and the statistics that are used but not measured;
    `rate_factors` the parameters that do not learn at the full rate, each with what multiplies it. `clip_norm` is the
    largest norm of all gradients together in an update; `accumulate` says whether several batches may lead to one.
    """

    batch_size: int
    mode: Mode
    losses: tuple[OutputLoss, ...] = ()
    optimizer: Optimizer | None = None
    keep: tuple[str, ...] = ()
    differentiable: bool = False
    parameter_gradients: bool = True
    frozen: frozenset[str] = frozenset()
    rate_factors: tuple[tuple[str, float], ...] = ()
    clip_norm: float | None = None
    accumulate: bool = False

    @classmethod
    def of(cls, graph: Graph, **options: Unpack[Options]) -> Self:
        """The request for `graph`; options as for `Engine.compile`.

        Raises:
            EngineError: no engine could run the graph in this way; the message says why.
        """
        request = cls(
            batch_size=options["batch_size"],
            mode=options["mode"],
            optimizer=options.get("optimizer"),
            keep=tuple(options.get("keep", ())),
            differentiable=options.get("differentiable", False),
            parameter_gradients=options.get("parameter_gradients", True),
            frozen=matching_arrays(graph, options.get("freeze", ())),
            rate_factors=tuple(sorted(rate_factors(graph, options.get("learning_rate_factors", {})).items())),
            clip_norm=options.get("clip_norm"),
            accumulate=options.get("accumulate", False),
        )
        _check_update(request)
        if request.optimizer is not None and not request.differentiable:
            # Who only trains has no use for the gradients of constants; who measures gradients may ask for them.
            request = replace(request, frozen=request.frozen | _constants(graph))
        _check_sizes(graph, request)
        for name in request.keep:
            if name not in graph.inputs:
                graph.node(name)
        loss = options.get("loss")
        if loss is not None:
            request = replace(request, losses=_losses(graph, loss))
            if not request.parameter_gradients:
                raise EngineError("a program with a loss learns parameters; leave parameter_gradients=False out")
        if request.training:
            _check_normalization(graph, request)
        return request

    @property
    def training(self) -> bool:
        """Whether normalisation uses the batch's statistics and dropout drops."""
        return self.mode == "training"

    @property
    def with_gradients(self) -> bool:
        """Whether there is a way back."""
        return self.differentiable or bool(self.losses)

    def learns(self, parameter: str) -> bool:
        """Whether the gradient of the parameter with this full name is computed."""
        return self.parameter_gradients and parameter not in self.frozen

    def measures(self, node: Node) -> bool:
        """Whether a node with statistics uses the batch's, and updates the running ones."""
        names = (f"{node.parameters}.{name}" for name in node.layer.statistics(node.input_shapes))
        return self.training and not getattr(node.layer, "frozen", False) and self.frozen.isdisjoint(names)


def _constants(graph: Graph) -> frozenset[str]:
    """Parameters of layers that are declared frozen."""
    return frozenset(name for name, parameter in graph.parameters.items() if not parameter.trainable)


def single_value_normalization(graph: Graph, batch_size: int, frozen: frozenset[str] = frozenset()) -> str | None:
    """The name of a batch normalisation that would see one value per channel in training, or None."""
    request = Request(batch_size=batch_size, mode="training", frozen=frozen)
    for node in graph.nodes:
        measures = node.layer.statistics(node.input_shapes) and request.measures(node)
        if measures and batch_size * prod(node.input_shapes[0][1:]) == 1:
            return node.name
    return None


def _check_update(request: Request) -> None:
    if request.optimizer is not None:
        check_optimizer(request.optimizer)
    most = request.clip_norm
    if most is not None and (not is_number(most) or not 0 < most < float("inf")):
        raise TrainingError(f"clip_norm is {most!r}; it must be positive and finite (1.0 is usual), or None")
    if request.optimizer is None and (most is not None or request.accumulate):
        raise EngineError("clip_norm and accumulate prepare an update; compile with an optimizer, or leave them out")


def _check_sizes(graph: Graph, request: Request) -> None:
    if not isinstance(request.batch_size, int) or request.batch_size < 1:
        raise EngineError(f"batch_size is {request.batch_size}; it must be an int of at least 1")
    name, shape = max(graph.shapes.items(), key=lambda item: prod(item[1]))
    numbers = request.batch_size * prod(shape)
    if numbers > LARGEST_ARRAY:
        fitting = LARGEST_ARRAY // prod(shape)
        way = f"use at most {fitting:,} samples at a time" if fitting else "give the network smaller inputs"
        raise EngineError(
            f"{name} would hold {request.batch_size:,} x {format_sizes(shape)} = {numbers:,} numbers, but an array "
            f"holds at most {LARGEST_ARRAY:,}: {way}"
        )
    if request.mode not in ("inference", "training"):
        raise EngineError(f'mode is "{request.mode}"; it must be "inference" or "training"')


def _check_normalization(graph: Graph, request: Request) -> None:
    starved = single_value_normalization(graph, request.batch_size, request.frozen)
    if starved is not None:
        raise EngineError(
            f"{graph.node(starved)} would see a single value for each channel: with batch_size 1 and no positions to "
            "average over, every value is its own mean and normalises to zero. Train with at least 2 samples per "
            "batch, or with frozen=True"
        )


def _losses(graph: Graph, loss: Losses) -> tuple[OutputLoss, ...]:
    """The losses in the order of the graph's outputs."""
    named = loss if isinstance(loss, Mapping) else {graph.only_output: loss}
    for name in named:
        if name not in graph.outputs:
            raise EngineError(f'the loss is given for "{name}", which is not an output.{nearest(name, graph.outputs)}')
    if not named:
        raise EngineError("loss is empty; name at least one output of the network and its loss")
    found = []
    for output in graph.outputs:
        if output in named:
            given = named[output]
            plain, weight = given if isinstance(given, tuple) else (given, 1.0)
            if not 0 <= weight < float("inf"):
                raise EngineError(f"the loss of {output} has the weight {weight}; it must be at least 0 and finite")
            if not isinstance(plain, Loss):
                raise EngineError(
                    f"the loss of {output} is {plain!r}; it must be a Loss, such as CrossEntropy(), or your own class "
                    "derived from foveate.Loss"
                )
            node = graph.by_name.get(output)
            plain.check_output(output, graph.shapes[output], None if node is None else node.layer)
            found.append(OutputLoss(output, plain, float(weight)))
    return tuple(found)
