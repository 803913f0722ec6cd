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
from foveate.explain.activation_functions import plot_activation_functions, plot_signal_survival
from foveate.explain.activation_maps import activation_maps, plot_activation_maps, plot_layers, strongest_channels
from foveate.explain.attribution import asked
from foveate.explain.attribution_plots import explain_class, plot_attributions
from foveate.explain.baselines import WITHOUT_POOLING, compare_invariance, plot_comparison
from foveate.explain.drawing import Drawing, write_drawing, write_picture
from foveate.explain.features import penultimate, plot_feature_space
from foveate.explain.filters import plot_filters
from foveate.explain.html import Picture, Section, Table
from foveate.explain.invariance import plot_equivariance_error, plot_response_curves
from foveate.explain.matrix import layer_matrix, plot_convolution_matrix
from foveate.explain.normalization import plot_normalization_cubes, plot_normalization_effect
from foveate.explain.overview import plot_prediction
from foveate.explain.patches import exciting_patches, plot_exciting_patches
from foveate.explain.probe import Images, class_name, convolutions
from foveate.explain.receptive_fields import plot_receptive_fields
from foveate.explain.sanity import plot_sanity_check, sanity_check
from foveate.explain.synthesis import exciting_images, plot_exciting_images
from foveate.explain.windows import LECTURE, gif, lecture_animation
from foveate.geometry import format_sizes
from foveate.layers.normalization import Normalization
from foveate.model import Model

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CHANNELS = 8
"""Channels of which a chapter shows what excites them."""

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
    def macs(self) -> int:
        """Multiply-accumulates of one forward pass."""
        return sum(node.cost.macs for node in self.model.graph.nodes)

    def draw(self, name: str, plot: "Callable[[], Figure]", alt: str, caption: str = "") -> Picture:
        """A figure in both themes."""
        return write_drawing(Drawing(name, plot, alt, caption), self.folder)

    def needed(self, what: str) -> Splits:
        """The data, or a DataError that says how to give some."""
        if self.data is None:
            raise DataError(f"{what} needs images to look at; give --data with a data set's name or a folder")
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
        "The model and the image",
        [
            f"{graph.name} takes {format_sizes(graph.input_shape)} and gives {format_sizes(graph.output_shape)}. It "
            f"has {len(graph.nodes)} layers with {summary.total_parameters:,} parameters, and computes "
            f"{subject.macs:,} multiply-accumulates for one input.",
            f"It takes this image for: {found}. The pictures below ask about: {question}.{_stretched(subject)}",
        ],
        [
            subject.draw(
                "prediction", lambda: plot_prediction(model, subject.image),
                "The image beside a bar chart of the likeliest classes.",
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
            "kernel with what lies under it. The kernels of the first layer meet the image itself and often look like "
            "edges, spots and colours. Those of later layers meet activation maps, so that they mean little by "
            "themselves: the chapters on patches and on found images show what they react to.",
        ],
        [
            subject.draw(
                f"filters-{name}", lambda name=name: plot_filters(model, name),  # type: ignore[misc]
                f"The kernels of {name} as a grid of small pictures, sorted by norm.",
            )
            for name in names
        ],
    )  # fmt: skip


def maps(subject: Subject) -> Section:
    """Activation maps of the first convolution, and a walk through all layers."""
    model = subject.model
    first = convolutions(model)[0].name
    return Section(
        "Activation maps: what each layer makes of the image",
        [
            "Every channel of a layer answers at every position: its activation map. The frame on the image is the "
            "receptive field of the marked element, which is all that this element can see.",
            "Further on, maps often become smaller, and what they react to becomes larger and more abstract.",
        ],
        [
            subject.draw(
                f"maps-{first}", lambda: plot_activation_maps(model, subject.image, first),
                f"The activation maps of {first}, and the receptive field of the strongest element on the image.",
            ),
            subject.draw(
                "layers", lambda: plot_layers(model, subject.image),
                "The strongest activation maps of every layer, from the input to the output.",
            ),
        ],
    )  # fmt: skip


def receptive_fields(subject: Subject) -> Section:
    """Theoretical boxes on the image, and the effective field."""
    return Section(
        "Receptive fields: how far a value sees",
        [
            "Each convolution of size K adds K - 1, times its dilation, to the receptive field, and each stride "
            "multiplies what later layers add. The boxes are what one value in the middle of each layer can depend on. "
            "What it does depend on is usually less: the effective field, here the mean squared gradient, fades "
            "towards the box's border.",
        ],
        [
            subject.draw(
                "receptive-fields", lambda: plot_receptive_fields(subject.model, subject.image),
                "Boxes on the image, one for each layer, and a heat map of the effective field beside them.",
            )
        ],
    )  # fmt: skip


def windows(subject: Subject) -> Section:
    """The lecture's four animations."""
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
            "be as large as the input; with a stride of 2 it moves two positions at a time, and the output is half as "
            "large.",
        ],
        pictures,
    )


