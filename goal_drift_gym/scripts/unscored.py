"""Naming the runs that could not be scored: what is missing is said, never left out in silence.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from goal_drift_gym.scripts.output import note

if TYPE_CHECKING:
    from goal_drift_gym.core.rundir import Run


def note_unscored(runs: Iterable[Run], *, limits_count: bool = False) -> bool:
    """Name each run that is not scored, and return whether there is one; agents that are meant to fail do not count.

    Parameters
    ----------
    limits_count
        A run that does not say whether it keeps the default limits counts too.
    """
    from goal_drift_gym.sweep import FAILS_ON_PURPOSE
    from goal_drift_gym.tables import run_row

    incomplete = [
        row
        for row in map(run_row, runs)
        if row.agent not in FAILS_ON_PURPOSE and (row.status != "scored" or (limits_count and row.undecided))
    ]
    for row in incomplete:
        why = f"ended as {row.outcome}" if row.status != "scored" else f"does not say about {', '.join(row.undecided)}"
        note(f"{row.path} {why}" + (" (dead)" if row.status == "dead" else ""))
    return bool(incomplete)
