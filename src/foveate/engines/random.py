"""Counter-based random numbers (Philox 4x64): a stream is determined by (seed, name, step) alone.

The native engine computes the same stream in C++, so dropout does not depend on engine or thread count.
"""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_MASK = 2**64 - 1


def stream_key(name: str) -> int:
    """The 64-bit key of a named stream; the same on every machine and in every process."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")


def generator(seed: int, name: str, step: int = 0) -> np.random.Generator:
    """NumPy's generator over the stream of (seed, name, step).

    >>> bool((generator(0, "conv1").random(2) == generator(0, "conv1").random(2)).all())
    True
    """
    # Arrays of uint64, because NumPy takes a list of large ints by way of float64 and rounds them.
    key = np.array([seed & _MASK, stream_key(name)], np.uint64)
    counter = np.array([0, step, 0, 0], np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def raw(seed: int, name: str, step: int, count: int) -> NDArray[np.uint64]:
    """`count` raw 64-bit numbers, one for each element."""
    return np.asarray(generator(seed, name, step).bit_generator.random_raw(count), dtype=np.uint64)
