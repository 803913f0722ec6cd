"""Entries of the zoo's index."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from inspect import signature
from typing import Any, TypeAlias

from foveate.calls import called
from foveate.graph import Graph
from foveate.zoo.blocks import TORCH

_NO_WEIGHTS = "networks come without weights; Model(graph).load_torch(path) takes published ones"

named_network = called(num_classes="it is called classes", pretrained=_NO_WEIGHTS, weights=_NO_WEIGHTS)
"""Decorator for functions that make networks: wrong calls are explained in a sentence."""


Scaling: TypeAlias = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel, for values from 0 to 1."""

_IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
_HALVES = ((0.5,) * 3, (0.5,) * 3)
_OTHERS: Mapping[tuple[str, str | None], Scaling] = {
    ("googlenet", None): _HALVES,
    ("mobilenet_v1", "tensorflow"): _HALVES,
    ("wide_resnet28_10", None): ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
    ("efficientnet_lite0", "tensorflow"): ((127 / 255,) * 3, (128 / 255,) * 3),
}
"""How inputs are scaled for published weights of a network and its variant, where that is not ImageNet's way."""


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

    def scaling(self, variant: str | None = None) -> Scaling | None:
        """Mean and standard deviation with which inputs were scaled for the published weights; None without any."""
        if self.weights.startswith("none"):
            return None
        return _OTHERS.get((self.name, None if variant == TORCH else variant), _IMAGENET)

    def __call__(self, **options: Any) -> Graph:
        """The network; `input_shape` and `classes` can be chosen."""
        return self.function(**options)

    def _default(self, option: str) -> Any:
        return signature(self.function).parameters[option].default
