"""Entries of the zoo's index."""

from collections.abc import Callable
from dataclasses import dataclass
from inspect import signature
from typing import Any

from foveate.calls import called
from foveate.graph import Graph

_NO_WEIGHTS = "networks come without weights; Model(graph).load_torch(path) takes published ones"

named_network = called(num_classes="it is called classes", pretrained=_NO_WEIGHTS, weights=_NO_WEIGHTS)
"""Decorator for functions that make networks: wrong calls are explained in a sentence."""


@dataclass(frozen=True)
class Network:
    """An entry of the index, called like its function.

    `parameters` is the published count at the function's own input shape and number of classes; `source` says which
    variant that is and who counted them; `weights` says whose published weights it takes.
    """

    function: Callable[..., Graph]
    title: str
    paper: str
    parameters: int
    source: str
    weights: str = "none published"

    @property
    def name(self) -> str:
        """The function's name."""
        return self.function.__name__

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The default shape of one sample, channels first."""
        return tuple(self._default("input_shape"))

    @property
    def classes(self) -> int:
        """The default number of classes."""
        return int(self._default("classes"))

    @property
    def has_variants(self) -> bool:
        """Whether `variant="tensorflow"` can be chosen."""
        return "variant" in signature(self.function).parameters

    def __call__(self, **options: Any) -> Graph:
        """The network; `input_shape` and `classes` can be chosen."""
        return self.function(**options)

    def _default(self, option: str) -> Any:
        return signature(self.function).parameters[option].default
