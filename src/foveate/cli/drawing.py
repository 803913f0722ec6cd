"""A drawing for the terminal: where the windows of a layer fall along one axis."""

from collections.abc import Sequence

from foveate.geometry import Window

PADDING, REAL, UNSEEN, TAP, GAP = "0", ".", "x", "#", "-"
LEGEND = (
    f"{REAL} input   {PADDING} padding   {UNSEEN} input that no window sees   {TAP} what a window reads   {GAP} gap"
)
MOST_ROWS = 10


def draw_windows(size: int, window: Window, outputs: int, width: int = 78) -> list[str]:
    """The padded axis, and under it each window in its place; long axes and many windows lose their middle.

    >>> print("\\n".join(draw_windows(7, Window(3, stride=3), 2)))
    axis      ......x
    output 1  ###
    output 2     ###
    """
    begin, end = window.padding
    reach = (outputs - 1) * window.stride + window.effective_size
    length = max(begin + size + end, reach)
    label = len(f"output {outputs}") + 2
    columns = _shown(length, max(20, width - label))
    rows = ["axis".ljust(label) + _line(columns, lambda at: _place(at, size, window, outputs))]
    for number in _shown(outputs, MOST_ROWS):
        if number is None:
            rows.append("...")
            continue
        line = _line(columns, lambda at, start=number * window.stride: _tap(at - start, window))
        rows.append(f"output {number + 1}".ljust(label) + line.rstrip())
    return rows


def _shown(count: int, room: int) -> list[int | None]:
    """All of range(count), or its two ends with None between them."""
    if count <= room:
        return list(range(count))
    half = (room - 3) // 2
    return [*range(half), None, *range(count - half, count)]


def _line(columns: Sequence[int | None], character: object) -> str:
    return "".join("..." if at is None else character(at) for at in columns)  # type: ignore[operator]


def _place(at: int, size: int, window: Window, outputs: int) -> str:
    real = at - window.padding[0]
    if not 0 <= real < size:
        return PADDING
    latest = min(at // window.stride, outputs - 1)
    earliest = max(0, -(-(at - window.effective_size + 1) // window.stride))
    seen = any(_tap(at - start * window.stride, window) == TAP for start in range(earliest, latest + 1))
    return REAL if seen else UNSEEN


def _tap(offset: int, window: Window) -> str:
    if not 0 <= offset < window.effective_size:
        return " "
    return GAP if offset % window.dilation else TAP
