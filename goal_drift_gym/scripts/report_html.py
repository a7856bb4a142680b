"""`goal-drift report --html`: pages of runs.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import printable
from goal_drift_gym.core.rundir import is_run_directory, safe_stem
from goal_drift_gym.scripts.arguments import one_run, runs_at
from goal_drift_gym.scripts.output import note, say

ARTIFACTS_DIR = "artifacts"


def write_pages(places: Sequence[str], path: str, twin: str | None = None) -> int:
    """Write the page of one run, or the pages of several, and print where they are.

    Parameters
    ----------
    places
        Run directories, or directories to search for runs.
    path
        Where the page of one run goes, or the folder of several; empty for a place below `ARTIFACTS_DIR`.
    twin
        The run to lay over a single one.

    Returns
    -------
    int
        3 where a run could not be read, which the pages say too.

    Raises
    ------
    UsageError
        If there is a twin for several runs, or it is of another scenario or seed.
    """
    if len(places) == 1 and is_run_directory(places[0]):
        say(printable(_one(places[0], path, twin)))
        return 0
    if twin is not None:
        raise UsageError("--twin is laid over one run: give a run directory, not a directory of several")
    return _several(places, path)


def _one(place: str, path: str, twin: str | None) -> Path:
    from goal_drift_gym.report.run_page import report_path, run_page
    from goal_drift_gym.report.writing import write_whole

    run = one_run(place)
    other = None if twin is None else one_run(twin)
    if other is not None and (run.config.scenario.id, run.seed) != (other.config.scenario.id, other.seed):
        raise UsageError(
            f"--twin {twin} is seed {other.seed} of {other.config.scenario.id}, and {place} is seed {run.seed} of "
            f"{run.config.scenario.id}: twins live in the same world"
        )
    return write_whole(Path(path) if path else report_path(run, Path(ARTIFACTS_DIR)), run_page(run, twin=other))


def _several(places: Sequence[str], path: str) -> int:
    from goal_drift_gym.report.suite import suite_of_runs
    from goal_drift_gym.report.suite_page import write_suite_report

    name = Path(path or places[0]).resolve().name or "runs"
    suite = suite_of_runs(runs_at(places), name=name)
    for told in suite.damaged:
        note(told)
    folder = Path(path) if path else Path(ARTIFACTS_DIR) / safe_stem(name)
    # A folder that was asked for holds all of the report; by default pages of runs lie where each is looked for.
    artifacts = folder if path else Path(ARTIFACTS_DIR)
    say(printable(write_suite_report(suite, folder, artifacts_dir=artifacts)))
    return 3 if suite.damaged else 0
