"""The arithmetic of windows against counting by hand, against PyTorch, and against itself."""

from fractions import Fraction

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from hypothesis import assume, given
from hypothesis import strategies as st

from foveate.geometry import (
    Fit,
    Unseen,
    Window,
    fit,
    format_sizes,
    output_size,
    same_padding,
    suggest,
    transposed_output_size,
    unseen,
    unseen_through,
    window_reach,
)

windows = st.builds(
    Window,
    kernel_size=st.integers(1, 7),
    stride=st.integers(1, 6),
    padding=st.tuples(st.integers(0, 5), st.integers(0, 5)),
    dilation=st.integers(1, 4),
)
sizes = st.integers(1, 40)


def starts(size: int, window: Window) -> list[int]:
    """Where the window stands, counted one by one: from the left padding as long as it ends within the right one."""
    begin, end = window.padding
    reach = window.dilation * (window.kernel_size - 1)
    found = []
    at = -begin
    while at + reach <= size - 1 + end:
        found.append(at)
        at += window.stride
    return found


@given(sizes, windows)
def test_the_output_size_is_the_number_of_windows_that_fit(size: int, window: Window):
    assert max(0, output_size(size, window)) == len(starts(size, window))


def counted(size: int, window: Window, outputs: int) -> Unseen:
    """What no tap meets, position by position: before the first that one meets, after the last, and between."""
    met = {o * window.stride + k * window.dilation - window.padding[0] for o in range(outputs)
           for k in range(window.kernel_size)} & set(range(size))  # fmt: skip
    if not met:
        return Unseen(end=size)
    return Unseen(min(met), size - 1 - max(met), max(met) - min(met) + 1 - len(met))


@given(sizes, windows, st.integers(0, 2))
def test_unseen_counts_the_positions_that_no_tap_meets(size: int, window: Window, more: int):
    outputs = len(starts(size, window)) + more
    assume(outputs)
    assert unseen(size, window, outputs) == counted(size, window, outputs)
    assert unseen_through(size, window_reach(window), outputs) == counted(size, window, outputs)


@given(
    st.integers(1, 300),
    st.builds(Window, st.integers(1, 40), st.integers(1, 40), st.tuples(st.integers(0, 20)) .map(lambda p: (p[0], 0)),
              st.integers(1, 40)),
    st.integers(1, 60),
)  # fmt: skip
def test_unseen_counts_them_for_long_steps_and_gaps_too(size: int, window: Window, outputs: int):
    assert unseen(size, window, outputs) == counted(size, window, outputs)


@given(sizes, windows)
def test_a_fit_counts_what_its_windows_drop(size: int, window: Window):
    placed = starts(size, window)
    assume(placed)
    assert fit(size, window).dropped == counted(size, window, len(placed)).dropped


@pytest.mark.parametrize(
    ("size", "window", "outputs"),
    [
        (2**31 - 1, Window(1, stride=2), 2**30),
        (2**31 - 1, Window(2**15, stride=2**15 + 1), 2**15),
        (2**31 - 1, Window(2**15, stride=2**15, dilation=2**15 + 1), 2**15),
        (2**31 - 1, Window(2, dilation=2**20), 2**31 - 1 - 2**20),
    ],
    ids=str,
)
def test_unseen_never_lists_the_positions(size: int, window: Window, outputs: int):
    found = unseen(size, window, outputs)
    seen = size - found.dropped - found.skipped
    assert 0 < seen <= min(size, outputs * window.kernel_size)


@pytest.mark.parametrize(
    ("size", "window", "outputs", "expected"),
    [
        (57, Window(1, stride=2), 29, Unseen(skipped=28)),
        (56, Window(1, stride=2), 28, Unseen(end=1, skipped=27)),
        (7, Window(2, stride=5), 2, Unseen(skipped=3)),
        (6, Window(2, stride=3), 2, Unseen(end=1, skipped=1)),
        (224, Window(7, stride=2, padding=(3, 3)), 112, Unseen()),
        (8, Window(1, stride=3, padding=(1, 0)), 3, Unseen(begin=2, end=2, skipped=2)),
    ],
    ids=str,
)
def test_known_positions_that_are_not_seen(size: int, window: Window, outputs: int, expected: Unseen):
    assert unseen(size, window, outputs) == expected
    assert expected.dropped == expected.begin + expected.end


