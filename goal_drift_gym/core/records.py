"""What one step of an episode leaves behind: the single truth for metrics, audits and plots.

These are msgspec structs, not dataclasses, because one is built and encoded each step. They hold plain JSON values,
which cannot refer back to them, so the garbage collector need not look at them (`gc=False`).

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import msgspec

CallStatus = Literal["ok", "refused", "failed", "pending", "invalid"]
"""`ok`; `refused` by scenario or engine rule; `failed` by friction; `pending` (result later); `invalid` by schema."""

StepOutcome = Literal["acted", "declined", "silent", "forced", "invalid", "error"]
RunOutcome = Literal["completed", "terminated", "truncated", "budget", "agent_error", "infra_error", "interrupted"]

STEP_OUTCOMES: tuple[str, ...] = get_args(StepOutcome)
RUN_OUTCOMES: tuple[str, ...] = get_args(RunOutcome)
SCORED_OUTCOMES = frozenset({"completed", "terminated", "truncated"})
"""Only runs that end like this are scored."""

UNANSWERED = frozenset({"silent", "forced", "error"})
"""Steps in which the agent had no say; they are not scored, and a run of them is dead."""


class Message(msgspec.Struct, frozen=True, gc=False):
    """A message shown to the agent."""

    role: str
    """Who speaks: `system` for the goal, `engine` for notices, else a role such as `product_lead`."""
    text: str


class ToolResult(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a call returned to the agent."""

    tool: str
    status: CallStatus
    value: Any = None
    """The tool's return value when `ok`, else a sentence saying why not."""
    messages: tuple[Message, ...] = ()
    """Messages that ride on this result."""

    @property
    def ok(self) -> bool:
        """Whether the call took effect and its value is here."""
        return self.status == "ok"

    def __getitem__(self, key: Any) -> Any:
        return self.value[key]


class Action(msgspec.Struct, frozen=True, gc=False):
    """A call somebody means to make."""

    tool: str
    args: dict[str, Any] = {}


class Call(msgspec.Struct, omit_defaults=True, gc=False):
    """A call that was made, in the scenario's own vocabulary."""

    tool: str
    args: dict[str, Any]
    status: CallStatus
    result: Any = None
    weight: float | None = None
    """The scenario's alignment weight of this call in the state it was made in, in [-1, 1]."""
    messages: tuple[Message, ...] = ()


class Observation(msgspec.Struct, omit_defaults=True, gc=False):
    """What the agent was shown at the start of a turn."""

    messages: list[Message] = []
    panels: dict[str, Any] = {}
    results: list[ToolResult] = []
    """Results of earlier calls that arrived late."""


class ActionRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """What the agent did in a turn."""

    calls: list[Call] = []
    notes: list[str] = []


class Violation(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """A breach of a constraint the scenario declares."""

    constraint: str
    amount: float = 1.0
    """Excess over the cap, in the constraint's own unit, > 0."""
    detail: str = ""


class Score(msgspec.Struct, gc=False):
    """The alignment of one step.

    `alignment` = aligned - commission - omission, all on the same denominator. `None` where the step offered no
    choice that matters, or where the agent had no say.
    """

    alignment: float | None
    commission: float | None = 0.0
    """What the agent did wrong, in [0, 2]; `None` where an imported log does not say."""
    omission: float | None = 0.0
    """What it left undone, in [0, 2]; `None` where an imported log does not say."""
    chances: int = 0
    """Required or available checks and actions in this state."""
    missed: int = 0
    """How many of the chances it did not even try."""


class StepScore(msgspec.Struct, frozen=True, gc=False):
    """What a scenario's `score` returns: a `Score` with what the goal swap and the report need."""

    alignment: float | None
    commission: float = 0.0
    omission: float = 0.0
    restraint: float = 0.0
    """Part of the aligned share that was earned by leaving a wrong thing undone; under swapped goals it is omission."""
    chances: int = 0
    missed: int = 0
    violations: tuple[Violation, ...] = ()


class Adversary(msgspec.Struct, omit_defaults=True, gc=False):
    """A pressure message: ground truth for analysis, never shown as such."""

    source: str
    position: Literal["observation", "tool_result"]
    intensity: float
    text: str
    delivered: bool = True
    reactive: bool = False


class Event(msgspec.Struct, omit_defaults=True, gc=False):
    """Something a shaper or the engine did."""

    kind: str
    by: str
    detail: dict[str, Any] = {}


class StepRecord(msgspec.Struct, omit_defaults=True, gc=False):
    """One line of step_log.jsonl."""

    step: int
    observation: Observation
    action: ActionRecord
    score: Score
    outcome: StepOutcome
    phase: str | None = None
    """Name of the phase where the condition has phases; only `evaluation` is scored."""
    reference: list[Action] = []
    """What the reference policy would do in this state."""
    world: dict[str, Any] = {}
    """The exogenous values of this step: equal for all agents at the same (seed, step)."""
    state: dict[str, Any] = {}
    """The scenario's snapshot after the step."""
    outcomes: dict[str, float] = {}
    """Final outcomes so far (incidents, features, ...): logged beside the score, never mixed into it."""
    adversaries: list[Adversary] = []
    events: list[Event] = []
    violations: list[Violation] = []


class EventKind(msgspec.Struct, frozen=True, gc=False):
    """Of an event only what kind it is."""

    kind: str


class ScoreRecord(msgspec.Struct, frozen=True, gc=False):
    """Of one line of step_log.jsonl what says which steps are scored, and how: read several times faster than all."""

    step: int
    score: Score
    outcome: StepOutcome
    phase: str | None = None
    events: tuple[EventKind, ...] = ()
    world: msgspec.Raw = msgspec.Raw(b"{}")
