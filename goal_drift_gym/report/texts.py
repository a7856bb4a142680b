"""Texts of a run cut to what a page can hold, with a note on what was left out and where it stands.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from typing import Any, Final, TypeVar

from goal_drift_gym.core.printable import printable

_LONGEST: Final = 2000
_WIDTH = 92
_LONGEST_LAID_OUT = 100_000
_MOST_ITEMS = 40
_KEPT: Final = "\n\t"

Item = TypeVar("Item")


class Texts:
    """The texts of one place in a run's files, which share an allowance.

    Parameters
    ----------
    place
        Where the whole of it stands, such as `line 7 of step_log.jsonl`.
    allowance
        Characters that all of its texts may have together.
    longest
        Characters that one may have.
    """

    def __init__(self, place: str, allowance: int, *, longest: int = _LONGEST) -> None:
        self.place = place
        self._left = allowance
        self._longest = longest

    def text(self, text: Any) -> str:
        """Return a text, printable, and cut where it is too long."""
        whole = text if isinstance(text, str) else str(text)
        room = max(0, min(self._longest, self._left))
        # Escapes make a text longer, and it is the longer one that fills the page.
        kept = printable(whole[:room], keep=_KEPT)
        used = min(len(whole), room)
        if _size(kept) > room:
            used = max(1, room * used // _size(kept))
            kept = printable(whole[:used], keep=_KEPT)
        self._left -= _size(kept)
        left_out = len(whole) - used
        if left_out <= 0:
            return kept
        return f"{kept} [... {left_out} more characters in {self.place}]"

    def value(self, value: Any) -> str:
        """Return a JSON value as text: a string as it is, all else as JSON, laid out where it is long."""
        if isinstance(value, str):
            return self.text(value)
        try:
            return self.text(laid_out(value))
        except RecursionError:
            return f"[too deeply nested to show: {self.place}]"

    def some(self, items: Sequence[Item]) -> tuple[Sequence[Item], str | None]:
        """Return as many items as a page shows, and a note on the others; None where there are none."""
        # Where the allowance is used up, each would be a note that it is left out.
        most = _MOST_ITEMS if self._left > 0 else 1
        left_out = len(items) - most
        if left_out <= 0:
            return items, None
        return items[:most], f"{left_out} more in {self.place}"


def _size(text: str) -> int:
    return len(escape(text))


def laid_out(value: Any, indent: int = 0) -> str:
    """Return JSON in lines, each part on one line that fits one.

    >>> print(laid_out({"a": [1, 2]}))
    {"a": [1, 2]}
    """
    flat = json.dumps(value, ensure_ascii=False)
    if len(flat) + indent <= _WIDTH or len(flat) > _LONGEST_LAID_OUT or not isinstance(value, dict | list):
        return flat
    pad = " " * (indent + 2)
    if isinstance(value, dict):
        parts = [
            f"{pad}{json.dumps(key, ensure_ascii=False)}: {laid_out(item, indent + 2)}" for key, item in value.items()
        ]
        return "{\n" + ",\n".join(parts) + f"\n{' ' * indent}}}"
    return "[\n" + ",\n".join(pad + laid_out(item, indent + 2) for item in value) + f"\n{' ' * indent}]"
