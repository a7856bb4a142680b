"""The episode of a job: lived through, replayed from its tape, or taken from the session that was interrupted.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goal_drift_gym.agents.tape_file import TapeSlot
from goal_drift_gym.agents.tape_shelf import TapeShelf
from goal_drift_gym.core.cohort import Cohort
from goal_drift_gym.core.engine import Limits
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.provenance import session_name
from goal_drift_gym.resuming import hold_at
from goal_drift_gym.run_end import FinishedRun, HeldRun
from goal_drift_gym.runner import Experiment, hold_episode
from goal_drift_gym.sessions import Place, Session
from goal_drift_gym.taping import replay_tape

if TYPE_CHECKING:
    from goal_drift_gym.sweep import Job

COMMAND = "run"
"""Kind of the sessions of `goal-drift run`."""


def hold(
    job: Job, experiment: Experiment, agent: Agent, *, cohort: Cohort | None = None, own_loop: bool = False
) -> HeldRun | FinishedRun:
    """Run the episode of a job, or take what its tape or the interrupted session has of it; see `hold_episode`."""
    limits = Limits(step_timeout_s=job.timeout_s)
    if job.replay is not None:
        slot = TapeSlot(directory=Path(job.replay), repeat=job.repeat)
        shelf = _shelf(job.replay)
        return FinishedRun(replay_tape(shelf, experiment, agent, seed=job.seed, slot=slot, runs_dir=job.runs_dir))
    tape = None if job.record is None else TapeSlot(directory=Path(job.record), repeat=job.repeat)
    further: dict[str, Any] = {"limits": limits, "budget": job.budget, "cohort": cohort, "own_loop": own_loop}
    if job.session is None:
        return hold_episode(experiment, agent, seed=job.seed, runs_dir=job.runs_dir, tape=tape, **further)
    place = Place(
        owner=f"agent {job.agent}",
        scenario=job.scenario,
        condition=experiment.condition.name,
        seed=job.seed,
        repeat=job.repeat,
    )
    session = _session(job.runs_dir, job.session, job.record, job.resumed)
    return hold_at(session, place, experiment, agent, tape=tape, **further)


# Both are read once a process, by whichever thread comes first.
_reading = threading.Lock()
_shelves: dict[str, TapeShelf] = {}
_sessions: dict[tuple[str, str], Session] = {}


def _shelf(source: str) -> TapeShelf:
    with _reading:
        if source not in _shelves:
            _shelves[source] = TapeShelf(Path(source))
        return _shelves[source]


def _session(runs_dir: str, name: str, record: str | None, resumed: bool) -> Session:
    with _reading:
        if (runs_dir, name) not in _sessions:
            session = Session(Path(runs_dir), name, _settings(record), kind=COMMAND, resumed=resumed)
            _sessions[runs_dir, name] = session
        return _sessions[runs_dir, name]


def command_session(runs_dir: str, record: str | None, *, resumed: bool) -> Session:
    """Return a new session of the command, or the one it goes on with.

    Raises
    ------
    UsageError
        If there is no session to go on with.
    """
    if resumed:
        return Session.newest(Path(runs_dir), _settings(record), kind=COMMAND)
    return Session(Path(runs_dir), session_name(), _settings(record), kind=COMMAND)


def _settings(record: str | None) -> dict[str, Any]:
    return {"--record": None if record is None else str(Path(record).absolute())}
