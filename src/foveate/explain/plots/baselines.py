"""The comparison of trained networks in a figure."""

from typing import TYPE_CHECKING

from foveate.explain.draw.invariance import draw_shares
from foveate.explain.probe.baselines import InvarianceComparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_comparison(comparison: InvarianceComparison) -> "Figure":
    """The fraction of each baseline's predictions that survives a shift, and the accuracies."""
    trained = comparison.baselines
    named = {f"{name} ({trained.parameters[name]:,} parameters)": share for name, share in comparison.shares.items()}
    epochs = f"{trained.epochs} epoch{'' if trained.epochs == 1 else 's'}"
    return draw_shares(named, f"The same task, each trained from scratch on {trained.samples:,} samples for {epochs}")
