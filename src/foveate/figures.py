"""How every figure looks: two themes, palettes for every kind of colour vision, figures without pyplot."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial, wraps
from io import BytesIO
from textwrap import fill
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeAlias

from foveate.errors import DataError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

Theme: TypeAlias = Literal["light", "dark"]

_PALETTES = {
    "light": (
        "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#825102", "#8A00FF", "#1C5352", "#690001", "#B4318D", "#4E0081"
    ),
    "dark": (
        "#10A4FF", "#FE5107", "#389D65", "#F361C4", "#FFBA00", "#BBBEFF", "#45E6B9", "#91553B", "#BE008E", "#782AFF"
    ),
}  # fmt: skip
"""Ten colours for each background, those for light ones being Okabe and Ito's first: distinct for every kind of colour
vision, and none with a contrast below 3:1 on its background."""

COLOURS = 10
"""The number of distinct colours."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
"""A second difference besides the colour, so no figure depends on colour alone."""

SEQUENTIAL = "viridis"
"""For quantities from small to large."""

_DIVERGING = {"light": "PuOr", "dark": ("#ffd9a0", "#f1a340", "#8a4a06", "#161b22", "#5b4aa0", "#a08fe0", "#e2dcff")}
"""For quantities with a sign: like the background at zero, so that large areas of zero do not glare at night."""

_COLOURS = {
    "light": {"paper": "#ffffff", "ink": "#1f2328", "faint": "#d0d7de", "soft": "#57606a"},
    "dark": {"paper": "#0d1117", "ink": "#e6edf3", "faint": "#30363d", "soft": "#9da7b3"},
}
_theme: ContextVar[Theme] = ContextVar("theme", default="light")

_MORE_LETTERS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Source Han Sans SC", "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei", "Droid Sans Fallback", "Microsoft YaHei", "Yu Gothic", "Malgun Gothic", "PingFang SC",
    "Hiragino Sans", "Apple SD Gothic Neo", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari",
    "Nirmala UI", "Noto Sans Thai", "Arial Unicode MS",
)  # fmt: skip
"""Fonts of Linux, Windows and macOS, tried in this order for letters that matplotlib's own font lacks."""

_Parameters = ParamSpec("_Parameters")


@contextmanager
def theme(name: Theme) -> Iterator[None]:
    """Draw for a "light" or "dark" background within the `with` block.

    Raises:
        DataError: there is no theme of that name.
    """
    if name not in _COLOURS:
        raise DataError(f'there is no theme "{name}"; choose "light" or "dark"')
    token = _theme.set(name)
    try:
        yield
    finally:
        _theme.reset(token)


def colour(role: Literal["paper", "ink", "faint", "soft"]) -> str:
    """The theme's colour for the background, for text, for grids and borders, or for what stays in the background."""
    return _COLOURS[_theme.get()][role]


def tint(number: int) -> str:
    """The theme's colour for line, bar or class `number`; after ten, the colours repeat."""
    return _PALETTES[_theme.get()][number % COLOURS]


def diverging() -> "Colormap":
    """The theme's colours for quantities with a sign, orange below zero and purple above."""
    from matplotlib import colormaps
    from matplotlib.colors import LinearSegmentedColormap

    named = _DIVERGING[_theme.get()]
    return colormaps[named] if isinstance(named, str) else LinearSegmentedColormap.from_list("signed", named)


def class_tints(classes: Sequence[int]) -> dict[int, int]:
    """The number of each class's colour, so a class looks the same in all figures of a page.

    Each of up to ten classes has its own; further ones take colours that are free in the figure.

    >>> class_tints([3, 5, 13])
    {3: 3, 5: 5, 13: 4}
    """
    chosen: dict[int, int] = {}
    for index in sorted(classes):
        order = [(index + step) % COLOURS for step in range(COLOURS)]
        taken = list(chosen.values())
        chosen[index] = min(order, key=taken.count)
    return chosen


