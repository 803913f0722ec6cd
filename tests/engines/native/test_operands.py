"""Operations are bound by the names of their operands: one too many, too few or misspelt is an error, never a guess."""

import re

import numpy as np
import pytest

from foveate.engines.native import _native

PLAIN = _native.Layout.plain([4])


def ones(*names: str) -> list[tuple[str, _native.Layout, np.ndarray]]:
    return [(name, PLAIN, np.ones(4, np.float32)) for name in names]


def test_a_kernel_gets_its_operands_by_name_in_whatever_order():
    left, right, target = (np.array(row, np.float32) for row in ([1, 2, 3, 4], [5, 6, 7, 8], [0, 0, 0, 0]))
    operands = [("dst", PLAIN, target), ("second_src", PLAIN, right), ("src", PLAIN, left)]
    _native.execute(_native.product(4), operands)
    assert target.tolist() == [5, 12, 21, 32]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("src", "second_src", "target"), 'product has no operand "target"; its operands are src, second_src, dst'),
        (("src", "dst"), "product lacks its operands second_src"),
        ((), "product lacks its operands src, second_src, dst"),
    ],
)
def test_a_kernels_operands_must_be_those_that_it_declares(names: tuple[str, ...], message: str):
    with pytest.raises(ValueError, match=re.escape(message)):
        _native.execute(_native.product(4), ones(*names))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("src", "dst", "weights"), 'reorder has no operand "weights"'),
        (("src", "dst", "elsewhere"), 'oneDNN has no argument "elsewhere"'),
        (("src", "dst", "src_x"), 'oneDNN has no argument "src_x"'),
    ],
)
def test_a_primitives_operands_must_be_those_that_onednn_knows(names: tuple[str, ...], message: str):
    operation = _native.reorder_operation(PLAIN, PLAIN)
    with pytest.raises(ValueError, match=re.escape(message)):
        _native.execute(operation, ones(*names))


def test_a_primitive_that_lacks_an_operand_says_which():
    matrix, vector = _native.Layout.plain([4, 4]), PLAIN
    operation = _native.linear_forward(matrix, matrix, vector, matrix, False, [])
    with pytest.raises(ValueError, match=r'linear forward lacks its operand "(weights|bias)"'):
        _native.execute(operation, [(n, matrix, np.ones((4, 4), np.float32)) for n in ("src", "dst")])


def test_an_array_too_small_for_its_layout_is_refused():
    operands = [*ones("src", "second_src"), ("dst", PLAIN, np.ones(3, np.float32))]
    with pytest.raises(ValueError, match="the dst array has 12 bytes, but its layout needs 16"):
        _native.execute(_native.product(4), operands)


def test_a_session_refuses_a_space_too_small_and_one_that_is_missing():
    operands = [_native.PlacedOperand(name, PLAIN, name, 16, 16) for name in ("src", "second_src", "dst")]
    program = _native.Program([_native.Step("node", _native.product(4), operands)], 1, 0)
    session = _native.Session(program)
    with pytest.raises(ValueError, match="src has 16 bytes, but the program needs 32"):
        session.bind("src", np.ones(4, np.float32))
    session.bind("src", np.ones(8, np.float32))
    with pytest.raises(ValueError, match=r"nothing is bound to (second_src|dst)"):
        session.run(0, 1, [])
    with pytest.raises(IndexError, match="there are no such steps"):
        session.run(0, 2, [])


def test_a_space_that_is_left_out_is_null_until_it_is_bound_again():
    seen = []
    operands = [_native.PlacedOperand(name, PLAIN, name, 16, 16) for name in ("left", "right")]
    program = _native.Program([_native.Step("node", _native.callback("look", 0, ["left", "right"]), operands)], 1, 0)
    session, numbers = _native.Session(program), np.ones(8, np.float32)
    session.bind("left", numbers)
    session.leave_out("right")
    session.run(0, 1, [seen.append])
    session.bind("right", numbers)
    session.leave_out("left")
    session.leave_out("elsewhere")
    session.run(0, 1, [seen.append])
    address = numbers.ctypes.data + 16
    assert seen == [[address, 0], [0, address]]


def test_a_step_that_cannot_be_bound_names_its_node():
    operands = [_native.PlacedOperand("src", PLAIN, "src", 0, 16)]
    program = _native.Program([_native.Step("conv1", _native.product(4), operands)], 1, 0)
    with pytest.raises(ValueError, match="conv1: product lacks its operands second_src, dst"):
        _native.Session(program)
