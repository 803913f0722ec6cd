"""ONNX's published cases: what its backends must compute, foveate's engines compute too."""

import re
import warnings

import pytest

from foveate.engines import get_engine
from foveate.errors import FoveateError
from tests.conformance.onnx_cases import FOLDERS, OnnxCase, error, folder_cases, node_cases

BOUND = 1e-5

FEW_DIGITS = {"node/test_averagepool_2d_ceil_last_window_starts_on_pad": 2e-4}
"""Cases whose expected output has four digits."""

MODULES = (
    *("abs", "add", "averagepool", "batch_normalization", "celu", "clip", "concat", "constant", "constantofshape"),
    *("conv", "convinteger", "convtranspose", "depthtospace", "dequantizelinear", "div", "dropout", "elu", "erf"),
    *("exp", "expand", "flatten", "gather", "gelu", "gemm", "globalaveragepool", "globalmaxpool"),
    *("groupnormalization", "hardsigmoid", "hardswish", "identity", "instance_normalization", "layernormalization"),
    *(
        "leakyrelu",
        "log",
        "logsoftmax",
        "lpnormalization",
        "lppool",
        "lrn",
        "matmul",
        "matmulinteger",
        "max",
        "maxpool",
    ),
    *("mean", "meanvariancenormalization", "min", "mish", "mul", "neg", "pad", "pow", "prelu", "qlinearconv"),
    *(
        "qlinearmatmul",
        "quantizelinear",
        "reciprocal",
        "reduce_log_sum",
        "reduce_log_sum_exp",
        "reducel1",
        "reducel2",
        "reducemax",
    ),
    *(
        "reducemean",
        "reducemin",
        "reduceprod",
        "reducesum",
        "reducesumsquare",
        "relu",
        "reshape",
        "resize",
        "rmsnormalization",
    ),
    *("selu", "shape", "shrink", "sigmoid", "size", "slice", "softmax", "softplus", "softsign", "spacetodepth"),
    *("split", "sqrt", "squeeze", "sub", "sum", "swish", "tanh", "thresholdedrelu", "tile", "transpose"),
    *("unsqueeze", "upsample"),
)

VECTOR = "a vector has no batch axis"

EXCLUDED = {
    "pytorch-operator/test_operator_add_(size1_(right|singleton)_)?broadcast": "other types: float64 beyond float32",
    "pytorch-operator/test_operator_addconstant": "other types: float64 beyond float32",
    "simple/test_strnorm_.*": "other types: words",
    "simple/test_sequence_model[1-7]": "other types: lists of tensors",
    "node/test_div_u?int(8|16|32|64).*": "other types: whole numbers divide to whole numbers",
    "node/test_(add|mul|sub)_(u?int(8|16)|uint(32|64))": "other types: whole numbers that wrap round at their bounds",
    "node/test_(de)?quantizelinear_(e4m3fn|e5m2|float4e2m1).*": "other types: floats of 4 or 8 bits",
    "node/test_(de)?quantizelinear_blocked.*": "other types: scales of blocks",
    "node/test_quantizelinear_u?int[24]": "other types: whole numbers of 2 and 4 bits, with a scale for each sample",
    "node/test_qlinearmatmul_2D_.*": "other types: whole numbers, which float32 gives before rounding",
    "node/test_qlinearmatmul_3D_.*": "other types: whole numbers, times a matrix for each sample",
    "node/test_identity_(opt|sequence)": "other types: lists and optional values",
    "node/test_dropout_default_mask(_ratio)?": "other types: the mask of what was dropped",
    "node/test_maxpool_with_argmax_2d_.*": "other types: the places of maxima",
    "node/test_shape(_.*)?": "other types: a shape is the result",
    "node/test_size(_.*)?": "other types: a size is the result",
    "pytorch-converted/test_Embedding(_sparse)?": "other types: the inputs are rows of a table",
    "node/test_constant": "no input at all",
    "node/test_constantofshape_.*": "shapes at run time: the input is a shape",
    "simple/test_expand_shape_model[34]": "samples are repeated",
    "node/test_reduce_.*_empty_set(_.*)?": "arrays without numbers",
    "node/test_reshape_allowzero_reordered": "arrays without numbers",
    "node/test_slice_start_out_of_bounds": "arrays without numbers",
    "node/test_training_dropout_.*|node/test_training_dropout": "randomness: dropout of training",
    "node/test_batchnorm_(epsilon|example)_training_mode": "training: it normalises by the batch's statistics",
    "pytorch-converted/test_PoissonNLLLLoss_no_reduce": "training: a loss, with a target for each sample",
    "simple/test_gradient_of_add(_and_mul)?": "training: gradients of numbers without a batch",
    "pytorch-operator/test_operator_(basic|chunk|symbolic_override_nested|view)": VECTOR,
    "simple/test_(sequence_model8|sign_model)": VECTOR,
    "node/test_celu_bfloat16": "other types: 16 bits are what the result is rounded to",
    "node/test_concat_1d_axis_.*": VECTOR,
    "node/test_dequantizelinear_u?int[24]": "other types: whole numbers of 2 and 4 bits",
    "node/test_quantizelinear(_u?int16)?": "other types: whole numbers, which float32 gives before rounding",
    "node/test_gather_negative_indices": VECTOR,
    "node/test_l1normalization_axis_0": VECTOR,
    "node/test_matmul_1d_[13]d": VECTOR,
    "node/test_pow_types_.*": "other types: whole numbers as powers, or as their exponents",
    "node/test_split_((equal|variable)_parts_(1d|default_axis)|zero_size_.*|1d_.*)_opset1[38]": VECTOR,
    "node/test_concat_(2d_axis_(0|negative_2)|3d_axis_(0|negative_3))": "batches are joined",
    "node/test_expand_dim_changed": "the batch is not first afterwards",
    "node/test_reshape_(reordered_all_dims|one_dim)": "the batch is not first afterwards",
    "node/test_flatten_(axis[023]|negative_axis[124])": "the batch is not first afterwards, or alone",
    "node/test_transpose_(default|all_permutations_[2-5])": "the batch is not first afterwards",
    "node/test_(gather_0|slice|slice_neg_steps)": "some samples of the batch are taken",
    "node/test_tile(_precomputed)?": "samples are repeated",
    "node/test_gemm_(transposeA|all_attributes)": "the batch is the last axis",
    "pytorch-operator/test_operator_(non_float_params|params)": "each sample has a parameter of its own",
    "node/test_(log)?softmax_axis_0|node/test_l2normalization_axis_0|node/test_mvn": "it is over the batch",
    "node/test_reduce_.*_default_axes_keepdims?_(example|random)": "it is over the batch, too",
    "node/test_reduce_log_sum_(asc_axes|default)": "it is over the batch, too",
    "node/test_resize_downsample_scales_(linear|cubic)_align_corners": "onnxruntime takes no such size either",
    "node/test_(layer|rms)_normalization_(2d_axis_negative_2|3d_axis_negative_3.*|4d.*_4)": "it is over the batch",
    "node/test_(layer|rms)_normalization_[234]d_axis0(_epsilon)?": "it is over the batch",
}
"""Why a case is not run, by a pattern of its name."""

