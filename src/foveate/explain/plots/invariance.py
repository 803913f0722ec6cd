"""How one model, or several, respond to changes of their input, in figures."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from foveate.data import Dataset
from foveate.errors import DataError
from foveate.explain.draw.invariance import Line, draw_equivariance_errors, draw_response_curves, draw_shares
from foveate.explain.draw.style import class_tints
from foveate.explain.measure.invariance import ResponseCurves
from foveate.explain.probe.classes import Target, class_name
from foveate.explain.probe.invariance import equivariance_error, response_curves, surviving_share
from foveate.explain.probe.probe import Images
from foveate.model import Model
from foveate.text import shortened

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Models: TypeAlias = "Model | Mapping[str, Model]"
"""One model, or several by the names that the legend gives them."""


def plot_response_curves(models: Models, image: Images, *, target: Target = None, **changes: Any) -> "Figure":
    """`response_curves` as lines: for one model the likeliest classes, for several the class that the first one
    predicts.

    Args:
        models: one, or several by name.
        image: one image, as `Model.predict` takes it.
        target: the class to follow.
        changes: `shifts`, `angles` and `scales` as for `response_curves`.
    """
    named = _named(models)
    first = next(iter(named.values()))
    found = {"": response_curves(first, image, target=target, **changes)}
    wanted = found[""].target
    if len(named) > 1:
        found = {name: response_curves(each, image, target=wanted, **changes) for name, each in named.items()}
    what = ("the signal", "the image", "the volume (its middle slices below)")[len(first.graph.input_shape) - 2]
    one = next(iter(found.values()))
    lines = [_lines(first, found, column, wanted) for column in range(len(one.curves))]
    legend = "" if len(named) == 1 else f"probability of {class_name(first, wanted)}"
    return draw_response_curves(one, lines, f"How the network responds as {what} changes", legend)


def plot_surviving_share(models: Models, dataset: Dataset, **options: Any) -> "Figure":
    """`surviving_share` and the accuracy against the shift, averaged over all directions.

    Args:
        models: one, or several by name.
        dataset: images with labels.
        options: `shifts`, `samples` and `seed` as for `surviving_share`.
    """
    shares = {name: surviving_share(each, dataset, **options) for name, each in _named(models).items()}
    return draw_shares(shares, "How many predictions survive a shift")


def plot_equivariance_error(models: Models, images: Images, **options: Any) -> "Figure":
    """`equivariance_error` of each layer, averaged over the shifts, with a row for each model.

    Args:
        models: one, or several by name.
        images: the images to measure on.
        options: `shifts` and `layers` as for `equivariance_error`.
    """
    return draw_equivariance_errors(
        {name: equivariance_error(each, images, **options) for name, each in _named(models).items()}
    )


def _named(models: Models) -> dict[str, Model]:
    named = {"": models} if isinstance(models, Model) else dict(models)
    if not named:
        raise DataError("there are no models to compare; give one, or several by name")
    return named


def _lines(model: Model, found: Mapping[str, ResponseCurves], column: int, wanted: int) -> list[Line]:
    """The lines of a panel: models, or classes in the colours that they have in every figure."""
    if len(found) > 1:
        return [
            Line(name, each.curves[column].probabilities[:, wanted], number)
            for number, (name, each) in enumerate(found.items())
        ]
    (one,) = found.values()
    highest = np.max([curve.probabilities.max(axis=0) for curve in one.curves], axis=0)
    others = [int(each) for each in np.argsort(-highest, kind="stable") if each != wanted][:3]
    chances = one.curves[column].probabilities
    numbers = class_tints([wanted, *others])
    return [Line(shortened(class_name(model, each), 24), chances[:, each], numbers[each]) for each in (wanted, *others)]
