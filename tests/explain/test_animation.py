"""The numbers in the animations are the convolution's: the paper's, PyTorch's and the engine's; and they are drawn."""

from io import BytesIO
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from torch.nn import functional

import foveate as fv
from foveate.engines import get_engine
from foveate.errors import DataError, FileError, LayerError, ShapeError
from foveate.explain.draw.animation import (
    MINUS,
    convolution_animation,
    is_exact,
    save_convolution_animation,
    save_lecture_animations,
    short,
)
from foveate.explain.draw.style import theme
from foveate.explain.measure.animation import EXAMPLE_INPUT, EXAMPLE_KERNEL, make_scene
from tests.support import normal, relative_error

TIMES = "\N{MULTIPLICATION SIGN}"


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text in the order in which it is drawn."""
    drawn: list[str] = []
    text = ImageDraw.ImageDraw.text

    def recorded(self: ImageDraw.ImageDraw, xy: Any, written: str, *rest: Any, **options: Any) -> None:
        drawn.append(written)
        text(self, xy, written, *rest, **options)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", recorded)
    return drawn


@pytest.mark.parametrize(
    ("stride", "padding", "expected"),
    [
        (1, 0, [[12, 12, 17], [10, 17, 19], [9, 6, 14]]),
        (2, 1, [[6, 17, 3], [8, 17, 13], [6, 4, 4]]),
        (2, 0, [[12, 17], [9, 14]]),
    ],
)
def test_example_gives_the_numbers_of_the_paper(stride: int, padding: int, expected: list[list[int]]) -> None:
    """Dumoulin and Visin, figures 1.1 and 1.2."""
    scene = make_scene(EXAMPLE_INPUT, EXAMPLE_KERNEL, stride, padding, 1)
    np.testing.assert_array_equal(scene.outputs, expected)


@pytest.mark.parametrize("axes", [1, 2])
@pytest.mark.parametrize(("stride", "padding", "dilation"), list(product((1, 2, 3), (0, 1, 2), (1, 2))))
def test_outputs_and_products_are_pytorchs(axes: int, stride: int, padding: int, dilation: int) -> None:
    image, kernel = normal((8, 7)[:axes]), normal((2, 3)[:axes], seed=1)
    convolve = (functional.conv1d, functional.conv2d)[axes - 1]
    expected = convolve(
        torch.tensor(image)[None, None],
        torch.tensor(kernel)[None, None],
        stride=stride,
        padding=padding,
        dilation=dilation,
    )
    scene = make_scene(image, kernel, stride, padding, dilation)
    assert relative_error(scene.outputs.ravel(), expected.ravel()) < 1e-13
    assert scene.outputs.shape == (1, *expected.shape[2:])[-2:]
    sums = [sum(value * weight for value, weight in scene.products(n)) for n in range(scene.outputs.size)]
    assert relative_error(sums, expected.ravel()) < 1e-13


def test_outputs_are_the_engines() -> None:
    layer = fv.Conv2d(1, (2, 3), stride=(2, 1), padding=((1, 0), (0, 2)), bias=False)
    graph = fv.Sequential(layer).build((1, 7, 6), quiet=True)
    image, kernel = normal((7, 6)), normal((2, 3), seed=1)
    engine = get_engine("reference")
    state = engine.new_state(graph)
    state.load("conv1.weight", kernel[None, None])
    output = engine.compile(graph, batch_size=1, mode="inference").forward(state, image[None, None])["conv1"]
    scene = make_scene(image, kernel, (2, 1), ((1, 0), (0, 2)), 1)
    assert relative_error(scene.outputs, output[0, 0]) < 1e-6


@pytest.mark.parametrize(
    ("shape", "options"),
    [
        ((7, 6), {"stride": 3}),
        ((7, 6), {"stride": (2, 4), "padding": 1}),
        ((5, 9), {"dilation": 2, "stride": 3, "padding": ((0, 1), (1, 0))}),
    ],
)
def test_hatched_cells_are_those_without_a_gradient(shape: tuple[int, int], options: dict[str, Any]) -> None:
    scene = make_scene(np.ones(shape), np.ones((2, 2)), **{"stride": 1, "padding": 0, "dilation": 1} | options)
    pairs = options.get("padding", 0)
    pairs = ((pairs, pairs),) * 2 if isinstance(pairs, int) else pairs
    x = torch.ones(1, 1, *shape, requires_grad=True)
    padded = functional.pad(x, (*pairs[1], *pairs[0]))
    functional.conv2d(
        padded, torch.ones(1, 1, 2, 2), stride=options["stride"], dilation=options.get("dilation", 1)
    ).sum().backward()  # type: ignore[no-untyped-call]
    assert x.grad is not None
    np.testing.assert_array_equal(scene.unseen[scene.real].reshape(shape), x.grad[0, 0].numpy() == 0)


def test_each_frame_writes_its_dot_product_and_the_outputs_so_far(texts: list[str]) -> None:
    frames = convolution_animation([[1, 2, 3], [4, 5, 7]], [[1, 0], [-2, 1]])
    minus_one, minus_two = f"{MINUS}1", f"{MINUS}2"
    assert len(frames) == 2
    last, first = (frame.split("\n") for frame in "\n".join(texts).split("Conv2d 2x2\n")[1:])
    for frame in (first, last):
        for words in ("input 2x3", "kernel 2x2", "output 1x2", f"{TIMES}1", f"{TIMES}0", TIMES + minus_two):
            assert words in frame
    assert first[0] == "output 1 of 2: row 1, column 1"
    assert "".join(first[first.index("   ") :]).strip() == f"1·1 + 2·0+ 4·({minus_two}) + 5·1= {minus_two}"
    assert "".join(last[last.index("   ") :]).strip() == f"2·1 + 3·0+ 5·({minus_two}) + 7·1= {minus_one}"
    assert first[first.index("output 1x2") + 1 : first.index("   ")] == [minus_two]
    assert last[last.index("output 1x2") + 1 : last.index("   ")] == [minus_two, minus_one]


def test_dropped_rows_padding_and_rounding_are_said(texts: list[str]) -> None:
    convolution_animation(np.ones((6, 7)), np.full((3, 3), 1 / 3), stride=3)
    assert "hatched: 1 column never seen by any window" in texts
    assert "≈ 3" in texts
    convolution_animation(np.ones((7, 8)), np.ones((3, 3)), stride=3)
    assert "hatched: 1 row and 2 columns never seen by any window" in texts
    convolution_animation(np.ones(4), np.ones(2), stride=3, padding=(1,))
    assert (
        "shaded: padding, zeros that are not part of the input;  hatched: 1 position never seen by any window" in texts
    )
    assert "input 4, padded to 6" in texts
    texts.clear()
    convolution_animation(np.ones((4, 4)), np.full((2, 2), 0.5))
    assert not [text for text in texts if "hatched" in text or "shaded" in text or "≈" in text]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (7.0, "7"),
        (-12.0, "-12"),
        (0.25, "0.25"),
        (1 / 3, "0.33"),
        (-45.678, "-45.7"),
        (1234.5, "1234"),
        (99999.0, "99999"),
        (123456.0, "1.2e5"),
        (0.0012, "1.2e-3"),
        (-2.54e-9, "-2.5e-9"),
        (3e20, "3e20"),
        (0.1 + 0.2 - 0.3, "0"),
        (0.1 * 3, "0.30"),
    ],
)
def test_numbers_are_short_and_say_whether_they_are_exact(value: float, text: str) -> None:
    assert short(value) == text.replace("-", MINUS)
    assert is_exact(value) == (abs(float(text) - value) <= max(1e-13, 1e-9 * abs(value)))


@pytest.mark.parametrize("name", ["light", "dark"])
def test_gif_plays_all_frames_and_rests_on_the_last(tmp_path: Path, name: Any) -> None:
    path = tmp_path / "new" / "row.gif"
    with theme(name):
        save_convolution_animation(path, np.arange(6), [1, 0, -1], padding="same", dilation=2)
        frames = convolution_animation(np.arange(6), [1, 0, -1], padding="same", dilation=2)
    paper = (255, 255, 255) if name == "light" else (13, 17, 23)
    with Image.open(path) as gif:
        assert gif.n_frames == len(frames) == 6  # type: ignore[attr-defined]
        assert gif.info["loop"] == 0
        durations = []
        for number, frame in enumerate(frames):
            gif.seek(number)
            durations.append(gif.info["duration"])
            shown, meant = (np.asarray(each.convert("RGB"), int) for each in (gif, frame))
            np.testing.assert_array_equal(shown, meant)
            assert np.abs(shown[0, 0] - paper).max() <= 3
    assert durations[-1] > durations[0] > 0


def test_window_moves_and_output_fills_up() -> None:
    frames = [
        np.asarray(frame.convert("RGB"), int) for frame in convolution_animation(np.ones((4, 4)), np.ones((2, 2)))
    ]
    blue = [(frame[..., 2] - frame[..., 0] > 40).sum() for frame in frames]
    assert (np.diff(blue) > 0).all()
    middles = [np.argwhere(frame[..., 0] - frame[..., 2] > 120).mean(axis=0) for frame in frames]
    assert middles[1][1] > middles[0][1]
    assert middles[3][0] > middles[0][0]


def test_lecture_animations(tmp_path: Path) -> None:
    paths = save_lecture_animations(tmp_path)
    counts = {}
    for path in paths:
        assert path.stat().st_size < 250_000
        with Image.open(BytesIO(path.read_bytes())) as gif:
            counts[path.name] = gif.n_frames  # type: ignore[attr-defined]
    assert counts == {
        "no_padding_no_stride.gif": 9,
        "padding_no_stride.gif": 25,
        "no_padding_stride.gif": 4,
        "padding_stride.gif": 9,
    }


@pytest.mark.parametrize(
    ("image", "kernel", "options", "error", "words"),
    [
        (np.ones((2, 2)), np.ones((3, 3)), {}, ShapeError, r"does not fit its 2x2 input: .* Fits: kernel_size 2"),
        (np.ones(4), np.ones((3, 3)), {}, DataError, "the image has 1 axes, but the kernel has 2"),
        (np.ones((3, 4, 4)), np.ones((3, 3)), {}, DataError, "the image has the shape 3x4x4; give a row"),
        (np.ones((4, 4)), 3.0, {}, DataError, "the kernel has the shape of a number"),
        ([["a"]], [[1]], {}, DataError, "the image is not a table of real numbers"),
        ([[1, 2], [3]], [[1]], {}, DataError, "the image is not a table of real numbers"),
        ([[np.nan]], [[1]], {}, DataError, "the image holds NaN or infinity"),
        (np.ones((16, 4)), [[1]], {"padding": 1}, DataError, "padded image is 18x6.*at most 16 positions"),
        (np.ones((9, 9)), np.ones((8, 8)), {}, DataError, "kernel has 64 weights.*at most 49, such as 7x7"),
        (np.ones((9, 9)), np.ones((3, 3)), {"stride": 0}, LayerError, "stride is 0"),
    ],
)
def test_what_cannot_be_animated_is_a_sentence(
    image: Any, kernel: Any, options: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        convolution_animation(image, kernel, **options)


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FileError, match="cannot be written"):
        save_convolution_animation(tmp_path / "file" / "row.gif", [1, 2], [1])