EXCLUDED_MODULES = (
    *("constant", "constantofshape", "meanvariancenormalization", "qlinearmatmul", "shape", "size", "tile"),
)
"""Operators all of whose cases are excluded; the tests of `tests/interop` have some of their own.
"""

REQUIRED = (
    *("AvgPool1d", "AvgPool2d", "AvgPool3d", "MaxPool1d", "MaxPool2d", "MaxPool3d"),
    *("Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d", "Linear", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d"),
    *("ELU", "GLU", "LeakyReLU", "LogSoftmax", "PReLU", "PixelShuffle", "ReLU", "SELU", "Sigmoid", "Softmax"),
    *("Softmin", "Softplus", "Softsign", "Tanh", "ConstantPad2d", "ReflectionPad2d", "ReplicationPad2d", "ZeroPad2d"),
)
"""What the cases of the first folder are called after; none of these may be left out."""


def _reasons(name: str) -> list[str]:
    return [pattern for pattern in EXCLUDED if re.fullmatch(pattern, name)]


def _runs(case: OnnxCase) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return error(case, get_engine("reference")) <= BOUND
    except (FoveateError, TypeError, ValueError):
        return False


def _all_cases() -> dict[str, OnnxCase]:
    cases = dict(folder_cases())
    for module in MODULES:
        cases |= node_cases(module)
    return cases


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_cases_of_a_folder_pass(folder, engine):
    cases = {name: case for name, case in folder_cases().items() if case.folder == folder and not _reasons(name)}
    errors = {name: error(case, engine) for name, case in cases.items()}
    assert errors
    assert {name: each for name, each in errors.items() if not each <= FEW_DIGITS.get(name, BOUND)} == {}


@pytest.mark.parametrize("module", MODULES)
def test_the_cases_of_an_operator_pass(module, engine):
    errors = {name: error(case, engine) for name, case in node_cases(module).items() if not _reasons(name)}
    assert errors or module in EXCLUDED_MODULES
    assert {name: each for name, each in errors.items() if not each <= FEW_DIGITS.get(name, BOUND)} == {}


def test_every_case_is_run_or_excluded_for_one_reason():
    several = {name: reasons for name in _all_cases() if len(reasons := _reasons(name)) > 1}
    assert several == {}


def test_no_case_that_runs_is_excluded():
    assert [name for name, case in _all_cases().items() if _reasons(name) and _runs(case)] == []


def test_every_reason_has_a_case():
    assert set(EXCLUDED) - {pattern for name in _all_cases() for pattern in _reasons(name)} == set()


@pytest.mark.parametrize("family", REQUIRED)
def test_no_case_of_a_layer_is_excluded(family):
    names = [name for name in folder_cases() if re.fullmatch(f"pytorch-converted/test_{family}(_.*)?", name)]
    assert names
    assert [name for name in names if _reasons(name)] == []
