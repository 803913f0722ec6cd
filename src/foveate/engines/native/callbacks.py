"""What a run calls back: a function of the numbers' addresses, and the run that calls it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass
class RunningState:
    """What a callback may know of its run; `saved` is the session's store, by node, from forward to backward."""

    seed: int = 0
    step: int = 0
    saved: dict[str, Any] = field(default_factory=dict)


CallbackFunction: TypeAlias = Callable[[RunningState, Sequence[int]], None]
"""function(the run, the addresses of its operands in order)"""
