"""What every picture needs from a model: networks with several inputs and outputs, and what cannot be examined."""

import numpy as np
import pytest

import foveate as fv
from foveate import explain
from foveate.engines import Engine
from foveate.explain.probe.classes import logit_layers
from foveate.explain.probe.probe import Probe, prepare
from tests.support import normal


def two_outputs(engine: Engine) -> fv.Model:
    builder = fv.GraphBuilder()
    maps = builder.add(fv.Conv2d(4, 3, padding=1), builder.input((3, 10, 10)), name="conv")
    mean = builder.add(fv.GlobalAvgPool2d(), builder.add(fv.ReLU(), maps, name="relu"), name="mean")
    heads = [builder.add(fv.Linear(classes), mean, name=f"head{classes}") for classes in (2, 5)]
    return fv.Model(builder.build(*heads, quiet=True), engine=engine)


def test_layers_of_a_network_with_several_outputs_can_be_looked_into(engine: Engine):
    model, images = two_outputs(engine), normal((2, 3, 10, 10)).astype(np.float32)
    one = fv.Model(fv.Sequential(fv.Conv2d(4, 3, padding=1), fv.ReLU()).build((3, 10, 10), quiet=True), engine=engine)
    for name in ("weight", "bias"):
        one.state.load(f"conv1.{name}", model.read(f"conv.{name}"))
    maps = explain.activation_maps(model, images[:1], "relu")
    np.testing.assert_allclose(maps, one.logits(images[:1])[0], atol=1e-6)
    energy = explain.effective_field(model, images, "relu").energy
    np.testing.assert_allclose(energy, explain.effective_field(one, images, "relu1").energy, atol=1e-6)
    with pytest.raises(fv.GraphError, match=r"2 outputs \(head2, head5\), but a class can be asked about only if"):
        explain.saliency(model, images)


def test_a_network_with_several_inputs_is_refused():
    builder = fv.GraphBuilder()
    both = builder.add(fv.Add(), builder.input((2, 6, 6), "left"), builder.input((2, 6, 6), "right"))
    model = fv.Model(builder.build(builder.add(fv.GlobalAvgPool2d(), both), quiet=True))
    with pytest.raises(fv.GraphError, match=r"2 inputs \(left, right\), but only networks with one can be examined"):
        explain.saliency(model, np.zeros((1, 2, 6, 6)))


def test_units_stand_for_classes_at_the_outputs_and_before_their_softmax():
    layers = (fv.Flatten(), fv.Linear(3))
    plain, ended = (fv.Sequential(*layers, *last).build((1, 4, 4)) for last in ((), (fv.Softmax(),)))
    assert logit_layers(plain) == ("linear1",)
    assert logit_layers(ended) == ("softmax1", "linear1")
    assert logit_layers(fv.Sequential(fv.Softmax()).build((3,))) == ("softmax1", "input")


def test_what_a_probe_gives_stays(engine: Engine):
    probe = Probe(two_outputs(engine), 1, keep=["conv"])
    images = normal((1, 3, 10, 10)).astype(np.float32)
    given = [probe.run(images), probe.activation("conv"), probe.activation("input")]
    before = [array.copy() for array in given]
    probe.run(-images)
    assert all(np.array_equal(*pair) for pair in zip(given, before, strict=True))


def test_arrays_of_no_numbers_are_a_sentence(engine: Engine):
    with pytest.raises(fv.DataError, match="the array holds complex128, but the network takes real numbers"):
        prepare(two_outputs(engine), np.zeros((3, 10, 10), complex))
