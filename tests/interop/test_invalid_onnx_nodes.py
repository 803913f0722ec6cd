"""Operations that are not as ONNX says: a sentence with the name of the operation, whatever is wrong with it."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import foveate as fv
from foveate.interop.onnx import importing

ARRAYS = {
    "half": np.float32(0.5), "one": np.float32(1), "c": np.float32(0.044715), "k": np.float32(0.7978845),
    "twice": np.array([1, 1]), "three": np.float32(3), "six": np.float32(6),
}  # fmt: skip


def node(kind: str, inputs: str, output: str, **attributes: Any) -> onnx.NodeProto:
    """An operation named after its output."""
    return helper.make_node(kind, inputs.split(), [output], name=output, **attributes)


def file_of(path: Path, *nodes: onnx.NodeProto, sizes: tuple[Any, ...] = ("N", 3)) -> onnx.ModelProto:
    """A network from x to y, unchecked."""
    read = {name for each in nodes for name in each.input}
    arrays = [numpy_helper.from_array(np.asarray(array), name) for name, array in ARRAYS.items() if name in read]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, s) for name, s in (("x", sizes), ("y", None))]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], arrays)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, path)
    return model


LAST = (node("Mul", "a half", "q"), node("Mul", "x q", "y"))
INVALID = {
    "a sum of one": ("a", node("Add", "x", "a"), *LAST),
    "a sum of three": ("a", node("Add", "x x x", "a"), *LAST),
    "a softplus of nothing": ("s", node("Softplus", "", "s"), node("Tanh", "s", "t"), node("Mul", "x t", "y")),
    "an error function of nothing": ("e", node("Erf", "", "e"), node("Add", "e one", "a"), *LAST),
    "a power without exponent": (
        "p", node("Pow", "x", "p"), node("Mul", "p c", "pc"), node("Add", "x pc", "s"), node("Mul", "s k", "sk"),
        node("Tanh", "sk", "t"), node("Add", "t one", "a"), *LAST,
    ),
    "a slope that is a word": ("a", node("HardSigmoid", "x", "a", alpha="z"), node("Mul", "x a", "y")),
    "a constant that is a word": ("v", node("Constant", "", "v", value_string="a"), node("Mul", "x v", "y")),
    "axes twice": ("y", node("Unsqueeze", "x twice", "y")),
}  # fmt: skip


@pytest.mark.parametrize("case", INVALID)
def test_an_invalid_operation_is_named(case: str, tmp_path: Path):
    name, *nodes = INVALID[case]
    file_of(tmp_path / "a.onnx", *nodes)
    with pytest.raises(fv.GraphError, match=f"no layer in foveate computes:\n  {name}: "):
        fv.from_onnx(tmp_path / "a.onnx")


def test_a_constant_that_is_a_number_is_one(tmp_path: Path):
    file_of(tmp_path / "a.onnx", node("Constant", "", "v", value=3), node("Mul", "x v", "y"))
    assert fv.from_onnx(tmp_path / "a.onnx").logits(np.ones((1, 3), np.float32)).tolist() == [[3, 3, 3]]


def test_a_long_chain_of_products(tmp_path: Path):
    names = ["x", *(f"h{number}" for number in range(1499)), "y"]
    nodes = [node("Mul", f"{one} three", two) for one, two in pairwise(names)]
    file_of(tmp_path / "a.onnx", *nodes)
    assert len(fv.from_onnx(tmp_path / "a.onnx").graph.nodes) == 1500


def test_more_axes_than_arrays_have(tmp_path: Path):
    model = file_of(tmp_path / "a.onnx", node("Mul", "x half", "y"))
    model.graph.initializer[0].dims.extend([1] * 70)
    onnx.save(model, tmp_path / "a.onnx")
    with pytest.raises(fv.FileError, match="the array half has 70 axes; at most 32 are read"):
        fv.from_onnx(tmp_path / "a.onnx")
    file_of(tmp_path / "b.onnx", node("Relu", "x", "y"), sizes=("N", *[1] * 40))
    with pytest.raises(fv.GraphError, match="its input x has 41 axes; at most 8"):
        fv.from_onnx(tmp_path / "b.onnx")


def test_frozen_names_that_are_no_names(tmp_path: Path):
    model = file_of(tmp_path / "a.onnx", node("Relu", "x", "y"))
    model.producer_name = "foveate"
    helper.set_model_props(model, {"foveate": json.dumps({"frozen": [[], {"a": 1}]})})
    onnx.save(model, tmp_path / "a.onnx")
    assert fv.from_onnx(tmp_path / "a.onnx").frozen == frozenset()


@pytest.mark.parametrize("place", ["read_network", "spelt_out", "_model"])
def test_what_nobody_reckoned_with_is_a_sentence(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def fail(*rest: Any) -> None:
        raise RecursionError("too deep")

    file_of(tmp_path / "a.onnx", node("Relu", "x", "y"))
    monkeypatch.setattr(importing, place, fail)
    with pytest.raises(fv.FileError, match=r"cannot be imported: it is not as ONNX says \(RecursionError: too deep\)"):
        fv.from_onnx(tmp_path / "a.onnx")
