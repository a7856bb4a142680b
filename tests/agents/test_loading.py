"""Agents by name, and what is kept of who they are."""

from __future__ import annotations

import functools
import sys
from typing import Any

import pytest

from goal_drift_gym.agents.loading import agent_factory, check_agent, describe_agent, reset_agent
from goal_drift_gym.agents.reference import REFERENCE_AGENTS, Noop
from goal_drift_gym.core.errors import AgentError, AgentNotFound, UsageError
from goal_drift_gym.core.redaction import Redactor

MODULE = """
class Mine:
    name = "mine"
    inner = staticmethod(lambda turn: None)
    def __call__(self, turn): return None
def function(turn): return None
number = 5
"""
NONE = Redactor([])


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "own_agents.py").write_text(MODULE)
    (tmp_path / "broken_agents.py").write_text("raise RuntimeError('no import')")
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    monkeypatch.chdir(tmp_path)
    yield
    for name in ("own_agents", "broken_agents"):
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", REFERENCE_AGENTS)
def test_reference_agents_are_made_new_each_time(name):
    factory = agent_factory(name)
    assert factory() is not factory()


def test_a_class_is_made_new_and_a_function_is_used_as_it_is(module):
    assert agent_factory("own_agents:Mine")() is not agent_factory("own_agents:Mine")()
    function = agent_factory("own_agents:function")
    assert function() is function()
    assert callable(agent_factory("own_agents:Mine.inner")())


@pytest.mark.parametrize(
    ("reference", "says"),
    [
        ("referense", "did you mean 'reference'"),
        ("own_agents:number", "is a int; a callable"),
        ("own_agents:absent", "cannot load"),
        ("no_such_module:x", "ModuleNotFoundError"),
        ("broken_agents:x", "RuntimeError: no import"),
        (":x", "cannot load"),
    ],
)
def test_an_agent_that_cannot_be_had_is_refused(module, reference, says):
    with pytest.raises(AgentNotFound, match=says):
        agent_factory(reference)


@pytest.mark.parametrize(
    ("wrong", "says"), [(Noop, "pass an instance: Noop"), (5, "is a int"), (None, "is a NoneType")]
)
def test_what_cannot_take_a_turn_is_refused(wrong, says):
    with pytest.raises(UsageError, match=says):
        check_agent(wrong)


def function(turn: Any, extra: int = 0) -> None: ...


class Named:
    name = "given"

    def __call__(self, turn: Any) -> None: ...

    def method(self, turn: Any) -> None: ...


class Unnamed:
    def __call__(self, turn: Any) -> None: ...


def test_a_name_says_where_an_agent_comes_from():
    here = __name__
    names = [
        describe_agent(agent, NONE)["name"]
        for agent in (function, functools.partial(function, extra=1), Named(), Unnamed(), Named().method, Noop())
    ]
    assert names == [f"{here}:function", f"{here}:function", "given", f"{here}:Unnamed", f"{here}:Named.method", "noop"]


def test_what_an_agent_says_of_itself_is_kept_without_secrets():
    class Wordy(Named):
        name = "x\ud800" + "y" * 999 + "sk-0123456789"

        def describe(self) -> dict[str, Any]:
            return {"model": "m", "api_key": "abc", "url": "http://sk-0123456789@h", "kind": "model"}

    kept = describe_agent(Wordy(), Redactor(["sk-0123456789"]))
    assert (kept["model"], kept["api_key"], kept["url"], kept["kind"]) == (
        "m",
        "[redacted]",
        "http://[redacted]@h",
        "model",
    )
    assert len(kept["name"]) <= 200
    kept["name"].encode()


def test_a_description_that_is_no_object_is_kept_as_the_reason():
    class Odd(Unnamed):
        def describe(self) -> Any:
            return [1]

    assert "must be an object" in describe_agent(Odd(), NONE)["__unusable__"]


@pytest.mark.parametrize("part", ["reset", "describe"])
@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_an_agent_that_fails_at_the_start_is_named(part, kind):
    class Bad(Unnamed):
        def reset(self, *, seed: int) -> None:
            raise kind("bad start")

        def describe(self) -> dict[str, Any]:
            raise kind("bad start")

    with pytest.raises(AgentError, match=f"{part}.*bad start"):
        reset_agent(Bad(), 5) if part == "reset" else describe_agent(Bad(), NONE)


@pytest.mark.parametrize("part", ["reset", "describe"])
def test_an_agent_with_an_async_start_is_told_that_it_would_not_be_awaited(part):
    class Late(Unnamed):
        async def reset(self, *, seed: int) -> None:
            pass

        async def describe(self) -> dict[str, Any]:
            return {}

    with pytest.raises(AgentError, match=rf"{part}.* is async.*turn\.step == 0"):
        reset_agent(Late(), 5) if part == "reset" else describe_agent(Late(), NONE)


def test_an_agent_without_a_reset_is_left_alone():
    reset_agent(function, 5)
