"""The rules by layer type; a type without one is called back in NumPy."""

from typing import Any

from foveate.engines.native.elementwise import ACTIVATIONS
from foveate.engines.native.group import Group
from foveate.engines.native.rules.activations import ActivationRule, MaxoutRule, PReLURule, SoftmaxRule
from foveate.engines.native.rules.base import Rule
from foveate.engines.native.rules.boxes import BoxRule
from foveate.engines.native.rules.callback import CallbackRule
from foveate.engines.native.rules.combining import AffineRule, CombiningRule, ExtremeRule, SpreadPReLURule
from foveate.engines.native.rules.concatenation import ConcatenateRule
from foveate.engines.native.rules.last_axis import LastAxisRule
from foveate.engines.native.rules.matrices import MatMulRule
from foveate.engines.native.rules.movement import SliceRule, TransposeRule
from foveate.engines.native.rules.normalization import BatchNormalizationRule
from foveate.engines.native.rules.padding import CopyingPadRule, FillingPadRule, PadRule
from foveate.engines.native.rules.pooling import PoolingRule
from foveate.engines.native.rules.products import ProductRule
from foveate.engines.native.rules.reduction import ReduceRule
from foveate.engines.native.rules.resizing import ResizeRule, UpsampleRule
from foveate.engines.native.rules.sample_normalization import LocalResponseRule, SampleNormalizationRule
from foveate.engines.native.rules.structure import (
    AddRule,
    DropoutRule,
    FlattenRule,
    MovementRule,
    MultiplyRule,
)
from foveate.engines.request import Request
from foveate.layers import (
    Add,
    Affine,
    ChannelShuffle,
    Concatenate,
    Divide,
    Flatten,
    Layer,
    Linear,
    LocalResponseNorm,
    LogSoftmax,
    MatMul,
    Maximum,
    Maxout,
    Minimum,
    Multiply,
    Pad,
    PReLU,
    Raise,
    Reduce,
    Reshape,
    Resize,
    Slice,
    Softmax,
    Subtract,
    Transpose,
    Upsample,
)
from foveate.layers.adaptive import AdaptivePooling
from foveate.layers.convolution import Convolution
from foveate.layers.normalization import BatchNormalization
from foveate.layers.pixels import PixelMoving
from foveate.layers.pooling import AveragePooling, GlobalAveragePooling, GlobalMaximumPooling, LPPooling, MaxPooling
from foveate.layers.registry import built_in_layers
from foveate.layers.sample_normalization import SampleNormalization
from foveate.layers.structure import Dropping
from foveate.layers.transposed import TransposedConvolution

_CALLBACK = CallbackRule()

_FAMILIES: tuple[tuple[tuple[type[Layer], ...], tuple[Rule[Any], ...]], ...] = (
    ((Convolution, TransposedConvolution), (ProductRule(), _CALLBACK)),
    ((Linear,), (ProductRule(), LastAxisRule())),
    (ACTIVATIONS, (ActivationRule(),)),
    ((MaxPooling, GlobalAveragePooling, GlobalMaximumPooling), (PoolingRule(),)),
    ((AveragePooling, AdaptivePooling), (PoolingRule(), BoxRule(), _CALLBACK)),
    ((LPPooling,), (BoxRule(), _CALLBACK)),
    ((Softmax, LogSoftmax), (SoftmaxRule(),)),
    ((BatchNormalization,), (BatchNormalizationRule(),)),
    ((SampleNormalization,), (SampleNormalizationRule(),)),
    ((LocalResponseNorm,), (LocalResponseRule(), _CALLBACK)),
    ((PReLU,), (PReLURule(), SpreadPReLURule())),
    ((Maxout,), (MaxoutRule(),)),
    ((Add,), (AddRule(), CombiningRule())),
    ((Divide, Raise, Subtract), (CombiningRule(),)),
    ((Maximum, Minimum), (ExtremeRule(),)),
    ((MatMul,), (MatMulRule(),)),
    ((Affine,), (AffineRule(),)),
    ((Multiply,), (MultiplyRule(),)),
    ((Reduce,), (ReduceRule(),)),
    ((Concatenate,), (ConcatenateRule(),)),
    ((ChannelShuffle, PixelMoving), (MovementRule(),)),
    ((Resize,), (ResizeRule(),)),
    ((Upsample,), (UpsampleRule(),)),
    ((Flatten, Reshape), (FlattenRule(),)),
    ((Transpose,), (TransposeRule(),)),
    ((Slice,), (SliceRule(),)),
    ((Pad,), (PadRule(), FillingPadRule(), CopyingPadRule())),
    ((Dropping,), (DropoutRule(),)),
)

RULES: dict[type[Layer], tuple[Rule[Any], ...]] = {
    kind: rules for bases, rules in _FAMILIES for kind in built_in_layers() if issubclass(kind, bases)
}
"""By exact type: the candidates; the first one that accepts the node and the request is taken."""


def rule_of(group: Group, request: Request) -> Rule[Any]:
    """The rule of a group's head; a type without one is called back, or refused by name."""
    candidates = RULES.get(type(group.head.layer), (_CALLBACK,))
    return next(rule for rule in candidates if rule.accepts(group.head, request))
