"""Folders of images: how long a first and a second start take, the speed of training from the cache, and memory."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.errors import BenchmarkError

SMALL, LARGE = (64, 64), (3000, 4000)
CLASSES = 10
EPOCHS = 4

SETTLED = 2.5
"""Seconds after which a file is old enough to be remembered."""

START = """
import json, sys, time
from benchmarks.memory import peak
import foveate as fv
since = time.perf_counter()
splits = fv.datasets.image_folder(sys.argv[1], size=int(sys.argv[2]), cache=True)
print(json.dumps({"seconds": time.perf_counter() - since, "bytes": peak(), "found": splits.found}))
"""

TRAIN = """
import json, sys
import numpy as np
import foveate as fv
splits = fv.datasets.image_folder(sys.argv[1], size=int(sys.argv[2]), cache=True)
train = splits.train
if sys.argv[3] == "memory":
    train = fv.Dataset(np.array(train.inputs), train.labels, train.classes)
graph = fv.zoo.vgg6(input_shape=train.shape, classes=len(train.classes))
model = fv.Model(graph, classes=train.classes, preprocessing=splits.preprocessing, seed=0)
history = model.fit(train, epochs=int(sys.argv[4]), batch_size=128, schedule=fv.OneCycle(0.01), progress=False)
rows = history.epochs[1:]
print(json.dumps({
    "images_per_second": float(np.median([row.images_per_second for row in rows])),
    "waiting": float(np.median([row.waiting for row in rows])),
    "bits": hash(model.read("conv1.weight").tobytes()),
}))
"""


@dataclass(frozen=True)
class FolderReport:
    """What was measured; times in seconds, memory in bytes, `ratio` the speed from the cache over that from memory."""

    first_start: float
    second_start: float
    ratio: float
    waiting: float
    photographs_start: float
    photographs_second_start: float
    photographs_memory: float


def write_images(root: Path, count: int, size: tuple[int, int]) -> None:
    """JPEG files of this height and width in ten classes, which differ in colour; all files differ."""
    random = np.random.default_rng(0)
    for number in range(count):
        folder = root / f"class {number % CLASSES}"
        folder.mkdir(parents=True, exist_ok=True)
        coarse = random.normal(60 + 12 * (number % CLASSES), 30, (16, 16, 3)).clip(0, 255).astype(np.uint8)
        Image.fromarray(coarse).resize(size[::-1]).save(folder / f"{number}.jpg")


def folders(
    count: int, photographs: int, rounds: int, tell: Callable[[str], object], folder: Path | None = None
) -> FolderReport:
    """Measure with `count` small images and some photographs, made in `folder` or a temporary one, which is removed.

    Raises:
        BenchmarkError: training from the cache gives other bits than training from memory.
    """
    with TemporaryDirectory(dir=folder) as place:
        root = Path(place)
        os.environ["FOVEATE_CACHE"] = str(root / "cache")
        tell(f"making {count:,} images of {SMALL[1]}x{SMALL[0]}")
        write_images(root / "small", count, SMALL)
        time.sleep(SETTLED)
        first, second = (_run(START, root / "small", SMALL[0]) for _ in range(2))
        tell(f"first start {first['seconds']:.1f} s, second {second['seconds']:.1f} s")
        speeds: dict[str, list[float]] = {"cache": [], "memory": []}
        bits, waiting = set(), []
        for _ in range(rounds):
            for kind, each in speeds.items():
                result = _run(TRAIN, root / "small", SMALL[0], kind, EPOCHS)
                each.append(result["images_per_second"])
                bits.add(result["bits"])
                waiting += [result["waiting"]] if kind == "cache" else []
        if len(bits) > 1:
            raise BenchmarkError("training from the cache and from memory gives different bits")
        ratio = float(np.median(speeds["cache"]) / np.median(speeds["memory"]))
        tell(f"training from the cache at {ratio:.2f} of the speed from memory, waiting for data: {max(waiting):.0%}")
        tell(f"making {photographs:,} photographs of {LARGE[1]}x{LARGE[0]}")
        write_images(root / "large", photographs, LARGE)
        time.sleep(SETTLED)
        large, again = (_run(START, root / "large", 224) for _ in range(2))
        tell(f"first start {large['seconds']:.1f} s, second {again['seconds']:.1f} s, {large['bytes'] / 1e6:,.0f} MB")
    return FolderReport(
        first["seconds"], second["seconds"], ratio, max(waiting), large["seconds"], again["seconds"], large["bytes"]
    )


def _run(program: str, *arguments: object) -> dict[str, Any]:
    """What a program in a process of its own reports."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BenchmarkError((done.stderr.strip().splitlines() or [f"status {done.returncode}"])[-1])
    return dict(json.loads(done.stdout))
