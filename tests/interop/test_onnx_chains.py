"""Chains of operators that move the batch: what onnxruntime computes is computed here, or it is said why not."""

import re
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

import foveate as fv
from tests.interop.chains import random_chain, samples_first, too_large
from tests.support import relative_error

SENTENCE = re.compile(r"that no layer in foveate computes|depends on how many samples|positions of several samples")
CHAINS = 60


def outcome(seed: int, batch: int | None, path: Path) -> str:
    """ "the same", "refused", or "no case"; otherwise what is wrong."""
    chain = random_chain(seed, batch)
    if too_large(chain):
        return "no case"
    model = chain.model()
    onnx.save(model, path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level, options.intra_op_num_threads = 4, 1
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    except Exception:  # it is no network
        return "no case"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = fv.from_onnx(path)
    except fv.GraphError as error:
        told = str(error)
        return "refused" if SENTENCE.search(told) and "are not those of the operator" not in told else f"says {told}"
    shape = made.graph.input_shape
    for size in (1, 2, 3) if batch is None else (batch,):
        x = np.random.default_rng(seed).standard_normal((size, *shape)).astype(np.float32)
        (theirs,) = session.run(None, {"x": x})
        (ours,) = made.outputs(x).values()
        if not any(relative_error(ours, each) <= 1e-5 for each in samples_first(theirs, ours)):
            return f"differs at {size} samples"
    return "the same"


@pytest.mark.parametrize("batch", [None, 1, 2, 3])
def test_a_chain_is_the_same_here_or_refused_in_a_sentence(batch: int | None, tmp_path: Path):
    outcomes = {seed: outcome(seed, batch, tmp_path / "a.onnx") for seed in range(CHAINS)}
    counts = Counter(outcomes.values())
    known = ("the same", "refused", "no case")
    assert {seed: told for seed, told in outcomes.items() if told not in known} == {}
    assert counts["the same"] >= CHAINS // 5
    assert counts["refused"] >= CHAINS // 20
