"""Rules for products of matrices, with arrays and of two tensors, and for the attention that is made of them."""

from math import sqrt
from typing import Any

from torch import fx

from foveate.graph.builder import Value
from foveate.interop.held import Held, held
from foveate.interop.pytorch.rules import Arguments, rule
from foveate.interop.pytorch.rules_of_arithmetic import affine
from foveate.interop.pytorch.taking import Constant, Taking
from foveate.interop.walk import NotTakenError
from foveate.layers import Linear, MatMul, Rescale, Softmax, Transpose


@rule("matmul", "mm", "bmm")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """Of a tensor and a matrix, which is a Linear's weight transposed, or of two tensors."""
    left, right = node.args[:2]
    weight = taking.constant(right)
    if weight is None:
        return held(taking.add(MatMul(), *_matrices(taking, left, right), node=node))
    if weight.tensor.dim() != 2:
        raise NotTakenError(f"it multiplies with {weight.told} of {weight.tensor.dim()} axes, not 2")
    value = taking.value(left)
    layer = Linear(int(weight.tensor.shape[1]), bias=False, last_axis=len(value.shape) > 1)
    turned = Constant(weight.tensor.detach().T.contiguous(), computed_learns=weight.learns)
    return held(taking.add_made(layer, value, node=node, arrays={"weight": turned}))


def _matrices(taking: Taking, *sources: Any) -> list[Value]:
    """Tensors of matrices of each sample, with equally many axes."""
    ranks = {source.meta["val"].dim() for source in sources}
    if ranks == {2}:
        raise NotTakenError("it is a product of two tensors that are not matrices of each sample")
    if len(ranks) > 1:
        raise NotTakenError("its tensors have different numbers of axes, so the batch of one meets another axis")
    return taking.many(sources)


@rule("scaled_dot_product_attention")
def _(taking: Taking, node: fx.Node, given: Arguments) -> Held:
    """softmax(scale Q K' + mask) V."""
    if given["dropout_p"] or given["is_causal"] or given["enable_gqa"]:
        raise NotTakenError("it drops weights in inference too, hides what comes later, or has fewer keys than queries")
    query, key, value = _matrices(taking, *(given[name] for name in ("query", "key", "value")))
    last = len(key.shape) - 1
    turned = taking.add(Transpose((*range(last - 1), last, last - 1)), key, node=node)
    scale = given["scale"] if given["scale"] is not None else 1 / sqrt(query.shape[-1])
    weights = taking.add(MatMul(), taking.add(Rescale(float(scale)), query, node=node), turned, node=node)
    if given["attn_mask"] is not None:
        weights = _masked(taking, node, weights, given["attn_mask"])
    return held(taking.add(MatMul(), taking.add(Softmax(axis=last), weights, node=node), value, node=node))


def _masked(taking: Taking, node: fx.Node, weights: Value, mask: Any) -> Value:
    array = taking.constant(mask)
    if array is None or not array.tensor.is_floating_point():
        raise NotTakenError("its mask depends on the input, or is of truth values and not of numbers to add")
    return affine(taking, node, weights, array, scale=False).value
