"""Episodes of a session that may be recorded, or go on with one that was interrupted.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from goal_drift_gym.core.cohort import Cohort
from goal_drift_gym.core.engine import Limits
from goal_drift_gym.core.errors import RunRecordError, UsageError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.resuming import hold_at, slot_of
from goal_drift_gym.run_end import FinishedRun, HeldRun
from goal_drift_gym.runner import Experiment
from goal_drift_gym.sessions import Place, Session
from pytest_goal_drift.keys import CONTROLLER

if TYPE_CHECKING:
    from pytest_goal_drift.services import Services

KIND = "pytest"


def session_of(services: Services) -> Session:
    """Return the session that this process belongs to.

    Raises
    ------
    pytest.UsageError
        If there is no session to go on with, or its file is damaged.
    """
    config, settings = services.config, services.settings
    fixed = {"--drift-record": None if settings.record is None else str(settings.record)}
    handed = getattr(config, "workerinput", {}).get("goal_drift", {})
    if "session" in handed:
        return Session(settings.runs_dir, handed["session"], fixed, kind=KIND, resumed=settings.resume)
    if not settings.resume:
        return Session(settings.runs_dir, config.stash[CONTROLLER].session_name, fixed, kind=KIND)
    try:
        return Session.newest(settings.runs_dir, fixed, kind=KIND)
    except (UsageError, RunRecordError) as error:
        raise pytest.UsageError(f"--drift-resume: {error}") from None


def hold(
    services: Services,
    experiment: Experiment,
    agent: Agent,
    place: Place,
    *,
    limits: Limits | None,
    cohort: Cohort | None = None,
    own_loop: bool = False,
) -> HeldRun | FinishedRun:
    """Run one episode; where the interrupted session had begun it, go on with that instead."""
    return hold_at(
        services.session,
        place,
        experiment,
        agent,
        limits=limits,
        budget=services.budget,
        tape=slot_of(services.settings.record, place),
        cohort=cohort,
        own_loop=own_loop,
    )
