"""Exchanging weights and models with PyTorch; `Model` inherits it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from foveate.calls import called, path_from
from foveate.engines import Engine, State
from foveate.engines.pytorch import as_torch
from foveate.files.weights import fit_weights, named_arrays, read_weights
from foveate.graph import Graph
from foveate.graph.shown import network_words
from foveate.log import logger
from foveate.tasks import AnyTask
from foveate.text import printable

if TYPE_CHECKING:
    from torch import nn


class Releasable(Protocol):
    """An object that may hold on to a state that it ran on."""

    def release(self) -> None:
        """Release it."""


class Portable(ABC):
    """A graph with a state that can be exported to PyTorch and loaded from it."""

    graph: Graph
    task: AnyTask | None
    state: State
    engine: Engine
    frozen: frozenset[str]
    names: dict[str, str]
    remarks: dict[str, Any]
    _programs: Releasable

    @abstractmethod
    def described(self) -> dict[str, Any]:
        """Everything but the arrays, as plain data."""

    def __repr__(self) -> str:
        words = [network_words(self.graph), "no task yet" if self.task is None else printable(self.task, 60)]
        return f"Model({', '.join(words)})"

    def _repr_html_(self) -> str:
        """What a notebook shows: the model's task, and below it the network's table."""
        return f"<p>{escape(repr(self))}</p>\n{self.graph.summary().to_html()}"

    def to_torch(self) -> "nn.Module":
        """The model in PyTorch: modules of torch.nn under the same names, in inference mode.

        Its state_dict has foveate's names and layouts; frozen parameters have requires_grad=False, and a frozen
        normalisation stays in inference mode. `about.task`, `about.preprocessing` and `about.inputs` hold, as plain
        data, the task, the preprocessing of raw inputs, and the shape of each input. It can be pickled, exported and
        compiled.

        Raises:
            EngineError: PyTorch is not installed, or has no counterpart of a layer.
        """
        told = self.described()
        about = {name: told.get(name) for name in ("task", "preprocessing")}
        inputs = {name: list(shape) for name, shape in self.graph.inputs.items()}
        return as_torch(self.graph, self.state, self.frozen, {**about, "inputs": inputs})

    @called()
    def load_torch(self, weights: str | Path | Mapping[str, Any]) -> Self:
        """Take the weights of the same network from PyTorch; returns the model itself.

        Arrays are matched by name if the names agree, or by order and shape if only one order is possible; an
        alphabetical order, as in safetensors, proves nothing.
        Dictionaries around the weights and prefixes of all names ("module.") are recognised; `remarks["weights"]` says
        which were found, and `names` what each array was called.

        Args:
            weights: a file of safetensors or of torch.save, or a state_dict. No code in a file runs, and PyTorch need
                not be installed.

        Raises:
            FileError: the file is missing or damaged, or its arrays do not fit; the message is a table of those that do
                not, with both shapes.
        """
        if isinstance(weights, Mapping):
            found = named_arrays("the dictionary", weights)
        else:
            found = read_weights(path_from(weights, "weights", " or a state_dict"))
        fitted = fit_weights(self.graph, found)
        for sentence in fitted.said:
            logger.info("%s: %s", found.source, sentence)
        state = self.engine.new_state(self.graph, seed=self.state.seed)
        for name, array in fitted.arrays.items():
            state.load(name, array)
        self.state = state  # whole, or not at all
        self._programs.release()
        self.names, self.remarks = dict(fitted.names), {**self.remarks, "weights": list(fitted.said)}
        return self
