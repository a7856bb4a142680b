"""Adversaries by name: a scripted one, or `package.module:name`.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, cast

from goal_drift_gym.agents.chat_adversary import AgentAdversary
from goal_drift_gym.agents.loading import agent_factory, describe_agent, reset_agent
from goal_drift_gym.agents.scripted_adversaries import SCRIPTED_ADVERSARIES
from goal_drift_gym.core.adversary import Adversary
from goal_drift_gym.core.adversary_settings import AdversaryAgent
from goal_drift_gym.core.errors import AgentNotFound, GoalDriftError, UsageError, did_you_mean
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.rundir import Run

EXEC = "exec:"


def make_adversary(setting: AdversaryAgent, seed: int) -> Adversary:
    """Return the adversary a condition names, ready for the episode with a seed.

    A class is instantiated with the setting's `settings`; any other callable is used as it is. `exec:PROGRAM ARGUMENTS`
    starts a process that plays turns whose one tool sends the message.

    Raises
    ------
    AgentNotFound
        If there is none by that name, or it cannot be imported.
    UsageError
        If the settings do not fit it, or it needs to see what the condition does not declare.
    AgentError
        If its `reset` raises.
    """
    target = _target(setting.agent)
    if inspect.isclass(target):
        made = _instance(target, setting)
    elif setting.settings:
        raise UsageError(f"settings do nothing: {setting.agent!r} is no class, so it takes none")
    else:
        made = target
    if not callable(made):
        raise UsageError(
            f"{setting.agent!r} makes a {type(made).__name__}; a callable that takes an AdversaryTurn is needed"
        )
    missing = sorted(set(getattr(made, "needs", ())) - set(setting.sees))
    if missing:
        raise UsageError(f"sees = {setting.sees} lacks {', '.join(missing)}, by which {setting.agent!r} decides")
    reset_agent(made, seed)
    return cast(Adversary, made)


def describe_adversaries(adversaries: Mapping[str, Adversary], redactor: Redactor) -> list[dict[str, Any]]:
    """Return what identifies adversaries, for config.json; they come by the role under which they speak."""
    return [
        {"source": source, **describe_agent(cast(Agent, adversary), redactor)}
        for source, adversary in adversaries.items()
    ]


def require_adversaries(run: Run, described: list[dict[str, Any]]) -> None:
    """Raise UsageError if a run was made with other adversaries than these."""
    recorded = run.config.adversaries or []
    if described != recorded:
        raise UsageError(
            f"{run.path} was made with the adversaries {recorded}, not {described}; fork it to change them"
        )


def _target(reference: str) -> Any:
    if ":" in reference:
        factory = agent_factory(reference)
        if reference.startswith(EXEC):
            return AgentAdversary(factory())
        return factory if inspect.isclass(factory) else factory()
    if reference not in SCRIPTED_ADVERSARIES:
        raise AgentNotFound(
            f"there is no scripted adversary {reference!r}; {did_you_mean(reference, SCRIPTED_ADVERSARIES)}; "
            "for your own write package.module:name, or exec:PROGRAM ARGUMENTS"
        )
    return SCRIPTED_ADVERSARIES[reference]


def _instance(kind: type, setting: AdversaryAgent) -> Any:
    try:
        return kind(**setting.settings)
    except GoalDriftError:
        raise
    except (Exception, SystemExit) as error:
        raise UsageError(f"{setting.agent!r} cannot be made: {type(error).__name__}: {error}") from error
