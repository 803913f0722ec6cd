"""The nine large networks of the onnx package, with random weights: the same outputs as onnxruntime's."""

from math import prod, sqrt
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import foveate as fv
from tests.support import relative_error

LIGHT = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
NAMES = sorted(path.stem for path in LIGHT.glob("*.onnx"))

BOUND = 1e-5


def with_random_weights(path: Path) -> onnx.ModelProto:
    """The network with arrays in place of the constants that the package has, to be small, instead of weights."""
    model, generator = onnx.load(path), np.random.default_rng(7)
    graph = model.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kept = []
    for node in graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(shapes[node.input[0]].tolist())
        deviation = sqrt(2 / prod(shape[1:])) if len(shape) > 1 else 0.0
        numbers = generator.standard_normal(shape) * deviation if deviation else generator.uniform(0.5, 1.5, shape)
        graph.initializer.append(numpy_helper.from_array(numbers.astype(np.float32), node.output[0]))
    del graph.node[:]
    graph.node.extend(kept)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_light_model_with_random_weights_is_the_same(name: str, tmp_path: Path):
    import onnxruntime

    path = tmp_path / "model.onnx"
    onnx.save(with_random_weights(LIGHT / f"{name}.onnx"), path)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (port,) = session.get_inputs()
    images = np.random.default_rng(1).standard_normal((1, *port.shape[1:])).astype(np.float32)
    (theirs,) = session.run(None, {port.name: images})
    ours = fv.from_onnx(path).logits(images)
    assert relative_error(ours.reshape(theirs.shape), theirs) <= BOUND


def test_there_are_nine():
    assert len(NAMES) == 9
