"""What `goal-drift run` records, replays and goes on with.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from goal_drift_gym.core.errors import UsageError

if TYPE_CHECKING:
    from goal_drift_gym.sessions import Session
    from goal_drift_gym.sweep import Job, Sweep


def add_tapes(parser: argparse.ArgumentParser) -> None:
    """Add --record, --replay and --resume."""
    tapes = parser.add_mutually_exclusive_group()
    tapes.add_argument("--record", metavar="DIR", help="record what agents are shown and answer on tapes in DIR")
    tapes.add_argument("--replay", metavar="DIR", help="take the answers from the tapes in DIR instead of the agents")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with the newest command of this runs directory that was killed or interrupted: what it has run is "
        "not run again",
    )


def taped(jobs: Sequence[Job], args: argparse.Namespace) -> tuple[list[Job], Session | None]:
    """Return the jobs with what was asked of tapes, and the session they belong to; None for a replay.

    Raises
    ------
    UsageError
        If there is no session to go on with.
    """
    jobs = _numbered(jobs)
    if args.replay is not None:
        if args.resume:
            raise UsageError("--resume and --replay do not go together: a replay costs nothing, run it from the start")
        return [msgspec.structs.replace(job, replay=args.replay) for job in jobs], None
    from goal_drift_gym.job_episodes import command_session

    told = command_session(args.runs_dir, args.record, resumed=args.resume)
    changes = {"record": args.record, "session": told.name, "resumed": args.resume}
    return [msgspec.structs.replace(job, **changes) for job in jobs], told


def finish_session(told: Session | None, sweep: Sweep) -> None:
    """Have a session not be gone on with, if all of it was run."""
    if told is not None and not (sweep.errors or sweep.interrupted or sweep.not_run):
        told.finish()


def _numbered(jobs: Sequence[Job]) -> list[Job]:
    """Tell apart jobs of the same names: two conditions may have one name."""
    counts: Counter[tuple[Any, ...]] = Counter()
    numbered: list[Job] = []
    for job in jobs:
        names = (job.scenario, job.condition["name"], job.agent, job.seed)
        numbered.append(msgspec.structs.replace(job, repeat=counts[names]))
        counts[names] += 1
    return numbered
