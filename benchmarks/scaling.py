"""What processes that train together spend: their share of the computation, and sums of gradients over the group.

A step of N processes should take t(batch / N) + k a + bytes / b: the computation of a share, k sums of which each waits
for the latency a, and the gradients at the bandwidth b. All of these are measured here, and so is the step itself.
"""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
import typer

import foveate as fv
from benchmarks.errors import BenchmarkError
from benchmarks.options import Net

SIZES = (1 << 12, 1 << 16, 1 << 20, 1 << 22, 1 << 24)
"""Numbers of float32 that are summed."""

WORKER = """
import json, sys, time
from statistics import median
import numpy as np
import torch
import foveate as fv
from foveate.engines.torch import distributed_engine
from foveate.engines.torch.distributed import TorchGroup
net, batch_size, steps = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
torch.set_num_threads(1)
engine = distributed_engine("cpu")
rank, size = engine.group.rank, engine.group.size
sums = {}
for count in json.loads(sys.argv[4]):
    tensor, times = torch.zeros(count), []
    for _ in range(7):
        began = time.perf_counter()
        engine.group.all_reduce(tensor)
        times.append(time.perf_counter() - began)
    sums[4 * count] = median(times)
graph, optimizer, random = fv.zoo.make(net), fv.SGD(), np.random.default_rng(rank)
own = batch_size // size
program = engine.compile(graph, batch_size=own, mode="training", loss=fv.CrossEntropy(), optimizer=optimizer)
state = engine.new_state(graph, optimizer, seed=0)
inputs = random.standard_normal((own, *graph.input_shape)).astype(np.float32)
calls, reduce = [0], TorchGroup.all_reduce
def counted(group, tensor):
    calls[0] += 1
    reduce(group, tensor)
TorchGroup.all_reduce = counted
labels, times = random.integers(0, graph.output_shape[0], own), []
for _ in range(steps + 2):
    calls[0] = 0
    began = time.perf_counter()
    program.step(state, inputs, labels, learning_rate=1e-6)
    times.append(time.perf_counter() - began)
if rank == 0:
    print(json.dumps({"sums": sums, "step": median(times[2:]), "calls": calls[0]}))
"""


def started(
    size: int, *arguments: str, variables: Mapping[str, str] = MappingProxyType({}), **options: Any
) -> list[subprocess.Popen[str]]:
    """Python with these arguments in `size` processes of one thread each, as torchrun starts them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {"WORLD_SIZE": str(size), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "OMP_NUM_THREADS": "1"}
    return [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **variables, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            text=True,
            **options,
        )
        for rank in range(size)
    ]


def measured(size: int, net: str, batch_size: int, steps: int) -> dict[str, Any]:
    """Seconds of sums by bytes, and of a step with how many sums, with `size` processes of one thread each."""
    processes = started(size, "-c", WORKER, net, str(batch_size), str(steps), json.dumps(SIZES))
    told = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise BenchmarkError("a process ended before it was measured; what it said is above")
    found: dict[str, Any] = json.loads(told[0])
    return found


def fitted(sums: dict[str, float]) -> tuple[float, float]:
    """Latency in seconds and bandwidth in bytes a second: the line through the smallest and the largest sum."""
    points = sorted((int(size), seconds) for size, seconds in sums.items())
    (small, first), (large, last) = points[0], points[-1]
    return first, (large - small) / max(last - first, 1e-9)


def scaling(
    net: str, batch_size: int, steps: int, processes: int, tell: Callable[[str], object] = lambda _: None
) -> dict[str, float]:
    """Measure a step alone, of a share alone, and of `processes` together, and what the sums explain of it.

    Raises:
        BenchmarkError: the batch cannot be shared evenly, or a process fails.
    """
    if batch_size % processes:
        raise BenchmarkError(
            f"a batch of {batch_size} has no equal shares for {processes} processes; "
            f"take --batch-size {-(-batch_size // processes) * processes}"
        )
    count = sum(int(np.prod(each.shape)) for each in fv.zoo.make(net).parameters.values())
    whole = measured(1, net, batch_size, steps)["step"]
    share = measured(1, net, batch_size // processes, steps)["step"]
    together = measured(processes, net, batch_size, steps)
    latency, bandwidth = fitted(together["sums"])
    expected = share + together["calls"] * latency + 4 * count / bandwidth
    tell(f"all-reduce of {processes} processes: {latency * 1e6:.0f} us + bytes / {bandwidth / 1e9:.2f} GB/s")
    tell(f"{net}, {count:,} parameters, batch {batch_size}: {whole * 1e3:.1f} ms a step in one process")
    tell(f"a share of {batch_size // processes} alone: {share * 1e3:.1f} ms")
    explained = f"the share and {together['calls']} sums explain {expected * 1e3:.1f} ms"
    tell(f"{processes} processes: {together['step'] * 1e3:.1f} ms; {explained}")
    return {
        "whole": whole,
        "share": share,
        "together": together["step"],
        "sums": together["calls"],
        "latency": latency,
        "bandwidth": bandwidth,
    }


def command(
    net: Net = "vgg6",
    batch_size: Annotated[int, typer.Option(min=2, help="Images in a batch of all processes.")] = 128,
    steps: Annotated[int, typer.Option(min=1, help="Steps that are timed; the median is reported.")] = 15,
    processes: Annotated[int, typer.Option(min=2, help="Processes, with one thread each.")] = 2,
) -> None:
    """Time a training step of several processes, and the sums between them, with the torch engine on the CPU.

    Example: python -m benchmarks scaling --net resnet20 --processes 2
    """
    scaling(net, batch_size, steps, processes, lambda line: print(line, flush=True))
