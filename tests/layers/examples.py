"""One layer of every type, with options off their defaults."""

import foveate as fv
from foveate.layers import Layer

EXAMPLES: list[Layer] = [
    fv.Conv1d(4, 3, padding=((1, 2),)),
    fv.Conv2d(4, (3, 5), stride=2, padding="same", dilation=(1, 2), groups=2, bias=False, initializer="he"),
    fv.Conv3d(4, 3, padding=((1, 2), 0, (0, 3))),
    fv.MaxPool1d(2, stride=3),
    fv.MaxPool2d(3, stride=2, padding=1, dilation=2, ceil_mode=True),
    fv.MaxPool3d(2),
    fv.AvgPool1d(2),
    fv.AvgPool2d(3, stride=(1, 2), padding=((0, 1), 1), ceil_mode=True, count_include_pad=False),
    fv.AvgPool3d(2),
    fv.GlobalAvgPool1d(),
    fv.GlobalAvgPool2d(),
    fv.GlobalAvgPool3d(),
    fv.Linear(7, bias=False, initializer="zeros"),
    fv.ReLU(),
    fv.LeakyReLU(0.2),
    fv.ELU(2.0),
    fv.Sigmoid(),
    fv.Tanh(),
    fv.BatchNorm1d(eps=1e-3),
    fv.BatchNorm2d(momentum=0.2, affine=False, frozen=True),
    fv.BatchNorm3d(),
    fv.Flatten(),
    fv.Add(),
    fv.Concatenate(),
    fv.Pad(((1, 2), (-1, 0))),
    fv.Dropout(0.3),
]
