"""`foveate conv` and `foveate pool`: the arithmetic of one layer, explained."""

from collections.abc import Sequence
from enum import StrEnum
from math import prod
from shutil import get_terminal_size
from typing import Annotated, Any

import typer

from foveate.cli.drawing import LEGEND, draw_windows
from foveate.cli.output import JsonOption, bias_word, print_json, table, with_biases
from foveate.cli.shapes import parse_numbers, parse_padding, parse_shape
from foveate.cli.transposed import transposed_lines
from foveate.geometry import Fit, Unseen, Window, format_sizes, formula
from foveate.graph.analysis.window_report import (
    Solution,
    WindowReport,
    explain_window,
    in_short,
    solve_padding,
    solve_stride,
    transposed_report,
)
from foveate.layers.base import SpatialLayer, axis_letters
from foveate.layers.convolution import Convolution
from foveate.layers.pooling import AveragePooling, MaxPooling
from foveate.layers.transposed import TransposedConvolution

InputOption = Annotated[
    str | None,
    typer.Option("--input", metavar="SHAPE", help="Input shape, channels first: 3x32x32, 1x8000, 1x16x64x64."),
]
KernelOption = Annotated[
    str | None, typer.Option("--kernel", metavar="F", help="Filter size: 5, or one for each axis: 5x3.")
]
StrideOption = Annotated[str | None, typer.Option(metavar="S", help="Stride: 2, or one for each axis: 2x1.")]
PaddingOption = Annotated[
    str | None, typer.Option(metavar="P", help="Padding: 2; one for each axis: 2x1; begin and end: 1,2; same; valid.")
]
DilationOption = Annotated[
    str | None, typer.Option(metavar="D", help="Spacing of the filter's taps: 2, or one for each axis: 2x1.")
]

COMMON = (
    ("F = 3, S = 1, P = 1", 3, 1, "1"),
    ("F = 5, S = 1, P = 2", 5, 1, "2"),
    ("F = 5, S = 2, P = whatever fits", 5, 2, "solve"),
    ("F = 1, S = 1, P = 0", 1, 1, "0"),
)
"""The lecture's common settings."""


class Unknown(StrEnum):
    """What --solve can look for."""

    PADDING = "padding"
    STRIDE = "stride"


class PoolKind(StrEnum):
    """How a window is summarised."""

    MAX = "max"
    AVERAGE = "average"


SolveOption = Annotated[Unknown | None, typer.Option(help="Find every padding or stride that fits.")]


