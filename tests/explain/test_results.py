"""Results as JSON: every field by its name, whatever it holds."""

import json
from typing import Any

import numpy as np
import pytest

import foveate as fv
from foveate import explain


def small_model() -> fv.Model:
    layers = (fv.Conv2d(3, 3, padding=1), fv.BatchNorm2d(), fv.ReLU(), fv.GlobalAvgPool2d(), fv.Linear(2))
    return fv.Model(fv.Sequential(*layers).build((1, 6, 6), quiet=True), seed=0)


IMAGE = np.linspace(0, 1, 36, dtype=np.float32).reshape(1, 6, 6)


def from_model() -> dict[str, Any]:
    model = small_model()
    first = model.graph.nodes[0].name
    return {
        "filters": explain.filters(model, first),
        "curve": explain.activation_curve(fv.ReLU(), [-1.0, 0.0, 2.0]),
        "survival": explain.signal_survival([fv.ReLU()], depth=2, width=4, samples=2)[0],
        "gradients": explain.integrated_gradients(model, IMAGE, 0),
        "explanation": explain.explain_class(model, IMAGE, 0)["guided_backpropagation"],
        "responses": explain.response_curves(model, IMAGE, shifts=[0, 1], angles=[0], scales=[1]),
        "equivariance": explain.equivariance_error(model, IMAGE, shifts=[5]),
        "matrix": explain.convolution_matrix(fv.Conv1d(1, 2), (1, 4), [[[1, 2]]]),
        "effect": explain.normalization_effect(model, IMAGE, bins=4)[0],
        "patches": explain.exciting_patches(model, IMAGE, first),
        "field": explain.effective_field(model, IMAGE, first),
        "sanity": explain.sanity_check(model, IMAGE),
        "images": explain.exciting_image(model, first, 0, steps=1),
        "projection": explain.project(np.random.default_rng(0).normal(size=(5, 3))),
    }


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    return from_model()


NAMES = (
    "filters", "curve", "survival", "gradients", "explanation", "responses", "equivariance", "matrix", "effect",
    "patches", "field", "sanity", "images", "projection",
)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_result_becomes_json(name: str, results: dict[str, Any]):
    told = results[name].to_json()
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert told.keys() >= results[name].__dataclass_fields__.keys()


def test_arrays_ranges_and_layers_have_plain_forms(results: dict[str, Any]):
    assert results["curve"].to_json() == {"x": [-1, 0, 2], "value": [0, 0, 2], "derivative": [0, 0, 1]}
    assert results["matrix"].to_json()["layer"] == fv.Conv1d(1, 2).describe()
    region = results["field"].to_json()["field"]["region"]
    assert region["clipped"] == [[axis.start, axis.stop] for axis in results["field"].field.region.clipped]


def test_what_is_no_number_is_none(results: dict[str, Any]):
    error = results["equivariance"]
    assert np.isnan(error.interior).any()
    assert any(None in row for row in error.to_json()["interior"])


def test_the_sanity_check_tells_its_verdict(results: dict[str, Any]):
    told = results["sanity"].to_json()
    assert told["verdict"] == results["sanity"].verdict
    assert told["passed"] is results["sanity"].passed
