"""The page of a model: whole for every kind of network, with a sentence where a figure cannot be."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import foveate as fv
from foveate import explain
from foveate.explain.page.chapters import comparison, excitement
from foveate.explain.page.chapters.matrix import written_out
from foveate.explain.page.contents import CHAPTERS
from foveate.explain.page.subject import Subject
from foveate.graph import Graph

NEVER_IMPOSSIBLE = {
    "the model and the image", "padding and stride", "why this class", "activation functions", "normalisation"
}  # fmt: skip
NEED_DATA = {"convolution and pooling compared", "feature space"}


def branching() -> Graph:
    return fv.Sequential(
        fv.Conv2d(6, 3, padding=1),
        fv.BatchNorm2d(),
        fv.ReLU(),
        fv.Concat(fv.Conv2d(4, 1), fv.Sequential(fv.Conv2d(4, 5, padding=2), fv.ReLU())),
        fv.MaxPool2d(2),
        fv.Residual(fv.Conv2d(8, 3, padding=1), fv.ReLU()),
        fv.GlobalAvgPool2d(),
        fv.Linear(3),
    ).build((3, 12, 12), quiet=True)


def splits(shape: tuple[int, ...], classes: int) -> fv.Splits:
    random = np.random.default_rng(0)
    parts = [
        fv.Dataset(
            random.uniform(size=(count, *shape)).astype(np.float32),
            np.arange(count) % classes,
            tuple(f"kind {index}" for index in range(classes)),
        )
        for count in (60, 20, 40)
    ]
    return fv.Splits(*parts, fv.Preprocessing.measure(parts[0]), "noise")


class Reader(HTMLParser):
    """Collects what a page shows, and whether it reaches out."""

    def __init__(self) -> None:
        super().__init__()
        self.images: list[dict[str, str | None]] = []
        self.links: list[str | None] = []
        self.headings = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "img":
            self.images.append(dict(attributes))
        self.links += [value for name, value in attributes if name in ("href", "src")]
        self.headings += tag == "h2"


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    return reader


def check_page(report: explain.PageReport, left_out: set[str]) -> None:
    """All chapters are there but those left out; every figure is in the page, and a file for each paper."""
    assert set(report.left_out) == left_out, report.left_out
    assert list(report.seconds) == list(CHAPTERS)
    reader = read(report.path)
    assert reader.headings == len(CHAPTERS) + 1  # and the table of contents
    assert all(link.startswith(("#", "data:image/")) for link in reader.links if link)
    assert all(image["alt"] for image in reader.images)
    pictures = sorted((report.path.parent / "pictures").iterdir())
    assert len(pictures) == 2 * len(reader.images) > 0
    for picture in pictures:
        with Image.open(picture) as opened:
            assert min(opened.size) > 100
            assert len(np.unique(np.asarray(opened.convert("L")))) > 5


@pytest.mark.slow
@pytest.mark.parametrize(
    "graph",
    [fv.zoo.lenet5(), fv.zoo.resnet20(), branching(), fv.zoo.make("audio4"), fv.zoo.make("volume3d")],
    ids=["lenet5", "resnet20", "branching", "audio", "volume"],
)
def test_every_kind_of_network_gets_a_whole_page(graph: Graph, tmp_path: Path):
    data = splits(graph.input_shape, graph.output_shape[0])
    model = fv.Model(graph, classes=data.classes, preprocessing=data.preprocessing)
    report = explain.explain_model(model, data.test.inputs[0], tmp_path, data=data)
    check_page(report, set())


def test_without_data_the_page_says_what_is_missing(tmp_path: Path):
    model = fv.Model(branching(), classes=("cat", "dog", "eel"))
    heard: list[tuple[str, int, int]] = []
    report = explain.explain_model(
        model,
        np.random.default_rng(0).standard_normal((3, 12, 12)),
        tmp_path,
        target="eel",
        progress=lambda *told: heard.append(told),
    )
    check_page(report, NEED_DATA)
    assert report.left_out["feature space"] == (
        "the feature space needs more images to look at; give --data with a dataset's name or a folder (in Python "
        "data=Splits(...))"
    )
    assert heard == [(name, number, len(CHAPTERS)) for number, name in enumerate(CHAPTERS)]
    text = report.path.read_text(encoding="utf-8")
    assert "Left out: the feature space needs more images to look at" in text
    assert ">Why eel?<" in text
    assert "The figures below ask about: eel." in text


@pytest.mark.slow
def test_a_network_without_convolutions_keeps_the_chapters_it_can_have(tmp_path: Path):
    graph = fv.Sequential(fv.Flatten(), fv.Linear(16), fv.ReLU(), fv.Linear(3)).build((1, 8, 8))
    report = explain.explain_model(fv.Model(graph), np.random.default_rng(0).standard_normal((1, 8, 8)), tmp_path)
    assert not NEVER_IMPOSSIBLE & set(report.left_out)
    assert report.left_out["filters"].startswith("the network has no convolution, so there are no filters to look at")


@pytest.mark.parametrize(
    ("image", "target", "sentence"),
    [
        (np.zeros((3, 9, 9)), None, r"the network takes 3x12x12 \(a batch N x 3x12x12\), but the array is 3x9x9"),
        (np.full((3, 12, 12), np.nan), None, "the array holds NaN or infinity; fix or remove it"),
        (np.zeros((3, 12, 12)), "cow", 'there is no class "cow". Nearest: cat, dog'),
        (np.zeros((3, 12, 12)), 7, "there is no class 7: the 3 classes are numbered 0 to 2"),
    ],
)
def test_what_cannot_be_explained_is_refused_before_anything_is_written(
    image: np.ndarray, target: str | int | None, sentence: str, tmp_path: Path
):
    model = fv.Model(branching(), classes=("cat", "dog", "eel"))
    with pytest.raises(fv.FoveateError, match=f"^{sentence}"):
        explain.explain_model(model, image, tmp_path / "out", target=target)
    assert not (tmp_path / "out").exists()


def test_several_images_and_data_that_cannot_be_prepared_are_refused_at_once(tmp_path: Path):
    image = np.zeros((3, 12, 12))
    with pytest.raises(fv.DataError, match="there are 2 images, but only one can be examined at a time"):
        explain.explain_model(fv.Model(branching()), np.stack([image, image]), tmp_path / "out")
    with pytest.raises(fv.DataError, match="the model has no preprocessing, so it cannot take a dataset"):
        explain.explain_model(fv.Model(branching()), image, tmp_path / "out", data=splits((3, 12, 12), 3))
    data = splits((3, 10, 10), 3)
    model = fv.Model(branching(), preprocessing=fv.Preprocessing((3, 12, 12), (0.0,) * 3, (1.0,) * 3))
    with pytest.raises(fv.ShapeError, match="the network takes 3x12x12, but a sample of the dataset is 3x10x10"):
        explain.explain_model(model, image, tmp_path / "out", data=data)
    with pytest.raises(fv.DataError, match="the array holds <U3, but the network takes real numbers"):
        explain.explain_model(fv.Model(branching()), np.array(["one"]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_flat_input_has_a_first_chapter(tmp_path: Path):
    graph = fv.Sequential(fv.Linear(4), fv.ReLU(), fv.Linear(3)).build((10,))
    section = CHAPTERS["the model and the image"](Subject(fv.Model(graph), np.linspace(0, 1, 10), 0, None, tmp_path))
    assert len(section.figures) == 1


def test_a_network_whose_only_maps_are_poolings_is_checked_by_its_gradient(tmp_path: Path):
    graph = fv.Sequential(fv.AvgPool2d(2), fv.Flatten(), fv.Linear(4), fv.ReLU(), fv.Linear(3)).build((1, 8, 8))
    image = np.random.default_rng(0).standard_normal((1, 8, 8))
    section = CHAPTERS["why this class"](Subject(fv.Model(graph), image, 0, None, tmp_path))
    assert section.figures[1].alt.startswith("The map by input gradient")


def test_every_normalisation_has_its_effect_drawn(tmp_path: Path):
    for layer, figures in ((fv.BatchNorm2d(), 2), (fv.GroupNorm(2), 2), (fv.LayerNorm(), 2), (fv.ReLU(), 1)):
        graph = fv.Sequential(fv.Conv2d(4, 3), layer, fv.GlobalAvgPool2d(), fv.Linear(3)).build((1, 8, 8), quiet=True)
        image = np.random.default_rng(0).standard_normal((1, 8, 8))
        section = CHAPTERS["normalisation"](Subject(fv.Model(graph), image, 0, None, tmp_path))
        assert len(section.figures) == figures


@pytest.mark.parametrize(
    ("pooling", "said"),
    [
        ((fv.MaxPool2d(2),), ("Three networks", "the same without its pooling (each window")),
        ((), ("Two networks", "and a fully connected network of equal size (it has no pooling")),
    ],
)
def test_the_comparison_says_which_networks_there_are(
    pooling: tuple[fv.Layer, ...], said: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(comparison, "FEWEST_SAMPLES", 1)
    layers = (fv.Conv2d(12, 3, padding=1), fv.ReLU(), *pooling, fv.Conv2d(24, 3), fv.GlobalAvgPool2d(), fv.Linear(3))
    data = splits((1, 8, 8), 3)
    model = fv.Model(fv.Sequential(*layers).build((1, 8, 8), quiet=True), preprocessing=data.preprocessing)
    paragraph = comparison.comparison(Subject(model, data.test.inputs[0], 0, data, tmp_path)).paragraphs[0]
    assert all(words in paragraph for words in said), paragraph


def test_networks_that_learnt_nothing_are_not_compared_but_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(comparison, "FEWEST_SAMPLES", 1)
    graph = fv.Sequential(fv.Conv2d(12, 3), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(3)).build((1, 8, 8), quiet=True)
    data = splits((1, 8, 8), 3)  # noise
    model = fv.Model(graph, preprocessing=data.preprocessing)
    section = comparison.comparison(Subject(model, data.test.inputs[0], 0, data, tmp_path))
    assert not section.figures
    assert len(section.paragraphs) == 3
    for name, sentence in zip(("as it is", "fully connected"), section.paragraphs[1:], strict=True):
        assert re.fullmatch(
            rf"The network {name} is at chance level: \d+ % right, while always answering the commonest class gives "
            r"35 %, so it means nothing whether its answers survive a shift\.",
            sentence,
        )


def test_a_network_that_is_no_classifier_is_refused(tmp_path: Path):
    graph = fv.Sequential(fv.Conv2d(4, 3)).build((1, 8, 8))
    with pytest.raises(fv.ShapeError, match=r"^the network's output is 4x6x6, but a class can be asked about only if"):
        explain.explain_model(fv.Model(graph), np.zeros((1, 8, 8)), tmp_path)


def test_the_classes_to_excite_are_the_likeliest(tmp_path: Path):
    model = fv.Model(fv.Sequential(fv.Conv2d(4, 3), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(30)).build((1, 12, 12)))
    image = np.random.default_rng(0).standard_normal((1, 12, 12))
    order = np.argsort(-model.logits(image[None].astype(np.float32))[0])
    subject = Subject(model, image, int(order[20]), None, tmp_path)
    assert excitement.classes_to_excite(subject, 4) == [order[20], *order[:3]]


@pytest.mark.parametrize(
    ("network", "noun", "elements"),
    [("audio4", "signal", "samples"), ("lenet5", "image", "pixels"), ("volume3d", "volume", "voxels")],
)
def test_the_words_suit_the_input(network: str, noun: str, elements: str, tmp_path: Path):
    model = fv.Model(fv.zoo.make(network))
    subject = Subject(model, np.random.default_rng(0).standard_normal(model.graph.input_shape), 0, None, tmp_path)
    overview, filters = CHAPTERS["the model and the image"](subject), CHAPTERS["filters"](subject)
    assert overview.title == f"The model and the {noun}"
    assert f"{network} computes {model.graph.output_shape[0]} numbers, one for each class" in overview.paragraphs[0]
    assert f"meet the {noun} itself" in filters.paragraphs[0]
    assert ("frequencies" in filters.paragraphs[0]) == (noun == "signal")
    assert subject.elements == elements


def test_large_networks_get_fewer_passes():
    def subject(name: str) -> Subject:
        return Subject(fv.Model(fv.zoo.make(name)), np.zeros(1), 0, None, Path())

    assert subject("lenet5").passes(1000, 10) == 1000
    assert subject("resnet50").passes(1000, 10) == int(2e12 / subject("resnet50").macs) < 1000
    assert subject("resnet50").passes(1000, 600) == 600


def test_a_matrix_too_large_is_shown_for_a_corner_of_the_input():
    model = fv.Model(fv.Sequential(fv.Conv2d(64, 3, padding=1), fv.Flatten(), fv.Linear(2)).build((3, 100, 80)))
    written, cut = written_out(model, "conv1")
    assert written.input_shape == (3, 50, 40)
    assert cut == " This is for a corner of 3x50x40: the whole would be too large."
    dense = fv.Model(fv.Sequential(fv.Conv2d(3000, 1), fv.Flatten(), fv.Linear(2)).build((3000, 2, 2)))
    with pytest.raises(fv.DataError, match="connections"):
        written_out(dense, "conv1")


VGG16 = """
import sys
import numpy as np, foveate as fv
from foveate.explain import explain_model
from foveate.explain.page import subject
subject.MOST_MACS = 2e11  # a tenth of the passes, which come one after the other and need no more memory
random = np.random.default_rng(0)
images = random.integers(0, 256, (24, 3, 224, 224), dtype=np.uint8)
part = fv.Dataset(images, np.arange(24) % 1000, tuple(f"class {index}" for index in range(1000)))
data = fv.Splits(part, part, part, fv.Preprocessing.measure(part), "noise")
model = fv.Model(fv.zoo.vgg16(), classes=data.classes, preprocessing=data.preprocessing)
explain_model(model, images[0], sys.argv[1], data=data)
print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0])  # getrusage would count its parent too
"""


@pytest.mark.slow
def test_vgg16_stays_under_three_gigabytes(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", VGG16, str(tmp_path)], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    kilobytes = int(re.findall(r"\d+", done.stdout)[-1])
    assert kilobytes * 1024 < 3e9, f"{kilobytes / 1e6:.2f} GB"
