"""`foveate conv` and `foveate pool`: the lecture's numbers, what fits, the drawing, and wrong input."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

import foveate as fv
from foveate.cli.drawing import draw_windows
from foveate.geometry import Window, fit, output_size
from foveate.graph.analysis.window_report import explain_window, in_short, solve_padding, solve_stride

KEYS = {
    "input", "output", "fits", "exact_output", "remainder", "dropped", "parameters", "weights", "biases", "macs",
    "flops", "suggestions",
}  # fmt: skip


@pytest.fixture
def report(foveate):
    """The JSON of a command."""

    def run(*arguments):
        result = foveate(*arguments, "--json")
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)

    return run


# The lecture


def test_ten_5x5_filters_on_3x32x32_give_32x32x10_and_760_parameters(report):
    found = report("conv", "--input", "3x32x32", "--filters", 10, "--kernel", 5, "--stride", 1, "--padding", 2)
    assert set(found) >= KEYS
    assert {key: found[key] for key in KEYS} == {
        "input": [3, 32, 32], "output": [10, 32, 32], "fits": True, "exact_output": [32.0, 32.0], "remainder": [0, 0],
        "dropped": [0, 0], "parameters": 760, "weights": 750, "biases": 10, "macs": 768_000, "flops": 1_546_240,
        "suggestions": [],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("stride", "output", "exact", "fits"), [(1, 5, 5.0, True), (2, 3, 3.0, True), (3, 2, 7 / 3, False)]
)
def test_7x7_with_3x3_at_stride_1_2_and_3(report, stride, output, exact, fits):
    found = report("conv", "--input", "1x7x7", "--filters", 1, "--kernel", 3, "--stride", stride)
    assert found["output"] == [1, output, output]
    assert found["exact_output"] == pytest.approx([exact, exact])
    assert found["fits"] is fits
    assert found["dropped"] == [0 if fits else 1] * 2


def test_resnets_first_layer_leaves_a_remainder_and_drops_nothing(report):
    found = report("conv", "--input", "3x224x224", "--filters", 64, "--kernel", 7, "--stride", 2, "--padding", 3)
    assert (found["output"], found["remainder"], found["dropped"]) == ([64, 112, 112], [1, 1], [0, 0])


def test_the_text_puts_the_numbers_into_the_formula(foveate):
    said = foveate("conv", "--input", "1x7x7", "--filters", 8, "--kernel", 3, "--stride", 3).stdout
    assert "(W - F + 2P)/S + 1 = (7 - 3 + 2*0)/3 + 1 = 2.33, so 2" in said
    assert "remainder of 1; dropped 1" in said
    assert "F*F*C*K = 3*3*1*8 = 72" in said
    assert "fits with   stride 2, input 1x6x6, stride 1, padding 1, input 1x9x9" in said
    assert "  axis      ......x\n  output 1  ###\n  output 2     ###\n" in said


def test_groups_and_dilation_are_in_the_formulas(foveate):
    options = ["--kernel", 3, "--groups", 4, "--dilation", 2, "--no-bias"]
    said = foveate("conv", "--input", "8x16x16", "--filters", 8, *options).stdout
    assert "F_eff = D(F - 1) + 1 = 2*(3 - 1) + 1 = 5" in said
    assert "F*F*C/G*K = 3*3*8/4*8 = 144" in said
    assert "no biases" in said


def test_same_shows_its_begin_and_end(foveate, report):
    options = ["conv", "--input", "3x32x32", "--filters", 4, "--kernel", 5, "--stride", 2, "--padding", "same"]
    assert report(*options)["padding"] == [[1, 2], [1, 2]]
    assert "padding (begin, end) is (1, 2)" in foveate(*options).stdout


# 1, 2 and 3 axes, and options as people write them


@pytest.mark.parametrize(
    ("options", "output"),
    [
        (["--input", "1x8000", "--kernel", 9, "--stride", 2, "--padding", 4], [4, 4000]),
        (["--input", "1x16x17x18", "--kernel", "3x1x5", "--padding", "1x0x2", "--stride", "1x2x3"], [4, 16, 9, 6]),
        (["--input", "3x9x8", "--kernel", "3x2", "--dilation", "2x1"], [4, 5, 7]),
        (["--input", "3x32x32", "--kernel", 5, "--stride", 2, "--padding", "1,2"], [4, 16, 16]),
        (["--input", "3x9x9", "--kernel", 3, "--padding", "(0,1)x2"], [4, 8, 11]),
        (["--input", "3x9x9", "--kernel", 3, "--padding", "valid"], [4, 7, 7]),
    ],
)
def test_sizes_for_each_number_of_axes(report, options, output):
    assert report("conv", "--filters", 4, *options)["output"] == output


def test_pooling_has_no_parameters_and_tiles_unless_told(report):
    found = report("pool", "--input", "6x28x28", "--kernel", 2)
    assert (found["output"], found["parameters"], found["macs"], found["flops"]) == ([6, 14, 14], 0, 0, 6 * 14 * 14 * 4)
    assert report("pool", "--input", "1x100", "--kernel", 3, "--stride", 2)["output"] == [1, 49]
    assert report("pool", "--input", "1x8x8x8", "--kernel", 2, "--kind", "average")["layer"].startswith("AvgPool3d")


def test_ceil_mode_counts_the_last_window_and_drops_nothing(foveate, report):
    options = ["pool", "--input", "1x7x7", "--kernel", 2]
    assert (report(*options)["output"], report(*options)["dropped"]) == ([1, 3, 3], [1, 1])
    options.append("--ceil-mode")
    assert (report(*options)["output"], report(*options)["dropped"]) == ([1, 4, 4], [0, 0])
    assert "counted by ceil_mode" in foveate(*options).stdout


# What fits


sizes = st.integers(3, 40)
windows = st.builds(
    lambda k, s, p, d: {"kernel_size": k, "stride": s, "padding": p, "dilation": d},
    st.integers(1, 6), st.integers(1, 6), st.integers(0, 4), st.integers(1, 2),
)  # fmt: skip


@given(sizes, sizes, windows)
def test_every_suggestion_makes_it_fit_and_they_are_sorted_by_distance(height: int, width: int, options: dict):
    layer = fv.Conv2d(2, **options)
    try:
        found = explain_window(layer, (1, height, width))
    except fv.ShapeError:
        return
    assert bool(found.adjustments) == (not found.to_json()["fits"])
    for change in found.adjustments:
        if change.option == "input":
            changed = explain_window(layer, change.value)
        else:
            changed = explain_window(layer.with_options(**{change.option: change.value}), (1, height, width))
        assert changed.to_json()["fits"]
    assert [c.distance for c in found.adjustments] == sorted(c.distance for c in found.adjustments)


def test_for_32_wide_no_symmetric_padding_fits_f_5_s_2_and_1_2_is_offered(foveate, report):
    options = ["conv", "--input", "3x32x32", "--filters", 8, "--kernel", 5, "--stride", 2, "--solve", "padding"]
    said = foveate(*options).stdout
    assert "no symmetric padding fits" in said
    assert said.splitlines()[1] == '   padding (1, 2): output 16  (the same as padding "same")'
    found = report(*options)
    assert found["solve"] == "padding"
    assert found["solutions"][0][0] == {"value": [1, 2], "output": 16, "same": True}
    assert all(begin != end for begin, end in (each["value"] for each in found["solutions"][0]))
    assert (found["padding"], found["fits"]) == ([[1, 2], [1, 2]], True)


def test_solving_for_a_stride(foveate, report):
    options = ["conv", "--input", "1x7x7", "--filters", 8, "--kernel", 3, "--solve", "stride"]
    assert [each["value"] for each in report(*options)["solutions"][0]] == [1, 2]
    assert "H and W: S must divide 7 - 3 + 0" in foveate(*options).stdout


def test_where_nothing_fits_it_says_so(foveate, report):
    options = ["conv", "--input", "1x2x9", "--filters", 8, "--kernel", "1x5", "--stride", "2x1", "--solve", "padding"]
    assert report(*options) == {"input": [1, 2, 9], "solve": "padding", "solutions": report(*options)["solutions"]}
    assert report(*options)["solutions"][0] == []
    assert "no padding fits; try another kernel or input" in foveate(*options).stdout


@given(st.integers(1, 60), st.integers(1, 9), st.integers(1, 7), st.integers(1, 3))
def test_solutions_are_all_there_are(size: int, kernel: int, stride: int, dilation: int):
    window = Window(kernel, stride, dilation=dilation)
    pairs = [(p, p + odd) for odd in (0, 1) for p in range(window.effective_size) if p + odd < window.effective_size]
    placed = {pair: fit(size, Window(kernel, stride, pair, dilation)) for pair in pairs}
    expected = {pair for pair, found in placed.items() if found.fits and found.output >= 1}
    assert {solution.value for solution in solve_padding(size, window)} == expected
    steps = [Window(kernel, step, dilation=dilation) for step in range(1, window.effective_size + 1)]
    whole = [w.stride for w in steps if fit(size, w).fits and fit(size, w).output >= 1]
    assert [solution.value for solution in solve_stride(size, window)] == whole[:8]


@pytest.mark.parametrize("command", ["conv --filters 8", "pool"])
@pytest.mark.parametrize("unknown", ["stride", "padding"])
def test_what_is_to_be_found_is_not_given(foveate, command, unknown):
    result = foveate(*command.split(), "--input", "1x7x7", "--kernel", 3, "--solve", unknown, f"--{unknown}", 1)
    assert result.exit_code == 2
    said = " ".join(result.stderr.replace("│", " ").split())
    assert f"--solve {unknown} finds every {unknown} that fits; leave --{unknown} out" in said


def test_the_common_settings_are_a_table(foveate, report):
    rows = report("conv", "--common")
    assert [row["setting"] for row in rows] == [
        "F = 3, S = 1, P = 1", "F = 5, S = 1, P = 2", "F = 5, S = 2, P = whatever fits", "F = 1, S = 1, P = 0",
    ]  # fmt: skip
    assert all(row["fits"] for row in rows)
    assert rows[2]["padding"] == [[1, 2], [1, 2]]
    said = foveate("conv", "--common", "--input", "3x224x224", "--filters", 64).stdout
    assert "64 filters (K: powers of 2, e.g. 32, 64, 128, 512) on 3x224x224" in said
    assert all(row["setting"] in said for row in rows)


@pytest.mark.parametrize(
    "more",
    [
        "--transposed", "--output-padding 1", "--kernel 3", "--stride 2", "--padding 1", "--dilation 2", "--groups 3",
        "--no-bias", "--solve padding",
    ],
)  # fmt: skip
def test_the_common_settings_take_no_other_ones(foveate, more):
    result = foveate("conv", "--common", *more.split())
    assert result.exit_code == 2
    said = " ".join(result.stderr.replace("│", " ").split())
    assert "--common shows settings of its own; with it, only --input, --filters and --json are allowed" in said


def test_values_that_are_equal_are_written_once():
    assert in_short([3, 3]) == "3"
    assert in_short([(1, 2), (0, 0)]) == "(1, 2)x0"


# The drawing


@given(st.integers(1, 30), windows)
def test_the_drawing_marks_padding_input_and_what_no_window_sees(size: int, options: dict):
    options = options | {"padding": (options["padding"], 1)}
    window = Window(**options)
    outputs = output_size(size, window)
    if outputs < 1:
        return
    axis, *rows = (
        row.split("  ", 1)[1].lstrip(" ") if row.startswith("axis") else row
        for row in draw_windows(size, window, outputs, 200)
    )
    begin, end = window.padding
    starts = [number * window.stride - begin for number in range(outputs)]
    seen = {start + tap * window.dilation for start in starts for tap in range(window.kernel_size)}
    assert axis == "0" * begin + "".join(".x"[at not in seen] for at in range(size)) + "0" * end
    assert len(rows) == min(outputs, 7 if outputs > 10 else outputs)


def test_a_dilated_window_shows_its_gaps():
    assert draw_windows(5, Window(3, dilation=2), 1) == ["axis      .x.x.", "output 1  #-#-#"]


@pytest.mark.parametrize("width", [45, 60, 100])
def test_long_axes_are_cut_in_the_middle(width):
    rows = draw_windows(2**31 - 1, Window(3, 2, (1, 1)), 2**30, width)
    assert len(rows) == 8
    assert max(map(len, rows)) <= width
    assert "..." in rows[0]


# Wrong input


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("--input 3x32 --kernel 3x3", "Conv1d: kernel_size has 2 values, but there is 1 spatial axis"),
        ("--input 3x32x32 --kernel 0", "Conv2d: kernel_size is 0; it must be at least 1"),
        ("--input 3x32x32 --kernel 50 --padding 1", "but the padded input is only 32 + 1 + 1 = 34"),
        ("--input 3x32x32 --kernel 3 --groups 2", "groups is 2, which does not divide its 3 input channels"),
        ("--input 3x32x32 --kernel 3 --groups 3", "groups is 3, which does not divide out_channels 4"),
        ("--input 3x99999999999x32 --kernel 3", "has an axis longer than 2147483647"),
        ("--input 3x9x9 --kernel 99999999999", "kernel_size is 99999999999; it must be at most 2147483647"),
        ("--input 3x9x9 --kernel 3 --padding 2147483647", "4x4294967301x4294967301, which has an axis longer"),
        ("--input 3x2000000000x2000000000 --kernel 3", "more than 140,737,488,355,328, which no memory can hold"),
        ("--input 0x9x9 --kernel 3", "every size must be at least 1"),
        ("--input 3x9x9 --kernel 3 --stride -1", "stride is -1; it must be at least 1"),
        ("--input 3x9x9 --kernel 3 --padding sme", 'is "sme"; write an int (2)'),
        ("--input 3x9x9 --kernel 3 --padding 1,2,3", 'is "1,2,3"; write an int (2)'),
        ("--input 32 --kernel 3", "has 1 axis; channels and 1 to 3"),
        ("--input axb --kernel 3", 'is "axb"; write sizes joined by x'),
        ("--input 3x9x9", "needs --filters and --kernel"),
        ("--kernel 3", "--input is missing"),
        ("--input 3x9x9 --kernel 3 --solve kernel", "is not one of"),
    ],
)  # fmt: skip
def test_wrong_input_is_a_sentence_and_status_1_or_2(foveate, options, sentence):
    result = foveate("conv", "--filters", 4, *options.split())
    assert result.exit_code in (1, 2)
    said = " ".join(result.stderr.replace("│", " ").split())
    assert sentence in said
    assert "Traceback" not in result.output


def test_a_pool_needs_a_kernel_and_less_padding_than_that(foveate):
    assert foveate("pool", "--input", "1x7x7").exit_code == 2
    result = foveate("pool", "--input", "1x7x7", "--kernel", 3, "--padding", 3)
    assert result.exit_code == 1
    assert "padding 3 is as long as the window (3)" in result.stderr


def test_huge_windows_take_no_time():
    layer = fv.Conv2d(4, 2**31 - 1, stride=2**31 - 1, padding=2**31 - 2)
    assert explain_window(layer, (3, 9, 9)).adjustments


@pytest.mark.parametrize("command", ["conv --filters 8", "pool"])
def test_no_arrays_are_needed(command):
    """NumPy alone would take a third of the time within which the answer is to come."""
    code = (
        "import sys; from typer.testing import CliRunner; from foveate.cli import app\n"
        f"result = CliRunner().invoke(app, {[*command.split(), '--input', '3x32x32', '--kernel', '3']!r})\n"
        "assert result.exit_code == 0, result.output\n"
        "raise SystemExit(bool({'numpy', 'PIL', 'matplotlib'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
