"""`foveate train`."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import inf, nan
from pathlib import Path
from re import sub
from typing import TYPE_CHECKING, Any

import typer

from foveate.cli.choosing import advice_for, chosen_for
from foveate.cli.configuration import ConfigOption, resolved, run_file, save_at_start, typed
from foveate.cli.ending import check_interrupted, ends_in_a_sentence, tell
from foveate.cli.output import (
    DeviceOption,
    EngineOption,
    JsonOption,
    PrecisionOption,
    ThreadsOption,
    chosen_engine,
    print_json,
    use_threads,
)
from foveate.cli.recipe_options import (
    AccumulateOption,
    AverageOption,
    BestOption,
    BoardOption,
    ClipOption,
    DecayOption,
    EraseOption,
    ExtendOption,
    LinesOption,
    MomentumOption,
    OptimizerName,
    OptimizerOption,
    PatienceOption,
    ScheduleName,
    ScheduleOption,
    SmoothingOption,
    WarmupOption,
    further_options,
    optimizer_of,
    schedule_of,
)
from foveate.cli.sources import (
    BufferOption,
    FitOption,
    FolderOptions,
    SizeOption,
    SplitOption,
    TestOption,
    ValidationOption,
    of_images,
)
from foveate.cli.starting import begin, default_folder, is_first, typed_words
from foveate.cli.training_options import (
    AugmentOption,
    BatchSizeOption,
    CheckpointOption,
    DatasetArgument,
    EpochsOption,
    FactorOption,
    FindRateOption,
    FreezeOption,
    FromOption,
    KeepOption,
    MinutesOption,
    NetOption,
    OutOption,
    OverwriteOption,
    RateOption,
    ResumeOption,
    SeedOption,
    ShiftOption,
    VariantOption,
)
from foveate.errors import TrainingError
from foveate.geometry import format_sizes
from foveate.text import LONGEST_PATH, printable

if TYPE_CHECKING:
    from foveate.data import Splits
    from foveate.model import Model
    from foveate.training import Choices, History
    from foveate.training.rate_finder import RateTest


def train(
    context: typer.Context,
    dataset: DatasetArgument,
    net: NetOption = None,
    origin: FromOption = None,
    variant: VariantOption = None,
    freeze: FreezeOption = None,
    epochs: EpochsOption = None,
    batch_size: BatchSizeOption = None,
    learning_rate: RateOption = None,
    find_learning_rate: FindRateOption = False,
    learning_rate_factor: FactorOption = None,
    schedule_name: ScheduleOption = ScheduleName.ONE_CYCLE,
    warmup: WarmupOption = None,
    optimizer: OptimizerOption = OptimizerName.SGD,
    momentum: MomentumOption = None,
    weight_decay: DecayOption = None,
    label_smoothing: SmoothingOption = 0.0,
    clip_norm: ClipOption = None,
    accumulate: AccumulateOption = 1,
    ema: AverageOption = None,
    patience: PatienceOption = None,
    keep_best: BestOption = True,
    extend: ExtendOption = False,
    log: LinesOption = None,
    tensorboard: BoardOption = None,
    seed: SeedOption = 0,
    threads: ThreadsOption = None,
    engine: EngineOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    out: OutOption = None,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    checkpoint_every: CheckpointOption = None,
    checkpoint_minutes: MinutesOption = 10.0,
    keep_checkpoints: KeepOption = 2,
    augment: AugmentOption = None,
    shift: ShiftOption = None,
    erase: EraseOption = 0,
    size: SizeOption = None,
    fit: FitOption = None,
    split: SplitOption = None,
    validation: ValidationOption = None,
    test: TestOption = None,
    buffer: BufferOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a network on a dataset, and test it on the test images.

    What is not given is chosen from the data and printed with its reason.

    Writes model.safetensors, history.csv, curves.png, checkpoints and run.toml (the options) to --out.
    Ctrl-C saves and stops; --resume continues.

    Example: foveate train fashion-mnist --epochs 5 --out runs/fashion
    """
    from foveate.figures import png
    from foveate.training import RunFolder, claimed, make_progress

    source = context.get_parameter_source
    alike = source("learning_rate") == source("find_learning_rate")  # one that is typed overrides one in a file
    if find_learning_rate and (alike or typed(context, "learning_rate")):
        raise typer.BadParameter("--learning-rate gives one, --find-learning-rate looks for one; leave one of them out")
    use_threads(threads)
    factors = _factors(learning_rate_factor or ())
    # What is no rate, no decay and so on is refused before anything is written.
    schedule_of(context.params, 0.1 if learning_rate is None else learning_rate)
    updating = optimizer_of(context.params)
    further = further_options(context.params)
    folder = RunFolder(out or default_folder(dataset))
    context.with_resource(ends_in_a_sentence(folder))
    first = is_first(context, engine)
    if first:
        context.with_resource(claimed(folder, resume=resume, overwrite=overwrite, words=typed_words()))
    reading = FolderOptions(size, fit, split, validation, test, buffer)
    where = chosen_engine(engine, device, precision)
    data, model = begin(dataset, net, variant, origin, seed=seed, engine=where, folder=reading, out=folder.path)
    model.freeze(*freeze or ())
    choices = chosen_for(dataset, data, model, updating, context.params)
    tell(_told(data, model.graph.name, _write_skipped(data, folder) if first else None), err=as_json)
    files: dict[Path, bytes] = {}
    if find_learning_rate:
        options = {name: further.get(name) for name in ("loss", "clip_norm", "accumulate")}
        found = _found_rate(model, data, choices, learning_rate_factors=factors, optimizer=updating, **options)
        files[folder.rates] = png(found.plot())
        line = f"learning rate {found.suggestion:.3g}: found by trying ({folder.rates})"
        choices = replace(choices, learning_rate=found.suggestion, reasons={**choices.reasons, "learning rate": line})
    tell(str(choices), err=as_json, nl=bool(choices.reasons))
    if (size_of_group := model.engine.group.size) > 1:
        tell(f"{size_of_group} processes share each batch of {choices.batch_size} samples", err=as_json)
    chosen = {**_chosen(data, model, choices, context.params), "out": folder.path}
    files[folder.options] = run_file(folder.options, resolved(context, **chosen))
    schedule = schedule_of(context.params, choices.learning_rate)
    check_interrupted()
    history = model.fit(
        data.train,
        validation=data.validation,
        **{**choices.fit_options, **further, "schedule": schedule},
        optimizer=updating,
        learning_rate_factors=factors,
        out=folder.path,
        progress=save_at_start(make_progress(True, sys.stderr if as_json else sys.stdout), files),
        resume=resume,
        overwrite=overwrite,
        checkpoint_every=checkpoint_every,
        checkpoint_minutes=checkpoint_minutes,
        keep_checkpoints=keep_checkpoints,
    )
    if history.interrupted:
        if not first:  # the first process tells it for all
            raise typer.Exit(1)
        raise TrainingError(
            f"interrupted in epoch {len(history) + 1} of {choices.epochs}; what was learnt is in {folder.path}, and "
            "the same command with --resume continues"
        )
    if first:
        _report(model, data, history, folder, as_json, advice_for(data, history, choices, accumulate))


