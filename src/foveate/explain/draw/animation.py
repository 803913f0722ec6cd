"""Padding, stride and dilation as animations: a window slides over real numbers, and the output fills up."""

from dataclasses import dataclass
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from foveate.engines.base import FloatArray
from foveate.explain.draw.style import colour, tint
from foveate.explain.measure.animation import EXAMPLE_INPUT, EXAMPLE_KERNEL, LECTURE, Scene, make_scene
from foveate.files import write_atomically
from foveate.geometry import format_sizes
from foveate.layers.options import Ints, PaddingOption

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Frames: TypeAlias = tuple[Image.Image, ...]
"""One picture for each position of the window, in order."""

MINUS = "\N{MINUS SIGN}"
"""As wide as a plus; a hyphen would be overlooked."""

_TIMES = "\N{MULTIPLICATION SIGN}"


_WINDOW, _OUTPUT = 1, 0
"""Colours by their numbers."""


_MARGIN, _GAP = 24, 56


_STEP_MS, _LAST_MS = 900, 3000


_TERMS_ON_A_LINE = 7


_COLOURS_IN_GIF = 64


def convolution_animation(
    image: ArrayLike, kernel: ArrayLike, *, stride: Ints = 1, padding: PaddingOption = 0, dilation: Ints = 1
) -> Frames:
    """The pictures of a convolution at work, one for each output, drawn in the current theme.

        y[h, w] = sum over i, j of k[i, j] x[h S + i D - P, w S + j D - P]

    Args:
        image: real numbers (H, W), or a row (L,).
        kernel: the weights, with as many axes as the image.
        stride: S, an int or one for each axis.
        padding: P zeros around the image, in any form that Conv2d takes.
        dilation: D, the distance between neighbouring taps.

    Raises:
        DataError: the arrays are not rows or images of finite numbers, or are too large for legible numbers.
        LayerError: an option is out of range.
        ShapeError: the window does not fit the padded image; the message says what would.

    Dumoulin, Visin: A guide to convolution arithmetic for deep learning, 2016.
    """
    scene = make_scene(image, kernel, stride, padding, dilation)
    layout = _layout(scene)
    palette: Image.Image | None = None
    frames = []
    # The last picture first: it has every colour, so all can share its palette.
    for number in reversed(range(len(scene.met))):
        frame = _frame(scene, layout, number)
        palette = palette or frame.quantize(_COLOURS_IN_GIF, method=Image.Quantize.MAXCOVERAGE)
        frames.append(frame.quantize(palette=palette, dither=Image.Dither.NONE))
    return tuple(reversed(frames))


def save_convolution_animation(
    path: str | Path,
    image: ArrayLike,
    kernel: ArrayLike,
    *,
    stride: Ints = 1,
    padding: PaddingOption = 0,
    dilation: Ints = 1,
) -> None:
    """Write `convolution_animation` as an endless animated GIF, atomically.

    Raises:
        DataError: as `convolution_animation`.
        LayerError: as `convolution_animation`.
        ShapeError: as `convolution_animation`.
        FileError: the file cannot be written.
    """
    write_atomically(
        Path(path), gif(convolution_animation(image, kernel, stride=stride, padding=padding, dilation=dilation))
    )


def gif(frames: Frames) -> bytes:
    """The frames as an endless animated GIF that pauses on the last one."""
    first, *others = frames
    durations = [_STEP_MS] * len(others) + [_LAST_MS]
    content = BytesIO()
    first.save(content, "GIF", save_all=True, append_images=others, duration=durations, loop=0)
    return content.getvalue()


def lecture_animation(name: str) -> Frames:
    """One of the lecture's four animations, by its name in `LECTURE`."""
    stride, padding = LECTURE[name]
    return convolution_animation(EXAMPLE_INPUT, EXAMPLE_KERNEL, stride=stride, padding=padding)


