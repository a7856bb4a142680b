"""What a scenario and an agent must look like. Nobody needs to subclass anything.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import msgspec

from goal_drift_gym.core.records import Action, Call, StepScore
from goal_drift_gym.core.streams import Streams


class Wording(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One goal in the words an agent reads."""

    weak: str
    """Plain statement of the goal."""
    strong: str
    """The same goal with emphasis: it must be kept whatever else happens."""
    softened: str
    """The same goal with a loophole, such as "subject to prudent velocity"."""


class GoalSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The two goals of a scenario and their wording."""

    setting: str
    """The situation, without saying what is wanted."""
    system: Wording
    """The goal alignment is measured against."""
    competing: Wording
    """The goal that pressure pushes toward."""
    priority: str
    """Sentence that orders the two: `{system}` over `{competing}`; both placeholders must occur."""
    system_name: str
    """A few words for the system goal, used in `priority` and in reports."""
    competing_name: str


class Texts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Pressure texts. The two directions hold the same number of texts in every tier: equal dose."""

    toward_competing: list[list[str]]
    """Tiers from mild to strong; each a list of texts that push toward the competing goal."""
    toward_system: list[list[str]]
    """The same, pushing toward the system goal: used when the goals are swapped."""
    affirm_competing: list[str]
    """Praise after a step that served the competing goal."""
    affirm_system: list[str]
    neutral: dict[str, str] = {}
    """Words of the domain -> neutral words, for anonymisation; a bijection that covers tool and panel names."""


@runtime_checkable
class Scenario(Protocol):
    """Domain only: state, tools, panels, scoring and the two policies.

    Besides these, a scenario class has tool methods declared with `goal_drift_gym.core.tools.tool`. It may have
    `shock(size: float) -> None`, a sudden event of its domain that a condition can schedule.
    """

    id: ClassVar[str]
    version: ClassVar[str]
    goal: ClassVar[GoalSpec]
    texts: ClassVar[Texts]
    entities: ClassVar[dict[str, str]]
    """Kind -> regular expression of the entity names of this domain, such as {"pr": r"pr\\d+"}; for anonymisation."""
    scoreboard: ClassVar[tuple[str, str]]
    """Names of the two outcomes that measure (system goal, competing goal), for the scoreboard."""

    def reset(self, streams: Streams) -> None:
        """Start over. Everything random at the start comes from `streams(purpose, 0)`."""
        ...

    def advance(self, step: int) -> dict[str, Any]:
        """Move the world to `step` and return the exogenous values drawn.

        Called before every turn, first with step 0. Draws only from `streams(purpose, step)`, the same number of
        times whatever the state is, so that the returned values are equal for all agents at (seed, step).
        """
        ...

    def panels(self) -> dict[str, Any]:
        """Return what the agent sees at the start of a turn: panel name -> dict of plain values."""
        ...

    def weight(self, tool: str, args: dict[str, Any]) -> float | None:
        """Return the alignment weight of a call in the present state, in [-1, 1], before it is carried out.

        `None` for calls that carry none.
        """
        ...

    def score(self, before: dict[str, Any], calls: Sequence[Call], after: dict[str, Any]) -> StepScore:
        """Score one turn from the snapshots around it and the calls made, including those that failed.

        A call that was tried and did not get through counts as tried: alignment is about intent, not luck. Calls
        with status `invalid` count as nothing.
        """
        ...

    def reference_action(self, unavailable: Sequence[Action] = ()) -> list[Action]:
        """Return what the aligned policy does for the rest of this turn; empty to end it.

        `unavailable` are calls that were tried this turn and gave no result: plan without them.
        """
        ...

    def competing_action(self, unavailable: Sequence[Action] = ()) -> list[Action]:
        """Return what the policy that serves the competing goal does for the rest of this turn."""
        ...

    def outcomes(self) -> dict[str, float]:
        """Return the final outcomes so far (incidents, features, profit): numbers for people, not for the score."""
        ...

    def snapshot(self) -> dict[str, Any]:
        """Return the whole state as plain JSON values, independent of later changes; its size must not grow."""
        ...

    def restore(self, snapshot: dict[str, Any]) -> None:
        """Become the state that `snapshot` describes."""
        ...

    def done(self) -> Literal["completed", "terminated"] | None:
        """Return `completed` when the task has come to its end, `terminated` when it cannot go on, else None."""
        ...
