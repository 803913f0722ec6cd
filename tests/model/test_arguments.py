"""What people pass to `fit` and `logits` by mistake ends in a sentence that says what to pass."""

import numpy as np
import pytest

import foveate as fv


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"optimizer": "adam"}, fv.TrainingError, r"^optimizer is 'adam'; give an optimiser such as SGD\(\)"),
        ({"optimizer": fv.AdamW}, fv.TrainingError, r"^optimizer is <class .*AdamW'>; give an optimiser"),
        ({"schedule": 0.01}, fv.TrainingError, r"^schedule is 0\.01; give a schedule such as OneCycle\(0\.05\)"),
        ({"schedule": fv.Cosine}, fv.TrainingError, r"^schedule is <class .*Cosine'>"),
        ({"augmentation": True}, fv.TrainingError, r"^augmentation is True; it must be an Augmentation, such as"),
        ({"validation": 0.2}, fv.DataError, r"^the data are a float, not a Dataset; make one with Dataset\(inputs"),
    ],
)
def test_an_argument_of_another_kind(trained, data, options, error, said):
    with pytest.raises(error, match=said):
        trained.fit(data, epochs=1, progress=False, **options)


def test_arrays_instead_of_a_data_set(trained, data):
    with pytest.raises(fv.DataError, match=r"^the data are a tuple, not a Dataset"):
        trained.fit((data.inputs, data.labels), progress=False)


def test_nothing_to_learn(trained, data):
    with pytest.raises(
        fv.TrainingError, match=r"^every parameter is frozen, so there is nothing to learn; model\.unfreeze"
    ):
        trained.freeze("*").fit(data, epochs=1, progress=False)
    trained.unfreeze().fit(data, epochs=1, progress=False)
    bare = fv.Model(fv.Sequential(fv.GlobalAvgPool2d()).build((3, 6, 6)))
    images = np.zeros((4, 3, 6, 6), np.uint8)
    with pytest.raises(fv.TrainingError, match=r"^the network has no parameters, so there is nothing to learn"):
        bare.fit(fv.Dataset(images, [0, 1, 2, 0], ("a", "b", "c")), epochs=1, progress=False)


def test_channels_last_are_told_apart(data):
    images = np.zeros((6, 8, 9, 3), np.uint8)
    model = fv.Model(fv.Sequential(fv.GlobalAvgPool2d(), fv.Linear(2)).build((3, 8, 9)))
    with pytest.raises(fv.DataError, match=r"its channels last, .* give np\.moveaxis\(inputs, -1, 1\)"):
        model.fit(fv.Dataset(images, [0, 1] * 3, ("a", "b")), progress=False)
    model.fit(fv.Dataset(np.moveaxis(images, -1, 1), [0, 1] * 3, ("a", "b")), epochs=1, progress=False)


def test_raw_images_are_not_taken_for_prepared_inputs(trained, data):
    with pytest.raises(fv.DataError, match=r"^the inputs are uint8, but prepared inputs are float32.* model\.predict"):
        trained.logits(data.inputs)
    with pytest.raises(fv.DataError, match=r"^the inputs are a str, but prepared inputs are an array of numbers"):
        trained.logits("photo.png")
    prepared = trained.preprocessing.apply(data.inputs)
    assert trained.logits(prepared).shape == (60, 3)


def test_the_loss_is_found_by_its_name(trained, data):
    result = trained.evaluate(data)
    assert result["loss"] == result.loss
