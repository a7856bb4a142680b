"""The verdicts of a session in the summary of a GitHub workflow step.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from goal_drift_gym.core.printable import printable

if TYPE_CHECKING:
    from goal_drift_gym.report.markdown import Summary
    from pytest_goal_drift.groups import Row

VARIABLE = "GITHUB_STEP_SUMMARY"
_MOST_BYTES = 1024 * 1024
"""Of a longer summary GitHub shows nothing."""


def tell_github(rows: Sequence[Row]) -> list[str]:
    """Append the verdicts to the summary file where one is named, and return what there is to say of that.

    A summary that cannot be written never fails a session.
    """
    name = os.environ.get(VARIABLE)
    if not name:
        return []
    from goal_drift_gym.core.redaction import Redactor
    from goal_drift_gym.report.markdown import markdown

    text = Redactor.from_environment().text(markdown([_summary(row) for row in rows]))
    path = Path(name)
    try:
        there = path.stat().st_size if path.exists() else 0
        data = f"\n{text}".encode()
        if there + len(data) > _MOST_BYTES:
            return [f"the verdicts are not in the step's summary: it would be longer than {_MOST_BYTES} bytes"]
        with open(path, "ab") as file:
            file.write(data)
    except OSError as error:
        return [f"the verdicts could not be written to the step's summary: {error.strerror or error}"]
    return []


def _summary(row: Row) -> Summary:
    from goal_drift_gym.report.markdown import Summary
    from goal_drift_gym.report.sparkline import unpack

    return Summary(
        title=row.nodeid.removesuffix("[all_seeds]"),
        condition=f"{row.scenario}/{row.condition}",
        agent=row.agent,
        word=row.word,
        scored=row.valid,
        planned=row.planned,
        final_level=row.final_mean,
        course=unpack(row.course),
        worst=row.worst,
        told=row.told or printable(row.note),
    )
