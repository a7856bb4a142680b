"""Collecting what the items report: in the process that shows the results.

Everything here fails closed: what was planned and did not arrive is said, and is no pass. PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import tempfile
from collections.abc import Generator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.budgeting import SessionSpendings
from pytest_goal_drift.options import bodies_left_out
from pytest_goal_drift.progress import Progress

if TYPE_CHECKING:
    from pytest_goal_drift.groups import GroupState, Row
    from pytest_goal_drift.plan import GroupPlan


class Controller:
    """Registered where results are shown: the only process, or the one that directs xdist's workers."""

    def __init__(self, config: pytest.Config) -> None:
        self.config = config
        self.states: dict[str, GroupState] = {}
        self.rows: list[Row] = []
        self.totals: list[str] = []
        """Lines on what was planned and what was run, and where there is more to see."""
        self.spending = SessionSpendings(config)
        self._usage_error: str | None = None
        self._ledger: tempfile.TemporaryDirectory[str] | None = None
        self._internal_error = False
        self._lost_worker = False
        self._stopped = True
        self._session: pytest.Session | None = None
        self._progress = Progress(config)
        self.retry: dict[str, list[str]] = {}
        """Node id of a verdict -> the items to run again for it."""

    def take_plan(self, groups: Mapping[str, Mapping[str, Any]]) -> None:
        """Learn what was collected; all workers tell the same."""
        for order, (name, plan) in enumerate(groups.items()):
            self._state({**plan, "group": name}).take_plan(plan, order)

    def take_local_plan(self, groups: Mapping[str, GroupPlan]) -> None:
        """Learn what was collected in this process."""
        self.take_plan({name: group.to_wire() for name, group in groups.items()})

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Tell a worker where runs go: it may be started elsewhere."""
        at_once = self._side_by_side()
        if self._ledger is None and (at_once or self._looks()):
            # Beside the run directories it would outlive a session that is killed in them.
            self._ledger = tempfile.TemporaryDirectory(prefix="goal-drift-", ignore_cleanup_errors=True)
        node.workerinput["goal_drift"] = {
            "session": self.session_name,
            "root": str(self.config.rootpath),
            "start": str(self.config.invocation_params.dir),
            "ledger": self._ledger.name if self._ledger is not None and self._looks() else None,
            "claims": self._ledger.name if self._ledger is not None and at_once else None,
            "spending": self.spending.handed(),
        }

    @cached_property
    def session_name(self) -> str:
        """Name of this session, or of the one it goes on with."""
        if self.config.getoption("drift_resume"):
            from pytest_goal_drift.services import services_of

            return services_of(self.config).session.name
        from goal_drift_gym.core.provenance import session_name

        return session_name()

    def _looks(self) -> bool:
        return ":" in str(self.config.getoption("drift_seeds") or self.config.getini("drift_seeds"))

    def _side_by_side(self) -> bool:
        return bool(self.config.getoption("drift_concurrency") or self.config.getini("drift_concurrency"))

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object) -> None:
        """Take what a worker collected; one that was killed has nothing to say."""
        self._lost_worker = self._lost_worker or error is not None
        output = getattr(node, "workeroutput", {})
        self._usage_error = output.get("goal_drift_error", self._usage_error)
        self.take_plan(output.get("goal_drift", {}))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the first attempt of each seed, and what was not run."""
        self.spending.take_report(report)
        data = getattr(report, "goal_drift", None)
        if data is not None:
            self._state(data).take_report(report, data)
        self._progress.take_report(report, self._session, self.states)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self, session: pytest.Session) -> Generator[None, object, object]:
        """Run the tests, then make the verdicts: the last moment at which failures count for the exit status."""
        stopped = True
        self._session = session
        try:
            result = yield
            stopped = self._stopped = bool(session.shouldstop or session.shouldfail)
        finally:
            self._session = None
            if self.states and not bodies_left_out(self.config):
                self._conclude(session, stopped)
            self.spending.conclude(self.states)
        if self._usage_error is not None:
            raise pytest.UsageError(self._usage_error)
        return result

    def pytest_internalerror(self) -> None:
        """Remember that pytest, or a worker, broke."""
        self._internal_error = True

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Have `--lf` run the seeds of a failed verdict, and never let a broken session end as a success."""
        if self._ledger is not None:
            if self._side_by_side():
                from pytest_goal_drift.claims import drop_left

                drop_left(Path(self._ledger.name))
            self._ledger.cleanup()
        self.spending.close()
        if self.states:
            self._end_session(session)
        if self._internal_error and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.INTERNAL_ERROR
        cache = getattr(self.config, "cache", None)
        if cache is None or not self.retry:
            return
        failed = cache.get("cache/lastfailed", {})
        for verdict, items in self.retry.items():
            if failed.pop(verdict, None) is not None:
                failed.update(dict.fromkeys(items, True))
        cache.set("cache/lastfailed", failed)

    def _end_session(self, session: pytest.Session) -> None:
        """Have the session not be gone on with, if all that was planned was run."""
        from pytest_goal_drift.services import services_of

        ran = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        broken = self._stopped or self._internal_error or self._lost_worker
        if ran and not broken and all(state.is_run for state in self.states.values()):
            services_of(self.config).session.finish()

    def _state(self, data: Mapping[str, Any]) -> GroupState:
        state = self.states.get(data["group"])
        if state is None:
            from pytest_goal_drift.groups import GroupState

            state = self.states[data["group"]] = GroupState.of(data)
        return state

    def _conclude(self, session: pytest.Session, stopped: bool) -> None:
        from pytest_goal_drift.conclusion import Conclusion
        from pytest_goal_drift.terminal import totals

        conclusion = Conclusion(session, stopped)
        self.rows += conclusion.conclude(sorted(self.states.values(), key=lambda state: state.order))
        self.totals = totals(self.rows)
        if conclusion.told:
            from pytest_goal_drift.reports import write_session_page
            from pytest_goal_drift.services import services_of

            line = write_session_page(self.session_name, conclusion.told, services_of(self.config))
            self.totals += [] if line is None else [line]
        self.retry = conclusion.retry
