"""Agents of both adapters on the faulty server, and episodes of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from faulty_server import FaultyServer

from goal_drift_gym import Experiment, Limits, Run, run_episode
from goal_drift_gym.agents.anthropic_messages import AnthropicMessagesAgent
from goal_drift_gym.agents.chat_agent import ChatAgent
from goal_drift_gym.agents.openai_chat import OpenAIChatAgent
from goal_drift_gym.core.records import StepRecord

ADAPTERS: dict[str, type[ChatAgent]] = {"openai": OpenAIChatAgent, "anthropic": AnthropicMessagesAgent}
STEPS = 2
TURN_TIMEOUT_S = 8.0


class Connect:
    """Makes agents of one adapter."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.made: list[ChatAgent] = []

    @property
    def is_openai(self) -> bool:
        return self.name == "openai"

    def __call__(self, server: FaultyServer, fault: str, **settings: Any) -> ChatAgent:
        """Return an agent on a fault's address."""
        settings = {
            "max_calls_per_turn": 2, "max_retries": 2, "retry_wait_s": 0.01, "timeout_s": 5.0,
            "turn_timeout_s": TURN_TIMEOUT_S, "base_url": self.url(server, fault), **settings,
        }  # fmt: skip
        self.made.append(ADAPTERS[self.name]("m", **settings))
        self.made[-1].reset(seed=0)
        return self.made[-1]

    def url(self, server: FaultyServer, fault: str) -> str:
        return f"{server.url}/{fault}" + ("/v1" if self.is_openai else "")


def play(
    agent: Any,
    runs_dir: Path,
    *,
    steps: int = STEPS,
    seed: int = 0,
    timeout_s: float = 30.0,
    condition: str = "baseline",
    **settings: Any,
) -> Run:
    experiment = Experiment.of("release_manager", condition, {"steps": steps, **settings})
    limits = Limits(step_timeout_s=timeout_s)
    return run_episode(experiment, agent, seed=seed, runs_dir=runs_dir, limits=limits)


def steps_of(run: Run) -> list[StepRecord]:
    return list(run.steps())


def causes(record: StepRecord) -> list[str]:
    found = [event.detail.get("cause") for event in record.events if event.by == "agent"]
    return [cause for cause in found if cause is not None]
