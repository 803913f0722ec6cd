"""Products of two tensors in PyTorch's modules, and attention that is made of them, come in with their gradients."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor, nn

import foveate as fv
from tests.interop.test_functional import Written, agrees, module_of
from tests.interop.transformers import Block, VisionTransformer

SCALED = ["Rescale 0.5 x", "MatMul", "Softmax over axis 1", "MatMul"]

PRODUCTS = {
    "of a tensor and its transpose": Written(lambda x: x @ x.transpose(-1, -2), ["Transpose 0 2 1", "MatMul"]),
    "by name": Written(lambda x: torch.matmul(x.mT, x), ["Transpose 0 2 1", "MatMul"]),
    "of batches": Written(lambda x: torch.bmm(x, F.relu(x.mT)), ["ReLU", "Transpose 1 0", "MatMul"], (6, 5)),
    "repeated along heads": Written(
        lambda x: x @ torch.tanh(x[:, :1, :5]),
        ["Pad (0, -3) (0, 0) (0, 0)", "Pad (0, 0) (0, -1) (0, 0)", "Tanh", "MatMul"],
    ),
    "of as many heads as samples": Written(lambda x: x @ x.mT @ x, ["Transpose 0 2 1", "MatMul", "MatMul"], (3, 3, 3)),
    "attention": Written(
        lambda x: F.scaled_dot_product_attention(x, x, x), ["Transpose 1 0", *SCALED], (6, 4)
    ),
    "attention by a scale": Written(
        lambda x: F.scaled_dot_product_attention(x, F.relu(x), x, scale=0.5), ["ReLU", "Transpose 1 0", *SCALED], (6, 5)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_product_of_two_tensors_comes_in(name: str):
    written = PRODUCTS[name]
    x = torch.randn(3, *written.shape, generator=torch.Generator().manual_seed(1))
    agrees(module_of(written.code), x, written.layers)


class Biased(nn.Module):
    """Attention with a learned number for each pair of places."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.linspace(-2, 2, 50).reshape(2, 5, 5))

    def forward(self, x: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(x, x, x, attn_mask=self.bias)


def test_a_mask_of_numbers_is_added():
    x = torch.randn(3, 2, 5, 4, generator=torch.Generator().manual_seed(1))
    model = agrees(Biased(), x, [
        "Transpose 0 2 1", "Rescale 0.5 x", "MatMul", "Affine over axes 0 1 2, shift", "Softmax over axis 2", "MatMul"
    ])  # fmt: skip
    assert set(model.names.values()) == {"bias"}


@pytest.mark.parametrize("split", [0, 1])
@pytest.mark.parametrize("fused", [False, True])
def test_a_block_of_a_vision_transformer_comes_in(fused: bool, split: int):
    torch.manual_seed(0)
    module, x = Block(12, 3, split, fused=fused).eval(), torch.randn(3, 7, 12)
    names = [node.layer.describe() for node in fv.from_torch(module, x).graph.nodes]
    assert {"MatMul", "Softmax over axis 2", "GELU"} <= set(names)
    assert set(agrees(module, x, names).names.values()) == {name for name, _ in module.named_parameters()}


def test_a_vision_transformer_comes_in_with_its_token_for_the_class():
    torch.manual_seed(0)
    module, x = VisionTransformer().eval(), torch.randn(3, 3, 16, 16)
    names = [node.layer.describe() for node in fv.from_torch(module, x).graph.nodes]
    model = agrees(module, x, names)
    assert set(model.names.values()) == {name for name, _ in module.named_parameters()}
    assert not model.frozen


def test_parts_before_the_batch_are_selected():
    def code(x: Tensor) -> Tensor:
        parts = x.permute(2, 0, 1, 3)
        return parts[0] @ parts[-1].mT

    agrees(module_of(code), torch.randn(3, 6, 2, 5), [
        "Transpose 1 0 2", "Pad (0, -1) (0, 0) (0, 0)", "Pad (-1, 0) (0, 0) (0, 0)", "Reshape to 6x5", "Reshape to 6x5",
        "Transpose 1 0", "MatMul",
    ])  # fmt: skip


REFUSED: dict[str, Callable[[Tensor], Tensor]] = {
    "that are not matrices of each sample": lambda x: x[:, 0] @ torch.tanh(x[:, 1, :2]),
    "have different numbers of axes": lambda x: x.unsqueeze(1) @ x,
    "of 3 axes, not 2": lambda x: x @ torch.ones(2, 2, 2),
    "drops weights in inference too": lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
    "unless it is a short part": lambda x: torch.cat([torch.ones(1, 3, 2).expand(2, -1, -1), x], 1),
    "it moves the batch axis": lambda x: x.permute(1, 0, 2).sum(0),
    "hides what comes later": lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
    "of truth values": lambda x: F.scaled_dot_product_attention(x, x, x, torch.ones(2, 2, dtype=torch.bool)),
}


@pytest.mark.parametrize("reason", REFUSED)
def test_a_product_that_no_layer_computes_is_refused_with_the_reason(reason: str):
    with pytest.raises(fv.GraphError, match=reason):
        fv.from_torch(module_of(REFUSED[reason]), torch.randn(2, 2, 2))