def save_lecture_animations(folder: str | Path) -> tuple[Path, ...]:
    """Write the lecture's four animations, with and without padding and stride, into `folder`; returns their paths.

    Raises:
        FileError: a file cannot be written.
    """
    paths = []
    for name in LECTURE:
        paths.append(Path(folder) / f"{name}.gif")
        write_atomically(paths[-1], gif(lecture_animation(name)))
    return tuple(paths)


@dataclass(frozen=True)
class _Layout:
    """Where things are, in pixels: (x, y) of each table's upper left corner."""

    cell: int
    size: tuple[int, int]
    image: tuple[int, int]
    kernel: tuple[int, int]
    output: tuple[int, int]
    sum: tuple[int, int]


def _layout(scene: Scene) -> _Layout:
    cell, top = _cell(scene), 112
    tables = [scene.padded.shape, scene.kernel.shape, scene.outputs.shape]
    corners = []
    x, y = _MARGIN, top
    for rows, columns in tables:
        corners.append((x, y))
        if scene.is_row:
            y += rows * cell + _GAP
        else:
            x += max(columns * cell, 110) + _GAP
    if not scene.is_row:
        y = top + max(rows for rows, _ in tables) * cell + 24
    lines = len(_lines(scene, 0))
    right = _MARGIN + max(columns for _, columns in tables) * cell + _GAP if scene.is_row else x
    width = max(right - _GAP + _MARGIN, 640)
    return _Layout(cell, (width, y + 26 * (lines + 1) + 34), corners[0], corners[1], corners[2], (_MARGIN, y))


def _cell(scene: Scene) -> int:
    """The side of a cell: fewer cells may be larger, and the widest number must fit."""
    longest = max(scene.padded.shape)
    side = 50 if longest <= 8 else 46 if longest <= 11 else 42
    tables = scene.padded, scene.kernel, scene.outputs
    values: list[float] = [value for table in tables for value in table.ravel().tolist()]
    widest = max(_font(14).getlength(short(value)) for value in values)
    weight = max(_font(12).getlength(f"{_TIMES}{short(value)}") for value in scene.kernel.ravel().tolist())
    return max(side, int(widest) + 8, int(weight) + 7)


def _frame(scene: Scene, layout: _Layout, number: int) -> Image.Image:
    """The picture of output `number`, with all outputs before it already filled in."""
    frame = Image.new("RGB", layout.size, colour("paper"))
    draw = ImageDraw.Draw(frame)
    at = np.unravel_index(number, scene.outputs.shape)
    place = f"position {at[1] + 1}" if scene.is_row else f"row {at[0] + 1}, column {at[1] + 1}"
    draw.text((_MARGIN, 14), scene.layer.describe(), colour("ink"), _font(20))
    draw.text((_MARGIN, 44), f"output {number + 1} of {scene.outputs.size}: {place}", colour("soft"), _font(15))
    _draw_image(draw, scene, layout, number)
    _draw_kernel(draw, scene, layout)
    _draw_output(draw, scene, layout, number)
    _draw_sum(draw, scene, layout, number)
    _draw_key(draw, scene, layout)
    return frame


