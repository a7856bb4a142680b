"""Planted faults of randomness and determinism.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import random
import time
from typing import Any

from goal_drift_gym.core.streams import Streams
from goal_drift_gym.core.tools import tool
from goal_drift_gym.scenarios.bandit_constraint.scenario import ARMS, INDEX, Arm
from goal_drift_gym.testing.planted.base import Host, fault


@fault("one random stream shared by the world and the calls", caught_by="draws_do_not_shift")
class OneStreamForAll(Host):
    """Keeps a stream from reset and draws from it in advance and in pull."""

    def reset(self, streams: Streams) -> None:
        """Start over."""
        super().reset(streams)
        self._stream = streams("everything", 0)

    def advance(self, step: int) -> dict[str, Any]:
        """Move the world."""
        return {**super().advance(step), "weather": self._stream.integer(0, 10)}

    @tool(risky=True)
    def pull(self, arm: Arm) -> dict[str, Any]:
        """Pull one arm."""
        return {**super().pull(arm), "shine": self._stream.integer(0, 10)}


@fault("advance() draws more values after a pull", caught_by="draws_do_not_shift")
class DrawsAsItNeeds(Host):
    """Draws a value only when it has a use for it."""

    def advance(self, step: int) -> dict[str, Any]:
        """Move the world."""
        drawn = self._streams("bonus", step).integer(0, 3) if sum(self._pulls) % 2 else 0
        return {**super().advance(step), "bonus": drawn * 0}


@fault("the world depends on what was called before", caught_by="world_ignores_the_agent")
class WorldFollowsPulls(Host):
    """Makes an arm riskier each time it is pulled, and calls that the world."""

    def advance(self, step: int) -> dict[str, Any]:
        """Move the world."""
        world = super().advance(step)
        self._risk = [min(900, risk + pulls) for risk, pulls in zip(self._risk, self._pulls, strict=True)]
        return {**world, "risk": [risk / 1000 for risk in self._risk]}


@fault("the order of a set decides", caught_by="same_bytes_in_other_processes")
class HashOrder(Host):
    """Reports the arms in the order of a set of texts."""

    def panels(self) -> dict[str, Any]:
        """Return the panels."""
        panels = super().panels()
        return {**panels, "arms": {**panels["arms"], "order": list({name + "!" for name in ARMS})}}


@fault("the wall clock decides", caught_by="no_ambient_inputs")
class WallClock(Host):
    """Pays more in the afternoon."""

    def advance(self, step: int) -> dict[str, Any]:
        """Move the world."""
        world = super().advance(step)
        self._boost = int(time.time()) // 43_200 % 2
        return world


@fault("hash() of a text decides", caught_by="no_ambient_inputs")
class HashOfText(Host):
    """Breaks ties by the hash of a name."""

    def competing_action(self, unavailable: Any = ()) -> Any:
        """Return the riskiest arm."""
        return sorted(super().competing_action(unavailable), key=lambda action: hash(action.tool))


@fault("numbers come from the global random module", caught_by="same_seed_same_bytes")
class GlobalRandom(Host):
    """Draws its luck from the module random."""

    def advance(self, step: int) -> dict[str, Any]:
        """Move the world."""
        world = super().advance(step)
        self._luck = [random.randrange(-60, 60) for _ in ARMS]
        return world


@fault("two instances share one list", caught_by="instances_share_nothing")
class SharedDefault(Host):
    """Counts pulls in a list of the class."""

    _all_pulls: list[int] = [0] * len(ARMS)

    @tool(risky=True)
    def pull(self, arm: Arm) -> dict[str, Any]:
        """Pull one arm."""
        paid = super().pull(arm)
        self._all_pulls[INDEX[arm]] += 1
        return {**paid, "popularity": sum(self._all_pulls)}


@fault("reset() does not reset all", caught_by="instances_share_nothing")
class ResetForgets(Host):
    """Keeps its streak over a reset."""

    _streak = 0

    @tool(risky=True)
    def pull(self, arm: Arm) -> dict[str, Any]:
        """Pull one arm."""
        paid = super().pull(arm)
        self._streak += 1
        return {**paid, "streak": self._streak}


@fault("the world moves when it is looked at", caught_by="looking_changes_nothing")
class MovesWhenLookedAt(Host):
    """Draws lazily, in panels()."""

    def panels(self) -> dict[str, Any]:
        """Return the panels."""
        self._luck = self._luck[1:] + self._luck[:1]
        return super().panels()


@fault("a call shuffles the pool of messages", caught_by="messages_ignore_the_agent")
class ShufflesTheTexts(Host):
    """Sorts the texts it was given, in place, in the middle of an episode."""

    texts = type(Host.texts)(
        toward_competing=[list(pool) for pool in Host.texts.toward_competing],
        toward_system=[list(pool) for pool in Host.texts.toward_system],
        affirm_competing=list(Host.texts.affirm_competing),
        affirm_system=list(Host.texts.affirm_system),
        neutral=dict(Host.texts.neutral),
    )

    @tool(risky=True)
    def pull(self, arm: Arm) -> dict[str, Any]:
        """Pull one arm."""
        for pool in self.texts.toward_competing:
            pool.append(pool.pop(0))
        return super().pull(arm)
