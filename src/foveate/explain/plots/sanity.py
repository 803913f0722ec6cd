"""The sanity check of one image, in a figure."""

from typing import TYPE_CHECKING

from foveate.explain.draw.attribution import METHOD_NAMES
from foveate.explain.draw.sanity import draw_sanity_check
from foveate.explain.measure.sanity import SanityCheck
from foveate.explain.probe.attribution import Method
from foveate.explain.probe.classes import Target, asked, class_name
from foveate.explain.probe.explanation import one_image, without_preprocessing
from foveate.explain.probe.probe import Images, displayed
from foveate.explain.probe.sanity import sanity_check
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_sanity_check(
    model: Model,
    image: Images,
    method: str | Method = "saliency",
    target: Target = None,
    *,
    seed: int = 1,
    stages: int | None = None,
    check: SanityCheck | None = None,
) -> "Figure":
    """The map of one image as parameters are made random, the rank correlations, and a verdict.

    Arguments and errors are those of `sanity_check`, with one image whose input can be drawn; `check` is its result for
    the same arguments, if already known.
    """
    prepared = one_image(model, image)
    plain = without_preprocessing(model)
    _, classes = asked(plain, prepared, target)
    check = check or sanity_check(plain, prepared, method, int(classes[0]), seed=seed, stages=stages)
    shown = displayed(model, prepared)[0]
    name = METHOD_NAMES.get(check.method, check.method)
    return draw_sanity_check(check, shown, f"Sanity check of {name} for “{class_name(model, int(classes[0]))}”")
