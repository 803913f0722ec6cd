"""The chapter on padding and stride: the lecture's four animations."""

from foveate.explain.draw.animation import gif, lecture_animation
from foveate.explain.measure.animation import LECTURE
from foveate.explain.page.drawing import write_picture
from foveate.explain.page.html import Section
from foveate.explain.page.subject import Subject


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
            "The window stops at each position, multiplies each of its weights by the number under it, and writes "
            "the sum into the output. Zeros around the border (padding) let it stop there too, so the output can "
            "be as large as the input; with a stride of 2 it moves two positions at a time, and the output is about "
            f"half as large.{_other_axes(model_axes)}",
        ],
        pictures,
    )


def _other_axes(count: int) -> str:
    return "" if count == 2 else " The figures have two axes; along each axis of this network's input it is the same."
