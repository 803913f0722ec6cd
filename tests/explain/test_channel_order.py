"""A network that takes blue first, from 0 to 255, is shown as its twin that takes red first, from 0 to 1."""

import numpy as np
import pytest

import foveate as fv
from foveate import explain

IMAGES = np.random.default_rng(0).integers(0, 256, (2, 3, 16, 16), dtype=np.uint8)
MEAN, STD = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])


@pytest.fixture
def twins():
    """The same function of an image, red first and blue first."""
    layers = (fv.Conv2d(6, 3, padding="same"), fv.ReLU(), fv.Conv2d(4, 3), fv.GlobalAvgPool2d(), fv.Linear(3))
    graph = fv.Sequential(*layers).build((3, 16, 16))
    options = {"seed": 1, "classes": ("a", "b", "c")}
    red = fv.Model(graph, preprocessing=fv.Preprocessing((3, 16, 16), tuple(MEAN), tuple(STD)), **options)
    scaled = fv.Preprocessing(
        (3, 16, 16), tuple(255 * MEAN[::-1]), tuple(255 * STD[::-1]), scale=1.0, channel_order="BGR"
    )
    blue = fv.Model(graph, preprocessing=scaled, **options)
    blue.state.load("conv1.weight", np.ascontiguousarray(red.read("conv1.weight")[:, ::-1]))
    return red, blue


def test_they_predict_alike(twins):
    red, blue = twins
    np.testing.assert_allclose(blue.predict(IMAGES), red.predict(IMAGES), rtol=1e-5)


def test_exciting_images_are_alike_as_they_look(twins):
    red, blue = (explain.exciting_images(model, "conv2", channels=[0, 1], steps=16) for model in twins)
    assert red.images.std() > 0.05
    np.testing.assert_allclose(blue.images, red.images, atol=1e-4)
    np.testing.assert_allclose(blue.activations, red.activations, rtol=1e-3)


def test_attributions_are_in_the_order_that_the_network_takes(twins):
    red, blue = (explain.saliency(model, IMAGES[:1]) for model in twins)
    np.testing.assert_allclose(blue[:, ::-1], red, atol=1e-6)
