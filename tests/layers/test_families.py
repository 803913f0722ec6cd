"""Final layers, families by their number of axes, and what a layer of one's own is derived from."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest

import foveate as fv
from foveate.engines import get_engine, register
from foveate.engines.definitions import DEFINITIONS
from foveate.geometry import Window, output_size
from foveate.layers import Layer
from foveate.layers.base import SPATIAL_LETTERS
from foveate.layers.convolution import Convolution
from foveate.layers.normalization import BatchNormalization
from foveate.layers.registry import LAYER_TYPES, built_in_layers

# Final layers


@pytest.mark.parametrize("built_in", built_in_layers(), ids=lambda layer_type: layer_type.__name__)
def test_a_built_in_layer_has_no_subclasses_and_names_a_base_that_may(built_in: type[Layer]):
    with pytest.raises(
        fv.LayerError, match=rf"^{built_in.__name__} is final, .* Derive Mine from foveate\.\w+"
    ) as told:
        type("Mine", (built_in,), {})
    base = getattr(fv, re.findall(r"from foveate\.(\w+)", str(told.value))[0])
    assert issubclass(type("Mine", (base,), {"label": "mine"}), Layer)
    assert issubclass(built_in, base)


def test_the_sentence_of_a_subclass_says_what_to_do():
    sentence = (
        "MaxPool2d is final, because engines compute it by its exact type. Derive MinPool2d from foveate.SpatialLayer "
        "and register how it computes with foveate.engines.register"
    )
    with pytest.raises(fv.LayerError, match=f"^{re.escape(sentence)}$"):

        class MinPool2d(fv.MaxPool2d):  # type: ignore[misc]
            """Minimum over windows."""


class Mixin:
    """Any other class."""


def test_a_final_layer_is_refused_behind_another_base_too():
    with pytest.raises(fv.LayerError, match=r"^ReLU is final, .* Derive Noisy from foveate\.ElementwiseLayer"):
        type("Noisy", (Mixin, fv.ReLU), {})


def test_a_layer_of_ones_own_is_open_to_subclasses():
    class Open(fv.ElementwiseLayer):
        label = "open"

    class Derived(Open):
        label = "derived"

    assert Derived().describe() == "Derived"


@dataclass(frozen=True)
class MinPool2d(fv.SpatialLayer):
    """Minimum over windows of 2x2."""

    label = "pool"
    spatial_axes = 2

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        channels, spatial = self.spatial_input(input_shapes)
        return channels, *map(output_size, spatial, self.windows(input_shapes))

    def windows(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[Window, ...]:
        return (Window(2, stride=2),) * 2


@pytest.fixture
def registered() -> Iterator[None]:
    register(
        MinPool2d,
        lambda layer, inputs, parameters: inputs[0].reshape(*inputs[0].shape[:2], 2, 2, 2, 2).min((3, 5)),
        lambda layer, inputs, parameters, output, gradient: ([np.zeros_like(inputs[0])], {}),
    )
    yield
    del DEFINITIONS[MinPool2d]
    del LAYER_TYPES["MinPool2d"]


@pytest.mark.parametrize("engine", ["native", "reference"])
@pytest.mark.usefixtures("registered")
def test_the_base_that_is_named_computes_what_was_registered_in_every_engine(engine: str):
    graph, made = fv.Sequential(MinPool2d()).build((1, 4, 4)), get_engine(engine)
    program = made.compile(graph, batch_size=1, mode="inference")
    x = np.arange(-8, 8, dtype=np.float32).reshape(1, 1, 4, 4)
    assert program.forward(made.new_state(graph), x)["pool1"].ravel().tolist() == [-8, -6, 0, 2]


def test_a_layer_of_ones_own_over_the_wrong_axes_is_told_where_it_belongs():
    with pytest.raises(fv.ShapeError, match=r"needs an input of C x H x W, .* A sample has 1 to 3 spatial axes"):
        MinPool2d().output_shape([(1, 8)])


# Families

FAMILIES = {
    kind.__mro__[1]: tuple(getattr(fv, f"{kind.__name__[:-2]}{axes}d") for axes in SPATIAL_LETTERS)
    for kind in built_in_layers()
    if kind.spatial_ranks
}
"""The bases whose members differ by their number of axes alone, by the spelling of the names."""


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_a_family_knows_its_layer_over_each_number_of_axes(family: type[Layer]):
    for axes in SPATIAL_LETTERS:
        member = FAMILIES[family][axes - 1]
        assert family.over(axes) is member
        assert FAMILIES[family][0].over(axes) is member


def test_every_layer_of_a_number_of_axes_is_in_a_family():
    members = {member for family in FAMILIES.values() for member in family}
    assert {each for each in built_in_layers() if each.spatial_ranks} == members


def test_features_are_normalised_by_the_layer_over_no_axes():
    assert BatchNormalization.over(0) is fv.BatchNorm1d


@pytest.mark.parametrize(
    ("layer_type", "axes", "sentence"),
    [
        (Convolution, 4, "there is no Convolution over 4 spatial axes; there is one for 1, 2, 3"),
        (fv.ReLU, 2, "ReLU has no variants for different numbers of spatial axes"),
        (MinPool2d, 1, "MinPool2d has no variants for different numbers of spatial axes"),
    ],
)
def test_what_has_no_layer_over_that_many_axes_says_so(layer_type: type[Layer], axes: int, sentence: str):
    with pytest.raises(fv.LayerError, match=f"^{re.escape(sentence)}$"):
        layer_type.over(axes)


def test_a_family_of_ones_own_has_a_table_of_its_own():
    class Blur(fv.SpatialLayer):
        label = "blur"

    class Blur1d(Blur):
        spatial_axes = 1

    class OtherConv2d(Convolution):
        spatial_axes = 2

    assert Blur.over(1) is Blur1d
    assert Convolution.over(2) is fv.Conv2d


# Names and modules


def test_every_built_in_layer_is_public_under_one_name():
    from foveate import layers

    names = {layer_type.__name__ for layer_type in built_in_layers()}
    assert names <= set(layers.__all__)
    assert names <= set(fv.__all__)


def test_no_two_modules_of_layers_import_each_other_near_or_far():
    import grimp

    graph = grimp.build_graph("foveate", exclude_type_checking_imports=False, cache_dir=None)
    modules = ["foveate.layers", *graph.find_descendants("foveate.layers")]
    pairs = [
        (one, other)
        for one, other in combinations(sorted(modules), 2)
        if graph.find_shortest_chain(one, other) and graph.find_shortest_chain(other, one)
    ]
    assert pairs == []
