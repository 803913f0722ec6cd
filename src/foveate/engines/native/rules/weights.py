"""Weights and bias of a product: the state's own, or folded with the normalisation after it."""

from foveate.engines.folding import folded
from foveate.engines.native import _native
from foveate.engines.native.derived import Derivation, derived_from
from foveate.engines.native.group import Group
from foveate.engines.native.ledger import Ledger
from foveate.engines.native.plan import Array
from foveate.engines.native.products import canonical_weight_layout


def weights_of(ledger: Ledger, group: Group, layout: _native.Layout) -> Array:
    """The weights in `layout`."""
    if group.normalization is None:
        return ledger.parameter_in(group.head, "weight", layout)
    return ledger.derived(weight_derivation(ledger, group, layout))


def weight_derivation(ledger: Ledger, group: Group, layout: _native.Layout) -> Derivation:
    """How the weights in `layout` are derived from a state that does not change."""
    node, normalization = group.head, group.normalization
    if normalization is None:
        return ledger.derivation(node, "weight", layout)
    key = ("folded weight", node.parameters, normalization.parameters)
    return derived_from(key, canonical_weight_layout(node), layout, lambda state: folded(state, node, normalization)[0])


def bias_of(ledger: Ledger, group: Group) -> Array | None:
    """The bias, if there is one."""
    node, normalization = group.head, group.normalization
    if normalization is None:
        return ledger.parameter(node, "bias") if getattr(node.layer, "bias", False) else None
    plain = _native.Layout.plain([node.output_shape[0]])
    key = ("folded bias", node.parameters, normalization.parameters)
    return ledger.derived(derived_from(key, plain, plain, lambda state: folded(state, node, normalization)[1]))