def _found_rate(model: "Model", data: "Splits", choices: "Choices", **options: Any) -> "RateTest":
    return model.find_learning_rate(
        data.train,
        batch_size=choices.batch_size,
        **options,
        augmentation=choices.augmentation,
    )


def _chosen(data: "Splits", model: "Model", choices: "Choices", given: Mapping[str, Any]) -> dict[str, Any]:
    """What the bits depend on and nobody gave: how to train, the engine, its threads, and how images are read."""
    chosen: dict[str, Any] = {
        "engine": model.engine.name,
        "epochs": choices.epochs,
        "batch_size": choices.batch_size,
        "learning_rate": choices.learning_rate,
        "augment": choices.augmentation.flip,
        "shift": choices.augmentation.shift,
    }
    if chosen["engine"] == "native":
        chosen["threads"] = model.engine.threads
    if given["origin"] is None:
        chosen["net"] = given["net"] or model.graph.name
        if data.found:
            height, width = data.train.shape[1:]
            chosen |= {"size": f"{height}x{width}", "fit": data.preprocessing.fit}
    return chosen


def _factors(given: Sequence[str]) -> dict[str, float]:
    """Factors of the learning rate by pattern, from words such as "features.*=0.1"."""
    found: dict[str, float] = {}
    for each in given:
        pattern, _, factor = each.rpartition("=")
        try:
            number = float(factor)
        except ValueError:
            number = nan
        if not pattern or not 0 < number < inf:
            raise typer.BadParameter(
                f'--learning-rate-factor "{each}" is not a pattern and a positive factor, such as "features.*=0.1"'
            )
        found[pattern] = number
    return found


def _told(data: "Splits", net: str, listed: Path | None) -> str:
    """What is trained and on what: the counts of the parts, the size of a sample and the classes."""
    if data.found:
        every = "" if listed is None else f" (listed in {listed})"
        shape = format_sizes(data.train.shape)
        found = data.found
        fit = f" ({data.preprocessing.fit})" if of_images(data) else ""
        if every:
            found = sub(r"( and [\d,]+ more)(?=; |$)", lambda count: count[1] + every, found, count=1)
        return f"{printable(data.name)}: {found}\nnetwork {net}, input {shape}{fit}"
    parts = {"training": data.train, "validation": data.validation, "test": data.test}
    counts = ", ".join(f"{len(part):,} {name}" for name, part in parts.items())
    return (
        f"{printable(data.name)}: {counts} samples of {format_sizes(data.train.shape)} in {len(data.classes):,} "
        f"classes; network {net}"
    )


def _write_skipped(data: "Splits", folder: Any) -> Path | None:
    """A list of what was left out in the run's folder, if the line on it is too short to name all."""
    from foveate.data.found import NAMED
    from foveate.files import write_atomically

    if len(data.skipped) <= NAMED:
        return None
    path: Path = folder.path / "skipped.txt"
    lines = (f"{printable(file, LONGEST_PATH)}\t{printable(reason)}\n" for file, reason in data.skipped.items())
    write_atomically(path, "".join(lines).encode("utf-8"))
    return path


def _report(model: "Model", data: "Splits", history: "History", folder: Any, as_json: bool, advice: str) -> None:
    result = model.evaluate(data.test)
    files = {"model": folder.model, "history": folder.history, "curves": folder.curves}
    if as_json:
        places = {name: str(path) for name, path in files.items()}
        found = {"found": data.found} if data.found else {}
        said = {"advice": advice} if advice else {}
        print_json(
            {**result.to_json(), **found, "classes": list(data.classes), "epochs": history.to_json(), **places, **said}
        )
        return
    tell(f"test accuracy: {100 * result.accuracy:.2f} %")
    if advice:
        tell(advice)
    for name, path in files.items():
        tell(f"{name}: {path}")
