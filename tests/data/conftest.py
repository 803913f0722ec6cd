"""Fixtures of the data floor's tests."""

import pytest

from foveate.data import Splits, datasets


@pytest.fixture(scope="session")
def fashion() -> Splits:
    """The real Fashion-MNIST, found on this computer or fetched."""
    return datasets.fashion_mnist()
