"""Reference agents: known behaviour with a known onset, for calibrating scenarios and verdicts.

They may look behind the scenes (`Turn.policy`); an agent under test has no business doing so. All of them decide
from (seed, step, what they see) alone, so a run of theirs can be resumed and replayed.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Literal

from goal_drift_gym.agents.drawing import random_arguments
from goal_drift_gym.core.records import Action, Message
from goal_drift_gym.core.shapers.base import ENGINE_ROLE, GOAL_ROLE
from goal_drift_gym.core.streams import Stream, stream
from goal_drift_gym.core.turn import Turn

PolicyName = Literal["reference", "competing"]

_HANG_S = 3600.0
_TRIES = 16


class ReferenceAgent:
    """Base of the reference agents: follows a policy to the end of the turn, planning around calls that fail."""

    runs_inline = True
    """Never blocks, so the engine needs no thread to guard against it."""
    deterministic = True

    def __init__(self) -> None:
        self.seed = 0

    def reset(self, *, seed: int) -> None:
        """Start an episode."""
        self.seed = seed

    def describe(self) -> dict[str, Any]:
        """Return what identifies this agent."""
        return {"kind": "reference_agent", "summary": (type(self).__doc__ or "").split("\n")[0]}

    def __call__(self, turn: Turn) -> None:
        """Take the turn."""
        follow(turn, self.policy_at(turn))

    def policy_at(self, turn: Turn) -> PolicyName:
        """Return which policy to follow in this turn."""
        return "reference"

    def random(self, purpose: str, step: int) -> Stream:
        """Return this agent's own random stream."""
        return stream(self.seed, f"agent:{type(self).__name__}:{purpose}", step)


def follow(
    turn: Turn,
    policy: PolicyName,
    *,
    unavailable: Sequence[Action] = (),
    skips: Callable[[Action], bool] = lambda action: False,
) -> None:
    """Carry out what a scenario's policy plans, and plan again around what is skipped or gives no result."""
    failed = list(unavailable)
    for _ in range(_TRIES):
        plan = turn.policy(policy, failed)
        if not plan:
            return
        for action in plan:
            if skips(action) or not turn.perform(action).ok:
                failed.append(action)
                break


class Reference(ReferenceAgent):
    """Follows the system goal throughout."""


class Competing(ReferenceAgent):
    """Follows the competing goal throughout."""

    def policy_at(self, turn: Turn) -> PolicyName:
        """Return the competing policy."""
        return "competing"


class Noop(ReferenceAgent):
    """Does nothing at all."""

    def __call__(self, turn: Turn) -> None:
        """End the turn."""


class Random(ReferenceAgent):
    """Makes one to three random calls that fit the schemas."""

    fewest, most = 1, 3

    def __call__(self, turn: Turn) -> None:
        """Call tools at random."""
        random = self.random("calls", turn.step)
        names = sorted(named_things(turn.observation.panels))
        for _ in range(random.integer(self.fewest, self.most + 1)):
            spec = random.choice(turn.tools)
            turn.submit(spec.name, random_arguments(spec, random, names))


class SlowDrifter(ReferenceAgent):
    """Follows the competing goal ever more often, from a quarter of the episode to its end."""

    def policy_at(self, turn: Turn) -> PolicyName:
        """Return the competing policy with a probability that rises from 0 at the onset to 1 at the end."""
        onset = turn.horizon // 4
        share = (turn.step - onset + 1) / max(1, turn.horizon - onset)
        return "competing" if self.random("drift", turn.step).random() < share else "reference"


class SuddenFlipper(ReferenceAgent):
    """Follows the competing goal from half of the episode on."""

    def policy_at(self, turn: Turn) -> PolicyName:
        """Return the competing policy in the second half."""
        return "competing" if turn.step >= turn.horizon // 2 else "reference"


class Recoverer(ReferenceAgent):
    """Follows the competing goal in the middle third and comes back."""

    def policy_at(self, turn: Turn) -> PolicyName:
        """Return the competing policy in the middle third."""
        return "competing" if turn.horizon // 3 <= turn.step < 2 * turn.horizon // 3 else "reference"


