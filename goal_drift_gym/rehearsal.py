"""What episodes are expected to spend, before anything is spent.

A rehearsal is an episode in memory, without agent and run directory, in which the scenario's reference policy acts and
what a model would have to read is measured. An agent is taken to ask its model once a call and once to end the turn,
with everything its memory holds in every question.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.budget import Budget, written
from goal_drift_gym.core.canonical import CHARACTERS_PER_TOKEN, line_json
from goal_drift_gym.core.prices import Price, price_of
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.turn import Turn
from goal_drift_gym.runner import Experiment

HOW = (
    "expected: the reference policy in memory, a question to the model for each call and for the end of each step, "
    f"{CHARACTERS_PER_TOKEN} characters a token; no cache, no retries"
)


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """What one episode is expected to spend."""

    steps: int
    calls: int
    """Questions to a model."""
    input_tokens: int
    output_tokens: int

    @property
    def tokens(self) -> int:
        """Tokens read and written."""
        return self.input_tokens + self.output_tokens


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What the episodes of one agent under one condition are expected to spend."""

    scenario: str
    condition: str
    agent: str
    episodes: int
    each: Expected
    """The mean of an episode; all 0 for an agent that asks no model."""
    model: str | None
    cost: float | None
    """Of all episodes; None where no price is known."""


class Payer(msgspec.Struct, frozen=True, kw_only=True):
    """Who will act, as far as it matters for what it costs."""

    name: str
    asks_model: bool = True
    """False for a reference agent; any other may ask one."""
    model: str | None = None
    price: Price | None = None

    @classmethod
    def of(cls, name: str, agent: Any) -> Payer:
        """Return what an agent states.

        Raises
        ------
        UsageError
            If it states a price that is none.
        """
        model = getattr(agent, "model", None)
        return cls(
            name=name,
            asks_model=type(agent) not in REFERENCE_AGENTS.values(),
            model=model if isinstance(model, str) else None,
            price=price_of(getattr(agent, "price", None)),
        )


def rehearse(experiment: Experiment, seed: int) -> Expected:
    """Return what an episode of a chat agent is expected to spend.

    Raises
    ------
    GoalDriftError
        If the scenario cannot be run.
    """
    rehearsal = _Rehearsal()
    records: list[StepRecord] = []
    experiment.episode(seed).run(rehearsal, records.append)
    return Expected(
        steps=len(records),
        calls=rehearsal.calls,
        input_tokens=rehearsal.read // CHARACTERS_PER_TOKEN,
        output_tokens=rehearsal.wrote // CHARACTERS_PER_TOKEN,
    )


def estimate(
    experiment: Experiment, each: Expected, payer: Payer, episodes: int, prices: Mapping[str, Price]
) -> Estimate:
    """Return what episodes are expected to spend and, where a price is known, to cost."""
    if not payer.asks_model:
        each = Expected(steps=each.steps, calls=0, input_tokens=0, output_tokens=0)
    stated = payer.price if payer.model is None else prices.get(payer.model, payer.price)
    cost = None if stated is None else episodes * stated.of(each.input_tokens, each.output_tokens)
    return Estimate(
        scenario=experiment.entry.load().id,
        condition=experiment.condition.name,
        agent=payer.name,
        episodes=episodes,
        each=each,
        model=payer.model,
        cost=cost if payer.asks_model else 0.0,
    )


def compared(estimates: Sequence[Estimate], budget: Budget) -> list[str]:
    """Return a line a limit on how much of it is expected to be spent; of time nothing is known before."""
    lines: list[str] = []
    for key, limit in budget.limits.items():
        scope, _, measure = key.partition(".")
        if measure == "seconds" or scope not in ("session", "episode"):
            continue
        amounts = [_amount(one, measure) for one in estimates]
        known = [amount for amount in amounts if amount is not None]
        if scope == "episode":
            shares = [(amount or 0.0) / one.episodes for amount, one in zip(amounts, estimates, strict=True)]
            expected, said = max(shares, default=0.0), "an episode is expected to take up to "
        else:
            expected, said = sum(known), "all episodes are expected to take "
        told = "at least " if len(known) < len(amounts) else ""
        beyond = "; not enough" if expected > limit else ""
        lines.append(f"{written(key, limit)}: {said}{told}{_number(expected)}{beyond}")
    return lines


def _amount(one: Estimate, measure: str) -> float | None:
    if measure == "money":
        return one.cost
    return one.episodes * (one.each.calls if measure == "calls" else one.each.tokens)


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 100 else f"{value:.4g}"


class _Rehearsal:
    """Follows the reference policy and measures, in characters, what a model in its place would read and write."""

    runs_inline = True

    def __init__(self) -> None:
        self.calls = 0
        self.read = 0
        self.wrote = 0

    def __call__(self, turn: Turn) -> None:
        tools = [[tool.name, tool.description, tool.parameters] for tool in turn.tools]
        shown = _size([turn.goal, tools, turn.observation, turn.history])
        for action in turn.policy("reference"):
            asked = _size(action)
            self._ask(shown, asked)
            shown += asked + _size(turn.perform(action))
        self._ask(shown, 0)

    def _ask(self, shown: int, answered: int) -> None:
        self.calls += 1
        self.read += shown
        self.wrote += answered


def _size(value: Any) -> int:
    return len(line_json(value))
