"""One of several processes that train a model together, started by torchrun's variables; writes what it ended with."""

import argparse
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

import foveate as fv
from foveate.engines.torch import TorchEngine, distributed_engine
from foveate.training import History, feed

STEPS, BATCH, EPOCHS = 9, 12, 6

WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "unnormalised": {},
    "rich": {"epochs": 11, "accumulate": 2, "clip_norm": 0.5, "ema": 0.9, "patience": 11, "keep_best": True},
}
"""How to train; the second takes 5 steps an epoch."""


def network(*, normalised: bool = True) -> fv.Graph:
    return fv.Sequential(
        fv.Conv2d(4, 3, padding="same", bias=False), *[fv.BatchNorm2d()] * normalised, fv.ReLU(), fv.Dropout(0.25),
        fv.MaxPool2d(2), fv.Flatten(), fv.Linear(3),
    ).build((1, 6, 6))  # fmt: skip


def data(count: int, seed: int) -> fv.Dataset:
    random = np.random.default_rng(seed)
    return fv.Dataset(random.standard_normal((count, 1, 6, 6)), np.arange(count) % 3, ("a", "b", "c"))


class Stop(fv.Callback):
    """Ends the training after a step."""

    def __init__(self, step: int) -> None:
        self.last = step

    def on_step(self, training: Any) -> None:
        if training.step == self.last:
            training.stop("enough")


class Seen(feed.Feed):
    """Notes the samples of each batch that is prepared."""

    samples: list[list[int]]
    last = 0
    """The batch at which the process dies, if not 0."""

    def loss_targets(self, indices: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
        Seen.samples.append(indices.tolist())
        if len(Seen.samples) == Seen.last:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().loss_targets(indices)


def train(engine: TorchEngine, way: str, out: Path | None = None, **more: Any) -> tuple[fv.Model, History]:
    """Train with weighted classes, on batches of which the last is smaller."""
    model = fv.Model(network(normalised=way != "unnormalised"), seed=1, engine=engine)
    options = {"epochs": EPOCHS, "batch_size": BATCH, "progress": False, "validation": data(30, 1), **WAYS[way], **more}
    loss = fv.CrossEntropy(class_weights=(1.0, 2.0, 0.5))
    history = model.fit(data(STEPS * BATCH - 5, 0), loss=loss, out=out, **options)
    return model, history


def ended(model: fv.Model, history: History) -> dict[str, NDArray[Any]]:
    """The arrays of the model, and what each epoch measured."""
    rows = [
        [each.train_loss, each.train_accuracy, each.validation_loss, each.validation_accuracy]
        for each in history.epochs
    ]
    return {name: model.state.read(name) for name in model.state.names()} | {"metrics": np.array(rows, float)}


def typed() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("way", choices=WAYS)
    parser.add_argument("--stop", type=int, help="end all after this step")
    parser.add_argument("--die", type=int, default=0, help="process 1 dies at this batch")
    parser.add_argument("--dtype", default="float64")
    parser.add_argument("--apart", action="store_true", help="batch normalisation measures each share apart")
    return parser.parse_args()


if __name__ == "__main__":
    torch.set_num_threads(1)
    options = typed()
    engine = distributed_engine("cpu", np.dtype(options.dtype).type, synchronised=not options.apart)
    from foveate.training import loop

    Seen.samples = []
    Seen.last = options.die if engine.group.rank == 1 else 0
    loop.feed_of = Seen  # type: ignore[assignment]
    callbacks = [] if options.stop is None else [Stop(options.stop)]
    run = options.folder / "run"
    resume = (run / "checkpoint.safetensors").exists()
    engine.group.total([0.0])  # none begins to write before all have looked
    sys.stdout.write("training\n")
    sys.stdout.flush()
    found = ended(*train(engine, options.way, run, callbacks=callbacks, resume=resume))
    np.savez(options.folder / f"{engine.group.rank}.npz", **found)
    (options.folder / f"{engine.group.rank}.json").write_text(json.dumps(Seen.samples))
