"""Changes good ONNX files at random, thousands of times, and imports each: a model or a sentence, never a crash."""

import resource
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import numpy as np
import typer
from rich.console import Console

import foveate as fv
from benchmarks.errors import BenchmarkError
from benchmarks.memory import peak, reserved
from foveate.interop.onnx.wire import written

LARGEST_MEMORY = 4 << 30
"""The most bytes of address space beyond what is used at the start."""

_LONG = (b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\x80\x80\x80\x80\x80\x20", b"\xff" * 10 + b"\x01")
"""Numbers near 2^63, 2^40, and one that is too long."""


def good_files() -> list[bytes]:
    """Five files: what the exporter makes of five networks."""
    layers = (
        (fv.Conv2d(4, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2), fv.Flatten(), fv.Linear(3)),
        (fv.Conv2d(4, 3, stride=2), fv.GroupNorm(2), fv.SiLU(), fv.GlobalAvgPool2d(), fv.Linear(2)),
        (fv.ConvTranspose2d(2, 3), fv.LeakyReLU(), fv.Upsample(2), fv.Slice(1, 0, None, 2)),
        (fv.Flatten(), fv.Linear(6), fv.LayerNorm(), fv.GELU(), fv.Linear(2), fv.Softmax()),
        (fv.Pad(((0, 0), (1, 1), (1, 1))), fv.AvgPool2d(3, stride=2), fv.Transpose((1, 2, 0)), fv.Reshape((-1, 2))),
    )
    files = []
    for number, each in enumerate(layers):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            graph = fv.Sequential(*each).build((2, 8, 8))
        files.append(content_of(fv.Model(graph, seed=number, engine="reference")))
    return files


def content_of(model: fv.Model) -> bytes:
    """The bytes of the file that a model is written to."""
    from foveate.interop.onnx.writing import message_of

    return b"".join(bytes(piece) for piece in written(message_of(model)))


def changed(content: bytes, generator: np.random.Generator) -> bytes:
    """A file with one to four changes: bytes replaced, inserted, removed or repeated, or large numbers put in."""
    octets = bytearray(content)
    for _ in range(int(generator.integers(1, 5))):
        place, length = int(generator.integers(len(octets))), int(generator.integers(1, 9))
        kind = int(generator.integers(6))
        if kind == 0:
            octets[place] ^= 1 << int(generator.integers(8))
        elif kind == 1:
            octets[place : place + length] = generator.bytes(length)
        elif kind == 2:
            del octets[place : place + length]
        elif kind == 3:
            octets[place:place] = octets[place : place + length]
        elif kind == 4:
            octets[place:place] = _LONG[int(generator.integers(len(_LONG)))]
        else:
            del octets[place:]
        octets = octets or bytearray(1)
    return bytes(octets)


def outcome(path: Path) -> str:
    """ "model", "sentence", or the error that a file ends in."""
    try:
        fv.from_onnx(path, engine="reference")
    except fv.FoveateError:
        return "sentence"
    except Exception as error:  # which is what this campaign looks for
        return f"{type(error).__name__}: {error}"
    return "model"


def damaged_onnx(
    changes: Annotated[int, typer.Option(min=1, help="Files, each changed in one to four places.")] = 10_000,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")] = 0,
) -> None:
    """Import damaged ONNX files: each must end in a model or a sentence, in little memory.

    Example: python -m benchmarks damaged-onnx --changes 10000
    """
    with Console(stderr=True).status("starting") as status:
        counts = outcomes(changes, seed, status.update)
    for told, count in counts.most_common():
        print(f"{count:6,} {told}")
    print(f"peak memory {peak() / 1e6:.0f} MB")
    strange = changes - counts["model"] - counts["sentence"]
    if strange:
        raise BenchmarkError(f"{strange:,} of {changes:,} files ended in neither a model nor a sentence")


def outcomes(changes: int, seed: int, tell: Callable[[str], object] = lambda _: None) -> Counter[str]:
    """How often files ended in what; this process may use only LARGEST_MEMORY more meanwhile."""
    generator, counts, files = np.random.default_rng(seed), Counter[str](), good_files()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (int(reserved()) + LARGEST_MEMORY, limits[1]))
    try:
        with TemporaryDirectory() as folder:
            path = Path(folder) / "changed.onnx"
            for number in range(changes):
                path.write_bytes(changed(files[number % len(files)], generator))
                counts[outcome(path)] += 1
                if (number + 1) % 100 == 0:
                    tell(f"{number + 1:,} of {changes:,} files")
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)
    return counts
