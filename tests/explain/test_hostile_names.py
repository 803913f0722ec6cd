"""Pictures and pages of a model whose names a stranger chose: names are drawn as they are, and are no formulas."""

from pathlib import Path

import numpy as np
import pytest
from matplotlib.text import Text

import foveate as fv
from foveate import explain
from foveate.explain.draw.style import png
from foveate.explain.page.contents import CHAPTERS
from foveate.explain.page.page import explain_model
from foveate.training import History, draw_curves

NAMES = (r"$\frac{$", "$$", r"\$x$", "<b>&amp;", "[/foo]", "名" * 150)


def model() -> fv.Model:
    """Layers and classes of such names, a layer for most chapters."""
    builder = fv.GraphBuilder(name=r"$\frac{$ <script>")
    value = builder.input((1, 8, 8), name=r"$\in{$")
    layers = (fv.Conv2d(4, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2), fv.Flatten(), fv.Linear(6))
    for number, layer in enumerate(layers):
        value = builder.add(layer, value, name=f"{NAMES[number].replace('/', '.')} {number}")
    graph = builder.build(value)
    preprocessing = fv.Preprocessing((1, 8, 8), (0.5,), (0.25,))
    return fv.Model(graph, classes=NAMES, preprocessing=preprocessing)


def splits() -> fv.Splits:
    images = np.random.default_rng(0).integers(0, 256, (24, 1, 8, 8)).astype(np.uint8)
    part = fv.Dataset(images, np.arange(24) % 6, NAMES)
    return fv.Splits(part, part, part, fv.Preprocessing.measure(part), r"$\data{$")


def test_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for nameless in ("padding and stride", "activation functions"):
        monkeypatch.delitem(CHAPTERS, nameless)
    data = splits()
    report = explain_model(model(), data.test.inputs[0], tmp_path, data=data)
    page = report.path.read_text(encoding="utf-8")
    assert "<script>" not in page
    assert "<b>" not in page
    assert r"$\frac{$ &lt;script&gt;" in page
    assert all(len(path.name) < 130 and path.name.isascii() for path in (tmp_path / "pictures").iterdir())
    assert len(list((tmp_path / "pictures").glob("filters-*-light.png"))) == 1


def test_names_are_drawn_as_they_are():
    inputs = splits().test.inputs
    shown: dict[str, bool] = {}
    for figure in (explain.plot_prediction(model(), inputs[0]), explain.plot_receptive_fields(model(), inputs[0])):
        assert png(figure)
        shown |= {text.get_text(): text.get_parse_math() for text in figure.findobj(Text)}
    assert any(r"$\frac{$" in text for text in shown)
    assert not any(parsed for text, parsed in shown.items() if "$" in text)


def test_formulas_are_drawn_as_formulas():
    for figure, formula in (
        (explain.plot_activation_functions(), "function $f(x)$"),
        (explain.plot_normalization_cubes(), r"$\mu"),
        (explain.plot_signal_survival(depth=3, width=8), r"$\mathdefault{10^{"),
    ):
        assert png(figure)
        texts = [text for text in figure.findobj(Text) if formula in text.get_text()]
        assert texts
        assert all(text.get_parse_math() for text in texts)


@pytest.mark.parametrize("metric", ["validation_$\\frac{$", "validation_$$"])
def test_a_metric_of_ones_own_names_the_axis(metric: str):
    row = {"epoch": 1, "train_loss": 1.0, "validation_loss": 1.0, metric: 0.5, "learning_rate": 0.1, "seconds": 1.0}
    figure = draw_curves(History.from_json([{**row, "images_per_second": 1.0}]))
    assert figure.axes[1].get_ylabel() == metric.removeprefix("validation_")
    assert png(figure)
