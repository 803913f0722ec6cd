"""The colours of pictures: told apart by every kind of colour vision, and strong enough on their paper."""

from itertools import combinations

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.font_manager import FontEntry, fontManager
from numpy.typing import NDArray

import foveate as fv
from foveate.explain.draw import style
from foveate.explain.draw.features import LARGEST_LEGEND
from foveate.explain.draw.style import COLOURS, Theme, class_tints, colour, diverging, theme, tint
from foveate.explain.plots.invariance import plot_response_curves

VISION = {
    "normal": np.eye(3),
    "without long cones": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "without middle cones": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "without short cones": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
"""What linear red, green and blue become (Machado, Oliveira, Fernandes: A physiologically-based model for simulation
of colour vision deficiency, 2009)."""


def linear(tone: str) -> NDArray[np.float64]:
    values = np.array([int(tone[place : place + 2], 16) / 255 for place in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def perceived(tone: str, vision: str) -> NDArray[np.float64]:
    """Ottosson's Oklab, from 0 to 100: distances are about how different colours look."""
    cones = np.array(
        [
            [0.41222147, 0.53633254, 0.05144599],
            [0.21190350, 0.68069955, 0.10739696],
            [0.08830246, 0.28171884, 0.62997870],
        ]
    )
    lab = np.array(
        [
            [0.21045426, 0.79361779, -0.00407205],
            [1.97799850, -2.42859221, 0.45059371],
            [0.02590404, 0.78277177, -0.80867577],
        ]
    )
    return np.asarray(100 * lab @ np.cbrt(cones @ np.clip(np.asarray(VISION[vision]) @ linear(tone), 0, 1)))


def contrast(one: str, other: str) -> float:
    """As the Web Content Accessibility Guidelines define it."""
    dim, bright = sorted(0.05 + float(linear(tone) @ [0.2126, 0.7152, 0.0722]) for tone in (one, other))
    return bright / dim


@pytest.mark.parametrize("paper", ["light", "dark"])
@pytest.mark.parametrize(("vision", "least"), [(name, 14.0 if name == "normal" else 7.0) for name in VISION])
def test_ten_classes_have_ten_colours_that_everybody_tells_apart(paper: Theme, vision: str, least: float) -> None:
    with theme(paper):
        seen = [perceived(tint(number), vision) for number in range(COLOURS)]
    assert COLOURS == 10
    assert min(np.linalg.norm(one - other) for one, other in combinations(seen, 2)) > least


@pytest.mark.parametrize("paper", ["light", "dark"])
def test_marks_and_text_stand_out_from_their_paper(paper: Theme) -> None:
    with theme(paper):
        for number in range(COLOURS):
            assert contrast(tint(number), colour("paper")) >= 3
        for role in ("ink", "soft"):
            assert contrast(colour(role), colour("paper")) >= 4.5  # type: ignore[arg-type]


@pytest.mark.parametrize("paper", ["light", "dark"])
def test_signed_maps_look_like_the_paper_at_zero_and_unlike_it_at_both_ends(paper: Theme) -> None:
    with theme(paper):
        against, nothing, support = (to_hex(diverging()(share)) for share in (0.0, 0.5, 1.0))
        assert contrast(nothing, colour("paper")) < 1.3
        assert min(contrast(against, colour("paper")), contrast(support, colour("paper"))) > 4.5
        assert (
            np.linalg.norm(perceived(against, "without middle cones") - perceived(support, "without middle cones")) > 7
        )


def test_a_class_keeps_its_colour_whatever_else_is_in_the_picture() -> None:
    for some in ([3], [9, 3], [1, 2, 3, 4], list(range(10))):
        assert class_tints(some)[3] == 3
    assert sorted(class_tints([2, 12, 22, 32]).values()) == [2, 3, 4, 5]
    many = list(class_tints(list(range(LARGEST_LEGEND))).values())
    assert {many.count(number) for number in range(COLOURS)} == {2}


def test_response_curves_have_the_colours_of_the_feature_space() -> None:
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(10)).build((1, 12, 12))
    model = fv.Model(graph, classes=tuple(f"kind {index}" for index in range(10)))
    panel = plot_response_curves(model, np.random.default_rng(0).standard_normal((1, 12, 12)), target=7).axes[0]
    lines = {line.get_label(): line.get_color() for line in panel.lines if line.get_label().startswith("kind")}
    assert len(lines) == 4
    assert lines == {name: tint(int(name.removeprefix("kind "))) for name in lines}


def test_letters_that_the_own_font_lacks_come_from_a_font_of_the_system(monkeypatch: pytest.MonkeyPatch):
    fonts = [FontEntry(name=name) for name in ("Noto Sans Arabic", "Comic Sans MS", "Noto Sans CJK JP", "DejaVu Sans")]
    monkeypatch.setattr(fontManager, "ttflist", fonts)
    style.font_families.cache_clear()
    try:
        assert style.font_families() == ["DejaVu Sans", "Noto Sans CJK JP", "Noto Sans Arabic"]
        figure = style.drawn(lambda: style.new_figure(3, 2, "cat"))()
        assert figure.get_suptitle() == "cat"
        assert figure.texts[0].get_fontfamily() == style.font_families()
    finally:
        style.font_families.cache_clear()
