r"""Text that is safe to show, whoever wrote it: no moved cursor, no hidden text, none that runs backwards.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import unicodedata
from typing import Any

_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


def printable(value: Any, *, keep: str = "") -> str:
    r"""Return a text in which every character that is not seen as itself is escaped as Python writes it.

    Escaped are control characters, among them those that begin a terminal sequence, characters that set the direction
    of writing, lone surrogates, and code points without a character.

    Parameters
    ----------
    value
        Any value; what is no text is shown as `str` gives it.
    keep
        Control characters to leave alone, such as `"\n\t"`.

    Examples
    --------
    >>> printable("a\x1b[31mb\n")
    'a\\x1b[31mb\\n'
    >>> printable("two\nlines\u202e", keep="\n")
    'two\nlines\\u202e'
    """
    text = value if isinstance(value, str) else str(value)
    # Nearly every text; and nothing that counts as printable is of an unsafe category.
    if text.isprintable():
        return text
    shown = text
    for character in keep:
        shown = shown.replace(character, "")
    if keep and shown.isprintable():
        return text
    return "".join(
        _escaped(character) if character not in keep and unicodedata.category(character) in _UNSAFE else character
        for character in text
    )


def counted(count: int, noun: str) -> str:
    """Return a count with its noun in singular or plural.

    >>> counted(1, "run"), counted(2, "run")
    ('1 run', '2 runs')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
