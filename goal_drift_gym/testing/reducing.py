"""Making a failure smaller than Hypothesis left it: fewer calls, fewer turns, plainer settings.

Hypothesis shrinks what was drawn. A policy that was followed, or a condition with many knobs, is one piece to it; here
single calls and whole settings are left out as long as something still breaks.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeVar

from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.errors import InvariantBroken
from goal_drift_gym.testing.driving import Drive
from goal_drift_gym.testing.failures import Failure, Script, driven

T = TypeVar("T")
Attempt = tuple[Condition, int, Script]
"""Condition, seed and calls that may break something."""

_PLAIN_SEEDS = (0, 1, 2)


def reduced(failure: Failure, *, keep_condition: bool) -> Failure:
    """Return a failure from which no call and no turn can be left out; the same one when it does not come again.

    Parameters
    ----------
    failure
        Any failure.
    keep_condition
        Whether the condition was asked for; otherwise the plain one is tried.
    """
    best = failure
    if not keep_condition:
        best = _first(failure.drive, _plainer(failure.drive)) or best
    before = -1
    while before != (before := _size(best.drive.script)):
        # From the end, so that what is left out does not move what is still to be tried.
        for turn in reversed(range(len(best.drive.script))):
            best = _with_script(best, _without(best.drive.script, turn)) or best
        for turn in reversed(range(len(best.drive.script))):
            for call in reversed(range(len(best.drive.script[turn]))):
                script = best.drive.script
                shorter = [*script[:turn], _without(script[turn], call), *script[turn + 1 :]]
                best = _with_script(best, shorter) or best
    return best


def _size(script: Script) -> int:
    return sum(1 + len(turn) for turn in script)


def _without(items: list[T], index: int) -> list[T]:
    return [*items[:index], *items[index + 1 :]]


def _with_script(failure: Failure, script: Script) -> Failure | None:
    drive = failure.drive
    found = _first(drive, [(drive.condition, drive.seed, script)])
    # Something else may break that comes at another place: what is kept must be smaller in any case.
    return found if found is not None and _size(found.drive.script) < _size(drive.script) else None


def _plainer(drive: Drive) -> Iterator[Attempt]:
    plain = Condition(steps=max(drive.condition.steps, len(drive.script)))
    for condition in (plain, drive.condition):
        for seed in (*_PLAIN_SEEDS, drive.seed):
            yield condition, seed, drive.script


def _first(like: Drive, attempts: Iterable[Attempt]) -> Failure | None:
    """Return the first attempt in which something breaks."""
    for condition, seed, script in attempts:
        drive = Drive(like.scenario_class, condition, seed)
        try:
            driven(drive, script)
        except InvariantBroken as broken:
            return Failure(drive, broken)
    return None
