"""`goal-drift resume`: go on with runs that were killed or interrupted.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING

from goal_drift_gym.core.rundir import Run
from goal_drift_gym.scripts.arguments import add_runs, add_timeout, runs_at
from goal_drift_gym.scripts.groups import print_groups
from goal_drift_gym.scripts.output import add_format, note

if TYPE_CHECKING:
    from goal_drift_gym.agents.tape_shelf import TapeShelf


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.description = (
        "Go on with runs that were killed or interrupted, each in its own directory. Finished runs are passed over. "
        "3 when a run could not be resumed or was not scored."
    )
    add_runs(parser)
    parser.add_argument("--agent", metavar="REF", help="the agent, where the name in config.json does not lead to it")
    parser.add_argument(
        "--record",
        metavar="DIR",
        help="go on with the tapes in DIR too: answers that are on them are not asked for again",
    )
    add_timeout(parser)
    add_format(parser, "table", "json", "csv")


def run(args: argparse.Namespace) -> int:
    """Resume each run."""
    from goal_drift_gym.core.errors import GoalDriftError, UsageError
    from goal_drift_gym.grouping import is_imported
    from goal_drift_gym.runner import RESUMABLE
    from goal_drift_gym.tables import is_scored

    resumed: list[Run] = []
    failed = False
    found = list(runs_at(args.runs))
    open_runs = [one for one in found if one.outcome in RESUMABLE and not is_imported(one)]
    note(f"{len(open_runs)} of {len(found)} runs are unfinished")
    shelf = _shelf(args.record)
    for one in open_runs:
        try:
            with redirect_stdout(sys.stderr):
                resumed.append(_resume(one, shelf, args))
        except UsageError:
            raise
        except GoalDriftError as error:
            note(str(error))
            failed = True
    if resumed:
        print_groups(resumed, args.format)
    return 3 if failed or not all(is_scored(one) for one in resumed) else 0


def _shelf(record: str | None) -> TapeShelf | None:
    from goal_drift_gym.agents.tape_shelf import TapeShelf

    return None if record is None else TapeShelf(Path(record))


def _resume(one: Run, shelf: TapeShelf | None, args: argparse.Namespace) -> Run:
    from goal_drift_gym.core.engine import Limits
    from goal_drift_gym.grouping import agent_name
    from goal_drift_gym.runner import resume_run
    from goal_drift_gym.sweep import make_agent, timeout_of

    name = args.agent or agent_name(one)
    recorded = (one.meta or {}).get("tape")
    if recorded is not None and shelf is None:
        note(f"{one.path} was recorded on {recorded}: that tape stays unfinished without --record")
    tape = None if shelf is None else shelf.unfinished_of(one)
    return resume_run(one, make_agent(name), limits=Limits(step_timeout_s=timeout_of(name, args.timeout)), tape=tape)
