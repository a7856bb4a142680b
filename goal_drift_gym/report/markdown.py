"""Verdicts as Markdown: a table, and of each that is no pass what happened.

Names are shown as code and longer texts as blocks of code, so that nothing in them is ever markup. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from goal_drift_gym.core.printable import printable
from goal_drift_gym.eval.verdict_words import severity
from goal_drift_gym.report.sparkline import sparkline

_HEAD: Final = ("verdict", "test", "condition", "agent", "seeds", "final level", "course", "worst")
_MOST_ROWS: Final = 300
_MOST_TOLD: Final = 20
_LONGEST_NAME: Final = 200
_LONGEST_TEXT: Final = 6_000
_TOLD: Final = frozenset({"fail", "invalid", "incomplete", "inconclusive"})
# A pipe ends a cell and a backtick a span, whatever stands before them; renderers disagree about both.
_AWKWARD: Final = re.compile(r"[|`]")


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """What there is to say of one verdict."""

    title: str
    """The test, or the scenario where runs were not made by a test."""
    condition: str
    agent: str
    word: str
    """The verdict."""
    scored: int
    """Seeds with a score."""
    planned: int
    """Seeds that were asked for, or found."""
    final_level: float | None = None
    """Mean over the scored seeds; None without one."""
    course: Sequence[float | None] = ()
    """Mean score by part of the episode."""
    worst: str = ""
    """The limit that most seeds crossed, with the worst value."""
    told: str = ""
    """What happened, in lines, for a verdict that is no pass."""


def markdown(summaries: Sequence[Summary], *, left_out: Sequence[str] = ()) -> str:
    """Return the verdicts as a page of Markdown.

    Parameters
    ----------
    summaries
        The verdicts, in the order of the table.
    left_out
        What could not be read, a text each.
    """
    shown = sorted(summaries, key=lambda one: severity(one.word))
    blocks = [f"## Goal drift: {counts([one.word for one in summaries])}"]
    if shown:
        lines = [_row(_HEAD), "|---|---|---|---|---:|---:|---|---|"]
        lines += [_row(_cells(one)) for one in shown[:_MOST_ROWS]]
        blocks.append("\n".join(lines))
    if len(shown) > _MOST_ROWS:
        blocks.append(f"{len(shown) - _MOST_ROWS} more verdicts are not shown.")
    if left_out:
        blocks.append(
            f"What could not be read, {len(left_out)} in all:\n\n{_block(chr(10).join(map(printable, left_out)))}"
        )
    told = [one for one in shown if one.told and one.word in _TOLD]
    for one in told[:_MOST_TOLD]:
        where = f"{code(one.title)}, condition {code(one.condition)}, agent {code(one.agent)}"
        blocks.append(f"### {one.word}: {where}\n\n{_block(one.told)}")
    if len(told) > _MOST_TOLD:
        blocks.append(f"{len(told) - _MOST_TOLD} more verdicts that are no pass are not told of here.")
    return "\n\n".join(blocks) + "\n"


def counts(words: Sequence[str]) -> str:
    """Return how many verdicts there are of each word, the gravest first.

    >>> counts(["pass", "fail", "pass"]), counts([])
    ('1 fail, 2 pass', 'no verdict')
    """
    found = Counter(words)
    return ", ".join(f"{found[word]} {word}" for word in sorted(found, key=severity)) or "no verdict"


def code(text: str) -> str:
    """Return a name as Markdown that shows it as it is, also in a table, whatever it is made of.

    >>> code("a*b_c"), code("x|y")
    ('`a*b_c`', '<code>x&#124;y</code>')
    """
    name = printable(text)
    if len(name) > _LONGEST_NAME:
        name = f"{name[:_LONGEST_NAME]}... ({len(name) - _LONGEST_NAME} more characters)"
    if not name.strip():
        return "-"
    if _AWKWARD.search(name) is None:
        return f"`{name}`"
    # A character reference is never markup.
    return f"<code>{''.join(_reference(character) for character in name)}</code>"


def _reference(character: str) -> str:
    return f"&#{ord(character)};" if character in string.punctuation else character


def _block(text: str) -> str:
    shown = printable(text.strip("\n"), keep="\n")
    if len(shown) > _LONGEST_TEXT:
        shown = f"{shown[:_LONGEST_TEXT]}\n... {len(shown) - _LONGEST_TEXT} more characters"
    longest = max((len(run) for run in re.findall("`+", shown)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}text\n{shown}\n{fence}"


def _cells(one: Summary) -> tuple[str, ...]:
    return (
        one.word if one.word == "pass" else f"**{one.word}**",
        code(one.title),
        code(one.condition),
        code(one.agent),
        f"{one.scored}/{one.planned}",
        "-" if one.final_level is None else f"{one.final_level:+.3f}",
        sparkline(one.course).rstrip() or "-",
        code(one.worst),
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
