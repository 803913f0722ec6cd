"""Malformed ONNX files: a sentence each, no crash, no memory that the file does not have."""

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import foveate as fv
from benchmarks.damaged_onnx import changed, good_files, outcome
from tests.interop.test_from_onnx import written

PLAIN = "agraph (float[N, 2, 8, 8] x) => (float[N, 4, 6, 6] y) { a = Conv(x, W) b = Relu(a) y = Neg(b) }"
WEIGHTS = {"W": np.ones((4, 2, 3, 3), np.float32)}


def refused(path: Path) -> str:
    """What is said about a file that cannot be imported."""
    with pytest.raises(fv.FoveateError) as caught:
        fv.from_onnx(path)
    return str(caught.value)


def test_files_that_are_no_onnx_files(tmp_path: Path):
    path = tmp_path / "a.onnx"
    assert "does not exist; expected an ONNX file" in refused(path)
    path.write_bytes(b"")
    assert "is empty; expected an ONNX file" in refused(path)
    for content in (b"hello", b"\x89PNG\r\n", bytes(100), b"\xff" * 100):
        path.write_bytes(content)
        assert "is not an ONNX file, or is damaged" in refused(path)
    assert "cannot be read" in refused(tmp_path)


def test_a_file_cut_short_anywhere(tmp_path: Path):
    content = written(PLAIN, tmp_path / "a.onnx", WEIGHTS).read_bytes()
    path = tmp_path / "b.onnx"
    for length in range(1, len(content) - 1, 3):
        path.write_bytes(content[:length])
        assert str(path) in refused(path)


def test_graphs_that_are_none(tmp_path: Path):
    path = written(PLAIN, tmp_path / "a.onnx", WEIGHTS)

    def with_change(change) -> str:
        model = onnx.load(path)
        change(model)
        other = tmp_path / "b.onnx"
        other.write_bytes(model.SerializeToString())
        return refused(other)

    def wait_for_itself(model):
        model.graph.node[1].input[0] = "y"

    def lose_the_weights(model):
        del model.graph.initializer[:]

    def make_twice(model):
        model.graph.node[1].output[0] = "a"

    def lose_the_outputs(model):
        del model.graph.output[:]

    def lose_an_output(model):
        model.graph.output[0].name = "z"

    def be_new(model):
        model.opset_import[0].version = 99

    def be_words(model):
        model.graph.input[0].type.tensor_type.elem_type = TensorProto.STRING

    def be_long(model):
        model.graph.initializer[0].dims[:] = [2**40, 2**40, 3, 3]

    def be_negative(model):
        model.graph.initializer[0].dims[:] = [-4, -2, 3, 3]

    def be_an_int(model):
        model.graph.node[0].attribute.append(helper.make_attribute("strides", "two"))

    for change, told in (
        (wait_for_itself, "waits for itself, by way of"), (lose_the_weights, r'a: Conv reads "W", which nothing makes'),
        (make_twice, '"a" is made twice'), (lose_the_outputs, "has no outputs"),
        (lose_an_output, 'nothing makes its output "z"'), (be_new, "version 99 .* 6 to 28 are read"),
        (be_words, "elements of the type string"), (be_long, r"has .* bytes, but its shape holds"),
        (be_negative, "sizes cannot be negative"), (be_an_int, "whose inputs or attributes are not those"),
    ):  # fmt: skip
        assert re.search(told, with_change(change)), told


@pytest.mark.parametrize(
    "body",
    [
        "y = Expand(x, huge)", "y = Tile(x, huge)", "a = ConstantOfShape(huge) y = Add(x, a)", "y = Reshape(x, huge)",
        "a = Range(zero, much, one) y = Add(x, a)", "y = Pad(x, wide)", "y = Resize(x, , , huge)",
        "y = AveragePool<kernel_shape=[2000000000], pads=[1999999999, 1999999999]>(x)",
    ],
)  # fmt: skip
def test_sizes_that_no_memory_has_are_refused_before_they_are_made(tmp_path: Path, body: str):
    arrays = {
        "huge": np.array([1, 2**40, 2**40]), "zero": np.array(0), "much": np.array(2**50), "one": np.array(1),
        "wide": np.array([0, 0, 2**40, 0, 0, 2**40]),
    }  # fmt: skip
    refused(written(f"agraph (float[1, 2, 3] x) => (float[1, 2, 3] y) {{ {body} }}", tmp_path / "a.onnx", arrays))


