"""Layers: hyper-parameters, shape rules, parameters and costs. No arrays."""

from foveate.layers.activations import ELU, LeakyReLU, ReLU, Sigmoid, Tanh
from foveate.layers.base import Cost, Layer, Parameter, Shape, Statistic
from foveate.layers.convolution import Conv1d, Conv2d, Conv3d
from foveate.layers.linear import Linear
from foveate.layers.normalization import BatchNorm1d, BatchNorm2d, BatchNorm3d
from foveate.layers.pooling import (
    AvgPool1d,
    AvgPool2d,
    AvgPool3d,
    GlobalAvgPool1d,
    GlobalAvgPool2d,
    GlobalAvgPool3d,
    MaxPool1d,
    MaxPool2d,
    MaxPool3d,
)
from foveate.layers.registry import built_in_layers, make_layer, register_layer_type
from foveate.layers.structure import Add, Concatenate, Dropout, Flatten, Pad

__all__ = [
    "ELU",
    "Add",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "Concatenate",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "Cost",
    "Dropout",
    "Flatten",
    "GlobalAvgPool1d",
    "GlobalAvgPool2d",
    "GlobalAvgPool3d",
    "Layer",
    "LeakyReLU",
    "Linear",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "Pad",
    "Parameter",
    "ReLU",
    "Shape",
    "Sigmoid",
    "Statistic",
    "Tanh",
    "built_in_layers",
    "make_layer",
    "register_layer_type",
]
