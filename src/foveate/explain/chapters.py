"""The chapters of a model's page, in the lecture's order: what each one shows, and the words beside it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from foveate.data import Dataset, Splits
from foveate.data.images import read_size
from foveate.data.preprocessing import ImageLike
from foveate.errors import DataError
from foveate.explain.draw.attribution import METHOD_NAMES
from foveate.explain.draw.matrix import plot_convolution_matrix
from foveate.explain.draw.normalization import plot_normalization_cubes
from foveate.explain.draw.windows import gif, lecture_animation
from foveate.explain.measure.activation_maps import strongest_channels
from foveate.explain.measure.matrix import ConvolutionMatrix, percent_of_zeros
from foveate.explain.measure.windows import LECTURE
from foveate.explain.measure.words import element_noun, input_noun, network_name
from foveate.explain.page.drawing import Drawing, write_drawing, write_picture
from foveate.explain.page.html import Picture, Section, Table
from foveate.explain.plots.activation_functions import plot_activation_functions, plot_signal_survival
from foveate.explain.plots.activation_maps import plot_activation_maps, plot_layers
from foveate.explain.plots.attribution import plot_attributions
from foveate.explain.plots.baselines import plot_comparison
from foveate.explain.plots.features import plot_feature_space
from foveate.explain.plots.filters import plot_filters
from foveate.explain.plots.invariance import plot_equivariance_error, plot_response_curves
from foveate.explain.plots.normalization import plot_normalization_effect
from foveate.explain.plots.patches import plot_exciting_patches
from foveate.explain.plots.prediction import plot_prediction
from foveate.explain.plots.receptive_fields import plot_receptive_fields
from foveate.explain.plots.sanity import plot_sanity_check
from foveate.explain.plots.synthesis import plot_exciting_images
from foveate.explain.probe.activation_maps import activation_maps
from foveate.explain.probe.attribution import asked
from foveate.explain.probe.baselines import WITHOUT_POOLING, compare_invariance
from foveate.explain.probe.explanation import explain_class
from foveate.explain.probe.features import penultimate
from foveate.explain.probe.matrix import layer_matrix
from foveate.explain.probe.patches import exciting_patches
from foveate.explain.probe.probe import Images, class_name, convolutions
from foveate.explain.probe.sanity import sanity_check
from foveate.explain.probe.synthesis import exciting_images
from foveate.geometry import format_sizes
from foveate.layers.normalization import Normalization
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANNELS = 8
"""Channels of which a chapter shows what excites them."""

CLASSES = 10
"""Classes, likewise, unless a pass through the network costs so much that there are fewer channels too."""

MOST_STEPS, FEWEST_STEPS = 64, 24
"""Of gradient ascent."""

FEWEST_SAMPLES = 1_000
"""With fewer, a comparison of trained networks would say nothing."""

MOST_MACS = 2e12
"""Multiply-accumulates that a picture made by many passes may cost; larger networks get fewer passes."""


@dataclass(frozen=True)
class Subject:
    """What a page is about: a model, one image, a class to ask for, and perhaps data.

    `image` is whatever `Model.predict` takes; `target` an index; pictures are written into `folder`.
    """

    model: Model
    image: ImageLike
    target: int
    data: Splits | None
    folder: Path

    @cached_property
    def noun(self) -> str:
        """What one input is called: an image, a signal, a volume."""
        return input_noun(len(self.model.graph.input_shape) - 1)

    @cached_property
    def elements(self) -> str:
        """What its positions are called: pixels, samples, voxels."""
        return element_noun(len(self.model.graph.input_shape) - 1) + "s"

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass."""
        return sum(node.cost.macs for node in self.model.graph.nodes)

    def draw(self, name: str, plot: "Callable[[], Figure]", alt: str, caption: str = "") -> Picture:
        """A figure in both themes."""
        return write_drawing(Drawing(name, plot, alt, caption), self.folder)

    def needed(self, what: str) -> Splits:
        """The data, or a DataError that says how to give some."""
        if self.data is None:
            raise DataError(
                f"{what} needs more {self.noun}s to look at; give --data with a data set's name or a folder (in "
                "Python data=Splits(...))"
            )
        return self.data

    def passes(self, most: int, least: int) -> int:
        """How many forward passes a picture may take."""
        return max(least, min(most, int(MOST_MACS / max(self.macs, 1))))


