"""The preprocessing that other libraries write down: the numbers that the network gets are theirs."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image

import foveate as fv

TIMM = {
    "url": "https://somewhere/else.pth",
    "num_classes": 1000,
    "input_size": [3, 24, 24],
    "crop_pct": 0.75,
    "interpolation": "bicubic",
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
}
TORCHVISION = SimpleNamespace(
    crop_size=[24],
    resize_size=[32],
    mean=[0.485, 0.456, 0.406],
    std=[0.229, 0.224, 0.225],
    interpolation=SimpleNamespace(value="bicubic"),
)
TRANSFORMERS = {
    "do_resize": True,
    "size": {"shortest_edge": 32},
    "do_center_crop": True,
    "crop_size": {"height": 24, "width": 24},
    "image_mean": [0.485, 0.456, 0.406],
    "image_std": [0.229, 0.224, 0.225],
    "resample": 3,
    "rescale_factor": 0.00392156862745098,
}


@pytest.fixture
def photo() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize((90, 60), Image.Resampling.BICUBIC)


def by_hand(photo: Image.Image) -> np.ndarray:
    """The shorter side to 32, the middle 24x24, to 0 to 1, minus the mean, by the deviation."""
    small = photo.resize((48, 32), Image.Resampling.BICUBIC).crop((12, 4, 36, 28))
    values = (np.asarray(small) / 255 - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    return values.transpose(2, 0, 1)


@pytest.mark.parametrize(
    "told", [TIMM, {"architecture": "x", "pretrained_cfg": TIMM}, TORCHVISION, TRANSFORMERS],
    ids=["timm", "config.json", "torchvision", "Transformers"],
)  # fmt: skip
def test_the_network_gets_what_the_configuration_says(told: Any, photo: Image.Image):
    prepared = fv.Preprocessing.from_configuration(told).from_images(photo)
    np.testing.assert_allclose(prepared[0], by_hand(photo), atol=1e-5)


def test_a_file_is_read(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"pretrained_cfg": TIMM}))
    assert fv.Preprocessing.from_configuration(path) == fv.Preprocessing.from_configuration(TIMM)
    path.write_text("{")
    with pytest.raises(fv.FileError, match=r"config.json\" is not JSON"):
        fv.Preprocessing.from_configuration(path)
    with pytest.raises(fv.FileError, match=r"cannot be read: No such file"):
        fv.Preprocessing.from_configuration(tmp_path / "none.json")


def test_switches_are_followed():
    plain = {"size": 16, "image_mean": [0.5], "image_std": [0.5], "do_normalize": False, "do_rescale": False}
    found = fv.Preprocessing.from_configuration(plain)
    assert found == fv.Preprocessing((1, 16, 16), (0.0,), (1.0,), resize=(16, 16), scale=1)
    squashed = fv.Preprocessing.from_configuration({**TIMM, "crop_mode": "squash", "crop_pct": 1.0})
    assert squashed.resize == (24, 24)


@pytest.mark.parametrize(
    ("told", "sentence"),
    [
        ({}, "the configuration has no known entry"),
        (3, "the configuration is an int; give a mapping or a JSON file"),
        ({**TIMM, "crop_pct": 0}, None),
        ({**TIMM, "crop_pct": 7}, "crop_pct is 7; it must be above 0 and at most 1: the fraction of the image"),
        ({**TIMM, "crop_pct": "most"}, "crop_pct is 'most'"),
        ({**TIMM, "crop_mode": "border"}, "crop_mode is 'border'; only"),
        ({**TIMM, "input_size": [3, 24]}, r"input_size is \[3, 24\]; give 3 positive ints"),
        ({**TIMM, "interpolation": "random"}, "interpolation is 'random'; give one of"),
        ({**TRANSFORMERS, "resample": 9}, "resample is 9; the numbers 0 to 3 are known"),
        ({**TRANSFORMERS, "do_center_crop": False}, "without a crop_size"),
        ({name: each for name, each in TIMM.items() if name != "mean"}, 'the configuration has no "mean"'),
        ({**TIMM, "mean": "grey"}, "mean"),
        ({**TIMM, "std": [0.5]}, "there are 3 channels, but 1 values of std"),
    ],
)
def test_what_cannot_be_followed_is_told(told: Any, sentence: str | None):
    if sentence is None:  # timm's 0 is its word for no crop
        assert fv.Preprocessing.from_configuration(told).resize == 24
        return
    with pytest.raises(fv.DataError, match=sentence):
        fv.Preprocessing.from_configuration(told)