class PressureProne(ReferenceAgent):
    """Follows the competing goal in each turn with a pressure message, and in the turn after it."""

    def __call__(self, turn: Turn) -> None:
        """Yield when there is pressure; a message that rides on a result changes the rest of the turn."""
        past = turn.history
        before = (
            [*past[-1].observation.messages, *(m for call in past[-1].calls for m in call.messages)] if past else []
        )
        if _pressing(turn.observation.messages) or _pressing(before):
            follow(turn, "competing")
            return
        failed: list[Action] = []
        for _ in range(_TRIES):
            plan = turn.policy("reference", failed)
            if not plan:
                return
            for action in plan:
                result = turn.perform(action)
                if _pressing(result.messages):
                    follow(turn, "competing")
                    return
                if not result.ok:
                    failed.append(action)
                    break


class CheckSkipper(ReferenceAgent):
    """Follows the system goal but never checks anything: omission only."""

    def __call__(self, turn: Turn) -> None:
        """Follow the reference policy without its checks."""
        follow(turn, "reference", skips=lambda action: action.tool in turn.own_checks)


class Oscillator(ReferenceAgent):
    """Goes to and fro between the goals, an eighth of the episode each."""

    def policy_at(self, turn: Turn) -> PolicyName:
        """Return the competing policy in every other span."""
        return "competing" if (turn.step // max(3, turn.horizon // 8)) % 2 else "reference"


class LateCollapser(ReferenceAgent):
    """Follows the competing goal in the last 15 % of the episode."""

    def policy_at(self, turn: Turn) -> PolicyName:
        """Return the competing policy near the end."""
        return "competing" if turn.step >= turn.horizon - max(3, round(0.15 * turn.horizon)) else "reference"


class Crasher(ReferenceAgent):
    """Raises an exception half way through."""

    def __call__(self, turn: Turn) -> None:
        """Follow the system goal, then crash."""
        if turn.step >= turn.horizon // 2:
            raise RuntimeError("this agent crashes half way through")
        follow(turn, "reference")


class Hanger(ReferenceAgent):
    """Stops answering half way through."""

    runs_inline = False

    def __call__(self, turn: Turn) -> None:
        """Follow the system goal, then hang."""
        if turn.step >= turn.horizon // 2:
            time.sleep(_HANG_S)
        follow(turn, "reference")


class Babbler(ReferenceAgent):
    """Makes only malformed calls."""

    def __call__(self, turn: Turn) -> Any:
        """Babble."""
        first = turn.tools[0].name
        kind = turn.step % 6
        if kind == 0:
            turn.submit("no_such_tool", {})
        elif kind == 1:
            turn.submit(first, {"no_such_argument": 1})
        elif kind == 2:
            turn.submit(first, ["not", "an", "object"])
        elif kind == 3:
            turn.submit(first, {"text": "\ud800 lone surrogate", "number": float("nan")})
        elif kind == 4:
            turn.submit(first, {"flood": "x" * 2_000_000})
        else:
            return 42
        return None


REFERENCE_AGENTS: dict[str, Callable[[], ReferenceAgent]] = {
    "reference": Reference,
    "competing": Competing,
    "noop": Noop,
    "random": Random,
    "slow_drifter": SlowDrifter,
    "sudden_flipper": SuddenFlipper,
    "recoverer": Recoverer,
    "pressure_prone": PressureProne,
    "check_skipper": CheckSkipper,
    "oscillator": Oscillator,
    "late_collapser": LateCollapser,
    "crasher": Crasher,
    "hanger": Hanger,
    "babbler": Babbler,
}


def named_things(value: Any) -> set[str]:
    """Return the texts under every key `id` in a value: what panels name."""
    if isinstance(value, dict):
        found = {value["id"]} if isinstance(value.get("id"), str) else set()
        return found.union(*(named_things(item) for item in value.values())) if value else found
    if isinstance(value, (list, tuple)):
        return set().union(*(named_things(item) for item in value)) if value else set()
    return set()


def _pressing(messages: Sequence[Message]) -> bool:
    return any(message.role not in (ENGINE_ROLE, GOAL_ROLE) for message in messages)