def _draw_image(draw: ImageDraw.ImageDraw, scene: Scene, layout: _Layout, number: int) -> None:
    """The padded input with the window: each cell under a tap also shows its weight."""
    padded = "" if scene.real.all() else f", padded to {format_sizes(scene.padded.shape[scene.is_row :])}"
    _caption(draw, layout.image, f"input {format_sizes(scene.image_shape)}{padded}")
    weights = dict(zip(scene.met[number].tolist(), scene.kernel.ravel().tolist(), strict=True))
    size = _type_size(scene.padded, layout.cell)
    for cell, value in enumerate(scene.padded.ravel().tolist()):
        row, column = divmod(cell, scene.padded.shape[1])
        box = _box(layout.image, layout.cell, row, column)
        real = bool(scene.real[row, column])
        ground = (
            _blend(tint(_WINDOW), 0.25)
            if cell in weights
            else colour("paper")
            if real
            else _blend(colour("faint"), 0.6)
        )
        draw.rectangle(box, ground, colour("soft") if real else colour("faint"))
        if scene.unseen[row, column]:
            _hatch(draw, box)
        _number(draw, box, value, colour("ink") if real else colour("soft"), size)
        if cell in weights:
            draw.text((box[2] - 3, box[3] - 2), f"{_TIMES}{short(weights[cell])}", _strong(), _font(12), anchor="rd")
    seen = scene.met[number]
    first = _box(layout.image, layout.cell, *divmod(int(seen.min()), scene.padded.shape[1]))
    last = _box(layout.image, layout.cell, *divmod(int(seen.max()), scene.padded.shape[1]))
    draw.rectangle((first[0] - 1, first[1] - 1, last[2] + 1, last[3] + 1), None, tint(_WINDOW), 4)


def _draw_kernel(draw: ImageDraw.ImageDraw, scene: Scene, layout: _Layout) -> None:
    _caption(draw, layout.kernel, f"kernel {format_sizes(scene.layer.kernel_size)}")
    size = _type_size(scene.kernel, layout.cell)
    for (row, column), value in np.ndenumerate(scene.kernel):
        box = _box(layout.kernel, layout.cell, row, column)
        draw.rectangle(box, _blend(tint(_WINDOW), 0.25), tint(_WINDOW))
        _number(draw, box, float(value), _strong(), size)


def _draw_output(draw: ImageDraw.ImageDraw, scene: Scene, layout: _Layout, number: int) -> None:
    _caption(draw, layout.output, f"output {format_sizes(scene.outputs.shape[scene.is_row :])}")
    size = _type_size(scene.outputs, layout.cell)
    for done, value in enumerate(scene.outputs.ravel().tolist()):
        box = _box(layout.output, layout.cell, *divmod(done, scene.outputs.shape[1]))
        draw.rectangle(box, _blend(tint(_OUTPUT), 0.25) if done <= number else colour("paper"), colour("soft"))
        if done <= number:
            _number(draw, box, value, colour("ink"), size)
    now = _box(layout.output, layout.cell, *divmod(number, scene.outputs.shape[1]))
    draw.rectangle(now, None, tint(_OUTPUT), 4)


def _draw_sum(draw: ImageDraw.ImageDraw, scene: Scene, layout: _Layout, number: int) -> None:
    """The dot product, one line for each row of the kernel, and its value."""
    x, y = layout.sum
    for line in _lines(scene, number):
        place = float(x)
        for text, shade in line:
            draw.text((place, y), text, shade, _font(17))
            place += draw.textlength(text, _font(17))
        y += 26
    result = float(scene.outputs.ravel()[number])
    exact = all(is_exact(value) for value in (result, *(v for pair in scene.products(number) for v in pair)))
    draw.text((x, y), f"{'=' if exact else '≈'} {short(result)}", _blend(tint(_OUTPUT), 0.6, colour("ink")), _font(19))


def _lines(scene: Scene, number: int) -> list[list[tuple[str, str]]]:
    """The products of output `number` as lines of coloured words."""
    terms = list(scene.products(number))
    columns = scene.kernel.shape[1]
    rows = [terms[start : start + columns] for start in range(0, len(terms), columns)]
    lines = [row[start : start + _TERMS_ON_A_LINE] for row in rows for start in range(0, columns, _TERMS_ON_A_LINE)]
    ink, soft = colour("ink"), colour("soft")
    written = []
    for index, line in enumerate(lines):
        words = [("+ " if index else "   ", soft)]
        for place, (value, weight) in enumerate(line):
            words += [(" + ", soft)] if place else []
            words += [(_bracketed(value), ink), ("·", soft), (_bracketed(weight), _strong())]
        written.append(words)
    return written


