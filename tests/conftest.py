"""Fixtures and settings for every test: which engines run, and how Hypothesis draws."""

import os

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, settings

from foveate.engines import Engine, get_engine
from foveate.engines.reference import ReferenceEngine

torch.set_num_threads(1)

settings.register_profile(
    "foveate",
    derandomize=True,
    deadline=None,
    max_examples=150,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("foveate")


@pytest.fixture(scope="session", autouse=True)
def _own_image_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Decoded images are kept in a folder of the tests, in this process and those that it starts."""
    os.environ["FOVEATE_CACHE"] = str(tmp_path_factory.mktemp("image-cache"))


TORCH = pytest.param("torch", marks=pytest.mark.slow)
"""The quick tests of this engine are those of tests/engines/pytorch; what every engine must do takes it minutes."""


@pytest.fixture(params=["reference", "native", TORCH])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each engine as users get it, in float32: a test that takes it runs once for each."""
    return get_engine(request.param)


@pytest.fixture(scope="session")
def truth() -> Engine:
    """The reference engine in float64, the oracle."""
    return ReferenceEngine(np.float64)


@pytest.fixture(params=["float64-reference", "reference", "native", TORCH])
def any_engine(request: pytest.FixtureRequest) -> Engine:
    """The oracle too, for tests whose expectation comes from elsewhere; see `support.bound`."""
    return ReferenceEngine(np.float64) if request.param == "float64-reference" else get_engine(request.param)