def test_long_chains_and_repeated_doubling_end_in_time(tmp_path: Path):
    """Thousands of products could overflow a stack, and forty doublings any memory."""
    ports = [helper.make_tensor_value_info(name, 1, [1, 4]) for name in ("x0", "y")]
    two = numpy_helper.from_array(np.float32(1.5), "two")
    for kind in ("Mul", "Identity"):
        nodes = [helper.make_node(kind, [f"x{n}", "two"][: 1 + (kind == "Mul")], [f"x{n + 1}"]) for n in range(3_000)]
        nodes.append(helper.make_node("Relu", ["x3000"], ["y"]))
        graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [two])
        path = tmp_path / "a.onnx"
        path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())
        assert fv.from_onnx(path, engine="reference").graph.output_shape == (4,)
    doublings = [helper.make_node("Concat", [f"c{n}"] * 2, [f"c{n + 1}"], axis=0) for n in range(40)]
    nodes = [*doublings, helper.make_node("Add", ["x0", "c40"], ["y"])]
    first = numpy_helper.from_array(np.ones(1 << 16, np.uint8), "c0")
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [first])
    path.write_bytes(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString())
    assert "c11: Concat, because it makes an array of 134217728" in refused(path)


def test_messages_within_messages_and_many_of_them(tmp_path: Path):
    def within(number: int, content: bytes) -> bytes:
        return bytes([number << 3 | 2]) + _length(len(content)) + content

    content = b""
    for _ in range(3000):
        content = within(7, within(1, within(5, within(6, content)))) if len(content) < 30 else content
        content = within(1, within(5, within(6, content)))
    path = tmp_path / "a.onnx"
    path.write_bytes(within(7, content))
    assert "nested deeper than" in refused(path)
    path.write_bytes(within(7, b"\x0a\x00" * 5_000_000))
    assert "more than 4,000,000 values" in refused(path)


def _length(number: int) -> bytes:
    octets = b""
    while number > 127:
        octets, number = octets + bytes([number & 127 | 128]), number >> 7
    return octets + bytes([number])


def test_hostile_names_do_not_reach_the_terminal(tmp_path: Path):
    evil = "\x1b[2J\u202e[/foo]\n"
    path = written(PLAIN, tmp_path / "a.onnx", WEIGHTS)
    model = onnx.load(path)
    model.graph.name = model.graph.node[0].name = model.graph.input[0].name = model.graph.node[0].input[0] = evil
    path.write_bytes(model.SerializeToString())
    imported = fv.from_onnx(path)
    assert all(name.isprintable() for name in (imported.graph.name, *imported.graph.shapes))
    imported.save(tmp_path / "a.safetensors")
    assert evil not in imported.graph.summary().render()
    model.graph.node[0].op_type = evil
    model.graph.initializer[0].name = model.graph.node[0].input[1] = evil + "w"
    path.write_bytes(model.SerializeToString())
    assert all(line.isprintable() for line in refused(path).splitlines())


def test_functions_that_call_themselves(tmp_path: Path):
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    node = helper.make_node("F", ["a"], ["b"], domain="own")
    function = helper.make_function("own", "F", ["a"], ["b"], [node], opsets)
    ports = [helper.make_tensor_value_info(name, 1, [1, 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("F", ["x"], ["y"], domain="own")], "g", ports[:1], ports[1:])
    path = tmp_path / "a.onnx"
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, functions=[function]).SerializeToString())
    assert "calls itself" in refused(path)


def test_the_largest_numbers_of_the_format_are_read(tmp_path: Path):
    tensor = helper.make_tensor("w", TensorProto.INT64, [3], [-(2**63), 2**63 - 1, 300])
    assert numpy_helper.to_array(tensor).tolist()[2] == 300
    path = written("agraph (float[N, 3] x) => (float[N, 3] y) { a = Cast<to=1>(w) y = Mul(x, a) }", tmp_path / "a.onnx")
    model = onnx.load(path)
    model.graph.initializer.append(tensor)
    onnx.save(model, path)
    (node,) = fv.from_onnx(path).graph.nodes
    expected = np.array([-(2**63), 2**63 - 1, 300], np.float32)
    np.testing.assert_array_equal(fv.from_onnx(path).read(f"{node.name}.weight"), expected)


def test_changed_files_end_in_a_model_or_a_sentence(tmp_path: Path):
    generator = np.random.default_rng(3)
    for content in good_files():
        for _ in range(60):
            path = tmp_path / "a.onnx"
            path.write_bytes(changed(content, generator))
            assert outcome(path) in ("model", "sentence")
