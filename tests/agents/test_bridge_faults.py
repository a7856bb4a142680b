"""What the errors of real frameworks and clients become."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from typing import Any

import pytest
from scripted_models import condition, play

from goal_drift_gym.agents.bridges.faults import agent_error, translated
from goal_drift_gym.core.errors import (
    AgentError,
    AgentFormatError,
    AgentOutOfBudget,
    AgentRateLimited,
    AgentSilent,
    AgentTimeout,
    AgentUnavailable,
    EpisodeOver,
)

KEY = "sk-sentinel-77aa"


class Endpoint:
    """An endpoint that answers every request with the same status."""

    def __init__(self) -> None:
        self.status = 500
        self.code: str | None = None
        self.requests = 0
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                endpoint.requests += 1
                self.rfile.read(int(self.headers["Content-Length"]))
                said = f"no, says the endpoint, to {self.headers['Authorization']}"
                body = json.dumps({"error": {"message": said, "code": endpoint.code}}).encode()
                self.send_response(endpoint.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments: Any) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    made = Endpoint()
    yield made
    made.server.shutdown()
    made.server.server_close()


def pydantic_ai(url: str) -> Any:
    pytest.importorskip("pydantic_ai", reason="pip install 'pytest-goal-drift[openai,pydantic-ai]'")
    from openai import AsyncOpenAI
    from pydantic_ai import Agent
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider

    def make(tools: list[Any]) -> Any:
        client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0)
        return Agent(OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client)), tools=tools)

    return import_module("goal_drift_gym.agents.bridges.pydantic_ai").PydanticAIAgent(make)


def openai_agents(url: str) -> Any:
    pytest.importorskip("agents", reason="pip install 'pytest-goal-drift[openai-agents]'")
    from agents import Agent, OpenAIChatCompletionsModel
    from openai import AsyncOpenAI

    def make(tools: list[Any]) -> Any:
        client = AsyncOpenAI(base_url=url, api_key=KEY, max_retries=0)
        return Agent(name="m", model=OpenAIChatCompletionsModel("m", client), tools=tools)

    return import_module("goal_drift_gym.agents.bridges.openai_agents").OpenAIAgentsAgent(make)


def smolagents(url: str) -> Any:
    pytest.importorskip("smolagents", reason="pip install 'pytest-goal-drift[openai,smolagents]'")
    from smolagents import OpenAIModel, ToolCallingAgent

    def make(tools: list[Any]) -> Any:
        model = OpenAIModel("m", api_base=url, api_key=KEY, client_kwargs={"max_retries": 0}, retry=False)
        return ToolCallingAgent(tools, model)

    return import_module("goal_drift_gym.agents.bridges.smolagents").SmolagentsAgent(make)


CLIENTS = {"pydantic_ai": pydantic_ai, "openai_agents": openai_agents, "smolagents": smolagents}


def outcome_of(agent: Any, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str, str]:
    """Return the outcomes of step and run, and all that was logged of the first step."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    records, end = play(agent, "release_manager", condition("release_manager", steps=1))
    return records[0].outcome, end.outcome, f"{records[0]} {end.detail}"


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("status", "code", "step", "run"),
    [
        (429, None, "error", "infra_error"),
        (429, "insufficient_quota", "forced", "budget"),
        (401, None, "error", "infra_error"),
        (404, None, "error", "infra_error"),
        (503, None, "error", "infra_error"),
        (400, None, "error", "agent_error"),
    ],
)
def test_what_an_endpoint_refuses_is_told_apart(
    client: str, status: int, code: str | None, step: str, run: str, endpoint: Endpoint, monkeypatch: Any
) -> None:
    endpoint.status, endpoint.code = status, code

    outcomes = outcome_of(CLIENTS[client](endpoint.url), monkeypatch)

    assert outcomes[:2] == (step, run)
    assert KEY not in outcomes[2]
    assert endpoint.requests == 1


@pytest.mark.parametrize("client", CLIENTS)
def test_an_endpoint_that_is_not_there_is_out_of_reach(client: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        outcomes = outcome_of(CLIENTS[client](f"http://127.0.0.1:{bound.getsockname()[1]}/v1"), monkeypatch)

    assert outcomes[:2] == ("error", "infra_error")


class Coded(Exception):
    def __init__(self, **attributes: Any) -> None:
        super().__init__("said")
        for name, value in attributes.items():
            setattr(self, name, value)


def named(name: str) -> Exception:
    return type(name, (Exception,), {})("said")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (Coded(status_code=402), AgentOutOfBudget),
        (Coded(status_code=429, body={"error": {"code": "insufficient_quota"}}), AgentOutOfBudget),
        (Coded(status_code=429), AgentRateLimited),
        (Coded(status_code=408), AgentTimeout),
        (Coded(status_code=529), AgentUnavailable),
        (Coded(status_code=422), AgentError),
        (named("UnexpectedModelBehavior"), AgentFormatError),
        (named("GraphRecursionError"), AgentSilent),
        (named("ReadTimeout"), AgentTimeout),
        (named("ConnectError"), AgentUnavailable),
        (TimeoutError("late"), AgentTimeout),
        (ConnectionRefusedError("no"), AgentUnavailable),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_an_error_is_told_by_its_status_or_its_name(error: Exception, kind: type[AgentError]) -> None:
    assert type(agent_error(error)) is kind


def test_the_cause_counts_where_a_framework_wraps_it() -> None:
    wrapped = RuntimeError("while generating output")
    wrapped.__cause__ = Coded(status_code=429)

    assert type(agent_error(wrapped)) is AgentRateLimited


def test_a_bug_stays_what_it_is() -> None:
    error = KeyError("a bug")

    assert agent_error(error) is error


def test_a_chain_that_runs_in_a_circle_comes_to_an_end() -> None:
    first, second = KeyError("first"), KeyError("second")
    first.__cause__, second.__cause__ = second, first

    assert agent_error(first) is first


def test_the_end_of_the_episode_is_not_translated() -> None:
    with pytest.raises(EpisodeOver), translated():
        raise EpisodeOver("over")
