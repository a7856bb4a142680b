"""Many scenarios and seeds checked in several processes.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor

import msgspec

from goal_drift_gym.testing.checking import check_scenario
from goal_drift_gym.testing.checks import CHECKS
from goal_drift_gym.testing.report import CheckReport, merged

_SEEDS_A_PART = 10


class CheckJob(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario to check, in words another process understands."""

    scenario: str
    seeds: list[int]
    conditions: list[str] | None
    only: list[str] | None
    limits: dict[str, float | bool]

    def made(self) -> CheckReport:
        """Check it in this process."""
        return check_scenario(
            self.scenario, seeds=self.seeds, conditions=self.conditions, only=self.only, limits=self.limits
        )

    def parts(self) -> list[CheckJob]:
        """Return jobs of a few seeds each that make up this one; what is checked once is in the first."""
        each = [name for name, check in CHECKS.items() if check.per != "scenario" and name in (self.only or CHECKS)]
        parts = []
        for at in range(0, len(self.seeds), _SEEDS_A_PART):
            only = self.only if at == 0 else each
            if only != []:
                seeds = self.seeds[at : at + _SEEDS_A_PART]
                parts.append(msgspec.structs.replace(self, seeds=seeds, only=only))
        return parts


def check_many(
    jobs: Sequence[CheckJob], *, workers: int = 1, report: Callable[[int, str], None] | None = None
) -> list[CheckReport]:
    """Check scenarios and return their reports, in order.

    Parameters
    ----------
    jobs
        What to check.
    workers
        Processes; the reports are the same for any number, but for the seconds.
    report
        Called with how many parts there are and which one is done.

    Raises
    ------
    UsageError, ScenarioError
        As `check_scenario` does.
    """
    parts = [(place, part) for place, job in enumerate(jobs) for part in job.parts()]
    done: dict[int, list[CheckReport]] = {place: [] for place in range(len(jobs))}

    def keep(place: int, part: CheckJob, made: CheckReport) -> None:
        done[place].append(made)
        if report is not None:
            report(len(parts), f"{part.scenario} seeds {part.seeds[0]} to {part.seeds[-1]}")

    if workers == 1:
        for place, part in parts:
            keep(place, part, part.made())
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(workers, len(parts)), mp_context=context) as pool:
            for (place, part), made in zip(parts, pool.map(CheckJob.made, [part for _, part in parts]), strict=True):
                keep(place, part, made)
    return [merged(reports) for reports in done.values()]
