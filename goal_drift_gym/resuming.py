"""Going on with what an interrupted session has run: finished runs as they are, others from where they were cut off.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import msgspec

from goal_drift_gym.agents.loading import check_agent
from goal_drift_gym.agents.tape_file import TapeSlot
from goal_drift_gym.agents.tape_shown import all_differences
from goal_drift_gym.consistency import metrics_difference, require_one_story
from goal_drift_gym.core.account import limit_told
from goal_drift_gym.core.budget import Budget
from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.cohort import Cohort
from goal_drift_gym.core.engine import Limits
from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run, RunConfig
from goal_drift_gym.run_end import FinishedRun, HeldRun
from goal_drift_gym.runner import RESUMABLE, Experiment, hold_episode, hold_resumed, recompute_metrics
from goal_drift_gym.sessions import Place, Session

_CONFIG = msgspec.json.Decoder(RunConfig)
_MOST_SHOWN = 3
_DYING_S = 10.0
"""How long a worker whose session was killed may take to notice."""


class ResumeError(RunRecordError):
    """A run of the interrupted session is not what would be run now."""


def hold_at(
    session: Session,
    place: Place,
    experiment: Experiment,
    agent: Agent,
    *,
    limits: Limits | None = None,
    budget: Budget | None = None,
    tape: TapeSlot | None = None,
    cohort: Cohort | None = None,
    own_loop: bool = False,
) -> HeldRun | FinishedRun:
    """Run the episode of a place in a session, or go on with the run that the session had begun there.

    A finished run whose metrics are those of its step log is taken as it is, whatever its end, unless a limit of the
    session had cut it off: that one is run anew. One that was cut off otherwise, or whose agent could not be reached,
    is gone on with, see `runner.resume_run`. The other parameters are those of `runner.hold_episode`.

    Raises
    ------
    ResumeError
        If the config of the begun run is not what it would be now, in anything: scenario and its version, condition,
        agent, engine.
    RunRecordError
        If it is damaged, or cannot be gone on with.
    """
    run = session.find(place)
    if run is None or limit_told(run.meta, "session"):
        begun = partial(session.begin, place)
        return hold_episode(
            experiment,
            agent,
            seed=place.seed,
            runs_dir=session.runs_dir,
            limits=limits,
            budget=budget,
            tape=tape,
            begun=begun,
            cohort=cohort,
            own_loop=own_loop,
        )
    _check_same(run, experiment, agent, place.seed, limits)
    if run.outcome in RESUMABLE:
        _wait_for_the_dying(run)
        return hold_resumed(run, agent, limits=limits, budget=budget, tape=tape, cohort=cohort, own_loop=own_loop)
    _check_metrics(run)
    return FinishedRun(run)


def slot_of(directory: Path | None, place: Place) -> TapeSlot | None:
    """Return where the tape of an episode goes; None where nothing is recorded."""
    return None if directory is None else TapeSlot(directory=directory, owner=place.owner, repeat=place.repeat)


def _check_same(run: Run, experiment: Experiment, agent: Agent, seed: int, limits: Limits | None) -> None:
    redactor = Redactor.from_environment()
    episode = experiment.episode(seed, limits=limits, redactor=redactor)
    now = _CONFIG.decode(redactor.line(canonical_json(experiment.config(episode, check_agent(agent)))))
    found = all_differences("", msgspec.to_builtins(run.config), msgspec.to_builtins(now))
    if found:
        more = f" (and {len(found) - _MOST_SHOWN} more)" if len(found) > _MOST_SHOWN else ""
        raise ResumeError(
            f"{run.path}, a run of the interrupted session, is not what would be run now: "
            f"{'; '.join(found[:_MOST_SHOWN])}{more}. Undo the change, or start anew instead of resuming"
        )


def _check_metrics(run: Run) -> None:
    computed = recompute_metrics(run)
    require_one_story(run, None if run.metrics_file is None else computed)
    difference = metrics_difference(run, computed)
    if difference is not None:
        raise RunRecordError(f"{run.path} is damaged: {difference}")


def _wait_for_the_dying(run: Run) -> None:
    deadline = time.monotonic() + _DYING_S
    while run.is_running and time.monotonic() < deadline:
        time.sleep(0.05)
