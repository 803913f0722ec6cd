"""What can be meant but seldom is: channels last, and one layer object in two places."""

import warnings

import pytest

import foveate as fv
from foveate.graph.joining import channels_last

LAST = "The input 32x32x3 seems to have its channels last; foveate expects channels first: 3x32x32."


def test_a_layer_that_does_not_fit_says_that_channels_come_first():
    with pytest.raises(fv.ShapeError) as raised:
        fv.Sequential(fv.Conv2d(8, 5)).build((32, 32, 3))
    assert LAST in str(raised.value).splitlines()
    with pytest.raises(fv.ShapeError) as raised:
        fv.Sequential(fv.Conv3d(8, 5)).build((9, 12, 10, 1))
    hint = "The input 9x12x10x1 seems to have its channels last; foveate expects channels first: 1x9x12x10."
    assert hint in str(raised.value)
    with pytest.raises(fv.ShapeError) as raised:
        fv.Sequential(fv.Conv2d(8, 5)).build((3, 4, 4))
    assert "channels last" not in str(raised.value)


def test_a_network_that_fits_all_the_same_warns():
    with pytest.warns(fv.ChannelsLastWarning, match=LAST):
        fv.Sequential(fv.Conv2d(8, 3, padding=1)).build((32, 32, 3))
    with pytest.warns(fv.ChannelsLastWarning, match=LAST):
        fv.zoo.make("resnet18", input_shape=(32, 32, 3))
    builder = fv.GraphBuilder()
    value = builder.add(fv.ReLU(), builder.input((32, 32, 3)))
    with pytest.warns(fv.ChannelsLastWarning, match=LAST) as told:
        builder.build(value)
    assert told[0].filename == __file__


@pytest.mark.parametrize("shape", [(32,), (32, 3), (3, 32, 32), (64, 7, 1), (3, 3, 3), (16, 8, 3), (8, 8, 8)])
def test_other_shapes_are_taken_as_they_are(shape):
    assert channels_last(shape, surely=True) == ""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fv.Sequential(fv.ReLU()).build(shape)


def test_one_layer_object_in_two_places_warns_that_nothing_is_shared():
    layer = fv.Linear(10)
    with pytest.warns(fv.RepeatedLayerWarning) as told:
        graph = fv.Sequential(layer, layer).build(10)
    assert str(told[0].message) == (
        "linear1 and linear2 are one Linear object, but each has parameters of its own; to share them use "
        'GraphBuilder.add(..., parameters="linear1"), or else write the layer out twice'
    )
    assert told[0].filename == __file__
    assert graph.summary().total_parameters == 220


def test_what_has_no_parameters_or_shares_them_may_stand_anywhere():
    relu, layer = fv.ReLU(), fv.Linear(10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fv.Sequential(relu, fv.Linear(3), relu).build(10)
        fv.Sequential(layer, layer).build(10, quiet=True)
        builder = fv.GraphBuilder()
        value = builder.add(layer, builder.input(10), name="first")
        graph = builder.build(builder.add(layer, value, name="second", parameters="first"))
    assert graph.summary().total_parameters == 110


def test_two_inputs_without_names():
    builder = fv.GraphBuilder()
    builder.input((3, 8, 8))
    with pytest.raises(fv.GraphError) as raised:
        builder.input((4,))
    assert str(raised.value) == 'two inputs are called "input"; give each its own: builder.input(shape, "table")'
