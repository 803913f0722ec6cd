"""The arithmetic of folding: weights and bias of a convolution or linear layer that absorbs its batch normalisation."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from foveate.engines.base import FloatArray, State
from foveate.engines.engine import Engine
from foveate.engines.random import generator
from foveate.errors import EngineError
from foveate.graph import Graph, Node, fold_normalizations
from foveate.layers.transposed import TransposedConvolution

PROBE_BATCH = 8

Network: TypeAlias = tuple[Graph, State]


@dataclass(frozen=True)
class FusionReport:
    """What `Model.fuse` did: pairs of a convolution or linear layer and the normalisation that went into it, why others
    did not, and the largest difference of the outputs on a probe batch."""

    folded: tuple[tuple[str, str], ...]
    refused: tuple[str, ...]
    largest_difference: float

    def __str__(self) -> str:
        count = f"{len(self.folded)} normalisation{'' if len(self.folded) == 1 else 's'} folded"
        return "\n".join((f"{count}; outputs differ by at most {self.largest_difference:.2g}", *self.refused))


def fused(engine: Engine, graph: Graph, state: State) -> tuple[Network, FusionReport]:
    """The same function, whose convolutions and linear layers absorb the batch normalisations after them; a report.

    Raises:
        EngineError: running statistics are missing.
    """
    folding = fold_normalizations(graph)
    result = engine.new_state(folding.graph, seed=state.seed)
    arrays = {name: state.read(name) for name in result.names() if name in state.names()}
    for product, normalization in folding.pairs:
        weight, bias = folded(state, product, normalization)
        arrays |= {f"{product.parameters}.weight": weight, f"{product.parameters}.bias": bias}
    for name, array in arrays.items():
        result.load(name, array)
    report = FusionReport(
        folded=tuple((product.name, normalization.name) for product, normalization in folding.pairs),
        refused=folding.refused,
        largest_difference=largest_difference(engine, (graph, state), (folding.graph, result)),
    )
    return (folding.graph, result), report


def folded(state: State, node: Node, normalization: Node) -> tuple[FloatArray, FloatArray]:
    """Weight and bias of the convolution or linear layer `node` with `normalization` inside.

    y = gamma (W x + b - mu) / sqrt(var + eps) + beta is again W' x + b', with W' = s W and b' = s (b - mu) + beta where
    s = gamma / sqrt(var + eps).

    Raises:
        EngineError: the running statistics are not usable.
    """
    layer, key = normalization.layer, normalization.parameters
    affine = {name: state.read(f"{key}.{name}") for name in layer.parameters(normalization.input_shapes)}
    mean, variance = (state.read(f"{key}.{name}").astype(np.float64) for name in ("running_mean", "running_var"))
    if not (np.isfinite(mean).all() and np.isfinite(variance).all() and (variance >= 0).all()):
        raise EngineError(
            f"{normalization} has no running statistics to fold: a mean or variance is NaN, infinite or negative. "
            "Train the network, or load them, first"
        )
    scale = affine.get("weight", np.ones(1)) / np.sqrt(variance + getattr(layer, "eps", 0.0))
    weight = state.read(f"{node.parameters}.weight")
    biased = getattr(node.layer, "bias", False)
    bias = state.read(f"{node.parameters}.bias") if biased else np.zeros(node.output_shape[0])
    shifted = scale * (bias - mean) + affine.get("bias", np.zeros(1))
    return _scaled(node, weight, scale).astype(np.float32), shifted.astype(np.float32)


def largest_difference(engine: Engine, before: Network, after: Network) -> float:
    """The largest difference of the outputs on a batch of random inputs; the first network is not folded."""
    (graph, state), (fused, fused_state) = before, after
    inputs = {
        name: generator(0, f"probe {name}").standard_normal((PROBE_BATCH, *shape), np.float32)
        for name, shape in graph.inputs.items()
    }
    # A differentiable program folds nothing by itself, so this compares with the unfolded network.
    plain = engine.compile(graph, batch_size=PROBE_BATCH, mode="inference", differentiable=True)
    program = engine.compile(fused, batch_size=PROBE_BATCH, mode="inference")
    old, new = plain.forward(state, inputs), program.forward(fused_state, inputs)
    pairs = zip(graph.outputs, fused.outputs, strict=True)
    return max(float(np.abs(old[first] - new[second]).max()) for first, second in pairs)


def _scaled(node: Node, weight: FloatArray, scale: FloatArray) -> FloatArray:
    """Each output's filter, multiplied by its scale."""
    if not isinstance(node.layer, TransposedConvolution):
        return np.asarray(weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)))
    # (inputs, outputs of the group, kernel): the inputs of a group share its outputs' scales.
    groups = node.layer.groups
    by_group = weight.reshape(groups, -1, *weight.shape[1:])
    return np.asarray(by_group * scale.reshape(groups, 1, -1, *(1,) * (weight.ndim - 2))).reshape(weight.shape)
