"""The arithmetic of folding: weights and bias of a product that does its batch normalisation's work too."""

import numpy as np

from foveate.engines.base import FloatArray, State
from foveate.errors import EngineError
from foveate.graph import Node
from foveate.layers.transposed import TransposedConvolution


def folded(state: State, node: Node, normalization: Node) -> tuple[FloatArray, FloatArray]:
    """Weight and bias of the product `node` with `normalization` inside.

    y = gamma (W x + b - mu) / sqrt(var + eps) + beta is again a product, with W' = s W and b' = s (b - mu) + beta where
    s = gamma / sqrt(var + eps).

    Raises:
        EngineError: the running statistics are no statistics.
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


def _scaled(node: Node, weight: FloatArray, scale: FloatArray) -> FloatArray:
    """Each output's filter times its scale."""
    if not isinstance(node.layer, TransposedConvolution):
        return np.asarray(weight * scale.reshape(-1, *(1,) * (weight.ndim - 1)))
    # (inputs, outputs of the group, kernel): the inputs of a group share its outputs' scales.
    groups = node.layer.groups
    by_group = weight.reshape(groups, -1, *weight.shape[1:])
    return np.asarray(by_group * scale.reshape(groups, 1, -1, *(1,) * (weight.ndim - 2))).reshape(weight.shape)
