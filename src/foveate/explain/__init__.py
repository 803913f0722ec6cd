"""Pictures of a model: what its filters look like, what excites them, what a decision rests on.

Functions give arrays; their `plot_*` twins give matplotlib figures, drawn on light or dark paper (`explain.theme`).
"""

from foveate.explain.probe import Images, Target, displayed, prepare
from foveate.explain.style import save, theme

__all__ = ["Images", "Target", "displayed", "prepare", "save", "theme"]
