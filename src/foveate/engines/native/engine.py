"""The native engine's interface: it makes states and compiles programs."""

import atexit
import os
from typing import ClassVar

from foveate.engines.engine import Engine
from foveate.engines.native import _native
from foveate.engines.native.program import NativeProgram
from foveate.engines.native.state import NativeState
from foveate.engines.request import Request
from foveate.graph import Graph, Optimizer


class NativeEngine(Engine):
    """float32 on the CPU."""

    name: ClassVar[str] = "native"

    @property
    def threads(self) -> int:
        """The number given to `set_threads`, or the number of cores."""
        return _native.threads()

    def new_state(self, graph: Graph, optimizer: Optimizer | None = None, seed: int = 0) -> NativeState:
        """Freshly initialised parameters and statistics of `graph`, and slots for `optimizer` if there is one."""
        return NativeState(graph, optimizer, seed)

    def _compile(self, graph: Graph, request: Request) -> NativeProgram:
        return NativeProgram(graph, request)


atexit.register(_native.at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_native.before_fork,
        after_in_parent=_native.after_fork_in_parent,
        after_in_child=_native.after_fork_in_child,
    )
