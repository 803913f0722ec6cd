"""Numbers as they are typed: nan, infinity, negative, zero and huge ones end in a sentence or wrong usage."""

import pytest

from foveate import engines
from foveate.engines import set_threads
from foveate.errors import EngineError

ODD = ("nan", "inf", "-inf", "-1", "0", "1e400", "0.5", "99999999999", "100000000000000000000", "", "five", "\u0663")

COMMANDS = {
    "train": (
        "train FOLDER --net vgg6 --epochs 1 --engine reference --out OUT",
        ("--epochs", "--batch-size", "--learning-rate", "--shift"),
    ),
    "evaluate": ("evaluate MODEL FOLDER --engine reference", ("--batch-size",)),
    "predict": ("predict MODEL IMAGE --engine reference", ("--top",)),
    "conv": (
        "conv --input 3x8x8 --filters 4 --kernel 3",
        ("--input", "--filters", "--kernel", "--stride", "--padding", "--dilation", "--groups"),
    ),
    "common": ("conv --common", ("--input", "--filters")),
    "pool": ("pool --input 3x8x8 --kernel 3", ("--input", "--kernel", "--stride", "--padding", "--dilation")),
    "summary": ("summary lenet5", ("--input", "--classes", "--batch-size")),
    "steps": ("steps lenet5 --engine reference", ("--input", "--classes", "--batch-size", "--threads")),
    "field": ("receptive-field lenet5 --node conv2", ("--position", "--input", "--classes")),
    "dense": ("compare-dense", ("--input", "--filters", "--kernel", "--groups")),
    "arithmetic": ("explain-arithmetic lenet5", ("--input", "--classes", "--batch-size")),
}
OPTIONS = [(name, each) for name, (_, options) in COMMANDS.items() for each in options]

GOOD = {
    ("train", "--learning-rate", "0.5"), ("train", "--learning-rate", "99999999999"),
    ("train", "--learning-rate", "100000000000000000000"), ("train", "--shift", "0"),
    ("conv", "--padding", "0"), ("pool", "--padding", "0"),
}  # fmt: skip
"""They can be meant, or lead to a divergence that is told elsewhere."""


@pytest.mark.parametrize(("name", "option"), OPTIONS)
def test_odd_numbers(name, option, foveate, images, trained, tmp_path):
    places = {
        "FOLDER": images, "OUT": tmp_path, "MODEL": trained[0] / "model.safetensors", "IMAGE": images / "dark/0.png",
    }  # fmt: skip
    command = [str(places.get(word, word)) for word in COMMANDS[name][0].split()]
    for value in ODD:
        if (name, option, value) in GOOD:
            continue
        given = [*command]
        if option in given:
            given[given.index(option) + 1] = value
        else:
            given += [option, value]
        result = foveate(*given)
        assert result.exit_code in (1, 2), (given, result.output)
        assert isinstance(result.exception, SystemExit), (given, result.exception)
        assert result.exit_code == 2 or result.stderr.startswith("foveate: ")
        assert "Try a learning rate" not in result.stderr


def test_more_threads_than_a_system_starts():
    with pytest.raises(EngineError, match=r"^the number of threads is 100000; it must be at most \d+, and one for"):
        set_threads(100_000)
    with pytest.raises(EngineError, match=r"^the number of threads is True; it must be an int of at least 1$"):
        set_threads(True)
    assert engines.MOST_THREADS >= 256
