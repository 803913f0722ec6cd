"""Figures of a model: what its filters look like, what excites them, what a decision rests on.

Functions return arrays, or results with `to_json`; their `plot_*` twins return matplotlib figures, drawn for light or
dark backgrounds (`explain.theme`). The subpackages: `measure` holds arrays and numbers, `probe` queries a model, `draw`
makes figures of finished measurements, `plots` joins the two, `page` puts everything on one page, and `experiments`
tests claims by training.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from foveate.explain.draw.animation import (
        convolution_animation,
        save_convolution_animation,
        save_lecture_animations,
    )
    from foveate.explain.draw.matrix import plot_convolution_matrix
    from foveate.explain.draw.normalization import plot_normalization_cubes
    from foveate.explain.draw.sampling import sampled_at
    from foveate.explain.draw.style import save, theme
    from foveate.explain.measure.activation_functions import ActivationCurve, SignalSurvival
    from foveate.explain.measure.activation_maps import strongest_channels
    from foveate.explain.measure.attribution import IntegratedGradients
    from foveate.explain.measure.explanation import Explanation
    from foveate.explain.measure.features import Projection, project
    from foveate.explain.measure.filters import Filters, frequency_response
    from foveate.explain.measure.invariance import EquivarianceError, ResponseCurve, ResponseCurves, SurvivingShare
    from foveate.explain.measure.matrix import ConvolutionMatrix, convolution_matrix
    from foveate.explain.measure.normalization import (
        Distribution,
        NormalizationEffect,
        normalized_cells,
        statistics_shape,
    )
    from foveate.explain.measure.patches import ExcitingPatches
    from foveate.explain.measure.receptive_fields import EffectiveField, TheoreticalField
    from foveate.explain.measure.sanity import SanityCheck, rank_correlation
    from foveate.explain.measure.synthesis import ExcitingImages
    from foveate.explain.measure.transforms import move, scale, turn
    from foveate.explain.page.page import PageReport, explain_model
    from foveate.explain.plots.activation_functions import plot_activation_functions, plot_signal_survival
    from foveate.explain.plots.activation_maps import plot_activation_maps, plot_layers
    from foveate.explain.plots.attribution import plot_attribution, plot_attributions
    from foveate.explain.plots.baselines import plot_comparison
    from foveate.explain.plots.features import plot_feature_space
    from foveate.explain.plots.filters import plot_filters
    from foveate.explain.plots.invariance import plot_equivariance_error, plot_response_curves, plot_surviving_share
    from foveate.explain.plots.normalization import plot_normalization_effect
    from foveate.explain.plots.patches import plot_exciting_patches
    from foveate.explain.plots.prediction import plot_prediction
    from foveate.explain.plots.receptive_fields import plot_receptive_fields
    from foveate.explain.plots.sanity import plot_sanity_check
    from foveate.explain.plots.synthesis import plot_exciting_images
    from foveate.explain.probe.activation_functions import activation_curve, signal_survival
    from foveate.explain.probe.activation_maps import activation_maps, layer_maps
    from foveate.explain.probe.attribution import (
        grad_cam,
        guided_backpropagation,
        integrated_gradients,
        occlusion,
        saliency,
    )
    from foveate.explain.probe.baselines import (
        Baselines,
        InvarianceComparison,
        compare_invariance,
        fully_connected_twin,
        parameter_count,
        train_baselines,
        without_pooling,
    )
    from foveate.explain.probe.classes import Target
    from foveate.explain.probe.explanation import explain_class
    from foveate.explain.probe.features import features, penultimate
    from foveate.explain.probe.filters import filters
    from foveate.explain.probe.invariance import equivariance_error, response_curves, surviving_share
    from foveate.explain.probe.matrix import layer_matrix
    from foveate.explain.probe.normalization import normalization_effect
    from foveate.explain.probe.patches import cut_patches, exciting_patches
    from foveate.explain.probe.probe import Images, displayed, prepare
    from foveate.explain.probe.receptive_fields import effective_field, theoretical_fields
    from foveate.explain.probe.sanity import sanity_check
    from foveate.explain.probe.synthesis import exciting_image, exciting_images

_LAZY = {
    "activation_curve": "probe.activation_functions",
    "activation_maps": "probe.activation_maps",
    "ActivationCurve": "measure.activation_functions",
    "Baselines": "probe.baselines",
    "compare_invariance": "probe.baselines",
    "convolution_animation": "draw.animation",
    "convolution_matrix": "measure.matrix",
    "ConvolutionMatrix": "measure.matrix",
    "cut_patches": "probe.patches",
    "displayed": "probe.probe",
    "Distribution": "measure.normalization",
    "effective_field": "probe.receptive_fields",
    "EffectiveField": "measure.receptive_fields",
    "equivariance_error": "probe.invariance",
    "EquivarianceError": "measure.invariance",
    "exciting_image": "probe.synthesis",
    "exciting_images": "probe.synthesis",
    "exciting_patches": "probe.patches",
    "ExcitingImages": "measure.synthesis",
    "ExcitingPatches": "measure.patches",
    "explain_class": "probe.explanation",
    "explain_model": "page.page",
    "Explanation": "measure.explanation",
    "features": "probe.features",
    "Filters": "measure.filters",
    "filters": "probe.filters",
    "frequency_response": "measure.filters",
    "fully_connected_twin": "probe.baselines",
    "grad_cam": "probe.attribution",
    "guided_backpropagation": "probe.attribution",
    "Images": "probe.probe",
    "integrated_gradients": "probe.attribution",
    "IntegratedGradients": "measure.attribution",
    "InvarianceComparison": "probe.baselines",
    "layer_maps": "probe.activation_maps",
    "layer_matrix": "probe.matrix",
    "move": "measure.transforms",
    "normalization_effect": "probe.normalization",
    "NormalizationEffect": "measure.normalization",
    "normalized_cells": "measure.normalization",
    "occlusion": "probe.attribution",
    "PageReport": "page.page",
    "parameter_count": "probe.baselines",
    "penultimate": "probe.features",
    "plot_activation_functions": "plots.activation_functions",
    "plot_activation_maps": "plots.activation_maps",
    "plot_attribution": "plots.attribution",
    "plot_attributions": "plots.attribution",
    "plot_comparison": "plots.baselines",
    "plot_convolution_matrix": "draw.matrix",
    "plot_equivariance_error": "plots.invariance",
    "plot_exciting_images": "plots.synthesis",
    "plot_exciting_patches": "plots.patches",
    "plot_feature_space": "plots.features",
    "plot_filters": "plots.filters",
    "plot_layers": "plots.activation_maps",
    "plot_normalization_cubes": "draw.normalization",
    "plot_normalization_effect": "plots.normalization",
    "plot_prediction": "plots.prediction",
    "plot_receptive_fields": "plots.receptive_fields",
    "plot_response_curves": "plots.invariance",
    "plot_sanity_check": "plots.sanity",
    "plot_signal_survival": "plots.activation_functions",
    "plot_surviving_share": "plots.invariance",
    "prepare": "probe.probe",
    "project": "measure.features",
    "Projection": "measure.features",
    "rank_correlation": "measure.sanity",
    "response_curves": "probe.invariance",
    "ResponseCurve": "measure.invariance",
    "ResponseCurves": "measure.invariance",
    "saliency": "probe.attribution",
    "sanity_check": "probe.sanity",
    "SanityCheck": "measure.sanity",
    "save": "draw.style",
    "save_convolution_animation": "draw.animation",
    "save_lecture_animations": "draw.animation",
    "scale": "measure.transforms",
    "signal_survival": "probe.activation_functions",
    "SignalSurvival": "measure.activation_functions",
    "statistics_shape": "measure.normalization",
    "strongest_channels": "measure.activation_maps",
    "surviving_share": "probe.invariance",
    "SurvivingShare": "measure.invariance",
    "Target": "probe.classes",
    "sampled_at": "draw.sampling",
    "theme": "draw.style",
    "theoretical_fields": "probe.receptive_fields",
    "TheoreticalField": "measure.receptive_fields",
    "train_baselines": "probe.baselines",
    "turn": "measure.transforms",
    "without_pooling": "probe.baselines",
}

__all__ = [
    "ActivationCurve",
    "Baselines",
    "ConvolutionMatrix",
    "Distribution",
    "EffectiveField",
    "EquivarianceError",
    "ExcitingImages",
    "ExcitingPatches",
    "Explanation",
    "Filters",
    "Images",
    "IntegratedGradients",
    "InvarianceComparison",
    "NormalizationEffect",
    "PageReport",
    "Projection",
    "ResponseCurve",
    "ResponseCurves",
    "SanityCheck",
    "SignalSurvival",
    "SurvivingShare",
    "Target",
    "TheoreticalField",
    "activation_curve",
    "activation_maps",
    "compare_invariance",
    "convolution_animation",
    "convolution_matrix",
    "cut_patches",
    "displayed",
    "effective_field",
    "equivariance_error",
    "exciting_image",
    "exciting_images",
    "exciting_patches",
    "explain_class",
    "explain_model",
    "features",
    "filters",
    "frequency_response",
    "fully_connected_twin",
    "grad_cam",
    "guided_backpropagation",
    "integrated_gradients",
    "layer_maps",
    "layer_matrix",
    "move",
    "normalization_effect",
    "normalized_cells",
    "occlusion",
    "parameter_count",
    "penultimate",
    "plot_activation_functions",
    "plot_activation_maps",
    "plot_attribution",
    "plot_attributions",
    "plot_comparison",
    "plot_convolution_matrix",
    "plot_equivariance_error",
    "plot_exciting_images",
    "plot_exciting_patches",
    "plot_feature_space",
    "plot_filters",
    "plot_layers",
    "plot_normalization_cubes",
    "plot_normalization_effect",
    "plot_prediction",
    "plot_receptive_fields",
    "plot_response_curves",
    "plot_sanity_check",
    "plot_signal_survival",
    "plot_surviving_share",
    "prepare",
    "project",
    "rank_correlation",
    "response_curves",
    "saliency",
    "sanity_check",
    "save",
    "save_convolution_animation",
    "save_lecture_animations",
    "scale",
    "signal_survival",
    "statistics_shape",
    "strongest_channels",
    "surviving_share",
    "sampled_at",
    "theme",
    "theoretical_fields",
    "train_baselines",
    "turn",
    "without_pooling",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(f"foveate.explain.{_LAZY[name]}"), name)
    raise AttributeError(f"module 'foveate.explain' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
