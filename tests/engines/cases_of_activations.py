"""Activations, each beside PyTorch's.

The hard sigmoid stands beside its definition, because PyTorch's own multiplies its gradient by a sixth in float32.
"""

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

import foveate as fv
from foveate.layers import Shape
from tests.engines.case import Case, elementwise


def prelu(layer: fv.PReLU, shape: Shape) -> Case:
    """The rectifier whose slope is learned."""
    return Case(layer, (shape,), lambda x, p: F.prelu(x[0], p["weight"]))


def maxout(pieces: int, shape: Shape, batch: int = 2) -> Case:
    """The maximum over neighbouring channels."""
    return Case(
        fv.Maxout(pieces),
        (shape,),
        lambda x, _: torch.stack([x[0][:, p::pieces] for p in range(pieces)]).amax(0),
        batch,
    )


ACTIVATIONS = {
    "ReLU": elementwise(fv.ReLU(), F.relu),
    "ReLU of features": elementwise(fv.ReLU(), F.relu, (11,)),
    "ReLU of 32 channels": elementwise(fv.ReLU(), F.relu, (32, 4, 4)),
    "LeakyReLU": elementwise(fv.LeakyReLU(), lambda x: F.leaky_relu(x, 0.1)),
    "LeakyReLU 0.01": elementwise(fv.LeakyReLU(0.01), lambda x: F.leaky_relu(x, 0.01)),
    "LeakyReLU 0": elementwise(fv.LeakyReLU(0.0), F.relu),
    "ELU": elementwise(fv.ELU(), F.elu),
    "ELU 1.7": elementwise(fv.ELU(1.7), lambda x: F.elu(x, 1.7)),
    "Sigmoid": elementwise(fv.Sigmoid(), torch.sigmoid),
    "Tanh": elementwise(fv.Tanh(), torch.tanh),
    "Tanh of a volume": elementwise(fv.Tanh(), torch.tanh, (2, 3, 4, 5)),
}

SMOOTH_ACTIVATIONS = {
    f"{name} of {format_shape}": elementwise(layer, function, shape)
    for name, layer, function in (
        ("ReLU6", fv.ReLU6(), F.relu6),
        ("SiLU", fv.SiLU(), F.silu),
        ("Hardswish", fv.Hardswish(), F.hardswish),
        ("Hardsigmoid", fv.Hardsigmoid(), lambda x: F.relu6(x + 3) / 6),
        ("Hardtanh", fv.Hardtanh(), F.hardtanh),
        ("Hardtanh 0 to 1", fv.Hardtanh(0, 1), lambda x: F.hardtanh(x, 0.0, 1.0)),
        ("GELU", fv.GELU(), F.gelu),
        ("GELU by tanh", fv.GELU("tanh"), lambda x: F.gelu(x, approximate="tanh")),
        ("Mish", fv.Mish(), F.mish),
        ("SELU", fv.SELU(), F.selu),
        ("CELU", fv.CELU(), F.celu),
        ("CELU 0.5", fv.CELU(0.5), lambda x: F.celu(x, 0.5)),
        ("ThresholdedReLU", fv.ThresholdedReLU(), lambda x: F.threshold(x, 1.0, 0.0)),
        ("ThresholdedReLU below 0", fv.ThresholdedReLU(-0.5), lambda x: F.threshold(x, -0.5, 0.0)),
        ("Softplus", fv.Softplus(), F.softplus),
        ("Softplus 2.5", fv.Softplus(2.5), lambda x: F.softplus(x, 2.5)),
    )
    for format_shape, shape in (
        ("features", (11,)),
        ("an image of prime channels", (17, 5, 9)),
        ("32 channels", (32, 4, 4)),
        ("a volume", (2, 3, 4, 5)),
        ("many numbers", (3, 40, 50)),
    )
}

CHANNEL_ACTIVATIONS = {
    "PReLU": prelu(fv.PReLU(), (5, 4, 3)),
    "PReLU of features": prelu(fv.PReLU(), (11,)),
    "PReLU per channel": prelu(fv.PReLU(per_channel=True), (5, 4, 3)),
    "PReLU per feature": prelu(fv.PReLU(per_channel=True), (11,)),
    "PReLU per channel of 32": prelu(fv.PReLU(per_channel=True), (32, 3, 3)),
    "PReLU per channel of a volume": prelu(fv.PReLU(per_channel=True), (3, 2, 3, 4)),
    "Softmax": elementwise(fv.Softmax(), lambda x: F.softmax(x, 1), (10,)),
    "Softmax of a picture": elementwise(fv.Softmax(), lambda x: F.softmax(x, 1), (7, 4, 5)),
    "Softmax of 32 channels": elementwise(fv.Softmax(), lambda x: F.softmax(x, 1), (32, 1, 3)),
    "Softmax of a sequence": elementwise(fv.Softmax(), lambda x: F.softmax(x, 1), (5, 9)),
    "LogSoftmax": elementwise(fv.LogSoftmax(), lambda x: F.log_softmax(x, 1), (10,)),
    "LogSoftmax of a picture": elementwise(fv.LogSoftmax(), lambda x: F.log_softmax(x, 1), (7, 4, 5)),
    "LogSoftmax of a volume": elementwise(fv.LogSoftmax(), lambda x: F.log_softmax(x, 1), (3, 2, 2, 3)),
    "Maxout": maxout(2, (6, 4, 5)),
    "Maxout of features": maxout(3, (12,)),
    "Maxout of one piece": maxout(1, (5, 3)),
    "Maxout to one channel, batch 1": maxout(7, (7, 3, 1), batch=1),
    "Maxout to 16 channels": maxout(2, (32, 3, 3)),
    "Maxout of a volume": maxout(5, (10, 2, 3, 2)),
}
