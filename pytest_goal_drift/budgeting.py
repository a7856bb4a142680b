"""What the processes of a session may spend together, and which tests and seeds were not run because of it.

A seed that a limit of the session kept from being run, or from being run to its end, gives no run to any verdict: it
is missing, with the limit as the reason. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.keys import CONTROLLER, LIMITED, NOT_RUN, PLAN, RUNS

if TYPE_CHECKING:
    from goal_drift_gym.core.budget import Budget
    from goal_drift_gym.core.errors import BudgetSpent
    from goal_drift_gym.core.rundir import Run
    from pytest_goal_drift.groups import GroupState
    from pytest_goal_drift.settings import Settings

_MOST_LINES = 40


def in_use(config: pytest.Config) -> bool:
    """Return whether somebody asked for limits or prices."""
    names = ("drift_budget", "drift_prices")
    return any(config.getoption(name) or config.getini(name) for name in names)


def shared_budget(config: pytest.Config, settings: Settings) -> Budget | None:
    """Return the budget with the place where all processes of the session count; None where nobody asked for one."""
    if settings.budget is None:
        return None
    handed = getattr(config, "workerinput", {}).get("goal_drift", {}).get("spending")
    if handed is None and CONTROLLER in config.stash:
        handed = config.stash[CONTROLLER].spending.handed()
    # Where nothing is run, nothing is counted.
    return settings.budget if handed is None else settings.budget.shared(**handed)


class SessionSpendings:
    """Where the processes of a session count, and what they report of it; in the process that shows the results."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._directory: tempfile.TemporaryDirectory[str] | None = None
        self._began = time.monotonic()
        self._not_run: list[dict[str, Any]] = []
        self.lines: list[str] = []
        """What there is to say of it at the end."""

    def handed(self) -> dict[str, Any] | None:
        """Return what a process needs to count with the others, as plain data; None where nobody asked for it."""
        if not in_use(self._config):
            return None
        if self._directory is None:
            self._directory = tempfile.TemporaryDirectory(prefix="goal-drift-spent-", ignore_cleanup_errors=True)
        return {"directory": self._directory.name, "began": self._began}

    def take_report(self, report: pytest.TestReport) -> None:
        """Remember what was not run."""
        told = getattr(report, "goal_drift_not_run", None)
        if told is not None and told not in self._not_run:
            self._not_run.append(told)

    def conclude(self, states: Mapping[str, GroupState]) -> None:
        """Write down what was spent, what was not run, and which runs a limit ended."""
        if self._directory is None:
            return
        from goal_drift_gym.core.printable import printable
        from goal_drift_gym.core.session_spending import spending_in
        from pytest_goal_drift.services import services_of

        budget = services_of(self._config).settings.budget
        spent = spending_in(self._directory.name).by_role()
        told = [*self._missing(), *_ended(states)]
        if len(told) > _MOST_LINES:
            told[_MOST_LINES:] = [f"and {len(told) - _MOST_LINES} more"]
        if spent or told:
            self.lines = [f"budget: {budget}"] if budget is not None and budget.limits else []
            self.lines += [f"spent by {role}: {amount}" for role, amount in spent.items()]
            self.lines += told
            self.lines = list(map(printable, self.lines))

    def _missing(self) -> Iterable[str]:
        left: dict[tuple[str, str], list[int]] = {}
        for told in self._not_run:
            seeds = list(told["seeds"])
            if told["run"]:
                yield f"cut off: {told['test']} {_seeds(seeds[:1])} in {told['run']}: {told['why']}"
                del seeds[:1]
            left.setdefault((told["test"], told["why"]), []).extend(seeds)
        for (test, why), seeds in left.items():
            if seeds:
                yield f"not run: {test} {_seeds(seeds)}: {why}"

    def close(self) -> None:
        """Remove what the processes counted."""
        if self._directory is not None:
            from goal_drift_gym.core.session_spending import close_spending

            close_spending(self._directory.name)
            self._directory.cleanup()


def _ended(states: Mapping[str, GroupState]) -> Iterable[str]:
    for name, state in states.items():
        for seed, record in sorted(state.records.items()):
            if record.get("limit"):
                yield f"ended early: {_test(name)} seed {seed} ({record['run']}): {record['limit']}"


def whole(run: Run) -> Run:
    """Return a run, unless a limit of the session cut it off.

    Raises
    ------
    BudgetSpent
        If it did.
    """
    from goal_drift_gym.core.account import limit_told
    from goal_drift_gym.core.errors import BudgetSpent

    why = limit_told(run.meta, "session")
    if why:
        raise BudgetSpent(why, run.path)
    return run


@contextmanager
def within_budget(item: pytest.Item, seeds: Iterable[int] | None = None) -> Generator[None]:
    """Skip an item whose seeds a limit of the session kept from being run; no verdict is made of the rest of them.

    It fails where it would be lost in silence otherwise: with `--drift-strict`, if no verdict tells of it.

    Parameters
    ----------
    seeds
        Seeds that are run inside; None: all of the item.
    """
    from goal_drift_gym.core.account import limit_told
    from goal_drift_gym.core.errors import BudgetSpent

    refusal: BudgetSpent | None = None
    try:
        yield
    except BudgetSpent as error:
        refusal = error
    for run in item.stash.get(RUNS, []):
        why = limit_told(run.meta)
        if why:
            item.stash[LIMITED] = why
    if refusal is not None:
        _leave_out(item, seeds, refusal)


def _leave_out(item: pytest.Item, seeds: Iterable[int] | None, refusal: BudgetSpent) -> None:
    from pytest_goal_drift.options import bodies_left_out
    from pytest_goal_drift.plan import ONE_SEED
    from pytest_goal_drift.services import services_of
    from pytest_goal_drift.worker import judge_left_out

    services = services_of(item.config)
    done = {run.seed for run in item.stash.get(RUNS, [])}
    plan = item.stash.get(PLAN, None)
    wanted = plan.seeds if seeds is None and plan is not None else seeds or ()
    item.stash[NOT_RUN] = {
        "test": item.nodeid if plan is None else _test(plan.group),
        "seeds": [seed for seed in wanted if seed not in done],
        "why": str(refusal),
        "run": "" if refusal.run is None else services.relative(refusal.run),
    }
    told = f"not run{'' if refusal.run is None else ' to its end'}: {refusal}"
    a_verdict_tells = plan is not None and plan.gate and plan.kind == ONE_SEED
    if plan is not None and plan.gate and not a_verdict_tells and not bodies_left_out(item.config):
        judge_left_out(item)
    if services.settings.strict and not a_verdict_tells:
        pytest.fail(told, pytrace=False)
    pytest.skip(told)


def tell_not_run(item: pytest.Item, report: pytest.TestReport) -> None:
    """Attach to a report what was not run, and show the test as the place."""
    if NOT_RUN not in item.stash or report.when == "teardown":
        return
    report.goal_drift_not_run = item.stash[NOT_RUN]  # type: ignore[attr-defined]
    if report.skipped and isinstance(report.longrepr, tuple):
        path, line, _ = item.location
        report.longrepr = (path, (line or 0) + 1, report.longrepr[2])


def _seeds(seeds: Iterable[int]) -> str:
    from pytest_goal_drift.wire import format_seeds

    ordered = tuple(sorted(seeds))
    return f"seed {ordered[0]}" if len(ordered) == 1 else f"seeds {format_seeds(ordered)}"


def _test(group: str) -> str:
    return group.replace("[all_seeds]", "").replace("[all_seeds-", "[")
