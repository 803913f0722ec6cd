"""The rules by layer type; a type without one is called back in NumPy."""

from foveate.engines.native.fusion import runs_as_product
from foveate.engines.native.rules.base import Rule
from foveate.engines.native.rules.callback import CallbackRule
from foveate.engines.native.rules.normalization import BatchNormalizationRule
from foveate.engines.native.rules.pooling import PoolingRule
from foveate.engines.native.rules.products import ProductRule
from foveate.engines.native.rules.structure import (
    ActivationRule,
    AddRule,
    ConcatenateRule,
    DropoutRule,
    FlattenRule,
    PadRule,
)
from foveate.layers import ELU, Add, Concatenate, Dropout, Flatten, Layer, LeakyReLU, Linear, Pad, ReLU, Sigmoid, Tanh
from foveate.layers.convolution import Convolution
from foveate.layers.normalization import BatchNormalization
from foveate.layers.pooling import GlobalAveragePooling, Pooling

RULES: dict[type[Layer], Rule] = {
    Convolution: ProductRule(),
    Linear: ProductRule(),
    BatchNormalization: BatchNormalizationRule(),
    Pooling: PoolingRule(),
    GlobalAveragePooling: PoolingRule(),
    **dict.fromkeys((ReLU, LeakyReLU, ELU, Sigmoid, Tanh), ActivationRule()),
    Add: AddRule(),
    Concatenate: ConcatenateRule(),
    Flatten: FlattenRule(),
    Pad: PadRule(),
    Dropout: DropoutRule(),
}


def rule_of(layer: Layer) -> Rule:
    """The rule of a layer's type."""
    if isinstance(layer, Convolution) and not runs_as_product(layer):
        return CallbackRule()
    return next((RULES[kind] for kind in type(layer).__mro__ if kind in RULES), CallbackRule())
