"""Pictures can be read: no text is cut at an edge or on another, no map is one dot in the dark."""

from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

import foveate as fv
from foveate.explain.draw import style, tiles
from foveate.explain.draw.inputs import LONG_SIGNAL
from foveate.explain.draw.matrix import plot_convolution_matrix
from foveate.explain.draw.sanity import draw_sanity_check
from foveate.explain.draw.style import drawn, new_figure
from foveate.explain.measure.matrix import convolution_matrix
from foveate.explain.measure.sanity import SIMILAR, SanityCheck
from foveate.explain.measure.transforms import spectrogram
from foveate.explain.page.html import Section, page
from foveate.explain.plots.attribution import plot_attributions
from foveate.explain.plots.filters import plot_filters
from foveate.explain.plots.normalization import plot_normalization_effect
from foveate.explain.plots.prediction import plot_prediction
from foveate.explain.plots.receptive_fields import plot_receptive_fields
from foveate.explain.plots.synthesis import plot_exciting_images
from foveate.explain.probe.receptive_fields import effective_field
from foveate.explain.probe.synthesis import exciting_images


def boxes(figure: Figure, texts: list[Text]) -> list[Any]:
    FigureCanvasAgg(figure).draw()
    return [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]


def model_of(*layers: fv.Layer, size: int = 12) -> fv.Model:
    """A classifier of images that begins with these layers."""
    return fv.Model(fv.Sequential(*layers, fv.GlobalAvgPool2d(), fv.Linear(2)).build((1, size, size), quiet=True))


def inside(figure: Figure) -> bool:
    """Whether every text lies within the figure."""
    return all(
        box.x0 >= 0 and box.y0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        for box in boxes(figure, [text for text in figure.findobj(Text) if text.get_text().strip()])  # type: ignore[misc]
    )


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (fv.Conv2d(32, 3, padding=1), (1, 28, 28)),
        (fv.Conv2d(64, 7, stride=2, padding=3, dilation=2), (3, 40, 40)),
        (fv.Conv1d(8, 9), (2, 300)),
        (fv.Conv3d(2, 3), (1, 5, 5, 5)),
    ],
)
def test_no_title_of_a_matrix_is_cut_at_the_edge(layer: Any, shape: tuple[int, ...]) -> None:
    weights = np.zeros(layer.parameters([shape])["weight"].shape)
    assert inside(plot_convolution_matrix(convolution_matrix(layer, shape, weights)))


def test_a_long_title_is_broken_to_the_figures_width() -> None:
    assert inside(drawn(lambda: new_figure(5, 3, "a title of many words that go on and on " * 6))())


def overlapping(figure: Figure) -> list[str]:
    """The texts of a figure that lie on one another."""
    texts = [text for text in figure.findobj(Text) if text.get_text().strip() and text.get_visible()]  # type: ignore[misc]
    found = list(zip(texts, boxes(figure, texts), strict=True))
    return [
        f"{one.get_text()} / {other.get_text()}"  # type: ignore[attr-defined]
        for place, (one, box) in enumerate(found)
        for other, second in found[:place]
        if box.padded(-1).overlaps(second.padded(-1))
    ]


@pytest.mark.parametrize("name", ["a very long class name that describes a category in great detail number ", "x" * 70])
def test_long_names_of_classes_leave_room_for_the_picture(name: str) -> None:
    classes = tuple(f"{name}{index}" for index in range(12))
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(12)).build((1, 16, 16))
    model = fv.Model(graph, classes=classes)
    image = np.random.default_rng(0).random((1, 16, 16)).astype(np.float32)
    chances = plot_prediction(model, image)
    assert inside(chances)
    assert overlapping(chances) == []
    maps = plot_attributions(model, image)
    assert inside(maps)
    assert overlapping(maps) == []
    assert maps.axes[0].get_window_extent().width > 100
    found = plot_exciting_images(model, exciting_images(model, "linear1", steps=2))
    assert inside(found)
    assert overlapping(found) == []


def check_of(stages: int, similar: int) -> SanityCheck:
    """A check whose map stays alike for the first `similar` stages."""
    left = np.where(np.arange(stages) < similar, 0.9, 0.1)[:, None]
    maps = np.random.default_rng(0).random((stages + 1, 1, 1, 6, 6))
    return SanityCheck("saliency", tuple(f"stage{index}.conv{index}" for index in range(stages)), maps, left, left)


def test_the_names_of_many_stages_do_not_lie_on_each_other() -> None:
    figure = draw_sanity_check(check_of(51, 0), np.zeros((1, 6, 6)), "check")
    axes = figure.axes[-1]
    names = [label for label in axes.get_xticklabels() if label.get_text()]
    assert names[0].get_text() == "none"
    assert names[-1].get_text() == "stage50.conv50"
    FigureCanvasAgg(figure).draw()
    places = [axes.transData.transform((tick, 0))[0] for tick in axes.get_xticks()]
    assert np.diff(places).min() > 1.2 * names[0].get_fontsize() * figure.dpi / 72  # turned names need their height


