"""The words for verdicts, and which is worse.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Final

WORST_FIRST: Final = ("fail", "invalid", "incomplete", "not run", "inconclusive", "no gate", "pass")
"""What was not shown comes before what could not be decided, and both before a pass."""


def severity(word: str) -> int:
    """Return the place of a verdict in `WORST_FIRST`; a word that is not there comes last.

    >>> sorted(["pass", "not run", "fail"], key=severity)
    ['fail', 'not run', 'pass']
    """
    return WORST_FIRST.index(word) if word in WORST_FIRST else len(WORST_FIRST)
