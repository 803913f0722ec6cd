"""Untrusted text, escaped so that the medium shows it as text: a sentence, Markdown, a spreadsheet."""

import re

LONGEST_WORD = 200
"""The most characters of something quoted in a sentence."""

LONGEST_PATH = 4_096
"""The most characters of the path of a file."""

_JOINERS = "\u200c\u200d"
"""They join the letters of Persian and the parts of an emoji, or keep them apart; no cursor moves."""

_MARKDOWN = re.compile(r"[\\`*\[\]<>&|~:@$]|(?<!\w)_|_(?!\w)")
_FORMULA = tuple("=+-@\t\r")


def printable(words: object, most: int = LONGEST_WORD) -> str:
    r"""Text on one line of at most `most` characters; what would move the cursor or reverse the text is escaped.

    >>> print(printable("a\x1b[2J\nb"), printable("abcdefgh", 5))
    a\x1b[2J\nb ab...
    """
    text = str(words)
    shown = text if len(text) <= most else text[: most - 3] + "..."
    return shown if shown.isprintable() else "".join(c if _is_harmless(c) else repr(c)[1:-1] for c in shown)


def can_be_printed(name: str) -> bool:
    """Whether a name needs no escapes; joiners may be inside it, where they show, but not at its ends.

    >>> can_be_printed("a\u200db"), can_be_printed("ab\u200d"), can_be_printed("a\u202eb")
    (True, False, False)
    """
    return all(map(_is_harmless, name)) and name.strip(_JOINERS) == name


def _is_harmless(character: str) -> bool:
    return character.isprintable() or character in _JOINERS


def shortened(name: str, most: int) -> str:
    """A name of at most `most` characters: of a longer one the begin and the end, which tell it from its like.

    >>> shortened("cat", 9), shortened("a_very_long_name_of_a_class_7", 11)
    ('cat', 'a_ver…ass_7')
    """
    if len(name) <= most:
        return name
    end = (most - 1) // 2
    return f"{name[: most - 1 - end]}…{name[len(name) - end :]}"


def named(path: object) -> str:
    r"""The path of a file, quoted and safe to print, whatever it is called.

    >>> print(named("photos/a\nb.png"))
    "photos/a\nb.png"
    """
    return f'"{printable(path, LONGEST_PATH)}"'


def broken(words: str, width: int) -> str:
    """Wrap text to `width`, breaking only between words; continuation lines are indented.

    >>> print(broken("a network sees a cat", 12))
    a network
      sees a cat
    """
    from textwrap import fill

    lines = (
        fill(line, width, break_long_words=False, break_on_hyphens=False, subsequent_indent="  ")
        for line in words.splitlines()
    )
    return "\n".join(lines)


def number_words(value: float | None) -> str:
    """A measured number in words; None is one that the data do not determine.

    >>> number_words(0.123456), number_words(None)
    ('0.1235', 'undetermined')
    """
    return "undetermined" if value is None else f"{value:.4g}"


def for_markdown(words: str) -> str:
    r"""Text for a cell of a Markdown table, shown as it is: no link, no HTML, no further cell.

    >>> print(for_markdown("conv_1 <b> a|b"))
    conv_1 \<b\> a\|b
    """
    return _MARKDOWN.sub(r"\\\g<0>", words)


def as_code(words: str) -> str:
    """Text as code in Markdown, whatever backticks are in it.

    >>> as_code("conv1"), as_code("a`b")
    ('`conv1`', '`` a`b ``')
    """
    fence = "`" * (1 + max(map(len, re.findall("`+", words)), default=0))
    return f"{fence}{words}{fence}" if len(fence) == 1 else f"{fence} {words} {fence}"


def for_csv(words: str) -> str:
    """Text that a spreadsheet does not mistake for a formula.

    >>> for_csv("=1+1"), for_csv("conv1")
    ("'=1+1", 'conv1')
    """
    return f"'{words}" if words.startswith(_FORMULA) else words
