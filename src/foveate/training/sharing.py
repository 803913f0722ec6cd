"""Which samples of a batch each process takes when several train together, and what all of them must agree on."""

from collections.abc import Sequence
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from foveate.data.shards.order import share
from foveate.engines.group import Group
from foveate.errors import TrainingError
from foveate.training.job import Job


class Shares:
    """The part of one process in a training.

    >>> Shares(Group(rank=1, size=3)).own(np.arange(7))
    array([1, 4])
    """

    def __init__(self, group: Group) -> None:
        self._group = group

    @property
    def is_first(self) -> bool:
        """Whether this process writes and reports for all."""
        return self._group.rank == 0

    def own(self, batch: NDArray[Any]) -> NDArray[Any]:
        """The samples of a batch that are this process's."""
        return share(batch, self._group.rank, self._group.size)

    def any(self, *flags: bool) -> list[bool]:
        """For each of these, whether it is so in any of the processes."""
        return [count > 0 for count in self._group.total(flags)]

    def of_first(self, *numbers: float) -> list[float]:
        """These numbers as the first process has them, so that all decide alike what depends on them."""
        return self._group.total([number if self.is_first else 0.0 for number in numbers])

    def checked(self, groups: Sequence[Sequence[NDArray[Any]]], least: int = 1) -> Sequence[Sequence[NDArray[Any]]]:
        """The batches of each update, after a check that every process has at least that many samples of each.

        Raises:
            TrainingError: a batch has too few samples.
        """
        if self._group.size == 1:
            return groups
        sizes = [len(batch) for group in groups for batch in group]
        smallest, largest, processes = min(sizes), max(sizes), self._group.size
        if smallest < least * processes:
            which = "each batch has" if smallest == largest else "the last batch of an epoch has"
            need = "" if least == 1 else f", as batch normalisation needs {least} in each"
            raise TrainingError(
                f"{which} {smallest} of {sum(sizes):,} samples, too few for {processes} processes to share{need}. "
                f"Use fewer processes, or another batch size than {largest}"
            )
        return groups

    def check_alike(self, job: Job, step: int) -> None:
        """Check that all processes begin with the same parameters, at the same step, with as many samples.

        Raises:
            TrainingError: they do not.
        """
        if self._group.size == 1:
            return
        checksum = 0
        for name in job.state.names(slots=True):
            checksum = crc32(np.ascontiguousarray(job.state.read(name)).tobytes(), checksum)
        own = {"the step": step, "the number of samples": len(job.train), "the parameters": checksum}
        totals = self._group.total([float(value) for value in own.values()])
        for (what, value), total in zip(own.items(), totals, strict=True):
            if total != value * self._group.size:
                raise TrainingError(
                    f"the processes do not begin alike: {what} of process {self._group.rank} is not that of the "
                    "others. Give all of them the same seed, data and folder"
                )
