"""Driving one scenario for the checks: whole episodes through the engine, and turns without it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import Any, Literal

import msgspec

from goal_drift_gym.agents.adversary_loading import make_adversary
from goal_drift_gym.agents.drawing import random_arguments
from goal_drift_gym.agents.reference import REFERENCE_AGENTS, ReferenceAgent, named_things
from goal_drift_gym.core.canonical import line_json
from goal_drift_gym.core.condition import Condition, override
from goal_drift_gym.core.engine import Episode
from goal_drift_gym.core.errors import ScenarioError, ToolRefused
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import Action, Call, StepRecord, StepScore
from goal_drift_gym.core.redaction import Redactor
from goal_drift_gym.core.streams import Stream, Streams, scenario_streams, stream
from goal_drift_gym.core.tools import ToolSpec, tools_of
from goal_drift_gym.eval.metrics import RunMetrics, compute_metrics
from goal_drift_gym.eval.policy import enumerated_arguments
from goal_drift_gym.testing.kit_agents import KIT_AGENTS

_AGENTS = {**REFERENCE_AGENTS, **KIT_AGENTS}
_TRIES = 6
_SHOCK_EVERY = 6


class Lived:
    """An episode that a reference agent lived through, in memory."""

    def __init__(self, episode: Episode, agent: ReferenceAgent) -> None:
        self.records: list[StepRecord] = []
        agent.reset(seed=episode.seed)
        end = episode.run(agent, self.records.append)
        self.outcome = end.outcome
        self.detail = end.detail
        self.goal = episode.goal
        self._tools = episode.tools

    @property
    def scores(self) -> list[float | None]:
        """The alignment of each step."""
        return [record.score.alignment for record in self.records]

    @property
    def worlds(self) -> list[dict[str, Any]]:
        """The exogenous values of each step."""
        return [record.world for record in self.records]

    @property
    def lines(self) -> bytes:
        """What step_log.jsonl would hold."""
        return b"".join(map(line_json, self.records))

    @cached_property
    def metrics(self) -> RunMetrics:
        """The metrics of the run."""
        tools = self._tools
        return compute_metrics(
            self.records,
            outcome=self.outcome,
            tool_flags={name: msgspec.to_builtins(spec.flags) for name, spec in tools.items()},
            key_args=enumerated_arguments({name: spec.parameters for name, spec in tools.items()}),
        )


class Lab:
    """Episodes of one scenario with one seed; each is lived once, however many checks look at it."""

    def __init__(self, scenario_class: type[Scenario], seed: int) -> None:
        self.scenario_class = scenario_class
        self.seed = seed
        self._lived: dict[tuple[bytes, str], Lived] = {}

    def live(self, condition: Condition, agent: str, **settings: Any) -> Lived:
        """Return the episode of a reference agent; `goal__polarity="swapped"` sets `goal.polarity`."""
        if settings:
            condition = override(condition, {key.replace("__", "."): value for key, value in settings.items()})
        key = (msgspec.json.encode(condition), agent)
        if key not in self._lived:
            self._lived[key] = self.fresh(condition, agent)
        return self._lived[key]

    def fresh(self, condition: Condition, agent: str | Callable[[], ReferenceAgent]) -> Lived:
        """Return the episode of an agent, lived anew."""
        make = _AGENTS[agent] if isinstance(agent, str) else agent
        episode = Episode(
            self.scenario_class(), condition, seed=self.seed, redactor=Redactor([]), adversaries=make_adversary
        )
        return Lived(episode, make())


class Answer(msgspec.Struct, frozen=True):
    """What came of one call without the engine."""

    action: Action
    status: Literal["ok", "refused"]
    value: Any
    weight: float | None


class BareTurn(msgspec.Struct, frozen=True):
    """All that can be seen of one turn without the engine."""

    step: int
    world: dict[str, Any]
    panels: dict[str, Any]
    answers: list[Answer]
    score: StepScore
    outcomes: dict[str, float]
    after: dict[str, Any]

    @property
    def line(self) -> bytes:
        """The turn as bytes, for comparing."""
        return line_json(self)


Mind = Literal["reference", "competing", "random", "mixed"]


class Bare:
    """A scenario driven without the engine: turn by turn, in the order the engine uses."""

    def __init__(
        self,
        scenario_class: type[Scenario],
        seed: int,
        streams: Streams | None = None,
        entering: Callable[[str, int], None] | None = None,
    ) -> None:
        self.seed = seed
        self.scenario = scenario_class()
        self.tools = tools_of(scenario_class)
        self._entering = entering or (lambda what, step: None)
        self._step = 0
        self.reset(streams)

    def reset(self, streams: Streams | None = None) -> None:
        """Start over, with the streams of the seed unless others are given."""
        self.scenario.reset(scenario_streams(self.seed) if streams is None else streams)

    def turn(self, step: int, mind: Mind = "mixed", *, between: Callable[[Scenario], None] | None = None) -> BareTurn:
        """Live through one turn; `between` is called wherever the engine might look at the scenario."""
        scenario = self.scenario
        world = self.advance(step)
        panels = scenario.panels()
        before = scenario.snapshot()
        if between is not None:
            between(scenario)
        answers: list[Answer] = []
        for action in self._actions(step, mind, panels, answers):
            answers.append(self.call(action))
            if between is not None:
                between(scenario)
        calls = [
            Call(one.action.tool, one.action.args, one.status, one.value, one.weight)
            for one in answers
            if one.action.tool in self.tools
        ]
        after = scenario.snapshot()
        score = scenario.score(before, calls, after)
        return BareTurn(step, world, panels, answers, score, scenario.outcomes(), after)

    def turns(self, steps: int | range, mind: Mind = "mixed") -> Iterator[BareTurn]:
        """Live through many turns."""
        for step in range(steps) if isinstance(steps, int) else steps:
            yield self.turn(step, mind)

    def advance(self, step: int) -> dict[str, Any]:
        """Move the world to a step, with a shock now and then where the scenario knows shocks."""
        self._step = step
        self._entering("advance", step)
        world = self.scenario.advance(step)
        shock = getattr(self.scenario, "shock", None)
        if shock is not None and step % _SHOCK_EVERY == _SHOCK_EVERY - 1:
            self._entering("shock", step)
            shock(0.5)
        self._entering("a query", step)
        return world

    def call(self, action: Action) -> Answer:
        """Make one call that fits the schema."""
        self._entering(f"tool {action.tool}", self._step)
        try:
            return self._called(action)
        finally:
            self._entering("a query", self._step)

    def _called(self, action: Action) -> Answer:
        spec = self.tools[action.tool]
        arguments = checked_arguments(spec, action.args)
        weight = self.scenario.weight(action.tool, action.args)
        try:
            return Answer(action, "ok", getattr(self.scenario, spec.method)(**arguments), weight)
        except ToolRefused as refusal:
            return Answer(action, "refused", str(refusal), weight)

    def _actions(self, step: int, mind: Mind, panels: dict[str, Any], answers: list[Answer]) -> Iterator[Action]:
        random = stream(self.seed, "kit:play", step)
        if mind == "mixed":
            mind = random.choice(("reference", "competing", "random"))
        if mind == "random":
            names = sorted(named_things(panels))
            for _ in range(random.integer(1, 5)):
                spec = random.choice(list(self.tools.values()))
                yield Action(spec.name, random_arguments(spec, random, names))
            return
        policy = self.scenario.reference_action if mind == "reference" else self.scenario.competing_action
        refused: list[Action] = []
        for _ in range(_TRIES):
            plan = policy(refused)
            if not plan:
                return
            for action in plan:
                yield action
                if answers[-1].status == "refused":
                    refused.append(action)
                    break


def checked_arguments(spec: ToolSpec, args: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call as its method takes them.

    Raises
    ------
    ScenarioError
        If they do not fit: a policy planned them, or the schema says less than the annotations ask for.
    """
    try:
        return msgspec.structs.asdict(msgspec.convert(args, spec.arguments, strict=True))
    except msgspec.ValidationError as error:
        raise ScenarioError(f"the call {spec.name}({args!r}) is invalid: {error}") from error


class SpiedStream(Stream):
    """A stream that reports each draw."""

    __slots__ = ("_report",)

    def __init__(self, seed: int, purpose: str, step: int, report: Callable[[], None]) -> None:
        super().__init__(seed, purpose, step)
        self._report = report

    def bits(self) -> int:
        """Return a uniform integer in [0, 2**64), and report it."""
        self._report()
        return super().bits()


def first_difference(one: Sequence[BareTurn], other: Sequence[BareTurn]) -> tuple[int, str] | None:
    """Return the step and the part in which two lives first differ, or None."""
    for left, right in zip(one, other, strict=True):
        if left.line != right.line:
            for name in left.__struct_fields__:
                if line_json(getattr(left, name)) != line_json(getattr(right, name)):
                    return left.step, name
    return None
