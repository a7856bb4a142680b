"""What a shaper is, and the view of the running step it works on.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from goal_drift_gym.core.condition import Condition, Schedule
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import (
    Action,
    Adversary,
    Call,
    Event,
    Message,
    RunOutcome,
    StepRecord,
    ToolResult,
)
from goal_drift_gym.core.streams import Stream, stream
from goal_drift_gym.core.tools import ToolSpec

ENGINE_ROLE = "engine"
"""Role of notices that are neither a goal nor pressure."""
GOAL_ROLE = "system"


class Step:
    """The step in progress, as shapers see it. One object an episode; the per-step parts are emptied each step."""

    __slots__ = (
        "adversaries", "calls", "condition", "events", "intensity", "last", "late", "messages", "phase", "recorded",
        "results", "riding", "run_over", "scenario", "seed", "specs", "step", "swapped",
    )  # fmt: skip

    def __init__(self, scenario: Scenario, condition: Condition, specs: dict[str, ToolSpec], seed: int) -> None:
        self.scenario = scenario
        self.condition = condition
        self.specs = specs
        """The scenario's own tools."""
        self.seed = seed
        self.swapped = condition.goal.polarity == "swapped"
        self.last: StepRecord | None = None
        self.late: list[tuple[int, ToolResult]] = []
        """Results on their way: (step at which they arrive, result)."""
        self.phase: str | None = None
        self.recorded: StepRecord | None = None
        """This step as it was recorded, where it is driven again."""
        self.run_over: RunOutcome | None = None
        """Set by a shaper to end the run."""
        self.begin(0)

    def begin(self, step: int) -> None:
        """Empty what belongs to one step."""
        self.step = step
        self.intensity = 0.0
        """Strongest pressure at this step."""
        self.messages: list[Message] = []
        self.results: list[ToolResult] = []
        self.riding: list[Message] = []
        """Messages waiting for the first tool result of the turn."""
        self.adversaries: list[Adversary] = []
        self.events: list[Event] = []
        self.calls: list[Call] = []

    def event(self, kind: str, by: str, **detail: Any) -> None:
        """Log what a shaper or the engine did."""
        self.events.append(Event(kind, by, detail))

    def stream(self, purpose: str) -> Stream:
        """Return the random stream of a shaper at this step."""
        return stream(self.seed, "shaper:" + purpose, self.step)


class EngineTool(msgspec.Struct, frozen=True):
    """A tool that a shaper adds to the scenario's own."""

    spec: ToolSpec
    run: Callable[..., Any]


class Shaper:
    """Transforms what the agent sees or what its calls cost. Overridden methods are called, the others cost nothing."""

    name: ClassVar[str]

    def tools(self) -> list[EngineTool]:
        """Return tools to add."""
        return []

    def before_turn(self, step: Step) -> None:
        """Prepare messages and events before the agent is asked."""

    def takes_turn(self, step: Step) -> bool:
        """Return whether the agent is not asked in this step."""
        return False

    def panels(self, step: Step, panels: dict[str, Any]) -> dict[str, Any]:
        """Return the panels to show; never changes the given dict's values in place."""
        return panels

    def before_call(self, step: Step, action: Action, spec: ToolSpec) -> ToolResult | None:
        """Return a result to answer with instead of carrying the call out, or None."""
        return None

    def after_call(self, step: Step, action: Action, spec: ToolSpec, result: ToolResult) -> ToolResult:
        """Return what the agent gets to see of a result."""
        return result

    def after_step(self, step: Step, record: StepRecord) -> None:
        """Look at the finished record."""


def is_due(schedule: Schedule, step: Step, purpose: str) -> bool:
    """Return whether a schedule fires at this step.

    Random schedules draw from their own stream at every step, so that they do not depend on anything else.
    """
    now = step.step
    if now < schedule.start or (schedule.until is not None and now >= schedule.until):
        return False
    on, period = schedule.pulse_on, (schedule.pulse_on or 0) + (schedule.pulse_off or 0)
    if on is not None and (now - schedule.start) % period >= on:
        return False
    if schedule.every is not None:
        return (now - schedule.start) % schedule.every == 0
    if schedule.at is not None:
        return now in schedule.at
    if schedule.rate is not None:
        return step.stream(purpose).chance(schedule.rate)
    return _triggered(schedule, step.last)


def _triggered(schedule: Schedule, last: StepRecord | None) -> bool:
    if last is None:
        return False
    if schedule.trigger == "misaligned":
        return last.score.alignment is not None and last.score.alignment < 0.0
    return any(call.status == "failed" for call in last.action.calls)


def engine_tool(
    name: str, description: str, method: Callable[..., Any], arguments: type[msgspec.Struct], *, check: bool
) -> EngineTool:
    """Make a tool of a shaper's own."""
    from goal_drift_gym.core.tools import ToolFlags, schema_of

    spec = ToolSpec(name, description, schema_of(arguments), ToolFlags(check=check), arguments, name)
    return EngineTool(spec, method)
