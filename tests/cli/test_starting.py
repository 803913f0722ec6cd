"""`foveate train --from`: models, and PyTorch's weights of networks of the zoo."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from safetensors.torch import save_file
from typer.testing import CliRunner

import foveate as fv
from foveate.cli import app

NET = "resnet20"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, grey in (("dark", 40), ("light", 200)):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(8):
            noise = np.random.default_rng(number).integers(-30, 30, (9, 9, 3))
            Image.fromarray((grey + noise).astype(np.uint8)).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """What torch.save makes of a trained network of the zoo, as training programs wrap it."""
    state = fv.Model(fv.zoo.make(NET), seed=7).to_torch().state_dict()
    torch.save({"state_dict": {f"module.{name}": array for name, array in state.items()}}, tmp_path / "weights.pth")
    return tmp_path / "weights.pth"


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train", *map(str, arguments)], catch_exceptions=False)


def words(done: Result) -> str:
    return " ".join(f"{done.output}{done.exception or ''}".replace("│", " ").split())


def test_published_weights_go_into_the_network_that_is_named(folder: Path, published: Path, tmp_path: Path):
    """All but the head is frozen, so that every other array must be the published one to the bit."""
    names = fv.zoo.make(NET).parameters
    head = next(reversed(names)).rpartition(".")[0]
    frozen = [option for name in names if not name.startswith(f"{head}.") for option in ("--freeze", name)]
    options = ("--epochs", 1, "--batch-size", 4, "--out", tmp_path / "new", *frozen)
    done = train(folder, "--from", published, "--net", NET, *options)
    assert done.exit_code == 0, done.output
    model = fv.load(tmp_path / "new/model.safetensors")
    theirs = fv.Model(fv.zoo.make(NET)).load_torch(published)
    assert (model.classes, model.graph.input_shape) == (("dark", "light"), (3, 32, 32))
    for name in model.graph.parameters:
        if not name.startswith(f"{head}."):
            np.testing.assert_array_equal(model.read(name), theirs.read(name), err_msg=name)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_weights_without_a_network_say_how_to_name_it(folder: Path, published: Path, suffix: str):
    path = published.with_suffix(suffix)
    if suffix == ".safetensors":
        save_file(torch.load(published)["state_dict"], path)
    done = train(folder, "--from", path)
    assert done.exit_code == 1
    assert "arrays, but not the network that they belong to; name it with --net, such as --net resnet18" in words(done)


def test_weights_of_another_network_give_the_table(folder: Path, published: Path):
    done = train(folder, "--from", published, "--net", "resnet32")
    assert done.exit_code == 1
    assert "does not fit the network, neither" in words(done)
    assert "missing (" in words(done)


def test_what_is_no_weights_at_all_stays_what_it_is(folder: Path, tmp_path: Path):
    (tmp_path / "photo.pth").write_bytes(b"\xff\xd8\xff\xe0" + bytes(100))
    assert "is not a safetensors file; expected one written by foveate" in words(
        train(folder, "--from", tmp_path / "photo.pth")
    )
    assert "is neither a safetensors file nor one that torch.save wrote" in words(
        train(folder, "--from", tmp_path / "photo.pth", "--net", NET)
    )
    assert "does not exist; expected a safetensors file, or one of torch.save's" in words(
        train(folder, "--from", tmp_path / "none.pth", "--net", NET)
    )
    assert 'there is no network "resnet21". Nearest: resnet' in words(
        train(folder, "--from", tmp_path / "none.pth", "--net", "resnet21")
    )


def test_a_damaged_model_is_not_taken_for_weights(folder: Path, tmp_path: Path):
    path = tmp_path / "model.safetensors"
    fv.Model(fv.zoo.make(NET)).save(path)
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    for options in ((), ("--net", NET)):
        done = train(folder, "--from", path, *options)
        assert done.exit_code in (1, 2)
        assert "damaged" in words(done) or "leave --net out" in words(done)


def test_a_variant_is_of_a_named_network(folder: Path, published: Path):
    done = train(folder, "--from", published, "--variant", "tensorflow")
    assert done.exit_code == 2
    assert "--variant belongs to a network of the zoo; name one with --net" in words(done)
    done = train(folder, "--from", published, "--net", NET, "--variant", "tensorflow")
    assert f"{NET} has no variants; " in words(done)


def test_an_empty_name_is_not_the_default_network(folder: Path):
    assert 'there is no network ""' in words(train(folder, "--net", ""))


@pytest.mark.parametrize(("net", "size"), [("vgg6", "20000x1"), ("vgg6", 1), ("alexnet", 20)])
def test_a_size_that_does_not_fit_the_network_is_told_before_anything_is_decoded(folder, monkeypatch, net, size):
    decoded = []
    monkeypatch.setattr("foveate.data.reading.read_pixels", lambda path, *_: decoded.append(path))
    done = train(folder, "--net", net, "--size", size, "--out", folder.parent / "run")
    assert done.exit_code == 1
    assert "does not fit its" in words(done)
    assert not decoded
