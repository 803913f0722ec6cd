"""The demo's recipe in foveate, and by hand in PyTorch on batches that are changed whole, as tensors.

python -m benchmarks.recipes foveate|pytorch NET IMAGES EPOCHS
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from typing import TypeAlias

import torch
from torch.nn import functional

import foveate as fv
from benchmarks.errors import BenchmarkError
from benchmarks.loop import CHANGES
from benchmarks.pytorch_worker import decay_groups
from benchmarks.workers import MOMENTUM, WEIGHT_DECAY
from foveate.engines.machine import physical_cores
from foveate.engines.torch import load_arrays, torch_network

Training: TypeAlias = Callable[[fv.Model, fv.Dataset, fv.Dataset, int], tuple[float, float]]

BATCH, RATE = 128, 0.1


def compared(net: str, images: int, epochs: int, tell: Callable[[str], object]) -> dict[str, dict[str, float]]:
    """Processor seconds of the same training in both, one after the other, and the accuracy in validation.

    Raises:
        BenchmarkError: one of them fails.
    """
    found: dict[str, dict[str, float]] = {}
    for kind in ("foveate", "pytorch"):
        tell(f"training {net} in {kind}, {images:,} images, epochs: {epochs}")
        command = [sys.executable, "-m", "benchmarks.recipes", kind, net, str(images), str(epochs)]
        run = subprocess.run(command, capture_output=True, text=True, check=False)
        if run.returncode:
            raise BenchmarkError((run.stderr.strip().splitlines() or [f"status {run.returncode}"])[-1])
        found[kind] = json.loads(run.stdout)
    own, other = found["foveate"], found["pytorch"]
    tell(
        f"{net}, {epochs} epochs of {images:,} images by hand in PyTorch take {other['cpu'] / own['cpu']:.2f} of "
        f"foveate's processor time; in validation foveate reaches {own['accuracy']:.2%}, "
        f"PyTorch {other['accuracy']:.2%}"
    )
    return found


def main() -> None:
    """Train as the arguments say; print one line of JSON."""
    kind, net, images, epochs = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    splits = fv.datasets.fashion_mnist()
    data = splits.train.subset(range(images))
    graph = fv.zoo.make(net, input_shape=data.shape, classes=len(data.classes))
    model = fv.Model(graph, classes=data.classes, preprocessing=splits.preprocessing, seed=0)
    train: Training = {"foveate": in_foveate, "pytorch": in_pytorch}[kind]
    cpu, accuracy = train(model, data, splits.validation, epochs)
    print(json.dumps({"cpu": cpu, "accuracy": accuracy}))


def in_foveate(model: fv.Model, data: fv.Dataset, validation: fv.Dataset, epochs: int) -> tuple[float, float]:
    """Processor seconds of the epochs, and the accuracy."""
    began = time.process_time()
    model.fit(data, epochs=epochs, batch_size=BATCH, schedule=fv.OneCycle(RATE), augmentation=CHANGES, progress=False)
    cpu = time.process_time() - began
    return cpu, float((model.predict(validation.inputs).argmax(axis=1) == validation.labels).mean())


def in_pytorch(model: fv.Model, data: fv.Dataset, validation: fv.Dataset, epochs: int) -> tuple[float, float]:
    """The same by hand."""
    torch.set_num_threads(physical_cores())
    torch.manual_seed(0)
    module = torch_network(model.graph)
    load_arrays(module, model.graph, {name: model.state.read(name) for name in model.state.names()})
    module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    groups = decay_groups(module, model.graph, WEIGHT_DECAY)
    optimizer = torch.optim.SGD(groups, lr=RATE, momentum=MOMENTUM, nesterov=True, fused=True)
    images, labels = torch.from_numpy(data.inputs), torch.from_numpy(data.labels)
    assert model.preprocessing is not None
    measured = model.preprocessing.mean, model.preprocessing.std
    mean, std = (torch.tensor(each).reshape(1, -1, 1, 1) for each in measured)
    steps, step, schedule = epochs * -(-len(images) // BATCH), 0, fv.OneCycle(RATE)
    began = time.process_time()
    for _ in range(epochs):
        for batch in torch.split(torch.randperm(len(images)), BATCH):
            for group in optimizer.param_groups:
                group["lr"], momentum = schedule.rates(step, steps)
                group["momentum"] = MOMENTUM if momentum is None else momentum
            inputs = (changed(images[batch]).float() / 255 - mean) / std
            optimizer.zero_grad()
            loss = functional.cross_entropy(module(inputs.to(memory_format=torch.channels_last)), labels[batch])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss.item()
            step += 1
    cpu = time.process_time() - began
    module.eval()
    with torch.inference_mode():
        inputs = (torch.from_numpy(validation.inputs).float() / 255 - mean) / std
        found = torch.cat([module(part).argmax(dim=1) for part in torch.split(inputs, 256)]).numpy()
    return cpu, float((found == validation.labels).mean())


def changed(images: torch.Tensor) -> torch.Tensor:
    """Each image moved by up to `CHANGES.shift` pixels, and half of them mirrored."""
    count, _, height, width = images.shape
    shift = CHANGES.shift
    padded = functional.pad(images, (shift,) * 4)
    tops, lefts = torch.randint(0, 2 * shift + 1, (2, count, 1))
    rows, columns = tops + torch.arange(height), lefts + torch.arange(width)
    columns = torch.where(torch.rand(count, 1) < 0.5, columns.flip(1), columns)
    each = torch.arange(count)[:, None, None]
    return padded[each, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


if __name__ == "__main__":
    main()
