"""The rules by layer type; a type without one is called back in NumPy."""

from foveate.engines.native.elementwise import ACTIVATIONS
from foveate.engines.native.products import is_product
from foveate.engines.native.rules.activations import ActivationRule, MaxoutRule, PReLURule, SoftmaxRule
from foveate.engines.native.rules.base import Rule
from foveate.engines.native.rules.callback import CallbackRule
from foveate.engines.native.rules.normalization import BatchNormalizationRule
from foveate.engines.native.rules.pooling import PoolingRule
from foveate.engines.native.rules.products import ProductRule
from foveate.engines.native.rules.resizing import UpsampleRule
from foveate.engines.native.rules.sample_normalization import LocalResponseRule, SampleNormalizationRule
from foveate.engines.native.rules.structure import (
    AddRule,
    ChannelShuffleRule,
    ConcatenateRule,
    DropoutRule,
    FlattenRule,
    MultiplyRule,
    PadRule,
)
from foveate.layers import (
    Add,
    ChannelShuffle,
    Concatenate,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    LogSoftmax,
    Maxout,
    Multiply,
    Pad,
    PReLU,
    Softmax,
    Upsample,
)
from foveate.layers.adaptive import AdaptivePooling
from foveate.layers.convolution import Convolution
from foveate.layers.normalization import BatchNormalization
from foveate.layers.pooling import GlobalAveragePooling, GlobalMaximumPooling, Pooling
from foveate.layers.sample_normalization import SampleNormalization
from foveate.layers.structure import Dropping
from foveate.layers.transposed import TransposedConvolution

RULES: dict[type, Rule] = {
    **dict.fromkeys((Convolution, TransposedConvolution, Linear), ProductRule()),
    **dict.fromkeys(ACTIVATIONS, ActivationRule()),
    **dict.fromkeys((Pooling, GlobalAveragePooling, GlobalMaximumPooling, AdaptivePooling), PoolingRule()),
    **dict.fromkeys((Softmax, LogSoftmax), SoftmaxRule()),
    BatchNormalization: BatchNormalizationRule(),
    SampleNormalization: SampleNormalizationRule(),
    LocalResponseNorm: LocalResponseRule(),
    PReLU: PReLURule(),
    Maxout: MaxoutRule(),
    Add: AddRule(),
    Multiply: MultiplyRule(),
    Concatenate: ConcatenateRule(),
    ChannelShuffle: ChannelShuffleRule(),
    Upsample: UpsampleRule(),
    Flatten: FlattenRule(),
    Pad: PadRule(),
    Dropping: DropoutRule(),
}


def rule_of(layer: Layer) -> Rule:
    """The rule of a layer's type."""
    if isinstance(layer, TransposedConvolution) and not is_product(layer):
        return CallbackRule()
    if isinstance(layer, LocalResponseNorm) and layer.size % 2 == 0:
        # oneDNN centres an even window elsewhere than PyTorch.
        return CallbackRule()
    return next((RULES[kind] for kind in type(layer).__mro__ if kind in RULES), CallbackRule())
