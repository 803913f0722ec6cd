"""What docs/determinism.md says of the code and of the records; its Python runs with that of the other pages."""

import json

from foveate.training.programs import LARGEST_BATCH, powers_of_two
from tests.docs_figures import DOCS

PAGE = " ".join((DOCS / "determinism.md").read_text(encoding="utf-8").split())


def test_how_batches_are_split():
    sizes = [end - begin for begin, end in powers_of_two(70, LARGEST_BATCH)]
    assert f"powers of two, {LARGEST_BATCH} at most: 70 images as {sizes[0]}, {sizes[1]} and {sizes[2]}." in PAGE


def test_the_kinds_of_machine_that_are_recorded():
    machines = [
        record["machine"]
        for record in json.loads((DOCS.parent / "tests/engines/native/baseline.json").read_text(encoding="utf-8"))[
            "records"
        ]
    ]
    kinds = sorted((machine["instruction_set"].split()[0], machine["threads"]) for machine in machines)
    assert kinds == [("AVX-512", 2), ("AVX-512", 2), ("AVX2", 2)]
    assert "there is one for AVX2 and two for AVX-512, all with two threads" in PAGE
