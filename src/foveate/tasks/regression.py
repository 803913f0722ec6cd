"""One or more numbers for each sample."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from foveate.errors import DataError
from foveate.geometry import format_sizes
from foveate.graph import Loss, MeanSquaredError
from foveate.graph.losses import TargetKind
from foveate.tasks.base import Answer, Task
from foveate.tasks.decoding import check_finite
from foveate.tasks.metrics.base import Metric
from foveate.tasks.metrics.errors import RegressionErrors
from foveate.tasks.names import check_names, counted, there_are
from foveate.tasks.output import Output
from foveate.tasks.registry import register
from foveate.tasks.targets import as_numbers, shape_of

LARGEST = float(np.finfo(np.float32).max)
"""The largest target: networks compute in float32, in which a larger one would be infinite."""


@register
@dataclass(frozen=True)
class Regression(Task):
    """One or more numbers for each sample.

    The network outputs the values themselves, (N, K). Targets are (N, K), or (N,) for one value. `decode` leaves
    values unchanged.

    Args:
        names: what each value is called, in the order of the outputs.

    Raises:
        DataError: a name is missing, repeated or not printable.

    >>> from foveate.tasks import Output
    >>> task, output = Regression(("weight", "length")), Output("fc", (2,))
    >>> task.answers(task.decode(np.array([[3.25, 40.0]]), output))
    [[('weight', 3.25), ('length', 40.0)]]
    """

    kind: ClassVar[str] = "regression"
    headline: ClassVar[str] = "mae"

    names: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "names", check_names(self.names, "value", "names"))

    def fitting_losses(self, output: Output) -> tuple[str, ...]:
        """The losses that measure a distance."""
        return "MeanSquaredError", "L1", "Huber"

    def target_kinds(self, output: Output) -> tuple[TargetKind, ...]:
        """Numbers."""
        return ("numbers",)

    def default_loss(self, output: Output) -> Loss:
        """The mean squared error."""
        return MeanSquaredError()

    def check_output(self, output: Output) -> None:
        """Refuse anything but one number for each name."""
        if output.shape != (len(self.names),):
            raise DataError(
                f"the network's output {output.name} is {format_sizes(output.shape)}, but "
                f"{there_are(self.names, 'value')}; make its last layer Linear({len(self.names)})"
            )

    def check_targets(self, targets: ArrayLike, count: int, output: Output | None = None) -> NDArray[np.float64]:
        """(N, K) float64."""
        form = f"a number for each of {counted(len(self.names), 'value')}: {count:,}x{len(self.names):,}"
        values = as_numbers(targets, count, "targets", form)
        if values.ndim == 1 and len(self.names) == 1:
            values = values[:, None]
        if values.shape != (count, len(self.names)):
            raise DataError(f"targets have the shape {shape_of(values)}; give {form}")
        exact = np.ascontiguousarray(values, np.float64)
        wrong = ~(np.abs(exact) <= LARGEST)
        if wrong.any():
            row, value = np.unravel_index(int(wrong.argmax()), wrong.shape)
            raise DataError(
                f'sample {row} has {exact[row, value]:g} for "{self.names[value]}"; fix or remove it (targets '
                f"must be finite and at most {LARGEST:.2g} in magnitude)"
            )
        return exact

    def decode(self, values: NDArray[Any], output: Output) -> NDArray[np.float32]:
        """The values (N, K) as they are."""
        check_finite(values, output)
        return np.asarray(values, np.float32)

    def answers(self, decoded: NDArray[Any]) -> list[Answer]:
        """Each value with its name."""
        return [[(name, float(value)) for name, value in zip(self.names, row, strict=True)] for row in decoded]

    def metrics(self, output: Output) -> Sequence[Metric]:
        """mae, rmse and r2."""
        return [RegressionErrors(self.names)]