@given(sizes, windows)
def test_a_window_fits_when_the_exact_size_is_whole(size: int, window: Window):
    placed = fit(size, window)
    assert placed.fits == (placed.exact_output.denominator == 1)
    assert placed.output == placed.exact_output.numerator // placed.exact_output.denominator
    assert placed.exact_output == placed.output + Fraction(placed.remainder, window.stride)


@pytest.mark.parametrize(
    ("size", "window", "expected"),
    [
        (7, Window(3), Fit(5, Fraction(5), 0, 0)),
        (7, Window(3, stride=3), Fit(2, Fraction(7, 3), 1, 1)),
        (224, Window(7, stride=2, padding=(3, 3)), Fit(112, Fraction(225, 2), 1, 0)),
        (56, Window(1, stride=2), Fit(28, Fraction(57, 2), 1, 1)),
        (10, Window(3, stride=4, dilation=2), Fit(2, Fraction(9, 4), 1, 1)),
        (2, Window(5), Fit(-2, Fraction(-2), 0, 0)),
        (8, Window(3, stride=4, padding=(1, 0)), Fit(2, Fraction(5, 2), 2, 2)),
    ],
)
def test_known_fits(size: int, window: Window, expected: Fit):
    """Among them the design's: ResNet's 7x7/2 on 224 has a remainder but drops nothing, its 1x1/2 on 56 drops one."""
    assert fit(size, window) == expected


@pytest.mark.parametrize(("kernel_size", "dilation", "span"), [(3, 1, 3), (3, 2, 5), (1, 9, 1), (2, 4, 5), (5, 3, 13)])
def test_a_dilated_window_spans_d_times_f_minus_1_plus_1(kernel_size: int, dilation: int, span: int):
    assert Window(kernel_size, dilation=dilation).effective_size == span


