"""What wrote the files beside it. It runs with foveate 0.1 alone, whose files every later version must read."""

import json
import sys
from pathlib import Path

import numpy as np

import foveate as fv


def waves(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Bytes that look like something and need no generator of random numbers."""
    size = int(np.prod(shape))
    values = np.sin(np.arange(count * size) * 0.37) * (1 + np.arange(count).repeat(size) % 3)
    return np.uint8(127 + 40 * values).reshape(count, *shape)


def networks() -> dict[str, tuple[fv.Graph, tuple[str, ...] | None]]:
    image = fv.Sequential(
        fv.Conv2d(4, 3, padding=1, bias=False), fv.BatchNorm2d(), fv.ReLU(), fv.MaxPool2d(2),
        fv.Conv2d(6, 3, groups=2), fv.LeakyReLU(), fv.Flatten(), fv.Dropout(0.2), fv.Linear(3),
    )  # fmt: skip
    sound = fv.Sequential(fv.Conv1d(4, 5, stride=2), fv.ELU(), fv.AvgPool1d(2), fv.Flatten(), fv.Linear(3))
    volume = fv.Sequential(fv.Conv3d(2, 3, dilation=2), fv.Tanh(), fv.GlobalAvgPool3d(), fv.Flatten(), fv.Linear(3))
    return {
        "image": (image.build((1, 8, 8)), ("round", "square", "ç")),
        "sound": (sound.build((1, 43)), ("low", "middle", "high")),
        "volume": (volume.build((2, 7, 7, 7)), ("a", "b", "c")),
    }


def main(folder: Path) -> None:
    expected = {}
    for name, (graph, classes) in networks().items():
        data = fv.Dataset(waves(24, graph.input_shape), np.arange(24) % 3, classes)
        model = fv.Model(graph, seed=3, engine="reference")
        out = folder / name
        model.fit(data, epochs=2, batch_size=8, out=out, progress=False)
        expected[name] = model.predict(waves(4, graph.input_shape)).tolist()
        (out / "model.safetensors").replace(folder / f"{name}.safetensors")
        if name == "image":
            (out / "checkpoint.safetensors").replace(folder / "checkpoint.safetensors")
        for path in out.iterdir():
            path.unlink()
        out.rmdir()
    bare = fv.Model(networks()["image"][0], seed=5, engine="reference")
    bare.save(folder / "bare.safetensors")
    prepared = waves(4, (1, 8, 8)).astype(np.float32) / 255
    expected["bare"] = bare.logits(prepared).tolist()
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