def test_the_headline_tells_of_points_beyond_its_line() -> None:
    early, late = check_of(6, 0), check_of(6, 3)
    assert early.verdict == (
        "With all parameters random the map is different (rank correlation 0.10), so it depends on what was learnt."
    )
    assert late.verdict.endswith("what was learnt; with random parameters down to stage2.conv2 it was still similar.")
    assert (late.magnitudes[:, 0] >= SIMILAR).sum() == 3


def test_the_filters_of_many_channels_are_few_enough_to_see() -> None:
    model = model_of(fv.Conv2d(40, 3), fv.Conv2d(64, 3))
    figure = plot_filters(model, "conv2")
    axes = figure.axes[0]
    assert len(axes.images) <= 144
    FigureCanvasAgg(figure).draw()
    left, right, *_ = axes.images[0].get_extent()
    width = np.diff(axes.transData.transform([(left, 0), (right, 0)])[:, 0])[0]
    assert width > 0.4 * figure.dpi  # inches


def test_what_a_field_depends_on_is_not_one_dot_in_the_dark() -> None:
    layers = [fv.Conv2d(4, 3, padding=1) for _ in range(5)]
    model = model_of(*layers, size=24)
    image = np.zeros((1, 24, 24), np.float32)
    shown = np.asarray(plot_receptive_fields(model, image, effective="conv5").axes[1].images[0].get_array())
    energy = effective_field(model, image, "conv5").energy
    assert np.allclose(shown, np.sqrt(energy / energy.max()), atol=1e-6)
    assert (shown > 0.2).sum() > 1.5 * (energy > 0.2 * energy.max()).sum()


def test_both_axes_of_the_channels_say_whose_numbers_they_are() -> None:
    model = model_of(fv.Conv2d(4, 3), fv.BatchNorm2d())
    panel = plot_normalization_effect(model, np.random.default_rng(0).random((4, 1, 12, 12)).astype(np.float32)).axes[1]
    assert panel.get_title() == "the 4 channels of bn1"
    assert panel.get_ylabel() == "standard deviation\nof a channel"
    assert panel.get_xlabel() == "mean of a channel"


@pytest.mark.parametrize("period", [4, 16, 64])
def test_a_spectrogram_has_a_tone_at_its_frequency_and_no_constant(period: int) -> None:
    tone = 5 + np.sin(np.arange(4096) * 2 * np.pi / period)
    found = spectrogram(tone)
    assert found.shape == (129, 31)
    assert (found.argmax(axis=0) == 256 // period).all()
    assert found.max() == 0
    assert found[0].max() < -40


def test_a_long_sound_is_a_spectrogram_and_a_short_one_a_curve() -> None:
    for length, long in ((LONG_SIGNAL, True), (LONG_SIGNAL - 1, False)):
        layers = (fv.Conv1d(4, 9, stride=4), fv.ReLU(), fv.GlobalAvgPool1d(), fv.Linear(3))
        model = fv.Model(fv.Sequential(*layers).build((1, length), quiet=True))
        wave = np.sin(np.arange(length) / 3)[None, None].astype(np.float32)
        for figure in (plot_prediction(model, wave), plot_attributions(model, wave)):
            first = figure.axes[0]
            assert (len(first.images), len(first.lines)) == ((1, 0) if long else (0, 1))
        assert plot_prediction(model, wave).axes[0].get_xlabel() == (f"time: {length:,} samples" if long else "")


def test_a_phone_scrolls_pictures_instead_of_shrinking_their_text() -> None:
    style = page("a page", [Section("one")])
    assert "@media (max-width: 62rem) { figure img { max-width: max(100%, 60rem) } }" in style
    assert "figure { margin: 1.5rem 0; overflow-x: auto }" in style
    widest, smallest = 11 * 120, 8 * 120 / 72  # pixels of the widest picture, and of its smallest letters
    assert smallest * 60 * 16 / widest > 9


@pytest.mark.parametrize(("shape", "proportion"), [((2, 300), 1 / 8), ((300, 2), 8), ((30, 20), None)], ids=str)
def test_an_oblong_image_is_drawn_as_wide_as_can_be_seen(shape: tuple[int, int], proportion: float | None):
    axes = style.new_figure(2, 2).subplots()
    for show in (style.show_image, style.show_map):
        show(axes, np.zeros(shape))
        assert axes.get_box_aspect() == proportion
    tile = tiles.place(shape, 0, 0)
    assert tile.height / tile.width == (proportion or 1.5)


def test_a_name_from_right_to_left_begins_inside_its_panel():
    network = model_of(fv.Conv2d(4, 3))
    model = fv.Model(network.graph, classes=("قطة", "كلب"), seed=0)
    figure = plot_attributions(model, np.random.default_rng(0).random((1, 1, 12, 12)))
    FigureCanvasAgg(figure).draw()
    (panel,) = [axes for axes in figure.axes if axes.get_xlabel() == "probability"]
    assert len(panel.texts) == 2
    assert all(text.get_window_extent().x0 > panel.get_window_extent().x0 for text in panel.texts)
