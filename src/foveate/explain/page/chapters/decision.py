"""The chapter on why the network predicts this class."""

from foveate.explain.draw.attribution import METHOD_NAMES
from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject
from foveate.explain.plots.attribution import plot_attributions
from foveate.explain.plots.sanity import plot_sanity_check
from foveate.explain.probe.classes import class_name
from foveate.explain.probe.explanation import explain_class
from foveate.explain.probe.sanity import sanity_check


def decision(subject: Subject) -> Section:
    """Why this class: five methods, and a check of one of them."""
    model, target = subject.model, subject.target
    explained = explain_class(model, subject.image, target)
    method = "saliency" if explained["grad_cam"].map is None else "grad_cam"
    check = sanity_check(model, subject.image, method, target)
    return Section(
        f"Why {class_name(model, target)}?",
        [
            f"Five methods say which {subject.elements} the decision rests on, each in its own way: the gradient of "
            "the class with respect to the input; guided backpropagation, which lets only positive influences through; "
            "integrated gradients, whose values add up to the class's score less that of a blank input "
            "(the completeness error says how nearly); "
            "Grad-CAM, which weights the last maps by their gradients; occlusion, which covers a part and measures "
            "what is lost.",
            f"A map can look convincing and yet show nothing but the {subject.noun}. The check makes the parameters "
            f"random, from the last layer down, and draws the map again. {check.verdict}",
        ],
        [
            subject.draw(
                "attributions", lambda: plot_attributions(model, subject.image, target, explained=explained),
                f"Maps of the {subject.noun} by five methods, showing which {subject.elements} speak for the class.",
            ),
            subject.draw(
                "sanity-check", lambda: plot_sanity_check(model, subject.image, method, target, check=check),
                f"The map by {METHOD_NAMES[method]} as more and more layers are made random.",
            ),
        ],
    )  # fmt: skip