def overview(subject: Subject) -> Section:
    """The model, the image, and what the model makes of it."""
    model = subject.model
    graph = model.graph
    summary = graph.summary()
    found = class_name(model, int(asked(model, subject.image, None)[1][0]))
    question = class_name(model, subject.target)
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
            f"{graph.output_shape[0]:,} numbers, one for each class. It has {len(graph.nodes)} layers with "
            f"{summary.total_parameters:,} parameters, and one input takes {subject.macs:,} multiply-accumulates.",
            f"It takes this {subject.noun} for: {found}. The pictures below ask about: {question}."
            f"{_stretched(subject)}",
        ],
        [
            subject.draw(
                "prediction", lambda: plot_prediction(model, subject.image),
                f"The {subject.noun} beside a bar chart of the likeliest classes.",
            )
        ],
        Table(
            ("layer", "what it is", "output", "sees of the input"), shown,
            "The layers in order. The last column is the receptive field: how much of the input one value depends on.",
        ),
    )  # fmt: skip


def filters(subject: Subject) -> Section:
    """The kernels of the first and of the last convolution."""
    model = subject.model
    names = list(dict.fromkeys([convolutions(model)[0].name, convolutions(model)[-1].name]))
    return Section(
        "Filters: what the convolutions look for",
        [
            "A convolution slides small kernels over its input; each value of its output is the dot product of a "
            f"kernel with what lies under it. The kernels of the first layer meet the {subject.noun} itself and often "
            f"{_first_kernels(model)}. Those of later layers meet activation maps, so that they mean little by "
            "themselves: the chapter on what excites a channel shows what they react to.",
        ],
        [
            subject.draw(
                f"filters-{name}", lambda name=name: plot_filters(model, name),  # type: ignore[misc]
                f"Kernels of {name} as many small pictures, the largest norm first.",
            )
            for name in names
        ],
    )  # fmt: skip


def maps(subject: Subject) -> Section:
    """Activation maps of the first convolution, and a walk through all layers."""
    model = subject.model
    first = convolutions(model)[0].name
    return Section(
        f"Activation maps: what each layer makes of the {subject.noun}",
        [
            "Every channel of a layer answers at every position: its activation map. One element of a map is marked; "
            f"what is {'shaded' if len(model.graph.input_shape) == 2 else 'framed'} on the {subject.noun} is its "
            "receptive field, which is all that this element can see.",
            "Further on, maps often become smaller, and what they react to becomes larger and more abstract.",
        ],
        [
            subject.draw(
                f"maps-{first}", lambda: plot_activation_maps(model, subject.image, first),
                f"Activation maps of {first}, and on the {subject.noun} the receptive field of the strongest element.",
            ),
            subject.draw(
                "layers", lambda: plot_layers(model, subject.image),
                "The strongest activation maps of one layer after another, from the input to the output.",
            ),
        ],
    )  # fmt: skip


def receptive_fields(subject: Subject) -> Section:
    """Theoretical boxes on the image, and the effective field."""
    return Section(
        "Receptive fields: how far a value sees",
        [
            "Each convolution or pooling of size K adds K - 1, times its dilation, to the receptive field, and each "
            "stride multiplies what later layers add. The boxes are what one value in the middle of each layer can "
            "depend on. What it does depend on is usually less: the effective field, here the mean squared gradient, "
            "fades towards the box's border.",
        ],
        [
            subject.draw(
                "receptive-fields", lambda: plot_receptive_fields(subject.model, subject.image),
                f"What layers of growing depth see of the {subject.noun}, and the effective field of one of them.",
            )
        ],
    )  # fmt: skip


def windows(subject: Subject) -> Section:
    """The lecture's four animations."""
    model_axes = len(subject.model.graph.input_shape) - 1
    pictures = []
    for name, (stride, padding) in LECTURE.items():
        words = f"{'padding ' + str(padding) if padding else 'no padding'}, stride {stride}"
        pictures.append(
            write_picture(
                f"convolution-{name.replace('_', '-')}", "gif", lambda name=name: gif(lecture_animation(name)),  # type: ignore[misc]
                subject.folder, f"An animation: a 3x3 window slides over a 5x5 input with {words}.", f"With {words}.",
            )
        )  # fmt: skip
    return Section(
        "Padding and stride: how a window slides",
        [
            "The window stops at each position, multiplies each of its weights with the number under it, and writes "
            "the sum into the output. Zeros around the border (padding) let it stop there too, so that the output can "
            "be as large as the input; with a stride of 2 it moves two positions at a time, and the output is about "
            f"half as large.{_other_axes(model_axes)}",
        ],
        pictures,
    )


