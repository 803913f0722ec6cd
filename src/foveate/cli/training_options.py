"""The options of `foveate train`."""

from pathlib import Path
from typing import Annotated

import typer

from foveate.cli.output import LARGEST

DatasetArgument = Annotated[
    str,
    typer.Argument(
        help="A dataset's name, a folder with one subfolder per class, a .npz file, or shards (a folder or URL)."
    ),
]
NetOption = Annotated[
    str | None, typer.Option(help="Name of a network; `foveate zoo` lists them (default: chosen from the data).")
]
FromOption = Annotated[
    Path | None,
    typer.Option(
        "--from",
        help="model.safetensors to start from, or PyTorch weights of the network that --net names; a new last "
        "layer learns the dataset's classes.",
    ),
]
VariantOption = Annotated[
    str | None, typer.Option(help="'tensorflow' if the weights in --from were trained in TensorFlow.")
]
FreezeOption = Annotated[
    list[str] | None,
    typer.Option(help="Layers or arrays that do not learn, such as conv1 or 'features.*'; may be repeated."),
]
EpochsOption = Annotated[
    int | None, typer.Option(min=1, max=LARGEST, help="Number of passes over the data (default: chosen from the data).")
]
BatchSizeOption = Annotated[
    int | None, typer.Option(min=1, max=LARGEST, help="Batch size (default: chosen from the data).")
]
RateOption = Annotated[
    float | None,
    typer.Option(help="Highest learning rate of the schedule (default: chosen from the data)."),
]
FindRateOption = Annotated[
    bool,
    typer.Option(
        "--find-learning-rate",
        help="Try learning rates from low to high first, train with the suggested one, and write lr_finder.png.",
    ),
]
FactorOption = Annotated[
    list[str] | None,
    typer.Option(help="Layers or arrays that learn slower or faster, such as 'features.*=0.1'; may be repeated."),
]
SeedOption = Annotated[int, typer.Option(help="Random seed; the same seed gives the same model, bit for bit.")]
OutOption = Annotated[Path | None, typer.Option(help="Output folder (default: runs/DATASET).")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Resume from the checkpoint in --out.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Let the run that --out holds be replaced.")]
CheckpointOption = Annotated[
    int | None, typer.Option(min=1, max=LARGEST, help="Save a checkpoint every N steps, not only after each epoch.")
]
ShiftOption = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=LARGEST,
        help="Move training samples by up to this many positions, at random (default: chosen from the data).",
    ),
]
AugmentOption = Annotated[
    bool | None,
    typer.Option(
        "--augment/--no-augment",
        help="Flip half of the training images, chosen at random (default: yes, unless that changes what they mean).",
    ),
]
MinutesOption = Annotated[float, typer.Option(help="Save one as well when the last is this many minutes old.")]
KeepOption = Annotated[
    int,
    typer.Option(
        min=1,
        max=LARGEST,
        help="How many checkpoints are kept; if the latest is damaged, the one before is used.",
    ),
]
