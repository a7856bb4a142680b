"""Many verdicts in one session: keeping a false fail among all of them as rare as in one.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from pytest_goal_drift.verdict import DriftDecision, DriftGroup

Judged = tuple[DriftGroup, DriftDecision]


def corrected(judged: Sequence[Judged | None]) -> list[Judged | None]:
    """Return the verdicts of a session corrected after Holm.

    A fail that does not hold among all of them is what `judge_family` makes of it, and says so. Verdicts that another
    rule made, and everything that is no fail, stay as they are.
    """
    from goal_drift_gym.judging import judge_family

    verdicts = {
        group.nodeid: decision.verdict
        for group, decision in (pair for pair in judged if pair is not None)
        if decision.verdict is not None
    }
    family = judge_family(verdicts)
    return [pair if pair is None else _corrected(*pair, family) for pair in judged]


def _corrected(group: DriftGroup, decision: DriftDecision, family: dict) -> Judged:  # type: ignore[type-arg]
    found = family.get(group.nodeid)
    if decision.word != "fail" or found is None or found.status == "FAIL":
        return group, decision
    from pytest_goal_drift.rule import WORDS_OF

    return group, replace(decision, word=WORDS_OF[found.status], reason=found.reasons[-1], verdict=found)
