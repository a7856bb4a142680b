"""Agents for several episodes at a time: which may be shared, and which are copied.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from goal_drift_gym.agents.loading import check_agent, describe_agent
from goal_drift_gym.core.errors import AgentError, UsageError
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.redaction import Redactor


def copies_of(agent: Agent) -> Callable[[], Agent] | None:
    """Return what gives an agent for one more episode at the same time; None: one episode after the other.

    An agent with a method `for_episode()` is asked for a copy that shares nothing that an episode changes. One that
    says `concurrent_episodes = True` is used as it is, and so is a function that closes over nothing and has no
    `reset`: there is no place where it could keep what it learns in an episode.
    """
    if callable(getattr(agent, "for_episode", None)):
        return lambda: _copy(agent)
    if getattr(agent, "concurrent_episodes", False) is True or _is_bare(agent):
        return lambda: agent
    return None


def _is_bare(agent: Any) -> bool:
    return inspect.isfunction(agent) and not agent.__closure__ and not hasattr(agent, "reset")


def _copy(agent: Any) -> Agent:
    try:
        copy = agent.for_episode()
    except (Exception, SystemExit) as error:
        raise AgentError(f"for_episode() of the agent: {type(error).__name__}: {error}") from error
    copied = check_agent(copy)
    redactor = Redactor.from_environment()
    asked, got = describe_agent(agent, redactor), describe_agent(copied, redactor)
    if asked != got:
        raise UsageError(f"for_episode() of the agent {asked} gives another one, {got}; it must give a copy")
    return copied
