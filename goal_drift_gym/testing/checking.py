"""`check_scenario`: does a scenario hold what every verdict on it relies on?

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from goal_drift_gym.core.condition import Condition
from goal_drift_gym.core.engine import check_seed
from goal_drift_gym.core.errors import ConditionError, UsageError, did_you_mean
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.eval.limits import DEFAULT_LIMITS
from goal_drift_gym.scenarios.discovery import conditions_of
from goal_drift_gym.testing.checks import CHECKS
from goal_drift_gym.testing.checks.base import Case, Check
from goal_drift_gym.testing.lab import Lab
from goal_drift_gym.testing.reference import ScenarioReference, scenario_reference
from goal_drift_gym.testing.report import MOST_FINDINGS, CheckReport, CheckResult, Finding

Profile = Literal["fast", "thorough"]

SEEDS: Mapping[Profile, int] = {"fast": 3, "thorough": 50}
"""How many seeds a profile looks at when nobody says otherwise."""


def check_names() -> list[str]:
    """Return the names of all checks, in the order in which they are made."""
    return list(CHECKS)


def check_scenario(
    scenario: str | type[Scenario],
    *,
    profile: Profile = "fast",
    seeds: int | Sequence[int] | None = None,
    conditions: Sequence[str] | None = None,
    only: Sequence[str] | None = None,
    limits: Mapping[str, float | bool] = DEFAULT_LIMITS,
) -> CheckReport:
    """Check everything a verdict on a scenario relies on, with reference agents over whole episodes.

    Parameters
    ----------
    scenario
        A registered id, `package.module:Name`, `file.py:Name`, or a scenario class at the top of a module.
    profile
        `fast`: 3 seeds, for while you write; `thorough`: 50 seeds, for CI.
    seeds
        How many seeds, or which; by default what the profile says.
    conditions
        Names of the scenario's own conditions; all when not given.
    only
        Names of checks; all when not given.
    limits
        The limits that drifting agents must cross and the reference policy must keep.

    Returns
    -------
    CheckReport
        Every check with what it found; `report.ok` says whether all hold, `str(report)` what does not and how to
        mend it.

    Raises
    ------
    UsageError
        If a name, a seed or the profile does not exist, or the scenario cannot be had again in another process.
    ScenarioError
        If the scenario cannot be loaded or its tools cannot be read.

    Examples
    --------
    >>> report = check_scenario("bandit_constraint", seeds=1, only=["reference_at_top", "competing_below_zero"])
    >>> report.ok, [result.cases for result in report.results]
    (True, [4, 4])
    """
    if profile not in SEEDS:
        raise UsageError(f"profile {profile!r}: {did_you_mean(profile, SEEDS)}")
    known = scenario_reference(scenario)
    chosen = _chosen(known.scenario_class, conditions)
    numbers = _numbers(SEEDS[profile] if seeds is None else seeds)
    tallies = [_Tally(check, known) for check in _checks(only)]
    for position, seed in enumerate(numbers):
        lab = Lab(known.scenario_class, seed)
        for tally in tallies:
            for case in _cases(tally.check, lab, known, chosen, limits, first=position == 0):
                tally.look(case)
    return CheckReport(
        scenario=known.scenario_class.id,
        reference=known.text,
        conditions=[condition.name for condition in chosen],
        seeds=numbers,
        results=[tally.result() for tally in tallies],
    )


def _checks(only: Sequence[str] | None) -> list[Check]:
    if only is None:
        return list(CHECKS.values())
    for name in only:
        if name not in CHECKS:
            raise UsageError(f"there is no check {name!r}; {did_you_mean(name, CHECKS)}")
    if not only:
        raise UsageError("only = []: name at least one check, or leave it out for all of them")
    return [check for name, check in CHECKS.items() if name in only]


def _chosen(scenario_class: type[Scenario], names: Sequence[str] | None) -> list[Condition]:
    known = conditions_of(scenario_class)
    if not known:
        raise ConditionError(
            f"scenario {scenario_class.id!r} has no conditions; put baseline.toml into a folder conditions/ beside it"
        )
    if names is None:
        return list(known.values())
    for name in names:
        if name not in known:
            raise ConditionError(
                f"scenario {scenario_class.id!r} has no condition {name!r}; {did_you_mean(name, known)}"
            )
    return [known[name] for name in names]


def _numbers(seeds: int | Sequence[int]) -> list[int]:
    numbers = list(range(seeds)) if isinstance(seeds, int) else [check_seed(seed) for seed in seeds]
    if not numbers or len(set(numbers)) != len(numbers):
        raise UsageError(f"seeds = {seeds!r}: give a count of at least 1, or seeds that differ")
    return numbers


def _cases(
    check: Check,
    lab: Lab,
    known: ScenarioReference,
    conditions: Sequence[Condition],
    limits: Mapping[str, float | bool],
    *,
    first: bool,
) -> Iterator[Case]:
    """Yield the cases that a check looks at with one seed."""
    by_name = {condition.name: condition for condition in conditions}
    if check.per == "condition":
        for condition in conditions:
            yield Case(lab, known, by_name, limits, condition)
    elif check.per == "seed" or first:
        yield Case(lab, known, by_name, limits, None)


class _Tally:
    """Counts what one check finds."""

    def __init__(self, check: Check, known: ScenarioReference) -> None:
        self.check = check
        self._known = known
        self._cases = 0
        self._failures = 0
        self._findings: list[Finding] = []
        self._seconds = 0.0

    def look(self, case: Case) -> None:
        """Make the check on one case."""
        begun = time.perf_counter()
        applies, findings = self.check.made(case)
        self._seconds += time.perf_counter() - begun
        self._cases += applies
        if findings:
            self._failures += 1
            self._findings += findings[: MOST_FINDINGS - len(self._findings)]

    def result(self) -> CheckResult:
        """Return what it came to."""
        return CheckResult(
            name=self.check.name,
            status="failed" if self._failures else "ok" if self._cases else "idle",
            summary=self.check.summary,
            cases=self._cases,
            failures=self._failures,
            findings=self._findings,
            seconds=self._seconds,
        )
