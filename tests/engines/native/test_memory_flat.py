"""Memory stays what it is over a thousand batch sizes, and over hundreds of networks on one engine."""

import pytest

from benchmarks import scenarios, stress


@pytest.mark.parametrize("name", scenarios.SIZED)
def test_memory_stays_flat(name: str):
    assert stress.run(name, calls=0, seconds=120)