def drawn(plot: "Callable[_Parameters, Figure]") -> "Callable[_Parameters, Figure]":
    """Make a plotting function draw in the house style, whatever the caller's own matplotlib settings."""

    @wraps(plot)
    def styled(*args: _Parameters.args, **kwargs: _Parameters.kwargs) -> "Figure":
        from matplotlib import rc_context, rcParamsDefault

        settings: Any = {key: value for key, value in rcParamsDefault.items() if not key.startswith("backend")}
        with rc_context(settings | _settings()):
            figure = plot(*args, **kwargs)
            _let_powers_be_formulas(figure)
            # A notebook shows it as a cell's last line; matplotlib alone does only for figures of pyplot.
            figure._repr_png_ = partial(png, figure)  # type: ignore[attr-defined]
            return figure

    return styled


def new_figure(width: float, height: float, title: str = "") -> "Figure":
    """An empty figure of `width` by `height` inches, its title wrapped to its width; for functions decorated with
    `drawn`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    if title:
        figure.suptitle(broken(title, width, 13), fontsize=13)
    return figure


def broken(text: str, width: float, size: float) -> str:
    """Each line of a text, in letters of `size` points, wrapped to this many inches."""
    letters = int(width * 72 / (0.6 * size))
    return "\n".join(fill(line, letters) for line in text.split("\n"))


def png(figure: "Figure") -> bytes:
    """The figure as a PNG."""
    content = BytesIO()
    with warnings.catch_warnings():
        # What a name may cause: letters that the font lacks become boxes, and an endless one leaves no room.
        warnings.filterwarnings("ignore", "Glyph .* missing|constrained_layout not applied")
        figure.savefig(content, format="png", facecolor=figure.get_facecolor())
    return content.getvalue()


def bare(axes: "Axes", title: str = "") -> None:
    """Remove the ticks, keep a faint frame, and set a small title."""
    axes.set_xticks([])
    axes.set_yticks([])
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(colour("faint"))
    if title:
        axes.set_title(title, fontsize=9)


def in_three_digits(value: float) -> str:
    """A number, such as an activation, in readable form.

    >>> in_three_digits(132.4), in_three_digits(8), in_three_digits(0.01234)
    ('132', '8.00', '0.0123')
    """
    return f"{value:#.3g}".rstrip(".").replace("-", "\N{MINUS SIGN}")


def grid_shape(count: int, *, columns: int = 8) -> tuple[int, int]:
    """(rows, columns) for `count` pictures: half as wide again as high, or wider if that leaves fewer gaps.

    >>> grid_shape(10), grid_shape(4), grid_shape(12, columns=4)
    ((2, 5), (1, 4), (3, 4))
    """
    most = max(1, min(columns, count))
    least = min(most, max(1, round(count**0.5 * 1.4)))
    across = min(range(least, min(most, least + 1) + 1), key=lambda width: -count % width)
    return -(-count // across), across


def _let_powers_be_formulas(figure: "Figure") -> None:
    """Let the tick labels of logarithmic axes be matplotlib's own formulas; no name can appear in them."""
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis) if axis.get_scale() == "log"):
        for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()):
            tick.label1.set_parse_math(True)
            tick.label2.set_parse_math(True)


@cache
def font_families() -> list[str]:
    """Matplotlib's own font, then the system's fonts that have letters it lacks."""
    from matplotlib.font_manager import fontManager

    installed = {font.name for font in fontManager.ttflist}
    return ["DejaVu Sans", *(name for name in _MORE_LETTERS if name in installed)]


def _settings() -> dict[str, Any]:
    ink, paper, faint = colour("ink"), colour("paper"), colour("faint")
    return {
        "figure.facecolor": paper, "savefig.facecolor": paper, "axes.facecolor": paper,
        "text.color": ink, "axes.labelcolor": ink, "axes.titlecolor": ink, "xtick.color": ink, "ytick.color": ink,
        "axes.edgecolor": colour("soft"), "grid.color": faint, "axes.grid": False, "axes.axisbelow": True,
        "axes.spines.top": False, "axes.spines.right": False,
        "font.family": font_families(),
        "font.size": 10, "axes.titlesize": 11, "axes.labelsize": 10, "xtick.labelsize": 9, "ytick.labelsize": 9,
        "legend.fontsize": 9, "legend.frameon": False, "lines.linewidth": 2, "lines.markersize": 5,
        "axes.prop_cycle": _cycle(),
        "text.parse_math": False,  # a name may hold dollar signs; where a formula is meant, its text says so
    }  # fmt: skip


def _cycle() -> Any:
    from cycler import cycler

    return cycler(color=_PALETTES[_theme.get()])
