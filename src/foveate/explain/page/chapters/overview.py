"""The first chapter: the model, the image, and the model's prediction."""

from os import PathLike
from pathlib import Path

from foveate.data.images import read_size
from foveate.explain.measure.words import network_name
from foveate.explain.page.html import Section, Table
from foveate.explain.page.subject import Subject
from foveate.explain.plots.prediction import plot_prediction
from foveate.explain.probe.classes import (
    asked,
    class_name,
    classes_to_ask_for,
    decoded,
    gives_chances,
    tells_two_apart,
)
from foveate.geometry import format_sizes
from foveate.model import Model
from foveate.text import number_words


def overview(subject: Subject) -> Section:
    """The model, the image, and the model's prediction."""
    model = subject.model
    graph = model.graph
    summary = graph.summary()
    rows = [
        (node.name, node.layer.describe(), format_sizes(node.output_shape), field.short())
        for node in graph.nodes
        for field in [graph.receptive_field(node.name)]
    ]
    shown = rows
    if len(rows) > _LONGEST_TABLE:
        kept = _LONGEST_TABLE - 1
        shown = [*rows[:kept], (f"{len(rows) - kept} more", "", "", "")]
    return Section(
        f"The model and the {subject.noun}",
        [
            f"From an input of {format_sizes(graph.input_shape)}, channels first, {network_name(graph)} computes "
            f"{_outputs(model)}. It has {len(graph.nodes)} layers with "
            f"{summary.total_parameters:,} parameters, and one input takes {subject.macs:,} multiply-accumulates.",
            f"{_answer(subject)} The figures below ask about: {class_name(model, subject.target)}."
            f"{_stretched(subject)}",
        ],
        [
            subject.draw(
                "prediction", lambda: plot_prediction(model, subject.image),
                f"The {subject.noun} beside a bar chart of "
                f"{'the likeliest classes' if gives_chances(model) else 'the predicted values'}.",
            )
        ],
        Table(
            ("layer", "what it is", "output", "sees of the input"), shown,
            "The layers in order. The last column is the receptive field: how much of the input one value depends on.",
        ),
    )  # fmt: skip


_LONGEST_TABLE = 40
_NAMED = 10


def _outputs(model: Model) -> str:
    if tells_two_apart(model):
        return f"one number, the logit of {class_name(model, 1)} against {class_name(model, 0)}"
    count = classes_to_ask_for(model)
    if gives_chances(model):
        return f"{count:,} numbers, one for each class"
    return f"{count:,} numbers, one for each value" if count > 1 else f"one number, {class_name(model, 0)}"


def _answer(subject: Subject) -> str:
    """What the model makes of the image, in a sentence."""
    model = subject.model
    prepared, classes = asked(model, subject.image, None)
    if gives_chances(model):
        return f"It classifies this {subject.noun} as: {class_name(model, int(classes[0]))}."
    values = decoded(model, prepared)[0]
    named = [f"{class_name(model, index)} {number_words(float(value))}" for index, value in enumerate(values[:_NAMED])]
    more = f" and {len(values) - _NAMED:,} more" if len(values) > _NAMED else ""
    return f"For this {subject.noun} it predicts: {', '.join(named)}{more}."


_FITTED = {
    "stretch": "stretched to",
    "crop": "scaled and cropped to",
    "pad": "scaled into, and filled up with black to",
}


def _stretched(subject: Subject) -> str:
    """A sentence if an image file does not have the network's size."""
    if not isinstance(subject.image, str | PathLike):
        return ""
    size = read_size(Path(subject.image))[1:]
    wanted = subject.model.graph.input_shape[1:]
    if size == wanted:
        return ""
    preprocessing = subject.model.preprocessing
    fit = "stretch" if preprocessing is None else "crop" if preprocessing.resize is not None else preprocessing.fit
    return f" The file is {format_sizes(size)}, and was {_FITTED[fit]} the network's {format_sizes(wanted)}."