def conv(
    input_shape: InputOption = None,
    filters: Annotated[int | None, typer.Option(metavar="K", help="Number of filters.")] = None,
    kernel: KernelOption = None,
    stride: StrideOption = None,
    padding: PaddingOption = None,
    dilation: DilationOption = None,
    groups: Annotated[int, typer.Option(help="Number of channel groups, each convolved separately.")] = 1,
    bias: Annotated[bool, typer.Option(help="Whether each filter has a bias.")] = True,
    transposed: Annotated[
        bool, typer.Option("--transposed", help="Explain a transposed convolution, which spreads its inputs out.")
    ] = False,
    output_padding: Annotated[
        str | None, typer.Option(metavar="P", help="Positions added to the end of each output axis, with --transposed.")
    ] = None,
    solve: SolveOption = None,
    common: Annotated[bool, typer.Option("--common", help="Show a table of common settings for --input.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Explain a convolution: output size, what fits, parameters, cost, and where its windows fall.

    It runs over the 1, 2 or 3 axes that --input has after its channels.

    Example: foveate conv --input 3x32x32 --filters 10 --kernel 5 --stride 1 --padding 2
    """
    own = (kernel, stride, padding, dilation, output_padding, solve)
    if common and (transposed or not bias or groups != 1 or any(given is not None for given in own)):
        raise typer.BadParameter(
            "--common shows settings of its own; with it, only --input, --filters and --json are allowed"
        )
    shape = parse_shape("3x32x32" if common and input_shape is None else input_shape, "--input")
    if common:
        _show_common(shape, 32 if filters is None else filters, as_json)
        return
    if filters is None or kernel is None:
        raise typer.BadParameter("conv needs --filters and --kernel (or --common, for a table of common settings)")
    _check_unknown(solve, stride, padding)
    options: dict[str, Any] = {
        "stride": parse_numbers("1" if stride is None else stride, "--stride"),
        "padding": parse_padding("0" if padding is None else padding, len(shape) - 1),
        "dilation": parse_numbers("1" if dilation is None else dilation, "--dilation"),
        "groups": groups,
        "bias": bias,
    }
    size = parse_numbers(kernel, "--kernel")
    if transposed:
        if solve is not None:
            raise typer.BadParameter("--solve does not go with --transposed, which never leaves a remainder")
        extra = parse_numbers("0" if output_padding is None else output_padding, "--output-padding")
        spread = TransposedConvolution.over(len(shape) - 1)(filters, size, output_padding=extra, **options)
        found = transposed_report(spread, shape)
        if as_json:
            print_json(found)
        else:
            typer.echo("\n".join(transposed_lines(spread, found)))
        return
    if output_padding is not None:
        raise typer.BadParameter("--output-padding needs --transposed")
    _explain(Convolution.over(len(shape) - 1)(filters, size, **options), shape, solve, as_json)


def pool(
    input_shape: InputOption = None,
    kernel: KernelOption = None,
    stride: StrideOption = None,
    padding: PaddingOption = None,
    dilation: DilationOption = None,
    kind: Annotated[PoolKind, typer.Option(help="Maximum or average of each window.")] = PoolKind.MAX,
    ceil_mode: Annotated[bool, typer.Option("--ceil-mode", help="Include a last, incomplete window.")] = False,
    solve: SolveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Explain a pooling layer: output size, what fits, cost, where its windows fall (default stride: the kernel size).

    Example: foveate pool --input 64x112x112 --kernel 3 --stride 2 --padding 1
    """
    shape = parse_shape(input_shape, "--input")
    if kernel is None:
        raise typer.BadParameter("pool needs --kernel")
    _check_unknown(solve, stride, padding)
    family: type[MaxPooling | AveragePooling] = MaxPooling if kind is PoolKind.MAX else AveragePooling
    layer = family.over(len(shape) - 1)(
        parse_numbers(kernel, "--kernel"),
        stride=None if stride is None else parse_numbers(stride, "--stride"),
        padding=parse_padding("0" if padding is None else padding, len(shape) - 1),
        dilation=parse_numbers("1" if dilation is None else dilation, "--dilation"),
        ceil_mode=ceil_mode,
    )
    _explain(layer, shape, solve, as_json)


def _check_unknown(solve: Unknown | None, stride: str | None, padding: str | None) -> None:
    """Refuse a value for the setting to be found."""
    if solve is not None and {Unknown.STRIDE: stride, Unknown.PADDING: padding}[solve] is not None:
        raise typer.BadParameter(f"--solve {solve} finds every {solve} that fits; leave --{solve} out")


def _explain(layer: SpatialLayer, shape: tuple[int, ...], solve: Unknown | None, as_json: bool) -> None:
    if solve is not None:
        _solve(layer, shape, solve, as_json)
        return
    report = explain_window(layer, shape)
    if as_json:
        print_json(report.to_json())
        return
    for line in report_lines(report):
        typer.echo(line)


def report_lines(report: WindowReport) -> list[str]:
    """The whole report as text."""
    lines = [f"{report.layer.describe()} on {format_sizes(report.input_shape)}", ""]
    lines += [f"output      {format_sizes(report.output_shape)}"]
    lines += [f"            {words}" for words in _size_lines(report)]
    lines += _parameter_lines(report)
    cost, made = report.cost, format_sizes(report.output_shape)
    if cost.macs:
        taps = cost.macs // prod(report.output_shape)
        lines.append(f"MACs        {made} outputs * {taps:,} = {cost.macs:,}")
        extra = f" + {cost.flops - 2 * cost.macs:,} for the {bias_word(report.biases)}" if report.biases else ""
        lines.append(f"FLOPs       2 * {cost.macs:,}{extra} = {cost.flops:,}")
    else:
        lines.append(f"FLOPs       {cost.flops:,}, no multiply-accumulates")
    data = report.to_json()
    lines.append(
        f"memory      input {data['input_bytes']:,} + output {data['output_bytes']:,} + parameters "
        f"{data['parameter_bytes']:,} bytes, one sample in float32"
    )
    if report.adjustments:
        lines.append("fits with   " + ", ".join(each.text for each in report.adjustments))
    return [*lines, "", *_drawing(report)]


def _size_lines(report: WindowReport) -> list[str]:
    """The formula with the numbers filled in, once for axes that are alike."""
    lines = []
    axes = list(zip(report.sizes, report.windows, report.fits, report.unseen, report.output_shape[1:], strict=True))
    for axis in dict.fromkeys(axes):
        lines += [f"{_names(axes, axis)}: {words}" for words in _axis_words(*axis)]
    return lines


def _names(axes: Sequence[object], axis: object) -> str:
    """The letters of the axes that equal `axis`: 'H and W'."""
    return " and ".join(letter for letter, other in zip(axis_letters(len(axes)), axes, strict=True) if other == axis)


def _axis_words(size: int, window: Window, placed: Fit, unseen: Unseen, output: int) -> list[str]:
    begin, end = window.padding
    padding = "2P" if begin == end else "P_begin + P_end"
    span = "F" if window.dilation == 1 else "F_eff"
    words = []
    if window.dilation != 1:
        words.append(
            f"F_eff = D(F - 1) + 1 = {window.dilation}*({window.kernel_size} - 1) + 1 = {window.effective_size}"
        )
    result = f"{formula(size, window)} = {_number(placed)}"
    words.append(f"(W - {span} + {padding})/S + 1 = {result}" + ("" if placed.fits else f", so {output}"))
    if not placed.fits:
        counted = "counted by ceil_mode, " if output > placed.output else ""
        words.append(
            f"does not fit: the division leaves a remainder of {placed.remainder}; {counted}dropped {unseen.dropped}"
        )
    elif unseen.dropped:
        words.append(f"dropped {unseen.dropped}: the padding shifts the windows past the border")
    if unseen.skipped:
        words.append(f"skipped {unseen.skipped}: positions between windows, which no window sees")
    if begin != end:
        words.append(f"padding (begin, end) is ({begin}, {end})")
    return words


def _number(placed: Fit) -> str:
    return str(placed.output) if placed.fits else f"{float(placed.exact_output):.2f}"


def _parameter_lines(report: WindowReport) -> list[str]:
    if not report.weights:
        return ["parameters  0"]
    kernel = "*".join(str(window.kernel_size) for window in report.windows)
    options = report.layer.options()
    filters, groups = options["out_channels"], options["groups"]
    per_filter = f"{report.input_shape[0]}" + (f"/{groups}" if groups != 1 else "")
    letters = "*".join("F" * len(report.windows))
    name = f"{letters}*C{'/G' if groups != 1 else ''}*K"
    return [
        f"parameters  {report.weights:,} weights{with_biases(report.biases)} = {report.weights + report.biases:,}",
        f"            weights: {name} = {kernel}*{per_filter}*{filters} = {report.weights:,}",
    ]


def _drawing(report: WindowReport) -> list[str]:
    """A drawing of the first axis on which the window does not fit, or else of the first."""
    axis = next((n for n, placed in enumerate(report.fits) if not placed.fits), 0)
    letters = axis_letters(len(report.sizes))
    width = min(100, get_terminal_size((80, 24)).columns - 2)
    rows = draw_windows(report.sizes[axis], report.windows[axis], report.output_shape[1 + axis], width)
    return [f"windows along {letters[axis]}:", *(f"  {row}" for row in rows), "", LEGEND]


def _solve(layer: SpatialLayer, shape: tuple[int, ...], unknown: Unknown, as_json: bool) -> None:
    """All paddings, or strides, that make each axis fit, and the report for the first of them."""
    free = layer.with_options(**{unknown.value: 1 if unknown is Unknown.STRIDE else 0})
    _, sizes = free.spatial_input([shape])
    given = layer.with_options(padding=0) if unknown is Unknown.PADDING else layer
    windows = given.windows([shape]) or ()
    finder = solve_padding if unknown is Unknown.PADDING else solve_stride
    found = [finder(size, window) for size, window in zip(sizes, windows, strict=True)]
    report = None
    if all(found):
        report = explain_window(layer.with_options(**{unknown.value: tuple(each[0].value for each in found)}), shape)
    if as_json:
        solutions = [[{"value": s.value, "output": s.output, "same": s.same} for s in each] for each in found]
        data = {"input": list(shape)} if report is None else report.to_json()
        print_json({**data, "solve": unknown.value, "solutions": solutions})
        return
    for line in _solution_lines(unknown, sizes, windows, found):
        typer.echo(line)
    if report is not None:
        typer.echo(f"\nWith {unknown.value} {in_short([each[0].value for each in found])}:\n")
        typer.echo("\n".join(report_lines(report)))


def _solution_lines(
    unknown: Unknown, sizes: Sequence[int], windows: Sequence[Window], found: Sequence[Sequence[Solution]]
) -> list[str]:
    lines: list[str] = []
    axes = [*zip(sizes, windows, map(tuple, found), strict=True)]
    for size, window, solutions in dict.fromkeys(axes):
        letter = _names(axes, (size, window, solutions))
        free = size - window.effective_size
        if unknown is Unknown.PADDING:
            symmetric = any(isinstance(s.value, tuple) and s.value[0] == s.value[1] for s in solutions)
            lines.append(
                f"{letter}: {size} - {window.effective_size} + 2P must be a multiple of stride {window.stride}, "
                f"P at most {window.effective_size - 1}"
                + ("" if symmetric else f": {free} + 2P never is, so no symmetric padding fits")
            )
        else:
            lines.append(f"{letter}: S must divide {size} - {window.effective_size} + {sum(window.padding)}")
        for solution in solutions:
            note = '  (the same as padding "same")' if solution.same else ""
            lines.append(f"   {unknown.value} {in_short([solution.value])}: output {solution.output}{note}")
        if not solutions:
            lines.append(f"   no {unknown.value} fits; try another kernel or input")
    return lines


def _show_common(shape: tuple[int, ...], filters: int, as_json: bool) -> None:
    kind = Convolution.over(len(shape) - 1)
    rows: list[dict[str, Any]] = []
    for setting, kernel, stride, padding in COMMON:
        base = kind(filters, kernel, stride=stride)
        windows = base.windows([shape])
        pairs = [solve_padding(size, window)[0].value for size, window in zip(shape[1:], windows, strict=True)]
        value = pairs if padding == "solve" else int(padding)
        report = explain_window(base.with_options(padding=value), shape)
        rows.append({"setting": setting, **report.to_json()})
    if as_json:
        print_json(rows)
        return
    typer.echo(f"{filters} filters (K: powers of 2, e.g. 32, 64, 128, 512) on {format_sizes(shape)}\n")
    cells = [("setting", "padding", "output", "parameters", "MACs")]
    for row in rows:
        padding = in_short([tuple(pair) for pair in row["padding"]])
        made = format_sizes(row["output"])
        cells.append((row["setting"], padding, made, f"{row['parameters']:,}", f"{row['macs']:,}"))
    typer.echo("\n".join(table(cells, 3)))
