"""What the conformance kit found.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from goal_drift_gym.core.printable import printable

MOST_FINDINGS = 3
"""Findings of a check that are kept; the others are counted."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One way in which a scenario does not hold what a check asks for."""

    expected: str
    got: str
    mend: str = ""
    """How to put it right."""
    condition: str | None = None
    seed: int | None = None
    step: int | None = None
    agent: str | None = None
    """Name of the reference agent that was driven."""
    again: str = ""
    """Command that shows the finding again."""

    @property
    def place(self) -> str:
        """Where it was seen, in a few words; empty where it holds for the scenario as a whole."""
        parts = [
            f"condition {self.condition}" if self.condition is not None else "",
            f"agent {self.agent}" if self.agent is not None else "",
            f"seed {self.seed}" if self.seed is not None else "",
            f"step {self.step}" if self.step is not None else "",
        ]
        return ", ".join(part for part in parts if part)

    def __str__(self) -> str:
        lines = [self.place] if self.place else []
        lines += [f"expected: {self.expected}", f"got:      {self.got}"]
        if self.mend:
            lines.append(f"mend:     {self.mend}")
        if self.again:
            lines.append(f"again:    {self.again}")
        # What a scenario returned or raised must not have a line of its own.
        return "\n".join(map(printable, lines))


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What one check came to."""

    name: str
    status: Literal["ok", "failed", "idle"]
    """`idle`: nothing in the scenario or its conditions is of the kind that the check looks at."""
    summary: str
    """What the check asks for."""
    cases: int
    """How many cases were looked at: conditions x seeds, seeds, or one."""
    failures: int
    """In how many of them something was found."""
    findings: list[Finding]
    """The first of what was found."""
    seconds: float


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What all checks of one scenario came to."""

    scenario: str
    reference: str
    """What to write to have the scenario again."""
    conditions: list[str]
    seeds: list[int]
    results: list[CheckResult]

    @property
    def failed(self) -> list[CheckResult]:
        """The checks that found something."""
        return [result for result in self.results if result.status == "failed"]

    @property
    def ok(self) -> bool:
        """Whether there were checks, and none found anything."""
        return bool(self.results) and not self.failed

    def __str__(self) -> str:
        failed = self.failed
        cases = sum(result.cases for result in self.results)
        head = f"scenario {self.scenario}: {len(self.results) - len(failed)} of {len(self.results)} checks hold"
        lines = [f"{head} ({cases} cases, {len(self.seeds)} seeds)"]
        for result in failed:
            lines.append(f"\n{result.name}: {result.summary} ({result.failures} of {result.cases} cases)")
            for finding in result.findings:
                lines += ["  " + line for line in str(finding).splitlines()]
        return "\n".join(lines)


def merged(reports: Sequence[CheckReport]) -> CheckReport:
    """Return one report of several on the same scenario with different seeds.

    Raises
    ------
    ValueError
        If there is none, or they are about different scenarios.
    """
    if len({report.reference for report in reports}) != 1:
        raise ValueError("reports of exactly one scenario can be merged")
    by_name: dict[str, list[CheckResult]] = {}
    seeds = dict.fromkeys(seed for report in reports for seed in report.seeds)
    for report in reports:
        for result in report.results:
            by_name.setdefault(result.name, []).append(result)
    return msgspec.structs.replace(
        reports[0],
        seeds=list(seeds),
        results=[_merged(results) for results in by_name.values()],
    )


def _merged(results: Iterable[CheckResult]) -> CheckResult:
    several = list(results)
    statuses = {result.status for result in several}
    return msgspec.structs.replace(
        several[0],
        status="failed" if "failed" in statuses else "ok" if "ok" in statuses else "idle",
        cases=sum(result.cases for result in several),
        failures=sum(result.failures for result in several),
        findings=[finding for result in several for finding in result.findings][:MOST_FINDINGS],
        seconds=sum(result.seconds for result in several),
    )
