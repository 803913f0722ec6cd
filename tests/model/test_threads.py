"""Models are used by several threads at once, and answer with the bits that one thread gets.

Each scenario runs in a process of its own: a crash is then one red test. The long form is
`python -m benchmarks stress`.
"""

import pytest

from benchmarks import scenarios, stress

CALLS = 25


@pytest.mark.parametrize("name", scenarios.THREADED)
def test_threads_get_the_bits_of_one(name: str):
    assert stress.run(name, CALLS, seconds=120)