def matrix(subject: Subject) -> Section:
    """A convolution written out as a matrix, beside a dense layer's."""
    first = convolutions(subject.model)[0].name
    written, cut = _written_out(subject.model, first)
    return Section(
        "Convolution is a matrix, sparse and repeating",
        [
            f"Written out as a matrix, with a row for each output and a column for each input, {first} connects every "
            f"output with a few inputs ({percent_of_zeros(written)} % of the entries are zero) and repeats the weights "
            f"of a filter from row to row: {written.parameters:,} parameters, where a dense layer between the same "
            f"input and output would have {written.dense_parameters:,}.{cut}",
        ],
        [
            subject.draw(
                "matrix", lambda: plot_convolution_matrix(written),
                f"The matrix of {first} with its repeating diagonals beside that of a dense layer.",
            )
        ],
    )  # fmt: skip


def excitement(subject: Subject) -> Section:
    """What excites channels: patches of the data, and images found by gradient ascent."""
    model, layer = subject.model, _layer_to_excite(subject.model)
    passes = subject.passes(MOST_STEPS * CHANNELS, FEWEST_STEPS)
    count = max(1, min(CHANNELS, passes // FEWEST_STEPS))
    strongest = strongest_channels(activation_maps(model, subject.image, layer), count)
    channels, steps = sorted(map(int, strongest)), passes // count
    pictures, patches = [], None
    if subject.data is not None:
        data = _some(subject.data.test, subject.passes(5_000, 100))
        patches = exciting_patches(model, data, layer)
        pictures.append(
            subject.draw(
                "patches", lambda: plot_exciting_patches(model, patches, data, channels),
                f"For each of {len(channels)} channels of {layer} the {patches.values.shape[1]} patches with the "
                "largest activation.",
                f"From {len(data):,} {subject.noun}s of the data's test part.",
            )
        )  # fmt: skip
    found = exciting_images(model, layer, channels, steps=steps)
    ideal = exciting_images(model, channels=_classes(subject, CLASSES if count == CHANNELS else count), steps=steps)
    pictures += [
        subject.draw(
            "found-images", lambda: plot_exciting_images(model, found, patches=patches),
            f"For each of {len(channels)} channels of {layer} an input found by gradient ascent.",
            f"Found in {steps} steps from noise, with {'jitter, ' if found.jitter else ''}blur and fewer high "
            "frequencies.",
        ),
        subject.draw(
            "found-classes", lambda: plot_exciting_images(model, ideal),
            f"For each of {len(ideal.channels)} classes an input found by gradient ascent.",
            f"The same for {_how_many(len(ideal.channels), model.graph.output_shape[0])}: what the network would most "
            "like to see. It is rarely what a person would draw.",
        ),
    ]  # fmt: skip
    return Section(
        "What excites a channel",
        [
            f"These are the channels of {layer} that this {subject.noun} excites most. To learn what a channel looks "
            f"for, one can search real {subject.noun}s for the patches that excite it most, cut out at exactly its "
            f"receptive field, or start from noise and change the {subject.elements} along the gradient until the "
            "channel is as active as it can be.",
            *([] if patches else [f"Patches of real {subject.noun}s need data: give --data (in Python data=...)."]),
        ],
        pictures,
    )


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
            "integrated gradients, whose values add up to how far the score of the class is from that of a blank input "
            "(the completeness error says how nearly); "
            "Grad-CAM, which weighs the last maps by their gradients; occlusion, which covers a part and measures "
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
                f"The map by {METHOD_NAMES[method]} while more and more layers are made random.",
            ),
        ],
    )  # fmt: skip


