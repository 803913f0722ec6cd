"""ONNX's published cases: what its backends must compute, foveate's engines compute too."""

import re

import pytest

from foveate.engines import Engine, get_engine
from foveate.errors import FoveateError
from tests.conformance.onnx_cases import FOLDERS, OnnxCase, UnsupportedError, folder_cases, load, node_cases
from tests.support import relative_error, state_with

BOUND = 1e-5

NODE_MODULES = (
    "add",
    "averagepool",
    "batch_normalization",
    "concat",
    "conv",
    "convtranspose",
    "elu",
    "flatten",
    "gelu",
    "gemm",
    "globalaveragepool",
    "globalmaxpool",
    "groupnormalization",
    "hardswish",
    "instance_normalization",
    "layernormalization",
    "leakyrelu",
    "logsoftmax",
    "lrn",
    "matmul",
    "maxpool",
    "mul",
    "pad",
    "relu",
    "sigmoid",
    "softmax",
    "softplus",
    "tanh",
)

LEFT_OUT = {
    "pytorch-converted/test_ConstantPad2d": "Pad puts zeros, no other number",
    "pytorch-converted/test_Embedding(_sparse)?": "there is no embedding: foveate reads images, sounds and volumes",
    "pytorch-converted/test_GLU(_dim)?": "no layer splits its input in two",
    "pytorch-converted/test_PixelShuffle": "no layer moves channels to positions",
    "pytorch-converted/test_PoissonNLLLLoss_no_reduce": "a loss that foveate does not have",
    "pytorch-converted/test_(SELU|Softmin|Softsign)": "activations that foveate does not have",
    "pytorch-converted/test_(log_softmax|softmax_functional)_dim3": "Softmax is over the channels",
    "pytorch-operator/test_operator_add_(broadcast|.*_broadcast)": "Add takes equal shapes; these are in float64 too",
    "pytorch-operator/test_operator_(addconstant|non_float_params|params)": "no layer adds a constant",
    "pytorch-operator/test_operator_addmm": "the bias of its second product is the first product",
    "pytorch-operator/test_operator_(basic|view)": "a vector has no batch axis",
    "pytorch-operator/test_operator_(chunk|index|permute2)": "no layer cuts, drops or exchanges axes",
    "pytorch-operator/test_operator_(clip|exp|max|min|pow|selu|sqrt)": "arithmetic that no layer of foveate does",
    "pytorch-operator/test_operator_reduced_(mean|sum)(_keepdim)?": "no layer sums over one axis alone",
    "pytorch-operator/test_operator_repeat(_dim_overflow)?": "no layer repeats its input",
    "pytorch-operator/test_operator_symbolic_override_nested": "no layer has several outputs",
    "node/test_(add|mul)_bcast": "Add takes equal shapes; Multiply repeats the last axes, this the first ones",
    "node/test_mul_example": "a vector has no batch axis",
    "node/test_averagepool_[23]d_dilations.*": "averages are taken over whole windows",
    "node/test_averagepool_2d_ceil_last_window_starts_on_pad": "its expected output has four digits",
    "node/test_batchnorm_(epsilon|example)_training_mode": "its statistics are the batch's: not inference",
    "node/test_concat_1d_axis_.*": "a vector has no batch axis",
    "node/test_concat_(2d_axis_(0|negative_2)|3d_axis_(0|2|negative_[13]))": "Concatenate joins channels",
    "node/test_(elu|leakyrelu|sigmoid|softplus|tanh)_example": "a vector has no batch axis",
    "node/test_gelu_(default|tanh)_1": "a vector has no batch axis",
    "node/test_flatten_(axis[023]|negative_axis[124])": "Flatten keeps the batch, and it alone",
    "node/test_gemm_default_matrix_bias": "each sample has a bias of its own",
    "node/test_gemm_(transposeA|all_attributes)": "the batch is the last axis",
    "node/test_layer_normalization_4d_axis(0|_negative_4)": "the batch is normalised over",
    "node/test_layer_normalization_3d_axis(0|_negative_3)_epsilon": "the batch is normalised over",
    "node/test_layer_normalization_2d_axis(0|_negative_2)": "the batch is normalised over",
    "node/test_matmul_([34]d|bcast|4d_1d)": "Linear takes a flat input",
    "node/test_matmul_1d_[13]d": "a vector has no batch axis",
    "node/test_constant_pad.*": "Pad puts zeros, no other number",
    "node/test_(log)?softmax_(axis_[02]|negative_axis|default_axis)": "Softmax is over the channels",
}
"""Why a case is not run, by a pattern of its name."""

REQUIRED = (
    *("AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d"),
    *("Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "Linear", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d"),
    *("ELU", "LeakyReLU", "LogSoftmax", "PReLU", "ReLU", "Sigmoid", "Softmax", "Softplus", "Tanh"),
    *("ReflectionPad2d", "ReplicationPad2d", "ZeroPad2d"),
)
"""What the cases of the first folder are called after; none of these may be left out."""


def _reasons(name: str) -> list[str]:
    return [pattern for pattern in LEFT_OUT if re.fullmatch(pattern, name)]


def _error(engine: Engine, case: OnnxCase) -> float:
    loaded = load(case)
    program = engine.compile(loaded.graph, batch_size=loaded.batch_size, mode="inference")
    state = state_with(engine, loaded.graph, loaded.arrays)
    output = program.forward(state, loaded.inputs)[loaded.graph.only_output]
    return relative_error(output.reshape(*output.shape, *[1] * loaded.ones), case.expected)


def _runs(case: OnnxCase) -> bool:
    try:
        return _error(get_engine("reference"), case) <= BOUND
    except (UnsupportedError, FoveateError):
        return False


def _all_cases() -> dict[str, OnnxCase]:
    cases = dict(folder_cases())
    for module in NODE_MODULES:
        cases |= node_cases(module)
    return cases


@pytest.mark.parametrize("name", [name for name in folder_cases() if not _reasons(name)])
def test_a_case_of_the_folders_passes(name, engine):
    assert _error(engine, folder_cases()[name]) <= BOUND


@pytest.mark.parametrize("module", NODE_MODULES)
def test_the_cases_of_an_operator_pass(module, engine):
    errors = {name: _error(engine, case) for name, case in node_cases(module).items() if not _reasons(name)}
    assert errors
    assert {name: error for name, error in errors.items() if not error <= BOUND} == {}


def test_every_case_is_run_or_left_out_for_one_reason():
    several = {name: reasons for name in _all_cases() if len(reasons := _reasons(name)) > 1}
    assert several == {}
    assert {name.split("/")[0] for name in folder_cases()} == set(FOLDERS)


def test_no_case_that_runs_is_left_out():
    assert [name for name, case in _all_cases().items() if _reasons(name) and _runs(case)] == []


def test_every_reason_has_a_case():
    assert set(LEFT_OUT) - {pattern for name in _all_cases() for pattern in _reasons(name)} == set()


@pytest.mark.parametrize("family", REQUIRED)
def test_no_case_of_a_layer_is_left_out(family):
    names = [name for name in folder_cases() if re.fullmatch(f"pytorch-converted/test_{family}(_.*)?", name)]
    assert names
    assert [name for name in names if _reasons(name)] == []
