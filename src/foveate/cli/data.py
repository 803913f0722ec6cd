"""`foveate data fetch` and `foveate data list`."""

from typing import Annotated

import typer

from foveate.cli.output import Commands, JsonOption, print_json
from foveate.errors import DataError

commands = typer.Typer(cls=Commands, no_args_is_help=True, help="Download data sets and list what is available.")


@commands.command()
def fetch(name: Annotated[str, typer.Argument(help="Name of the data set.")], as_json: JsonOption = False) -> None:
    """Download a data set and verify it.

    Example: foveate data fetch fashion-mnist
    """
    from foveate.data import datasets
    from foveate.graph import nearest

    if name not in datasets.DATASETS:
        raise DataError(f'there is no data set "{name}".{nearest(name, datasets.DATASETS)}')
    entry = datasets.DATASETS[name]
    data = entry.load()
    counts = {"train": len(data.train), "validation": len(data.validation), "test": len(data.test)}
    if as_json:
        print_json({"name": name, "folder": str(entry.find()), **counts})
        return
    parts = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    typer.echo(f"{name}: {parts} samples in {entry.find()}")


@commands.command(name="list")
def list_datasets(as_json: JsonOption = False) -> None:
    """List the known data sets and where they are stored.

    Example: foveate data list --json
    """
    from foveate.data import datasets

    found = datasets.status()
    if as_json:
        print_json(
            [
                {"name": each.name, "description": each.description, "folder": each.folder and str(each.folder)}
                for each in found
            ]
        )
        return
    for each in found:
        place = f"in {each.folder}" if each.found else f"not here; foveate data fetch {each.name}"
        typer.echo(f"{each.name}: {each.description}, {place}")
