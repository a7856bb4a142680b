"""Agents by name: a reference agent, `package.module:name`, or `exec:` and the command of a process.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import functools
import importlib
import inspect
import sys
from collections.abc import Callable
from typing import Any, cast

from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.canonical import clean_args, clean_text
from goal_drift_gym.core.errors import AgentError, AgentNotFound, UsageError, did_you_mean
from goal_drift_gym.core.host import Agent
from goal_drift_gym.core.redaction import Redactor

_MAX_NAME = 200


def agent_factory(reference: str) -> Callable[[], Agent]:
    """Return a function that makes the agent for one episode.

    `package.module:name` may name a class, which is instantiated for every episode, or any other callable, which is
    used as it is. Modules are looked for in the current directory too. `exec:node agent.mjs` starts a process for every
    episode, which speaks the protocol of docs/subprocess-protocol.md.

    Raises
    ------
    AgentNotFound
        If there is none by that name, or it cannot be imported.
    """
    if reference.startswith("exec:"):
        from goal_drift_gym.agents.subprocess_agent import SubprocessAgent, command_of

        command = command_of(reference)
        return lambda: SubprocessAgent(command)
    if ":" not in reference:
        if reference not in REFERENCE_AGENTS:
            raise AgentNotFound(
                f"there is no reference agent {reference!r}; {did_you_mean(reference, REFERENCE_AGENTS)}; "
                "for your own write package.module:name, or exec:PROGRAM ARGUMENTS"
            )
        return REFERENCE_AGENTS[reference]
    module_name, _, name = reference.partition(":")
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        target: Any = importlib.import_module(module_name)
        for part in name.split("."):
            target = getattr(target, part)
    except (Exception, SystemExit) as error:
        raise AgentNotFound(f"cannot load the agent {reference!r}: {type(error).__name__}: {error}") from error
    if not callable(target):
        raise AgentNotFound(
            f"the agent {reference!r} is a {type(target).__name__}; a callable that takes a Turn is needed"
        )
    if inspect.isclass(target):
        return cast(Callable[[], Agent], target)
    return lambda: cast(Agent, target)


def check_agent(agent: Any) -> Agent:
    """Return `agent` if it can take a turn.

    Raises
    ------
    UsageError
        If it is not callable, or is a class.
    """
    if inspect.isclass(agent):
        raise UsageError(f"the agent {agent.__qualname__} is a class; pass an instance: {agent.__qualname__}()")
    if not callable(agent):
        raise UsageError(f"the agent is a {type(agent).__name__}; a callable that takes a Turn is needed")
    return agent  # type: ignore[no-any-return]


def describe_agent(agent: Agent, redactor: Redactor) -> dict[str, Any]:
    """Return what identifies an agent, for config.json: its name, and what its `describe()` says, without secrets."""
    for name, kind in REFERENCE_AGENTS.items():
        if type(agent) is kind:
            return {"name": name, **agent.describe()}  # type: ignore[attr-defined]
    name = _told(lambda: _name(agent), "the name of the agent")
    described: dict[str, Any] = {"name": clean_text(name, redactor, _MAX_NAME), "kind": "callable"}
    describe = getattr(agent, "describe", None)
    if callable(describe):
        said = _told(describe, f"describe() of agent {described['name']}")
        described.update(clean_args(said, redactor))
    return described


def reset_agent(agent: Agent, seed: int) -> None:
    """Tell the agent that an episode starts, where it wants to know.

    Raises
    ------
    AgentError
        If its `reset` raises, or is async: the episode has not begun, so there is no run to record it in.
    """
    reset = getattr(agent, "reset", None)
    if callable(reset):
        _told(lambda: reset(seed=seed), f"reset(seed={seed}) of the agent")


def _told(ask: Callable[[], Any], what: str) -> Any:
    """Return what an agent says outside of a turn."""
    try:
        said = ask()
    except (Exception, SystemExit) as error:
        raise AgentError(f"{what}: {type(error).__name__}: {error}") from error
    if inspect.isawaitable(said):
        if inspect.iscoroutine(said):
            said.close()
        raise AgentError(
            f"{what} is async, and there is no event loop before the first turn: make it a plain method, and leave "
            "what must be awaited to the first turn (turn.step == 0)"
        )
    return said


def _name(agent: Any) -> str:
    if isinstance(agent, functools.partial):
        return _name(agent.func)
    given = getattr(agent, "name", None)
    if isinstance(given, str):
        return given
    owner = agent if hasattr(agent, "__qualname__") else type(agent)
    return f"{owner.__module__}:{owner.__qualname__}"
