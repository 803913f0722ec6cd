"""Options that several benchmarks take."""

from typing import Annotated

import typer

Net = Annotated[str, typer.Option(help="A network of the zoo.")]
BatchSize = Annotated[int, typer.Option(min=1, help="Images in a batch.")]
Sets = Annotated[str, typer.Option(help="Sets, with commas between (default: all).")]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads (default: all cores).")]
