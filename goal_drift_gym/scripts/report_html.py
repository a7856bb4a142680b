"""`goal-drift report --html`: pages of runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.scripts.arguments import is_run, one_run
from goal_drift_gym.scripts.output import say

ARTIFACTS_DIR = "artifacts"


def write_pages(places: Sequence[str], path: str) -> int:
    """Write the page of one run, or the pages of several, and print where they are.

    Parameters
    ----------
    places
        Run directories, or directories to search for runs.
    path
        Where the page of one run goes, or the folder of several; empty for a place below `ARTIFACTS_DIR`.
    """
    if len(places) == 1 and is_run(Path(places[0])):
        say(str(_one(places[0], path)))
    else:
        say(str(_several(places, path)))
    return 0


def _one(place: str, path: str) -> Path:
    from goal_drift_gym.report.run_page import report_path, run_page
    from goal_drift_gym.report.writing import write_whole

    run = one_run(place)
    return write_whole(Path(path) if path else report_path(run, Path(ARTIFACTS_DIR)), run_page(run))


def _several(places: Sequence[str], path: str) -> Path:
    raise UsageError("--html takes one run")
