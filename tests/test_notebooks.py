"""What a notebook shows of a cell's last line: pictures and tables; and short words in a console."""

import pickle

import numpy as np
import pytest

import foveate as fv
from foveate import explain


@pytest.fixture(scope="module")
def model():
    graph = fv.Sequential(fv.Conv2d(4, 3), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(2)).build(
        (1, 8, 8), name="<tiny>"
    )
    plain = fv.Preprocessing((1, 8, 8), (0.5,), (0.25,))
    return fv.Model(graph, classes=("a", "b"), preprocessing=plain, engine="reference")


@pytest.fixture(scope="module")
def data():
    images = np.random.default_rng(0).integers(0, 256, (12, 1, 8, 8), dtype=np.uint8)
    return fv.Dataset(images, [0, 1] * 6, ("a", "b"))


def test_a_network_is_short_words_and_a_table(model):
    words = "<tiny>: input 1x8x8, 4 layers, 50 parameters, output 2"
    assert repr(model.graph) == f"Graph({words})"
    assert model.graph._repr_html_() == model.graph.summary().to_html()
    assert repr(model) == f"Model({words}, Classification(classes=('a', 'b')))"
    page = model._repr_html_()
    assert "<table>" in page
    assert "<tiny>" not in page
    assert "&lt;tiny&gt;" in page
    assert repr(fv.Model(model.graph, engine="reference")).endswith(", no task yet)")
    assert len(repr(fv.zoo.densenet121())) < 120


def test_blocks_tell_what_is_in_them():
    net = fv.Sequential(
        fv.Conv2d(8, 3), fv.Residual(fv.Conv2d(8, 1), shortcut=fv.Conv2d(8, 1)), fv.Named("out", fv.ReLU())
    )
    assert repr(net) == "Sequential(Conv2d 3x3, Residual(Conv2d 1x1, shortcut=Conv2d 1x1), Named(out=ReLU))"
    assert repr(fv.Concat(fv.ReLU(), fv.Tanh())) == "Concat(ReLU, Tanh)"
    assert repr(fv.Sequential(*(fv.ReLU() for _ in range(9)))) == "Sequential(ReLU, ReLU, ReLU, ... 9 in all, ReLU)"
    residual = fv.Residual(*(fv.ReLU() for _ in range(9)), shortcut=net, after=fv.Tanh())
    assert repr(residual) == f"Residual(ReLU, ReLU, ReLU, ... 9 in all, ReLU, shortcut={net!r}, after=Tanh)"
    for role in ("shortcut", "after"):
        assert f">{role}</td>" in residual._repr_html_()
    table = net._repr_html_()
    assert table.count("<tr>") == 4
    assert "Conv2d 3x3" in table


def test_a_training_and_a_measurement(model, data):
    fresh = fv.Model(model.graph, classes=("a", "b"), seed=1, engine="reference")
    history = fresh.fit(data, epochs=2, validation=data, progress=False)
    assert repr(history).startswith("History(2 epochs, epoch 2: loss ")
    assert history._repr_html_().count("<tr>") == 3
    assert "validation accuracy" in history._repr_html_()
    assert repr(fv.training.History()) == "History(0 epochs)"
    result = fresh.evaluate(data)
    assert repr(result) == f"Evaluation({result})"
    table = result._repr_html_()
    assert "12 samples" in table
    assert "accuracy, b" in table


def test_a_figure_is_a_picture(model, data):
    figure = explain.plot_filters(model, "conv1")
    assert figure._repr_png_().startswith(b"\x89PNG")
    assert pickle.loads(pickle.dumps(figure))._repr_png_().startswith(b"\x89PNG")