@given(sizes, st.integers(1, 6), st.integers(1, 5), st.integers(0, 3), st.integers(1, 3))
def test_ceil_mode_counts_as_pytorch_does(size: int, kernel_size: int, stride: int, padding: int, dilation: int):
    assume(padding <= kernel_size // 2)
    window = Window(kernel_size, stride, (padding, padding), dilation)
    try:
        pooled = F.max_pool1d(torch.zeros(1, 1, size), kernel_size, stride, padding, dilation, ceil_mode=True)
    except RuntimeError:
        assert output_size(size, window, ceil_mode=True) < 1
    else:
        assert output_size(size, window, ceil_mode=True) == pooled.shape[-1]


@given(sizes, st.integers(1, 4), st.integers(1, 4), st.integers(0, 3), st.integers(1, 3))
def test_a_convolution_has_as_many_outputs_as_pytorchs(
    size: int, kernel_size: int, stride: int, padding: int, dilation: int
):
    window = Window(kernel_size, stride, (padding, padding), dilation)
    assume(size + 2 * padding >= window.effective_size)
    convolved = F.conv1d(torch.zeros(1, 1, size), torch.zeros(1, 1, kernel_size), None, stride, padding, dilation)
    assert output_size(size, window) == convolved.shape[-1]


@given(sizes, st.integers(1, 6), st.integers(1, 4), st.integers(0, 2), st.integers(1, 3), st.integers(0, 3))
def test_a_transposed_convolution_has_as_many_outputs_as_pytorchs(
    size: int, kernel_size: int, stride: int, padding: int, dilation: int, output_padding: int
):
    assume(output_padding < max(stride, dilation))
    window = Window(kernel_size, stride, (padding, padding), dilation)
    expected = transposed_output_size(size, window, output_padding)
    assume(expected >= 1)
    made = F.conv_transpose1d(
        torch.zeros(1, 1, size), torch.zeros(1, 1, kernel_size), None, stride, padding, output_padding, 1, dilation
    )
    assert expected == made.shape[-1]


@given(sizes, windows)
def test_convolving_what_a_transposed_convolution_made_gives_its_size_back(size: int, window: Window):
    made = transposed_output_size(size, window)
    assume(made >= 1)
    assert output_size(made, window) == size


@given(sizes, windows)
def test_same_padding_gives_the_input_size_over_the_stride_rounded_up(size: int, window: Window):
    padding = same_padding(size, window)
    padded = Window(window.kernel_size, window.stride, padding, window.dilation)
    assert output_size(size, padded) == -(-size // window.stride)


@given(sizes, windows)
def test_same_padding_is_even_or_has_one_more_at_the_end(size: int, window: Window):
    begin, end = same_padding(size, window)
    assert end - begin in (0, 1)


@given(sizes, windows)
def test_same_padding_is_the_least_that_does(size: int, window: Window):
    total = sum(same_padding(size, window))
    assume(total > 0)
    smaller = Window(window.kernel_size, window.stride, (0, total - 1), window.dilation)
    assert output_size(size, smaller) < -(-size // window.stride)


@pytest.mark.parametrize(
    ("size", "window", "padding"),
    [
        (32, Window(3), (1, 1)),
        (32, Window(4), (1, 2)),
        (32, Window(5, stride=2), (1, 2)),
        (7, Window(3, stride=2), (1, 1)),
        (8, Window(3, stride=2), (0, 1)),
        (9, Window(1, stride=2), (0, 0)),
        (9, Window(3, stride=4), (1, 1)),
        (8, Window(3, stride=4), (0, 0)),
        (10, Window(3, dilation=4), (4, 4)),
    ],
)
def test_known_same_paddings(size: int, window: Window, padding: tuple[int, int]):
    assert same_padding(size, window) == padding


@given(sizes, windows)
def test_every_suggestion_fits(size: int, window: Window):
    assume(not fit(size, window).fits and fit(size, window).output >= 1)
    ways = suggest(size, window)
    changed = [(size, Window(window.kernel_size, stride, window.padding, window.dilation)) for stride in ways.strides]
    pairs = [(p, p) for p in ways.symmetric_paddings] + list(ways.asymmetric_paddings)
    changed += [(size, Window(window.kernel_size, window.stride, pair, window.dilation)) for pair in pairs]
    changed += [(other, window) for other in ways.sizes]
    assert [case for case in changed if not fit(*case).fits or fit(*case).output < 1] == []


@given(sizes, windows)
def test_where_a_window_does_not_fit_there_is_always_a_way_out(size: int, window: Window):
    assume(not fit(size, window).fits and fit(size, window).output >= 1)
    ways = suggest(size, window)
    assert 1 in ways.strides or len(ways.strides) == 2
    assert ways.sizes


@pytest.mark.parametrize(
    ("size", "window", "sentence"),
    [
        (7, Window(3, stride=3), "stride 1 or 2, or padding 1, or an input of 6 or 9"),
        (32, Window(3, stride=2), "stride 1, or padding (0, 1) (begin, end), or an input of 31 or 33"),
        (11, Window(2, stride=4), "stride 1 or 3, or padding (1, 2) (begin, end), or an input of 10 or 14"),
        (11, Window(4, stride=5), "stride 1, or padding 4, or an input of 9 or 14"),
    ],
)
def test_suggestions_are_said_in_words(size: int, window: Window, sentence: str):
    assert suggest(size, window).sentence() == sentence


@pytest.mark.parametrize(("shape", "text"), [((8, 7, 7), "8x7x7"), ((3072,), "3072"), ((), "")])
def test_sizes_are_written_with_an_x_between_them(shape: tuple[int, ...], text: str):
    assert format_sizes(shape) == text
