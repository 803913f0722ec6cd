"""Pictures of a model: what its filters look like, what excites them, what a decision rests on.

Functions give arrays; their `plot_*` twins give matplotlib figures, drawn on light or dark paper (`explain.theme`).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

# Not lazy: importing a module of the same name later would put the module into the function's place.
from foveate.explain.activation_maps import activation_maps
from foveate.explain.draw.style import save, theme
from foveate.explain.features import features
from foveate.explain.probe.filters import filters
from foveate.explain.probe.probe import Images, Target, displayed, prepare

if TYPE_CHECKING:
    from foveate.explain.activation_functions import (
        ActivationCurve,
        SignalSurvival,
        activation_curve,
        plot_activation_functions,
        plot_signal_survival,
        signal_survival,
    )
    from foveate.explain.activation_maps import layer_maps, plot_activation_maps, plot_layers, strongest_channels
    from foveate.explain.attribution import (
        IntegratedGradients,
        grad_cam,
        guided_backpropagation,
        integrated_gradients,
        occlusion,
        saliency,
    )
    from foveate.explain.attribution_plots import Explanation, explain_class, plot_attribution, plot_attributions
    from foveate.explain.baselines import (
        Baselines,
        InvarianceComparison,
        compare_invariance,
        fully_connected_twin,
        parameter_count,
        plot_comparison,
        train_baselines,
        without_pooling,
    )
    from foveate.explain.features import Projection, penultimate, plot_feature_space, project
    from foveate.explain.invariance import (
        EquivarianceError,
        ResponseCurve,
        ResponseCurves,
        SurvivingShare,
        equivariance_error,
        plot_equivariance_error,
        plot_response_curves,
        plot_surviving_share,
        response_curves,
        surviving_share,
    )
    from foveate.explain.matrix import ConvolutionMatrix, convolution_matrix, layer_matrix, plot_convolution_matrix
    from foveate.explain.measure.filters import Filters, frequency_response
    from foveate.explain.measure.transforms import move, scale, turn
    from foveate.explain.normalization import (
        Distribution,
        NormalizationEffect,
        normalization_effect,
        normalized_cells,
        plot_normalization_cubes,
        plot_normalization_effect,
        statistics_shape,
    )
    from foveate.explain.overview import plot_prediction
    from foveate.explain.page.page import PageReport, explain_model
    from foveate.explain.patches import ExcitingPatches, cut_patches, exciting_patches, plot_exciting_patches
    from foveate.explain.plots.filters import plot_filters
    from foveate.explain.receptive_fields import (
        EffectiveField,
        TheoreticalField,
        effective_field,
        plot_receptive_fields,
        theoretical_fields,
    )
    from foveate.explain.sanity import SanityCheck, plot_sanity_check, rank_correlation, sanity_check
    from foveate.explain.synthesis import ExcitingImages, exciting_image, exciting_images, plot_exciting_images
    from foveate.explain.windows import convolution_animation, save_convolution_animation, save_lecture_animations

_LAZY = {
    "activation_curve": "activation_functions",
    "ActivationCurve": "activation_functions",
    "Baselines": "baselines",
    "compare_invariance": "baselines",
    "convolution_animation": "windows",
    "convolution_matrix": "matrix",
    "ConvolutionMatrix": "matrix",
    "cut_patches": "patches",
    "Distribution": "normalization",
    "effective_field": "receptive_fields",
    "EffectiveField": "receptive_fields",
    "equivariance_error": "invariance",
    "EquivarianceError": "invariance",
    "exciting_image": "synthesis",
    "exciting_images": "synthesis",
    "exciting_patches": "patches",
    "ExcitingImages": "synthesis",
    "ExcitingPatches": "patches",
    "explain_class": "attribution_plots",
    "explain_model": "page.page",
    "Explanation": "attribution_plots",
    "Filters": "measure.filters",
    "frequency_response": "measure.filters",
    "fully_connected_twin": "baselines",
    "grad_cam": "attribution",
    "guided_backpropagation": "attribution",
    "integrated_gradients": "attribution",
    "IntegratedGradients": "attribution",
    "InvarianceComparison": "baselines",
    "layer_maps": "activation_maps",
    "layer_matrix": "matrix",
    "move": "measure.transforms",
    "normalization_effect": "normalization",
    "NormalizationEffect": "normalization",
    "normalized_cells": "normalization",
    "occlusion": "attribution",
    "PageReport": "page.page",
    "parameter_count": "baselines",
    "penultimate": "features",
    "plot_activation_functions": "activation_functions",
    "plot_activation_maps": "activation_maps",
    "plot_attribution": "attribution_plots",
    "plot_attributions": "attribution_plots",
    "plot_comparison": "baselines",
    "plot_convolution_matrix": "matrix",
    "plot_equivariance_error": "invariance",
    "plot_exciting_images": "synthesis",
    "plot_exciting_patches": "patches",
    "plot_feature_space": "features",
    "plot_filters": "plots.filters",
    "plot_layers": "activation_maps",
    "plot_normalization_cubes": "normalization",
    "plot_normalization_effect": "normalization",
    "plot_prediction": "overview",
    "plot_receptive_fields": "receptive_fields",
    "plot_response_curves": "invariance",
    "plot_sanity_check": "sanity",
    "plot_signal_survival": "activation_functions",
    "plot_surviving_share": "invariance",
    "project": "features",
    "Projection": "features",
    "rank_correlation": "sanity",
    "response_curves": "invariance",
    "ResponseCurve": "invariance",
    "ResponseCurves": "invariance",
    "saliency": "attribution",
    "sanity_check": "sanity",
    "SanityCheck": "sanity",
    "save_convolution_animation": "windows",
    "save_lecture_animations": "windows",
    "scale": "measure.transforms",
    "signal_survival": "activation_functions",
    "SignalSurvival": "activation_functions",
    "statistics_shape": "normalization",
    "strongest_channels": "activation_maps",
    "surviving_share": "invariance",
    "SurvivingShare": "invariance",
    "theoretical_fields": "receptive_fields",
    "TheoreticalField": "receptive_fields",
    "train_baselines": "baselines",
    "turn": "measure.transforms",
    "without_pooling": "baselines",
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
