"""The command line of the benchmarks."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from benchmarks import baseline as bits
from benchmarks import (
    calls,
    compare,
    damage,
    damaged_onnx,
    defaults,
    environment,
    folders,
    fuzzing,
    kills,
    layers,
    loop,
    names,
    overhead,
    precision,
    rates,
    real_onnx,
    regularization,
    scaling,
    shards,
    side_by_side,
    startup,
    stress,
    tables,
    versions,
)
from benchmarks.compare import Case, Settings
from benchmarks.errors import BenchmarkError
from benchmarks.modes import MODES, find_modes
from benchmarks.options import BatchSize, Net
from benchmarks.peers import PEERS, Peer, find_peers
from benchmarks.reports import check_writable, write_report
from benchmarks.workers import Kind
from foveate import FoveateError, zoo
from foveate.engines.machine import physical_cores

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="foveate against PyTorch, in one run each; benchmarks/README.md says what is measured and how.",
)

Nets = Annotated[str, typer.Option(help="Networks of the zoo, with commas between.")]
Modes = Annotated[str, typer.Option(help="Modes of PyTorch, with commas between.")]
Rounds = Annotated[int, typer.Option(min=1, help="How often each worker is timed; medians are reported.")]
Seconds = Annotated[float, typer.Option(min=0.0, help="How long one timing lasts at least.")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads for every framework (default: all cores).")]
Seed = Annotated[int, typer.Option(min=0, help="Of what is drawn at random.")]
JsonFile = Annotated[Path | None, typer.Option("--json", help="Write every round, median and ratio to this file.")]

_ALL_NETS = "lenet5,vgg6,resnet20"
_ALL_MODES = ",".join(MODES)


@app.command()
def train(
    nets: Nets = _ALL_NETS,
    batch_size: BatchSize = 128,
    modes: Modes = _ALL_MODES,
    rounds: Rounds = 7,
    seconds: Seconds = 0.5,
    threads: Threads = None,
    json_file: JsonFile = None,
) -> None:
    """Time one training step.

    Example: python -m benchmarks train --nets vgg6 --json step.json
    """
    cases = [Case(net, batch_size) for net in _networks(nets)]
    _compare("train", "One training step", cases, modes, rounds, seconds, threads, json_file)


@app.command()
def forward(
    nets: Nets = _ALL_NETS,
    batch_sizes: Annotated[str, typer.Option(help="Batch sizes, with commas between.")] = "1,64",
    modes: Modes = _ALL_MODES,
    peers: Annotated[str, typer.Option(help="Other runtimes, with commas between; those that are installed run.")] = (
        ",".join(PEERS)
    ),
    rounds: Rounds = 7,
    seconds: Seconds = 0.5,
    threads: Threads = None,
    json_file: JsonFile = None,
) -> None:
    """Time inference.

    Example: python -m benchmarks forward --nets lenet5,vgg6 --batch-sizes 1,64
    """
    cases = [Case(net, size) for net in _networks(nets) for size in _sizes(batch_sizes)]
    present = [peer for peer in find_peers(peers.split(",")) if peer.installed]
    _compare("forward", "Inference", cases, modes, rounds, seconds, threads, json_file, present)


@app.command(name="startup")
def start_up(
    rounds: Annotated[int, typer.Option(min=1, help="How often each command is timed.")] = 9,
    json_file: JsonFile = None,
) -> None:
    """Time imports and --help in fresh processes.

    Example: python -m benchmarks startup --json startup.json
    """
    check_writable(json_file)
    report: dict[str, Any] = {
        "benchmark": "startup",
        "title": f"Start-up in a fresh process, {rounds} rounds",
        "environment": environment.describe(),
        "settings": {"rounds": rounds},
    }
    report["results"] = startup.measure(startup.commands(), rounds)
    write_report(json_file, report)
    tables.print_startup(Console(), report)


@app.command()
def baseline(
    write: Annotated[Path | None, typer.Option(help="Add this machine's record to the file, or replace it.")] = None,
    check: Annotated[Path | None, typer.Option(help="Compare with this machine's record in the file.")] = None,
) -> None:
    """Record what the native engine computes, bit for bit, or check that it still does.

    Example: python -m benchmarks baseline --check tests/engines/native/baseline.json
    """
    if (write is None) == (check is None):
        raise typer.BadParameter("give one of --write FILE and --check FILE")
    check_writable(write)
    with Console(stderr=True).status("starting") as status:
        if check is not None:
            message = f"{bits.check(check, status.update)} results have the recorded bits"
        elif write is not None:
            hashes = bits.measure(bits.measurements(), status.update)
            bits.write(write, hashes)
            message = f"{len(hashes)} hashes written to {write}"
    print(message)


@app.command(name="kills")
def kill_trainings(
    count: Annotated[int, typer.Option(min=1, help="How many kills.")] = 200,
    engine: Annotated[str, typer.Option(help="The engine that trains.")] = "native",
    seed: Seed = 0,
) -> None:
    """Kill trainings at random moments, resume them, and compare the bits with those of trainings left alone.

    Example: python -m benchmarks kills --count 200
    """
    print(kills.campaign(count, seed=seed, engine=engine, tell=lambda line: print(line, flush=True)))


@app.command(name="stress")
def stress_test(
    minutes: Annotated[float, typer.Option(min=0.0, help="How long; each scenario runs at least once.")] = 10.0,
) -> None:
    """Use models from several threads, at many sizes and for many networks, and watch answers and memory.

    Example: python -m benchmarks stress --minutes 10
    """
    failed = stress.run_for(minutes, lambda line: print(line, flush=True))
    if failed:
        raise BenchmarkError(f"{len(failed)} scenarios failed")


@app.command(name="damage")
def damaged_files(
    flips: Annotated[int, typer.Option(min=0, help="Files with a single bit flipped.")] = 300,
    descriptions: Annotated[
        int, typer.Option(min=0, help="Files whose description is changed, checksum and all.")
    ] = 2000,
    checkpoints: Annotated[int, typer.Option(min=0, help="Checkpoints changed in the same way.")] = 1000,
    seed: Seed = 0,
) -> None:
    """Load damaged model files: each must end in a sentence, within two seconds and in little memory.

    Example: python -m benchmarks damage --flips 5000 --descriptions 10000 --checkpoints 5000
    """
    print(f"{flips:,} files with one bit flipped: {damage.flipped_bits(flips, seed)}")
    print(f"{descriptions:,} changed descriptions: {damage.mutated_descriptions(descriptions, seed)}")
    print(f"{checkpoints:,} changed checkpoints: {damage.mutated_checkpoints(checkpoints, seed)}")


@app.command(name="fuzz")
def fuzzed_files(
    readers: Annotated[str, typer.Option(help="Readers of data files, with commas between.")] = ",".join(
        fuzzing.READERS
    ),
    count: Annotated[int, typer.Option(min=1, help="Files for each reader.")] = 100_000,
    seed: Seed = 0,
    guided: Annotated[bool, typer.Option("--guided", help="Let coverage choose the damage, with atheris.")] = False,
) -> None:
    """Read damaged data files: each must end in an array or a sentence, within two seconds and in little memory.

    Example: python -m benchmarks fuzz --readers cifar --guided
    """
    for name in readers.split(","):
        if name not in fuzzing.READERS:
            raise typer.BadParameter(f'there is no reader "{name}"; there are {", ".join(fuzzing.READERS)}')
        told: object = fuzzing.guided(name, count, seed) if guided else fuzzing.fuzzed(name, count, seed)
        print(f"{count:,} files for {name}: {told}", flush=True)


@app.command(name="calls")
def random_calls(
    count: Annotated[int, typer.Option(min=1, help="Calls, 250 in a process.")] = 20_000, seed: Seed = 0
) -> None:
    """Make random networks, compile and run them: each call must end in an answer or a sentence.

    Example: python -m benchmarks calls --count 20000
    """
    with Console(stderr=True).status("starting") as status:
        made = calls.random_calls(count, seed, status.update)
    print(f"{count:,} calls: {made}")


@app.command(name="names")
def hostile_names(
    count: Annotated[int, typer.Option(min=1, help="Names, ten in a file.")] = 2000, seed: Seed = 0
) -> None:
    """Put hostile names into model files, and these through every command that reads one.

    Example: python -m benchmarks names --count 2000
    """
    with Console(stderr=True).status("starting") as status:
        report = names.hostile_names(count, seed, status.update)
    print(f"{count:,} names: {report}")


@app.command(name="folders")
def image_folders(
    count: Annotated[int, typer.Option(min=10, help="Images of 64x64.")] = 10_000,
    photographs: Annotated[int, typer.Option(min=30, help="Photographs of 4000x3000, of about 1 MB each.")] = 1000,
    rounds: Rounds = 3,
) -> None:
    """Time starts and training with folders of images, from the cache of decoded images and from memory.

    Example: python -m benchmarks folders --photographs 100
    """
    folders.folders(count, photographs, rounds, lambda line: print(line, flush=True))


@app.command(name="shards")
def streamed(
    count: Annotated[int, typer.Option(min=1000, help="Images of Fashion-MNIST.")] = 50_000,
    rounds: Rounds = 3,
    buffer: Annotated[float, typer.Option(min=0.001, help="Megabytes of samples that are held at once.")] = 8.0,
    net: Net = "vgg6",
    json_file: JsonFile = None,
) -> None:
    """Time an epoch on shards against an epoch from memory, taking turns, and measure memory.

    Example: python -m benchmarks shards --rounds 1
    """
    check_writable(json_file)
    found = shards.shards(count, rounds, buffer, net, lambda line: print(line, flush=True))
    if json_file is not None:
        write_report(json_file, shards.report(found))


app.command()(versions.versions)
app.command()(layers.layers)
app.command()(defaults.defaults)
app.command()(precision.precision)
app.command(name="regularization")(regularization.command)
app.command(name="overhead")(overhead.command)
app.command(name="loop")(loop.command)
app.command(name="scaling")(scaling.command)
app.command(name="side-by-side")(side_by_side.command)
app.command()(rates.rates)
app.command(name="damaged-onnx")(damaged_onnx.damaged_onnx)
app.command(name="real-onnx")(real_onnx.real_onnx)


def main() -> None:
    """Run the command line; what goes wrong is one sentence on stderr and exit status 1."""
    try:
        app(prog_name="python -m benchmarks")
    except (BenchmarkError, FoveateError) as error:
        print(error, file=sys.stderr)
        raise SystemExit(1) from None


def _compare(
    kind: Kind,
    title: str,
    cases: Sequence[Case],
    modes: str,
    rounds: int,
    seconds: float,
    threads: int | None,
    json_file: Path | None,
    peers: Sequence[Peer] = (),
) -> None:
    check_writable(json_file)
    count = threads or physical_cores()
    settings = Settings(kind, find_modes(modes.split(",")), rounds, seconds, count, peers)
    report: dict[str, Any] = {
        "benchmark": kind,
        "title": f"{title}, median of {rounds} rounds",
        "environment": environment.describe(count),
        "settings": {
            "modes": [*(mode.name for mode in settings.modes), *(peer.name for peer in settings.peers)],
            "rounds": rounds,
            "seconds": seconds,
        },
    }
    report["results"] = results = list[dict[str, Any]]()
    progress = Console(stderr=True)
    with progress.status("starting the workers") as status:
        for result in compare.compare(settings, cases, status.update):
            results.append(result)
            write_report(json_file, report)
            progress.print(tables.row_sentence(result), soft_wrap=True, highlight=False)
    tables.print_comparison(Console(), report)
    failed = sum("error" in result or "errors" in result for result in results)
    if failed:
        raise BenchmarkError(f"{failed} of {len(results)} comparisons failed; the sentences above say why")


def _networks(nets: str) -> list[str]:
    """The names, each checked before anything is started."""
    names = [name.strip() for name in nets.split(",")]
    for name in names:
        zoo.make(name)
    return names


def _sizes(batch_sizes: str) -> list[int]:
    sizes = batch_sizes.split(",")
    if not all(size.strip().isdecimal() and int(size) for size in sizes):
        raise typer.BadParameter(f'"{batch_sizes}" is not a list such as 1,64')
    return [int(size) for size in sizes]