def invariance(subject: Subject) -> Section:
    """The output while the image changes, and how far layers move with it."""
    model = subject.model
    same, others, changes = _CHANGES["signal" if subject.noun == "signal" else "image"]
    return Section(
        "Invariance, measured",
        [
            f"{same} A convolution moves its maps along with the {subject.noun} (equivariance), and pooling forgets "
            f"small movements (invariance); neither says anything about {others}, which a network must learn from its "
            "data.",
            "In the second picture T moves the input and T' the map: f(Tx) = T'f(x) would be perfect equivariance. At "
            "the border padding breaks it, and so does a shift that is no whole number of the map's steps.",
        ],
        [
            subject.draw(
                "response-curves", lambda: plot_response_curves(model, subject.image, target=subject.target),
                f"The probabilities of classes while the {subject.noun} {changes}.",
            ),
            subject.draw(
                "equivariance", lambda: plot_equivariance_error(model, subject.image),
                f"For each layer how far its maps are from moving along with the {subject.noun}.",
            ),
        ],
    )  # fmt: skip


def comparison(subject: Subject) -> Section:
    """The lecture's argument for convolution and pooling: the network against others of equal size."""
    data = subject.needed("comparing networks")
    # Two networks of this size learn from each sample twice, and a step costs three passes.
    samples = subject.passes(12 * 4_000, 0) // 12
    if samples < FEWEST_SAMPLES:
        raise DataError(
            f"training networks that compute {subject.macs:,} multiply-accumulates for each image takes too long for a "
            "page; explain.compare_invariance does it for as many samples and epochs as you like"
        )
    compared = compare_invariance(subject.model, data, samples=samples, epochs=2, test_samples=500, progress=False)
    parameters = compared.baselines.parameters
    counts = ", ".join(f"{name}: {count:,}" for name, count in parameters.items())
    others = "and a fully connected network of equal size (it has no pooling that could be taken out)"
    if WITHOUT_POOLING in parameters:
        others = (
            "the same without its pooling (each window hands on its middle value, so that all sizes stay), and a fully "
            "connected network of equal size"
        )
    return Section(
        "What convolution and pooling are good for",
        [
            f"{len(parameters)} networks were trained anew for this page, all on the same "
            f"{compared.baselines.samples:,} {subject.noun}s for {compared.baselines.epochs} epochs: this "
            f"architecture, {others}. So short a training makes none of them good: look at how the curves fall, not at "
            f"how high they begin. Parameters: {counts}.",
        ],
        [
            subject.draw(
                "comparison", lambda: plot_comparison(compared),
                f"The share of predictions that survive a shift of 0 to 8 {subject.elements}, and the accuracy, for "
                "each network.",
            )
        ],
    )  # fmt: skip


def normalization(subject: Subject) -> Section:
    """Which axes normalisations average over, and what they do to this network's activations."""
    images: Images = subject.image
    if subject.data is not None:
        images = _some(subject.data.test, subject.passes(256, 16)).inputs
    model = subject.model
    return Section(
        "Normalisation: forcing activations to be nicely scaled",
        [
            "Each kind of normalisation subtracts a mean and divides by a standard deviation; they differ in what they "
            "average over. Batch normalisation takes one channel over all samples and positions, so that it behaves "
            "differently in training and afterwards; the others look at each sample by itself.",
        ],
        [
            subject.draw(
                "normalization-axes", plot_normalization_cubes,
                "Four blocks of values, with those that share a mean in batch, layer, instance and group norm.",
            ),
            *_effect(subject, model, images),
        ],
    )  # fmt: skip


def activation_functions(subject: Subject) -> Section:
    """The functions with their derivatives, and how deep signals survive under each."""
    return Section(
        "Activation functions, and how deep a signal survives",
        [
            "Between the linear layers stands a function that bends; without it, all layers together would be one "
            "matrix. In a deep network with random weights the signal, and the gradient on its way back, must neither "
            "die out nor explode: that depends on the function and on how the weights start.",
        ],
        [
            subject.draw(
                "activation-functions", plot_activation_functions,
                "A grid of activation functions, each with its derivative and formula.",
            ),
            subject.draw(
                "signal-survival", plot_signal_survival,
                "The variance of signal and gradient by depth for several activation functions.",
            ),
        ],
    )  # fmt: skip


