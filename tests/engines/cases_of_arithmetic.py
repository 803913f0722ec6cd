"""Arithmetic with constants, parameters and other values, each beside PyTorch's."""

import foveate as fv
from tests.engines.case import elementwise

SHAPES = {"features": (11,), "an image of prime channels": (17, 5, 9), "32 channels": (32, 4, 4)}

ARITHMETIC = {
    f"{name} of {kind}": elementwise(layer, function, shape)
    for name, layer, function in (
        ("Clip", fv.Clip(-0.513, 0.237), lambda x: x.clamp(-0.513, 0.237)),
        ("Clip above zero", fv.Clip(0.113, 1.01), lambda x: x.clamp(0.113, 1.01)),
        ("Clip from below", fv.Clip(low=-0.203), lambda x: x.clamp(min=-0.203)),
        ("Clip from above", fv.Clip(high=0.203), lambda x: x.clamp(max=0.203)),
        ("Rescale", fv.Rescale(2, -1), lambda x: x * 2 - 1),
        ("Rescale without shift", fv.Rescale(-1 / 3), lambda x: x / -3),
        ("Rescale by shift alone", fv.Rescale(shift=0.7), lambda x: x + 0.7),
        ("Power 2", fv.Power(2), lambda x: x**2),
        ("Power 3", fv.Power(3), lambda x: x**3),
        ("Power 1", fv.Power(1), lambda x: x**1),
        ("Power 0", fv.Power(0), lambda x: x**0),
        ("Exp", fv.Exp(), lambda x: x.exp()),
        ("Abs", fv.Abs(), lambda x: x.abs()),
    )
    for kind, shape in SHAPES.items()
}