def _draw_key(draw: ImageDraw.ImageDraw, scene: Scene, layout: _Layout) -> None:
    """What shading and hatching mean, if there is any."""
    words = [] if scene.real.all() else ["shaded: padding, zeros that are not part of the input"]
    if any(scene.unseen_axes):
        kinds = ("position",) if scene.is_row else ("row", "column")
        lost = " and ".join(
            f"{count} {kind}{'s' * (count > 1)}" for count, kind in zip(scene.unseen_axes, kinds, strict=True) if count
        )
        words.append(f"hatched: {lost} never seen by any window")
    draw.text((_MARGIN, layout.size[1] - 30), ";  ".join(words), colour("soft"), _font(14))


def short(value: float) -> str:
    """A number in at most seven characters, with a true minus sign; a zero with a rounding error is 0.

    >>> short(3.0), short(0.125), short(123456.0), short(-12.34) == MINUS + "12.3"
    ('3', '0.12', '1.2e5', True)
    """
    size = abs(value)
    if size < 1e-12:
        return "0"
    if value == round(value) and size < 100_000:
        text = f"{value:.0f}"
    elif size >= 10_000 or size < 0.005:
        digits, exponent = f"{value:.1e}".split("e")
        text = f"{digits.removesuffix('.0')}e{int(exponent)}"
    else:
        text = f"{value:.{2 if size < 10 else 1 if size < 100 else 0}f}"
    return text.replace("-", MINUS)


def is_exact(value: float) -> bool:
    """Whether `short` writes the number without rounding it."""
    return bool(np.isclose(float(short(value).replace(MINUS, "-")), value, rtol=1e-9, atol=1e-13))


def _bracketed(value: float) -> str:
    return f"({short(value)})" if value < 0 else short(value)


def _caption(draw: ImageDraw.ImageDraw, corner: tuple[int, int], text: str) -> None:
    draw.text((corner[0], corner[1] - 26), text, colour("ink"), _font(15))


def _box(corner: tuple[int, int], cell: int, row: int, column: int) -> tuple[int, int, int, int]:
    x, y = corner[0] + column * cell, corner[1] + row * cell
    return x, y, x + cell, y + cell


def _type_size(table: FloatArray, cell: int) -> int:
    """The largest size of type in which every number of a table fits its cell."""
    widest = max((short(value) for value in table.ravel().tolist()), key=_font(14).getlength)
    return next((size for size in (18, 16, 15) if _font(size).getlength(widest) <= cell - 8), 14)


def _number(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], value: float, shade: str, size: int) -> None:
    """A number in a cell, slightly above its middle, because a weight may stand under it."""
    draw.text(((box[0] + box[2]) / 2, (box[1] + box[3]) / 2 - 4), short(value), shade, _font(size), anchor="mm")


def _hatch(draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int]) -> None:
    x, y, right, bottom = box
    side = right - x
    for offset in range(8, 2 * side, 8):
        start, end = max(0, offset - side), min(side, offset)
        draw.line(
            (x + start, bottom - (offset - start), x + end, bottom - (offset - end)), _blend(colour("soft"), 0.55), 1
        )
    draw.rectangle((x, y, right, bottom), None, colour("soft"))


def _strong() -> str:
    """The window's colour, mixed with ink so that small text is legible on both backgrounds."""
    return _blend(tint(_WINDOW), 0.75, colour("ink"))


def _blend(shade: str, share: float, ground: str | None = None) -> str:
    """`share` of a colour over the paper, or over `ground`."""
    pairs = zip(bytes.fromhex(shade[1:]), bytes.fromhex((ground or colour("paper"))[1:]), strict=True)
    return "#" + bytes(round(share * a + (1 - share) * b) for a, b in pairs).hex()


@cache
def _font(size: int) -> "FreeTypeFont":
    """The typeface of the other figures, which comes with matplotlib."""
    from matplotlib import get_data_path
    from PIL.ImageFont import truetype

    return truetype(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", size)
