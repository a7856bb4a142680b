"""Limits on what calls, steps, episodes and a whole session may spend.

A budget is a set of limits such as `session.tokens=200000`: a scope, a measure and the last amount that may be spent.
A call may begin while everything spent so far is below its limit, and what has ended may not lie above it. So a limit
is exceeded by no more than the calls that were under way when it was reached, one a process.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from goal_drift_gym.core.errors import EpisodeOver, UsageError, did_you_mean
from goal_drift_gym.core.prices import Price

SCOPES = ("call", "step", "episode", "session")
MEASURES = ("seconds", "tokens", "calls", "money")
KEYS = tuple(f"{scope}.{measure}" for scope in SCOPES for measure in MEASURES if (scope, measure) != ("call", "calls"))
"""Every limit there is."""

_WHOLE = frozenset({"tokens", "calls"})


class LimitReached(EpisodeOver):
    """A limit of the budget is reached: whoever still spends in this episode must stop."""


class Reached(msgspec.Struct, frozen=True, kw_only=True):
    """A limit that has been reached."""

    key: str
    limit: float
    why: str = ""
    """Where the limit cannot be kept instead: why not."""

    @property
    def scope(self) -> str:
        """`call`, `step`, `episode` or `session`."""
        return self.key.partition(".")[0]

    def __str__(self) -> str:
        said = f"the budget {written(self.key, self.limit)} "
        return said + (f"cannot be kept: {self.why}" if self.why else "is spent")


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """Limits, the prices that money is counted with, and where the processes of a session count what they spend.

    It is plain data, so that it can be sent to another process.
    """

    limits: dict[str, float]
    """From keys such as `session.tokens` to the last amount that may be spent; seconds are those of the clock."""
    prices: dict[str, Price] = {}
    """From names of models to their prices."""
    directory: str | None = None
    """Where the processes of the session count; limits of the session need it."""
    began: float | None = None
    """When the session began, on the monotonic clock, which all processes of a machine share."""

    @classmethod
    def of(cls, limits: Mapping[str, float], prices: Mapping[str, Price] | None = None) -> Budget:
        """Return a budget of checked limits.

        Raises
        ------
        UsageError
            If a key does not exist, or a value is not a number above 0, whole where tokens or calls are counted.
        """
        return cls(limits={key: _checked(key, limits[key]) for key in limits}, prices=dict(prices or {}))

    def shared(self, directory: str, began: float) -> Budget:
        """Return the budget of a session that counts in `directory` and began at `began` (monotonic clock)."""
        return msgspec.structs.replace(self, directory=directory, began=began)

    def limit(self, scope: str, measure: str) -> float | None:
        """Return a limit; None where there is none."""
        return self.limits.get(f"{scope}.{measure}")

    def of_scope(self, scope: str) -> dict[str, float]:
        """Return the limits of a scope, by measure."""
        found = ((measure, self.limit(scope, measure)) for measure in MEASURES)
        return {measure: limit for measure, limit in found if limit is not None}

    def __str__(self) -> str:
        return ", ".join(written(key, limit) for key, limit in self.limits.items())


def parse_budget(texts: Iterable[str]) -> dict[str, float]:
    """Read limits written as `KEY=VALUE`.

    Raises
    ------
    UsageError
        If a text is no limit, or a key occurs twice.

    >>> parse_budget(["session.tokens=200_000", "step.seconds=2.5"])
    {'session.tokens': 200000.0, 'step.seconds': 2.5}
    """
    limits: dict[str, float] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals:
            raise UsageError(f"{text!r} is no budget; write KEY=VALUE, such as session.tokens=200000")
        if key in limits:
            raise UsageError(f"the budget {key} is given twice")
        try:
            limits[key] = _checked(key, float(value))
        except ValueError:
            raise UsageError(f"the budget {key}={value}: {value!r} is no number") from None
    return limits


def written(key: str, limit: float) -> str:
    """Return a limit as it is written.

    >>> written("session.tokens", 200000.0), written("session.money", 2.5)
    ('session.tokens=200000', 'session.money=2.5')
    """
    return f"{key}={int(limit)}" if limit == int(limit) else f"{key}={limit!r}"


def _checked(key: str, value: Any) -> float:
    if key == "call.calls":
        raise UsageError("the budget call.calls: a call is one call; limit step.calls, episode.calls or session.calls")
    if key not in KEYS:
        raise UsageError(f"there is no budget {key!r}; {did_you_mean(key, KEYS)}")
    number = float(value)
    if not 0.0 < number < math.inf:
        raise UsageError(f"the budget {key}={value}: give a number above 0")
    if key.partition(".")[2] in _WHOLE and number != int(number):
        raise UsageError(f"the budget {key}={value}: give a whole number")
    return number
