"""What goes wrong in a benchmark, as a sentence."""


class BenchmarkError(Exception):
    """A comparison that cannot be made, or whose answers do not agree; the message is meant for a person."""
