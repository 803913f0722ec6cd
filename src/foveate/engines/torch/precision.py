"""In what precision products are computed; parameters, statistics and losses keep the engine's own type."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Literal, TypeAlias

import torch

from foveate.graph import Node
from foveate.layers import Linear, Resize
from foveate.layers.convolution import Convolution
from foveate.layers.normalization import BatchNormalization
from foveate.layers.transposed import TransposedConvolution

Precision: TypeAlias = Literal["float32", "tf32", "bf16"]
"""As the numbers are; with factors cut to TF32 on NVIDIA's GPUs; activations and products in bfloat16."""

PRECISIONS: tuple[Precision, ...] = ("float32", "tf32", "bf16")

_IN_BF16 = (Convolution, TransposedConvolution, Linear, BatchNormalization)


@contextmanager
def arithmetic(precision: Precision, device: torch.device) -> Iterator[None]:
    """Inside, forward passes compute in `precision`."""
    lower = torch.autocast(device.type, torch.bfloat16) if precision == "bf16" else nullcontext()
    with lower, tf32(precision == "tf32", device):
        yield


@contextmanager
def tf32(allowed: bool, device: torch.device) -> Iterator[None]:
    """PyTorch's own switches, which the whole process shares, are as they were afterwards."""
    if device.type != "cuda":
        yield
        return
    matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matrices.allow_tf32, convolutions.allow_tf32
    matrices.allow_tf32 = convolutions.allow_tf32 = allowed
    try:
        yield
    finally:
        matrices.allow_tf32, convolutions.allow_tf32 = before


def keeps_float32(node: Node) -> bool:
    """Whether a node computes in float32 all the same: its parameters would meet numbers of another type.

    PyTorch resizes no bfloat16 on a CPU.
    """
    if isinstance(node.layer, Resize):
        return True
    return bool(node.layer.parameters(node.input_shapes)) and not isinstance(node.layer, _IN_BF16)
