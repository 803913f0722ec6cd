"""What lets a model learn something new from what it knows: frozen parameters and a new head; `Model` inherits it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Self

from foveate.data.preprocessing import Preprocessing
from foveate.engines import Engine, State
from foveate.errors import DataError
from foveate.graph import Graph, matching_arrays, with_new_head
from foveate.tasks.output import without_probabilities


class FineTuned:
    """A graph with a state that can be kept in part."""

    graph: Graph
    preprocessing: Preprocessing | None
    seed: int
    state: State
    engine: Engine
    frozen: frozenset[str]
    names: dict[str, str]
    remarks: dict[str, Any]

    if TYPE_CHECKING:

        def __init__(self, graph: Graph, **options: Any) -> None: ...

    def freeze(self, *patterns: str) -> Self:
        """Freeze parameters, so that training leaves them unchanged; returns the model itself.

        A frozen normalisation uses its running statistics in training too, and does not update them. The model's file
        records what is frozen.

        Args:
            patterns: names of layers ("conv1"), or of arrays with wildcards ("stage1.*", "*.bias").

        Raises:
            GraphError: a pattern matches nothing; the message gives the nearest names.
        """
        self.frozen |= matching_arrays(self.graph, patterns)
        return self

    def unfreeze(self, *patterns: str) -> Self:
        """Let parameters learn again: those that `patterns` match, or all by default; arguments as for `freeze`."""
        self.frozen -= matching_arrays(self.graph, patterns or ("*",))
        return self

    def with_head(self, classes: Sequence[str] | int, *, seed: int | None = None) -> Self:
        """A new model for other classes: its last Linear or convolution is new, everything before it is this model's.

        A softmax or sigmoid at the end is left out. The preprocessing is kept, and frozen parameters stay frozen.

        Args:
            classes: their names, or how many there are.
            seed: seed for the new parameters (default: the model's own).

        Raises:
            GraphError: the network has several outputs, or its output comes from a layer of another kind.
            DataError: there is no class, or a name is missing, repeated or not printable.

        >>> import foveate as fv
        >>> model = fv.Model(fv.zoo.lenet5()).with_head(["cat", "dog"]).freeze("conv*")
        >>> model
        Model(lenet5: input 1x28x28, 12 layers, 61,026 parameters, output 2, Classification(classes=('cat', 'dog')))
        """
        if isinstance(classes, int):
            names, count = None, classes
        else:
            names = tuple(classes) if isinstance(classes, list | tuple) else ()
            count = len(names)
        if isinstance(classes, bool) or count < 1:
            raise DataError(f"classes is {classes!r}; give the names of at least one class, or how many there are")
        bare = self.graph if len(self.graph.outputs) > 1 else without_probabilities(self.graph)
        graph, head = with_new_head(bare, count)
        seed = self.seed if seed is None else seed
        result = type(self)(graph, preprocessing=self.preprocessing, seed=seed, engine=self.engine, classes=names)
        kept = {name for name in result.state.names() if not name.startswith(f"{head.parameters}.")}
        for name in kept:
            result.state.load(name, self.state.read(name))
        result.frozen = self.frozen & kept
        result.names = {name: other for name, other in self.names.items() if name in kept}
        result.remarks = dict(self.remarks)
        return result
