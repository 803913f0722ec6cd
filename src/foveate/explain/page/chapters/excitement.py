"""The chapter on what excites a channel, in the data and in general."""

import numpy as np

from foveate.explain.measure.activation_maps import strongest_channels
from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject, evenly_chosen
from foveate.explain.plots.patches import plot_exciting_patches
from foveate.explain.plots.synthesis import plot_exciting_images
from foveate.explain.probe.activation_maps import activation_maps
from foveate.explain.probe.classes import class_name, classes_to_ask_for, tells_two_apart
from foveate.explain.probe.patches import exciting_patches
from foveate.explain.probe.probe import convolutions, prepare_one
from foveate.explain.probe.synthesis import exciting_images
from foveate.model import Model

CHANNELS = 8
"""How many channels a chapter shows."""

CLASSES = 10
"""How many classes, unless a pass through the network costs so much that there are fewer channels too."""

MOST_STEPS, FEWEST_STEPS = 96, 24
"""Steps of gradient ascent; more take longer, and the shapes in the images stay the same."""


def excitement(subject: Subject) -> Section:
    """What excites channels: patches of the data, and images found by gradient ascent."""
    model, layer = subject.model, _layer_to_excite(subject.model)
    passes = subject.passes(MOST_STEPS * CHANNELS, FEWEST_STEPS)
    count = max(1, min(CHANNELS, passes // FEWEST_STEPS))
    strongest = strongest_channels(activation_maps(model, subject.image, layer), count)
    channels, steps = sorted(map(int, strongest)), passes // count
    pictures, patches = [], None
    if subject.data is not None:
        data = evenly_chosen(subject.data.test, subject.passes(5_000, 100))
        patches = exciting_patches(model, data, layer)
        pictures.append(
            subject.draw(
                "patches", lambda: plot_exciting_patches(model, patches, data, channels),
                f"For each of {len(channels)} channels of {layer}, the {patches.values.shape[1]} patches with the "
                "largest activation.",
                f"From {len(data):,} {subject.noun}s of the data's test part.",
            )
        )  # fmt: skip
    found = exciting_images(model, layer, channels, steps=steps)
    classes = classes_to_excite(subject, CLASSES if count == CHANNELS else count)
    ideal = exciting_images(model, channels=classes, steps=steps)
    pictures += [
        subject.draw(
            "found-images", lambda: plot_exciting_images(model, found, patches=patches),
            f"For each of {len(channels)} channels of {layer}, an input found by gradient ascent.",
            f"Found in {steps} steps from noise, with {'jitter, ' if found.jitter else ''}blur and fewer high "
            "frequencies.",
        ),
        subject.draw(
            "found-classes", lambda: plot_exciting_images(model, ideal),
            f"For {_how_many(model, len(ideal.channels))}, an input found by gradient ascent.",
            f"The same for {_how_many(model, len(ideal.channels))}: what the network would most "
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


def _how_many(model: Model, shown: int) -> str:
    if tells_two_apart(model):
        return f"{class_name(model, 1)}, whose logit is the only output"
    count = classes_to_ask_for(model)
    return "all classes" if shown == count else f"the {shown} likeliest of the {count:,} classes"


def _layer_to_excite(model: Model) -> str:
    """The deepest convolution whose receptive field is smaller than the image, so it looks at parts of it."""
    names = [node.name for node in convolutions(model)]
    fields = [model.graph.receptive_field(name) for name in names]
    parts = [
        name
        for name, field in zip(names, fields, strict=True)
        if not field.whole and all(seen < size for seen, size in zip(field.size, field.input_sizes, strict=True))
    ]
    return (parts or names)[-1]


def classes_to_excite(subject: Subject, most: int) -> list[int]:
    """The class asked about, then the likeliest others, at most `most` in all; the unit if there is only one."""
    model = subject.model
    if tells_two_apart(model):
        return [0]
    chances = model.logits(prepare_one(model, subject.image))[0]
    others = [int(index) for index in np.argsort(-chances, kind="stable") if index != subject.target]
    return [subject.target, *others[: most - 1]]
