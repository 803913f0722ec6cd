"""`foveate experiment`: claims of the lecture put to the test."""

import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Annotated, Any

import typer

from foveate.cli.output import (
    DeviceOption,
    EngineOption,
    JsonOption,
    ThreadsOption,
    chosen_engine,
    print_json,
    use_threads,
)
from foveate.errors import DataError, FileError, TrainingError

if TYPE_CHECKING:
    from foveate.explain.experiments import Experiment, Settings


def experiment(
    name: Annotated[str | None, typer.Argument(help="Experiment to run; leave it out to list them all.")] = None,
    out: Annotated[Path | None, typer.Option(help="Output folder (default: runs/NAME).")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Run a smaller version for a first look.")] = False,
    model: Annotated[Path | None, typer.Option(help="Model file to test, for experiments that take one.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed; the same seed gives the same numbers, bit for bit.")] = 0,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test a claim from the lecture: train networks, measure them, and write a report on the results.

    Writes report.html (figures embedded), the figures as PNG for light and dark backgrounds, and result.json to --out.

    Example: foveate experiment batch-normalization --quick --out runs/bn
    """
    from foveate.explain.experiments import find, make_progress, write_report

    if name is None:
        _list(as_json)
        return
    chosen = find(name)
    settings = _settings(chosen, quick, seed=seed, engine=chosen_engine(engine, device), model=model)
    folder = _folder(out or Path("runs") / name)
    use_threads(threads)
    since = monotonic()
    try:
        with make_progress(sys.stderr if as_json else sys.stdout) as progress:
            result = chosen.run(settings, progress)
    except KeyboardInterrupt:
        raise TrainingError("interrupted; nothing was written") from None
    report = chosen.report(result)
    page = write_report(result, report, folder)
    if as_json:
        told = [{"claim": found.claim, "holds": found.holds, "numbers": found.numbers} for found in report.findings]
        print_json({"experiment": name, "findings": told, "report": str(page), "result": str(folder / "result.json")})
        return
    for found in report.findings:
        typer.echo(f"\n{found}")
    typer.echo(f"\nreport: {page} ({monotonic() - since:.0f} s)")


def _list(as_json: bool) -> None:
    from foveate.explain.experiments import EXPERIMENTS

    if as_json:
        names = ("name", "question", "minutes", "quick_minutes")
        print_json([{name: getattr(entry, name) for name in names} for entry in EXPERIMENTS.values()])
        return
    for entry in EXPERIMENTS.values():
        typer.echo(f"{entry.name}\n  {entry.question}")
        typer.echo(f"  About {entry.minutes:g} min on two cores, {60 * entry.quick_minutes:.0f} s with --quick.")
    typer.echo("\nRun one: foveate experiment NAME --out FOLDER")


def _settings(chosen: "Experiment", quick: bool, *, model: Path | None, **common: Any) -> "Settings":
    if model is not None:
        if not hasattr(chosen.settings, "model"):
            raise DataError(f"{chosen.name} trains its own networks; leave --model out")
        common["model"] = str(model)
    return chosen.settings.quick(**common) if quick else chosen.settings(**common)


def _folder(path: Path) -> Path:
    """The folder, made before minutes of work rather than after."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FileError(f"{path} cannot be a folder: {error.strerror or error}; give another --out") from None
    return path
