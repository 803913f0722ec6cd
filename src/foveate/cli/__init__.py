"""The command line; heavy modules are imported inside the commands, so `foveate --help` is instant."""

import sys
from typing import Annotated

import typer

from foveate.cli import (
    arithmetic,
    conv_pool,
    data,
    doctor,
    evaluate_predict,
    experiment,
    explain,
    interchange,
    networks,
    predict,
    training,
    zoo,
)
from foveate.cli.ending import remember_ctrl_c
from foveate.cli.output import (
    Commands,
    end_without_output,
    escape_what_cannot_be_encoded,
    open_closed_streams,
    warn_in_sentences,
)

__all__ = ["app", "main"]

app = typer.Typer(
    cls=Commands,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Convolutional neural networks on ordinary computers: train, run, understand.",
)
app.command()(training.train)
app.command()(evaluate_predict.evaluate)
app.command()(predict.predict)
app.command()(conv_pool.conv)
app.command()(conv_pool.pool)
app.command("import")(interchange.import_)
app.command()(interchange.export)
app.command()(networks.summary)
app.command()(networks.steps)
app.command()(zoo.zoo)
app.command()(arithmetic.receptive_field)
app.command()(arithmetic.compare_dense)
app.command()(arithmetic.explain_arithmetic)
app.command()(explain.explain)
app.command()(experiment.experiment)
app.command()(doctor.doctor)
app.add_typer(data.commands, name="data")


def _print_version(wanted: bool) -> None:
    if wanted:
        from foveate import __version__

        typer.echo(f"foveate {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Run the command line."""
    remember_ctrl_c()
    open_closed_streams()
    escape_what_cannot_be_encoded()
    warn_in_sentences()
    try:
        try:
            app(prog_name="foveate")
        finally:
            sys.stdout.flush()  # what is left in the buffer may not find room either
    except KeyboardInterrupt:  # before or after the command, which tells of it itself
        raise SystemExit(130) from None
    except OSError as error:
        end_without_output(error)
