"""Layer types by name, as files know them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import foveate as fv
from foveate.layers import Layer
from foveate.layers.registry import built_in_layers, make_layer, register_layer_type
from tests.layers.examples import EXAMPLES


@pytest.mark.parametrize("layer_type", built_in_layers(), ids=lambda layer_type: layer_type.__name__)
def test_a_layer_is_made_again_from_its_name_and_options(layer_type: type[Layer]):
    examples = [layer for layer in EXAMPLES if type(layer) is layer_type]
    assert examples
    for layer in examples:
        assert make_layer(layer_type.__name__, layer.options()) == layer


def test_the_examples_show_every_option_with_two_values():
    seen: dict[tuple[str, str], set[str]] = {}
    for layer in EXAMPLES:
        family = next(base for base in type(layer).__mro__ if "__dataclass_fields__" in vars(base)).__name__
        for name, value in layer.options().items():
            seen.setdefault((family, name), set()).add(repr(value))
    assert [option for option, values in seen.items() if len(values) < 2] == []


def test_an_unknown_type_is_refused():
    sentence = "there is no layer type 'Capsule'. If it is your own, import the module that registers it first"
    with pytest.raises(fv.LayerError, match=f"^{re.escape(sentence)}$"):
        make_layer("Capsule", {})


@pytest.mark.parametrize("name", ["os.system", "foveate.layers.Conv2d", "__import__", ""])
def test_no_name_leads_to_code(name: str):
    with pytest.raises(fv.LayerError, match="there is no layer type"):
        make_layer(name, {})


@pytest.mark.parametrize(
    ("type_name", "options", "sentence"),
    [
        (
            "Linear",
            {"out_features": 3, "colour": 1},
            "Linear: there is no option colour; there are out_features, bias, initializer, frozen, last_axis",
        ),
        ("ReLU", {"colour": 1}, "ReLU: there is no option colour; it has none"),
        (
            "Conv2d",
            {"out_channels": 3, "kernel_size": 3, "colour": 1},
            "Conv2d: there is no option colour; there are out_channels, kernel_size, stride, padding, dilation, "
            "groups, bias, initializer, frozen, padding_mode",
        ),
        (
            "MaxPool2d",
            {"kernel_size": 3, "colour": 1},
            "MaxPool2d: there is no option colour; there are kernel_size, stride, padding, dilation, ceil_mode",
        ),
        ("Linear", {}, "Linear: out_features is missing"),
        ("Conv1d", {"out_channels": 3}, "Conv1d: kernel_size is missing"),
    ],
    ids=str,
)
def test_unknown_and_missing_options_are_named_in_a_sentence(type_name: str, options: dict[str, Any], sentence: str):
    with pytest.raises(fv.LayerError, match=f"^{re.escape(sentence)}$"):
        make_layer(type_name, options)


@pytest.mark.parametrize(
    ("type_name", "options", "words"),
    [
        ("Conv2d", {"out_channels": 3, "kernel_size": "big"}, "kernel_size is 'big'"),
        ("Dropout", {"rate": 7}, "rate is 7"),
        ("Dropout", {"rate": "half"}, "Dropout"),
        ("BatchNorm2d", {"eps": None}, "BatchNorm2d"),
        ("Pad", {"padding": 3}, "Pad"),
    ],
    ids=str,
)
def test_an_option_of_a_wrong_kind_in_a_file_is_a_layer_error(type_name: str, options: dict[str, Any], words: str):
    with pytest.raises(fv.LayerError, match=words):
        make_layer(type_name, options)


@dataclass(frozen=True)
class Swish(Layer):
    """A layer of one's own."""

    label = "swish"
    beta: float = 1.0

    def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        return input_shapes[0]


def test_a_layer_type_of_ones_own_is_found_once_it_is_registered():
    register_layer_type(Swish)
    assert make_layer("Swish", {"beta": 2.0}) == Swish(2.0)
    assert Swish not in built_in_layers()


def test_the_name_of_a_built_in_layer_is_taken():
    @dataclass(frozen=True)
    class Linear(Layer):
        """Another Linear."""

        def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
            return input_shapes[0]

    sentence = "foveate already has a layer called Linear; choose another class name"
    with pytest.raises(fv.LayerError, match=f"^{sentence}$"):
        register_layer_type(Linear)
    assert type(make_layer("Linear", {"out_features": 2})) is fv.Linear


def own_layer(module: str) -> type[Layer]:
    @dataclass(frozen=True)
    class Doubled(Layer):
        """Twice its input."""

        def output_shape(self, input_shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
            return input_shapes[0]

    Doubled.__module__ = module
    return Doubled


def test_two_layers_of_ones_own_cannot_share_a_name_but_one_may_be_defined_again():
    register_layer_type(own_layer("first"))
    again = own_layer("first")
    register_layer_type(again)
    sentence = "first has already registered a layer called Doubled, and files know layers by name; choose another"
    with pytest.raises(fv.LayerError, match=f"^{sentence} class name$"):
        register_layer_type(own_layer("second"))
    assert type(make_layer("Doubled", {})) is again
