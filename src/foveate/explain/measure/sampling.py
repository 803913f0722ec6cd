"""The rule for sample rates, wherever one is given."""

from math import isfinite

from foveate.errors import DataError


def check_sample_rate(sample_rate: float) -> None:
    """Refuse a rate that is not above 0 samples per second."""
    if not (isfinite(sample_rate) and sample_rate > 0):
        raise DataError(f"sample_rate is {sample_rate}; give samples per second, for example 8000")
