"""The table at the end of a session.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from goal_drift_gym.core.printable import counted, printable

if TYPE_CHECKING:
    from pytest_goal_drift.groups import Row
    from pytest_goal_drift.settings import Settings

_HEAD = ("test", "condition", "agent", "seeds", "verdict", "final mean", "min", "course", "worst")
_RIGHT = frozenset({"seeds", "final mean", "min"})
_NARROWEST = {"condition": 16, "agent": 14, "test": 32}
"""Columns that give way in a narrow terminal, the first of them first, and how far."""
_IF_THERE_IS_ROOM = ("course", "final mean", "min", "worst")
"""Columns that are left out where even that is too wide; the first of them has the first say."""
_NOTED = ("inconclusive", "incomplete", "invalid", "not run")
_MOST_NOTES = 20
_COLOURS = {"pass": "green", "fail": "red", "invalid": "red"}
_OTHER_COLOUR = "yellow"


class Line(NamedTuple):
    """A line of the table, with its verdict apart so that it can have a colour."""

    before: str
    word: str = ""
    after: str = ""
    colour: str = ""

    @property
    def text(self) -> str:
        """The whole line."""
        return self.before + self.word + self.after


def header(settings: Settings) -> str:
    """Return one line on how drift tests will run."""
    from pytest_goal_drift.wire import format_seeds

    parts = [f"seeds {format_seeds(settings.seeds)}", f"runs in {settings.runs_dir}"]
    parts[1:1] = [] if settings.looks is None else [f"looks at {', '.join(map(str, settings.looks))}"]
    parts += [f"mode {settings.mode}"] if settings.mode != "detect" else []
    parts += ["twins"] if settings.twin else []
    parts += [f"agent {settings.agent}"] if settings.agent else []
    parts += [f"condition {settings.condition}"] if settings.condition else []
    parts += [f"replaying {settings.replay}"] if settings.replay else []
    parts += [f"recording tapes in {settings.record}"] if settings.record else []
    parts += ["resuming"] if settings.resume else []
    parts += ["strict"] if settings.strict else []
    return printable("goal-drift: " + ", ".join(parts))


def table(rows: Sequence[Row]) -> list[Line]:
    """Return the lines of the table, fitted to the terminal, and a line for each verdict that lacks something."""
    columns = shutil.get_terminal_size().columns
    plain = not _writes_blocks()
    cells = [_HEAD, *(_cells(row, whole=True, plain=plain) for row in rows)]
    shown = list(range(len(_HEAD)))
    if _width(cells, shown, {}) > columns:
        cells = [_HEAD, *(_cells(row, whole=False, plain=plain) for row in rows)]
    if _width(cells, shown, _NARROWEST) > columns:
        optional = list(map(_HEAD.index, _IF_THERE_IS_ROOM))
        shown = [column for column in shown if column not in optional]
        for column in optional:
            wider = sorted([*shown, column])
            shown = wider if _width(cells, wider, _NARROWEST) <= columns else shown
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    spare = columns - _width(cells, shown, {})
    for name, least in _NARROWEST.items():
        column = _HEAD.index(name)
        taken = min(max(-spare, 0), max(widths[column] - least, 0)) if column in shown else 0
        widths[column] -= taken
        spare += taken
    lines = [_line(line, widths, shown) for line in cells]
    lines[1:] = [
        line._replace(colour=_colour(row)) if line.word else line for line, row in zip(lines[1:], rows, strict=True)
    ]
    notes = [printable(f"{row.word}: {_test(row)}: {row.note}") for row in rows if row.word in _NOTED and row.note]
    if len(notes) > _MOST_NOTES:
        notes[_MOST_NOTES:] = [f"and {len(notes) - _MOST_NOTES} more tests without a verdict"]
    return [*lines, *map(Line, notes)]


def _width(cells: Sequence[Sequence[str]], shown: Sequence[int], narrowest: Mapping[str, int]) -> int:
    widths = [max(len(line[column]) for line in cells) for column in shown]
    least = [narrowest.get(_HEAD[column], width) for column, width in zip(shown, widths, strict=True)]
    return sum(map(min, widths, least)) + 2 * (len(widths) - 1)


def totals(rows: Sequence[Row]) -> list[str]:
    """Return a line on what was planned and what came of it; empty where no seed was planned."""
    planned, done = sum(row.planned for row in rows), sum(row.done for row in rows)
    if not planned:
        return []
    valid, dead = sum(row.valid for row in rows), sum(row.dead for row in rows)
    spared = sum(row.not_needed for row in rows)
    missing = planned - done - spared
    episodes = sum(row.runs for row in rows)
    counts = [
        f"{counted(planned, 'seed')} planned",
        f"{done} run" + (f" in {episodes} episodes with twins" if episodes != done else ""),
        f"{valid} valid",
        f"{dead} dead",
        *([f"{done - valid - dead} not scored"] if done > valid + dead else []),
        f"{spared} skipped by decision" + (f" ({spared / planned:.0%} saved)" if spared else ""),
        f"{missing} missing",
    ]
    return [f"{counted(len(rows), 'test')}: {', '.join(counts)}"]


def _test(row: Row) -> str:
    return row.nodeid.removesuffix("[all_seeds]")


def _cells(row: Row, *, whole: bool, plain: bool) -> tuple[str, ...]:
    from goal_drift_gym.report.sparkline import sparkline, unpack

    texts = (
        _test(row),
        f"{row.scenario}/{row.condition}" if whole else row.condition,
        row.agent,
        f"{row.done}/{row.planned}",
        f"{row.word} (expected)" if row.expected else row.word,
        _number(row.final_mean),
        _number(row.final_min),
        sparkline(unpack(row.course), plain=plain) or "-",
        row.worst or "-",
    )
    return tuple(map(printable, texts))


def _colour(row: Row) -> str:
    return _OTHER_COLOUR if row.expected else _COLOURS.get(row.word, _OTHER_COLOUR)


def _writes_blocks() -> bool:
    """Return whether what shows the table has the characters of a sparkline."""
    from goal_drift_gym.report.sparkline import BLOCKS

    try:
        BLOCKS.encode(getattr(sys.stdout, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _line(cells: Sequence[str], widths: Sequence[int], shown: Sequence[int]) -> Line:
    parts: list[str] = []
    place = 0
    for column in shown:
        text, width = cells[column], widths[column]
        fitted = text if len(text) <= width else _shortened(text, width, whole_end=column == 0)
        if _HEAD[column] == "verdict":
            place = len(parts)
        parts.append(fitted.rjust(width) if _HEAD[column] in _RIGHT else fitted.ljust(width))
    text = "  ".join(parts).rstrip()
    start = sum(map(len, parts[:place])) + 2 * place
    word = parts[place].rstrip()
    return Line(text[:start], word, text[start + len(word) :])


def _shortened(text: str, width: int, *, whole_end: bool) -> str:
    """Cut the middle out of a text; of a node id the start, because its end tells tests apart."""
    start = 0 if whole_end else (width - 3) // 2
    return f"{text[:start]}...{text[len(text) - (width - 3 - start) :]}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