def feature_space(subject: Subject) -> Section:
    """The penultimate features of the data in two dimensions."""
    data = subject.needed("the feature space")
    model = subject.model
    samples = min(len(data.test), subject.passes(1_000, 100))
    return Section(
        "Feature space: how the network sorts its inputs",
        [
            f"Before the last layer each {subject.noun} is the list of numbers that {penultimate(model)} gives. Here "
            "they are projected onto the two directions in which they vary most (principal components). Those of one "
            "class lie together where the network tells them from others; where colours mix, it confuses them, or two "
            "dimensions do not suffice.",
        ],
        [
            subject.draw(
                "feature-space", lambda: plot_feature_space(model, data.test, samples=samples),
                f"A point for each {subject.noun}, coloured by class, with some {subject.noun}s at their places.",
                f"{samples:,} {subject.noun}s of the data's test part.",
            )
        ],
    )  # fmt: skip


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

_LONGEST_TABLE = 40

_CHANGES = {
    "signal": (
        "A sound stays the same sound where it comes later or is drawn out.",
        "drawing out",
        "is delayed and stretched",
    ),
    "image": (
        "An object stays the same object where it moves, turns or grows.",
        "turning or growing",
        "moves, turns and grows",
    ),
}
"""What should change nothing, what a convolution does not help with, and what the picture shows."""


def _first_kernels(model: Model) -> str:
    """What those of trained networks often do."""
    channels, *sizes = model.graph.input_shape
    if len(sizes) == 1:
        return "let some frequencies through and stop others"
    return f"look like edges{', spots and colours' if channels == 3 else ' and spots'}"


def _other_axes(count: int) -> str:
    return "" if count == 2 else " The pictures have two axes; along each axis of this network's input it is the same."


def _how_many(shown: int, count: int) -> str:
    return "classes" if shown == count else f"{shown} of the {count:,} classes"


def _stretched(subject: Subject) -> str:
    """A sentence where an image file has not the network's size."""
    if not isinstance(subject.image, str | PathLike):
        return ""
    size = read_size(Path(subject.image))[1:]
    wanted = subject.model.graph.input_shape[1:]
    if size == wanted:
        return ""
    return f" The file is {format_sizes(size)}, and was stretched to the network's {format_sizes(wanted)}."


def _written_out(model: Model, layer: str) -> tuple[ConvolutionMatrix, str]:
    """A convolution's matrix, for a corner of its input where the whole would be too large, and a sentence on that."""
    channels, *sizes = whole = model.graph.node(layer).input_shapes[0]
    while True:
        shape = (channels, *sizes)
        cut = (
            "" if shape == whole else f" All this for a corner of {format_sizes(shape)}: the whole would be too large."
        )
        try:
            return layer_matrix(model, layer, shape), cut
        except DataError:
            if max(sizes) == 1:
                raise
            sizes = [-(-size // 2) for size in sizes]


def _layer_to_excite(model: Model) -> str:
    """The deepest convolution whose receptive field is smaller than the image, so that it looks at parts of it."""
    names = [node.name for node in convolutions(model)]
    fields = [model.graph.receptive_field(name) for name in names]
    parts = [
        name
        for name, field in zip(names, fields, strict=True)
        if not field.whole and all(seen < size for seen, size in zip(field.size, field.input_sizes, strict=True))
    ]
    return (parts or names)[-1]


def _classes(subject: Subject, most: int) -> list[int]:
    """The class that is asked for, and others beside it, `most` at most."""
    count = subject.model.graph.output_shape[0]
    others = [index for index in range(count) if index != subject.target][: most - 1]
    return sorted([subject.target, *others])


def _effect(subject: Subject, model: Model, images: Images) -> Sequence[Picture]:
    """The effect of the network's own normalisations, where it has any."""
    if not any(isinstance(node.layer, Normalization) for node in model.graph.nodes):
        return []
    return [
        subject.draw(
            "normalization-effect", lambda: plot_normalization_effect(model, images),
            "Histograms of activations before and after the normalisations of the network.",
        )
    ]  # fmt: skip


def _some(dataset: Dataset, most: int) -> Dataset:
    """At most `most` samples, evenly over the data set."""
    if len(dataset) <= most:
        return dataset
    return dataset.subset(np.linspace(0, len(dataset) - 1, most).round().astype(np.int64))