def matrix(subject: Subject) -> Section:
    """A convolution written out as a matrix, beside a dense layer's."""
    first = convolutions(subject.model)[0].name
    written = layer_matrix(subject.model, first)
    return Section(
        "Convolution is a matrix, sparse and repeating",
        [
            f"Written out as a matrix, {first} connects every output with a few inputs "
            f"({100 * written.zeros:.1f} % of the entries are zero) and repeats the same weights in every row: "
            f"{written.parameters:,} parameters, where a dense layer between the same input and output would have "
            f"{written.dense_parameters:,}.",
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
                f"From {len(data):,} images of the data's test part.",
            )
        )  # fmt: skip
    found = exciting_images(model, layer, channels, steps=steps)
    ideal = exciting_images(model, channels=_classes(subject, count), steps=steps)
    pictures += [
        subject.draw(
            "found-images", lambda: plot_exciting_images(model, found, patches=patches),
            f"For each of {len(channels)} channels of {layer} an image found by gradient ascent.",
            f"Found in {steps} steps from noise, with {'jitter, ' if found.jitter else ''}blur and fewer high "
            "frequencies.",
        ),
        subject.draw(
            "found-classes", lambda: plot_exciting_images(model, ideal),
            "For each class an image found by gradient ascent.",
            "The same for classes: what the network would most like to see. It is rarely what a person would draw.",
        ),
    ]  # fmt: skip
    return Section(
        "What excites a channel",
        [
            f"These are the channels of {layer} that this image excites most. To learn what a channel looks for, one "
            "can search real images for the patches that excite it most, cut out at exactly its receptive field, or "
            "start from noise and change the pixels along the gradient until the channel is as active as it can be.",
            *([] if patches else ["Patches of real images need data: give --data."]),
        ],
        pictures,
    )


def decision(subject: Subject) -> Section:
    """Why this class: five methods, and a check of one of them."""
    model, target = subject.model, subject.target
    has_maps = any(max(node.output_shape[1:], default=1) > 1 for node in model.graph.nodes)
    method = "grad_cam" if has_maps else "saliency"
    check = sanity_check(model, subject.image, method, target)
    explained = explain_class(model, subject.image, target)
    return Section(
        f"Why {class_name(model, target)}?",
        [
            "Five methods say which pixels the decision rests on, each in its own way: the gradient of the class with "
            "respect to the input; guided backpropagation, which lets only positive influences through; integrated "
            "gradients, whose values add up to what the image changes (the completeness error says how nearly); "
            "Grad-CAM, which weighs the last maps by their gradients; occlusion, which covers a part and measures "
            "what is lost.",
            "A map can look convincing and yet show nothing but the image. The check makes the parameters random, from "
            f"the last layer down, and draws the map again. {check.verdict}",
        ],
        [
            subject.draw(
                "attributions", lambda: plot_attributions(model, subject.image, target, explained=explained),
                "Five maps of the image that show which pixels speak for the class, and overlays.",
            ),
            subject.draw(
                "sanity-check", lambda: plot_sanity_check(model, subject.image, method, target, check=check),
                f"The map by {method} while more and more layers are made random.",
            ),
        ],
    )  # fmt: skip


def invariance(subject: Subject) -> Section:
    """The output while the image changes, and how far layers move with it."""
    model = subject.model
    return Section(
        "Invariance, measured",
        [
            "An object stays the same object where it moves, turns or grows. A convolution moves its maps along with "
            "the image (equivariance), and pooling forgets small movements (invariance); neither says anything about "
            "turning or growing, which a network must learn from its data.",
        ],
        [
            subject.draw(
                "response-curves", lambda: plot_response_curves(model, subject.image, target=subject.target),
                "The probability of the class while the image moves, turns and grows.",
            ),
            subject.draw(
                "equivariance", lambda: plot_equivariance_error(model, subject.image),
                "For each layer how far its maps are from moving along with the image.",
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
            f"{compared.baselines.samples:,} images for {compared.baselines.epochs} epochs: this architecture, "
            f"{others}. So short a training makes none of them good; it is the comparison that counts. "
            f"Parameters: {counts}.",
        ],
        [
            subject.draw(
                "comparison", lambda: plot_comparison(compared),
                "The share of predictions that survive a shift of 0 to 8 pixels, and the accuracy, for each network.",
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
            f"Before the last layer each image is the list of numbers that {penultimate(model)} gives. Here they are "
            "projected onto the two directions in which they vary most (principal components). Images of one class lie "
            "together where the network tells them from others; where colours mix, it confuses them, or two dimensions "
            "do not suffice.",
        ],
        [
            subject.draw(
                "feature-space", lambda: plot_feature_space(model, data.test, samples=samples),
                "A point for each image, coloured by class, with some images at their places.",
                f"{samples:,} images of the data's test part.",
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


def _stretched(subject: Subject) -> str:
    """A sentence where an image file has not the network's size."""
    if not isinstance(subject.image, str | PathLike):
        return ""
    size = read_size(Path(subject.image))[1:]
    wanted = subject.model.graph.input_shape[1:]
    if size == wanted:
        return ""
    return f" The file is {format_sizes(size)}, and was stretched to the network's {format_sizes(wanted)}."


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
