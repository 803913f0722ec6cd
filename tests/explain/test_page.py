"""The page of a model: whole for every kind of network, with a sentence where a picture cannot be."""

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
from foveate.explain.chapters import CHAPTERS, Subject
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


def check_page(report: explain.PageReport, allowed: set[str]) -> None:
    """All chapters are there, left out only where allowed; every picture is in the page, and a file for each paper."""
    assert set(report.left_out) <= allowed, report.left_out
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
    ("graph", "impossible"),
    [
        (fv.zoo.lenet5(), set()),
        (fv.zoo.resnet20(), {"convolution and pooling compared"}),
        (branching(), set()),
        (fv.zoo.make("audio4"), set()),
        (fv.zoo.make("volume3d"), set()),
    ],
    ids=["lenet5", "resnet20", "branching", "audio", "volume"],
)
def test_every_kind_of_network_gets_a_whole_page(graph: Graph, impossible: set[str], tmp_path: Path):
    data = splits(graph.input_shape, graph.output_shape[0])
    model = fv.Model(graph, classes=data.classes, preprocessing=data.preprocessing)
    report = explain.explain_model(model, data.test.inputs[0], tmp_path, data=data)
    check_page(report, impossible)


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
    assert set(report.left_out) == NEED_DATA
    assert report.left_out["feature space"] == (
        "the feature space needs images to look at; give --data with a data set's name or a folder"
    )
    assert heard == [(name, number, len(CHAPTERS)) for number, name in enumerate(CHAPTERS)]
    text = report.path.read_text(encoding="utf-8")
    assert "Left out: the feature space needs images to look at" in text
    assert ">Why eel?<" in text
    assert "The pictures below ask about: eel." in text


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
        (np.full((3, 12, 12), np.nan), None, "the array holds NaN or infinity; mend it or leave it out"),
        (np.zeros((3, 12, 12)), "cow", 'there is no class "cow". Nearest: cat, dog'),
        (np.zeros((3, 12, 12)), 7, "there is no class 7: the 3 classes count from 0 to 2"),
    ],
)
def test_what_cannot_be_explained_is_refused_before_anything_is_written(
    image: np.ndarray, target: str | int | None, sentence: str, tmp_path: Path
):
    model = fv.Model(branching(), classes=("cat", "dog", "eel"))
    with pytest.raises(fv.FoveateError, match=f"^{sentence}"):
        explain.explain_model(model, image, tmp_path / "out", target=target)
    assert not (tmp_path / "out").exists()


def test_a_network_that_is_no_classifier_is_refused(tmp_path: Path):
    graph = fv.Sequential(fv.Conv2d(4, 3)).build((1, 8, 8))
    with pytest.raises(fv.ShapeError, match=r"^the network's output is 4x6x6, but a class can be asked for only where"):
        explain.explain_model(fv.Model(graph), np.zeros((1, 8, 8)), tmp_path)


def test_large_networks_get_fewer_passes():
    def subject(name: str) -> Subject:
        return Subject(fv.Model(fv.zoo.make(name)), np.zeros(1), 0, None, Path())

    assert subject("lenet5").passes(1000, 10) == 1000
    assert subject("resnet50").passes(1000, 10) == int(2e12 / subject("resnet50").macs) < 1000
    assert subject("resnet50").passes(1000, 600) == 600


VGG16 = """
import resource, sys
import numpy as np, foveate as fv
from foveate.explain import explain_model
random = np.random.default_rng(0)
images = random.integers(0, 256, (24, 3, 224, 224), dtype=np.uint8)
part = fv.Dataset(images, np.arange(24) % 1000, tuple(f"class {index}" for index in range(1000)))
data = fv.Splits(part, part, part, fv.Preprocessing.measure(part), "noise")
model = fv.Model(fv.zoo.vgg16(), classes=data.classes, preprocessing=data.preprocessing)
explain_model(model, images[0], sys.argv[1], data=data)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.slow
def test_vgg16_stays_under_three_gigabytes(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-c", VGG16, str(tmp_path)], capture_output=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    kilobytes = int(re.findall(r"\d+", done.stdout)[-1])
    assert kilobytes * 1024 < 3e9, f"{kilobytes / 1e6:.2f} GB"
