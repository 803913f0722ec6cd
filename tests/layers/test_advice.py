"""What errors offer is tried here as a person would: the option is put in, or the input made larger, and it builds."""

import random
import re
from typing import Any

import pytest

import foveate as fv

LAYERS = {
    "conv": (fv.Conv1d, fv.Conv2d, fv.Conv3d),
    "max": (fv.MaxPool1d, fv.MaxPool2d, fv.MaxPool3d),
    "average": (fv.AvgPool1d, fv.AvgPool2d, fv.AvgPool3d),
    "norm": (fv.LPPool1d, fv.LPPool2d, fv.LPPool3d),
}


def drawn(random_source: random.Random) -> tuple[Any, tuple[Any, ...], dict[str, Any], tuple[int, ...]]:
    """A layer's type, its arguments, its options, and an input."""
    kind, axes = random_source.choice(list(LAYERS)), random_source.randint(1, 3)
    each = lambda low, high: tuple(random_source.randint(low, high) for _ in range(axes))  # noqa: E731
    options: dict[str, Any] = {"stride": each(1, 3)}
    options["padding"] = tuple((random_source.randint(0, 4), random_source.randint(0, 4)) for _ in range(axes))
    if kind in ("conv", "max"):
        options["dilation"] = each(1, 3)
    if kind == "conv":
        options["padding_mode"] = random_source.choice(["zeros", "reflect", "circular", "replicate"])
    else:
        options["ceil_mode"] = random_source.random() < 0.3
    first = {"conv": (4,), "norm": (2,)}.get(kind, ())
    return LAYERS[kind][axes - 1], (*first, each(1, 9)), options, (3, *each(1, 8))


def offers(sentence: str) -> list[tuple[str, dict[str, Any], int | tuple[int, ...] | None]]:
    """The options, and the sizes of inputs, that a sentence offers."""
    found: list[tuple[str, dict[str, Any], Any]] = []
    for name, value in re.findall(r"(?:Fits: |Use |or |at most )(kernel_size|padding) (\d+)", sentence):
        found.append((f"{name} {value}", {name: int(value)}, None))
    for mode in re.findall(r'padding_mode "(\w+)" or', sentence):
        found += [(mode, {"padding_mode": mode}, None), ("replicate", {"padding_mode": "replicate"}, None)]
    for size in re.findall(r"an input of at least ([\dx]+)", sentence):
        numbers = tuple(map(int, size.split("x")))
        found.append((size, {}, numbers[0] if len(numbers) == 1 else numbers))
    return found


def fails(seed: int) -> tuple[int, list[str]]:
    """How many ways a random refused layer is offered, and those that do not work."""
    kind, arguments, options, shape = drawn(random.Random(seed))
    try:
        layer = kind(*arguments, **options)
        layer.output_shape([shape])
        return 0, []
    except fv.FoveateError as error:
        sentence = str(error)
    ways, wrong = offers(sentence), []
    for words, changed, size in ways:
        larger = shape
        if isinstance(size, int):
            larger = (shape[0], *(max(each, size) for each in shape[1:]))
        elif size is not None:
            larger = (shape[0], *size)
        try:
            made = kind(*arguments[:-1], **({"kernel_size": arguments[-1]} | options | changed))
            if "as long as the window" not in sentence:
                made.output_shape([larger])
        except fv.FoveateError as error:
            wrong.append(f"{kind.__name__}{arguments} {options} on {shape}: {words} of {sentence!r}: {error}")
    return len(ways), wrong


def tried(seeds: range) -> int:
    """Try many; how many ways there were."""
    found = [fails(seed) for seed in seeds]
    assert [way for _, wrong in found for way in wrong] == []
    return sum(count for count, _ in found)


def test_every_way_that_a_sentence_offers_builds():
    assert tried(range(2000)) > 500


@pytest.mark.slow
def test_every_way_that_many_sentences_offer_builds():
    assert tried(range(2000, 40_000)) > 10_000
