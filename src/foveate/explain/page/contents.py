"""The chapters of a model's page, in the lecture's order."""

from collections.abc import Callable

from foveate.explain.page.chapters.activation_functions import activation_functions
from foveate.explain.page.chapters.activation_maps import maps
from foveate.explain.page.chapters.animations import windows
from foveate.explain.page.chapters.comparison import comparison
from foveate.explain.page.chapters.decision import decision
from foveate.explain.page.chapters.excitement import excitement
from foveate.explain.page.chapters.feature_space import feature_space
from foveate.explain.page.chapters.filters import filters
from foveate.explain.page.chapters.invariance import invariance
from foveate.explain.page.chapters.matrix import matrix
from foveate.explain.page.chapters.normalization import normalization
from foveate.explain.page.chapters.overview import overview
from foveate.explain.page.chapters.receptive_fields import receptive_fields
from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject

Chapter = Callable[[Subject], Section]

CHAPTERS: dict[str, Chapter] = {
    "the model and the image": overview,
    "filters": filters,
    "activation maps": maps,
    "receptive fields": receptive_fields,
    "padding and stride": windows,
    "convolution as a matrix": matrix,
    "what excites a channel": excitement,
    "why this class": decision,
    "invariance": invariance,
    "convolution and pooling compared": comparison,
    "normalisation": normalization,
    "activation functions": activation_functions,
    "feature space": feature_space,
}
"""Every chapter by its short name, in order."""
