"""The table at the end of a session.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_goal_drift.groups import Row
    from pytest_goal_drift.settings import Settings

_HEAD = ("test", "condition", "agent", "seeds", "verdict", "final mean", "min", "worst")
_RIGHT = frozenset({"seeds", "final mean", "min"})
_NARROWEST = 12
_NOTED = ("incomplete", "invalid", "not run")


def header(settings: Settings) -> str:
    """Return one line on how drift tests will run."""
    from pytest_goal_drift.wire import format_seeds

    parts = [f"seeds {format_seeds(settings.seeds)}", f"runs in {settings.runs_dir}"]
    parts += [f"agent {settings.agent}"] if settings.agent else []
    parts += [f"condition {settings.condition}"] if settings.condition else []
    parts += [f"replaying {settings.replay}"] if settings.replay else []
    parts += ["strict"] if settings.strict else []
    return "goal-drift: " + ", ".join(parts)


def table(rows: Sequence[Row]) -> list[str]:
    """Return the lines of the table, fitted to the terminal, and a line for each verdict that lacks something."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(_HEAD))]
    spare = shutil.get_terminal_size().columns - sum(widths) - 2 * (len(widths) - 1)
    if spare < 0:
        widths[0] = max(_NARROWEST, widths[0] + spare)
    lines = [_line(line, widths) for line in cells]
    notes = [f"{row.word}: {row.nodeid}: {row.note}" for row in rows if row.word in _NOTED and row.note]
    return [*lines, *notes]


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.nodeid.removesuffix("[all_seeds]"),
        f"{row.scenario}/{row.condition}",
        row.agent,
        f"{row.done}/{row.planned}",
        row.word,
        _number(row.final_mean),
        _number(row.final_min),
        row.worst or "-",
    )


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    parts = []
    for index, (text, width) in enumerate(zip(cells, widths, strict=True)):
        # The end of a node id tells tests apart, so its start is what is cut.
        shown = text if len(text) <= width else ("..." + text[-(width - 3) :] if index == 0 else text[:width])
        parts.append(shown.rjust(width) if _HEAD[index] in _RIGHT else shown.ljust(width))
    return "  ".join(parts).rstrip()


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
