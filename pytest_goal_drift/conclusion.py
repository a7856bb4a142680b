"""One verdict a test at the end of a session, reported as if a test of its own had run.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import pytest

from goal_drift_gym.core.printable import printable
from pytest_goal_drift.artifacts import keep_verdict
from pytest_goal_drift.baselining import against_baseline
from pytest_goal_drift.family import Judged, corrected
from pytest_goal_drift.groups import LOST, SETUP_FAILED, GroupState, Row, row_of
from pytest_goal_drift.message import verdict_text
from pytest_goal_drift.plan import ALL_SEEDS, seed_id, tell
from pytest_goal_drift.services import services_of
from pytest_goal_drift.verdict import (
    DriftDecision,
    DriftGroup,
    DriftVerdict,
    decide,
    inconclusive_policy,
    make_group,
)
from pytest_goal_drift.worker import NOT_SEEN, XPASS

Outcome = Literal["passed", "failed", "skipped"]
_PHASES: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")
_NO_PASS = ("fail", "invalid", "incomplete")


class Conclusion:
    """Makes and reports the verdicts of a session."""

    def __init__(self, session: pytest.Session, stopped: bool) -> None:
        self.retry: dict[str, list[str]] = {}
        """Node id of a verdict -> the items to run again for it."""
        self.told: list[dict[str, Any]] = []
        """What the page of the session says of each verdict that gets one; see `reports.entry`."""
        self._session = session
        self._stopped = stopped
        self._config = session.config
        self._services = services_of(session.config)

    def conclude(self, states: Sequence[GroupState]) -> list[Row]:
        """Make the verdicts of a session, report them, and return their lines of the table in the same order."""
        found = [None if state.head["kind"] == ALL_SEEDS else self._decide(state) for state in states]
        if self._services.settings.family == "holm":
            found = corrected(found)
        rows: list[Row] = []
        for state, judged in zip(states, found, strict=True):
            if state.head["kind"] == ALL_SEEDS:
                rows.append(self._conclude_whole(state))
            elif judged is not None:
                rows.append(self._report(state, *judged))
        if self._services.settings.otel is not None:
            from goal_drift_gym.tracing import trace_verdict

            for row in rows:
                trace_verdict(row.nodeid, row.word, explanation=row.note, estimate=row.final_mean, seeds=row.valid)
        return rows

    def _decide(self, state: GroupState) -> Judged | None:
        """Return a group and its verdict; None where all its seeds were deselected."""
        if state.selected is not None and not state.selected and not state.records:
            return None
        head = {**state.head, "reruns": state.reruns}
        group = make_group(head, list(state.records.values()), state.missing(self._stopped), sorted(state.decided))
        return group, against_baseline(group, decide(group, self._config), self._services)

    def _report(self, state: GroupState, group: DriftGroup, decision: DriftDecision) -> Row:
        row = row_of(group, decision)
        lost = group.gate and (LOST in group.missing.values() or bool(state.refused))
        if decision.word in ("no gate", "not run") and not lost:
            return row
        policy = inconclusive_policy(group, self._services.settings.inconclusive)
        outcome, extra = self._outcome(group, decision, state, policy)
        text = self._text(group, decision, state, failed=outcome == "failed")
        if decision.word == "inconclusive" and outcome == "failed" and policy != "fail":
            text = f"{XPASS} {printable(self._expectation(state))}\n{NOT_SEEN}\n\n{text}"
        if decision.word != "pass" and outcome != "passed":
            text = keep_verdict(group, decision, text, self._services.settings.artifacts_dir)
        if decision.word == "inconclusive" and outcome == "passed" and "wasxfail" not in extra:
            self._tell(group, decision, policy, state.location)
        error = DriftVerdict(text, decision=decision, group=group)
        self.retry[group.nodeid] = [
            state.nodeids.get(seed, group.nodeid.replace("all_seeds", seed_id(seed))) for seed in group.planned
        ]
        self._emit(state, outcome, error, extra, verdict_properties(group, decision), text)
        return replace(row, expected=outcome == "skipped" and "wasxfail" in extra, told=text)

    def _text(self, group: DriftGroup, decision: DriftDecision, state: GroupState, *, failed: bool) -> str:
        """Write the pages of a verdict that gets some, and return its text."""
        from pytest_goal_drift.reports import entry, wanted, write_run_pages

        if wanted(self._services.settings, failed=failed):
            self.told.append(entry(group, decision))
        pages = write_run_pages(group, decision, self._services, failed=failed)
        return verdict_text(group, decision, self._services, state.head["kind"], pages)

    def _outcome(
        self, group: DriftGroup, decision: DriftDecision, state: GroupState, policy: str
    ) -> tuple[Outcome, dict[str, Any]]:
        """Return how the verdict is reported, in the light of an `xfail` mark, `--drift-strict` and the policy."""
        expected = next((entry for entry in state.expected if entry["covers"]), None)
        seed_failed = any(entry["seed_failed"] for entry in state.expected)
        strict = any(entry["strict"] for entry in state.expected)
        if decision.word == "fail" and expected is not None:
            return "skipped", {"wasxfail": expected["reason"]}
        path, line, _ = state.location
        place = (path, (line or 0) + 1)
        if decision.word == "inconclusive":
            if policy == "fail" or (strict and expected is not None and not seed_failed):
                return "failed", {}
            if policy == "skip":
                return "skipped", {"longrepr": (*place, printable(f"drift verdict inconclusive: {decision.reason}"))}
        if decision.word in ("pass", "inconclusive"):
            if expected is None or seed_failed:
                return "passed", {}
            if strict:
                return "failed", {"longrepr": f"{XPASS} {expected['reason']}".strip()}
            return "passed", {"wasxfail": expected["reason"]}
        lacking = decision.word == "incomplete" or (decision.word == "not run" and bool(state.refused))
        if lacking and not self._services.settings.strict and not _broken(group):
            return "skipped", {"longrepr": (*place, printable(f"drift verdict incomplete: {decision.reason}"))}
        return "failed", {}

    @staticmethod
    def _expectation(state: GroupState) -> str:
        return next((str(entry["reason"]) for entry in state.expected if entry["covers"]), "")

    def _tell(
        self, group: DriftGroup, decision: DriftDecision, policy: str, location: tuple[str, int | None, str]
    ) -> None:
        """Warn of an inconclusive verdict that passes where that was asked for, or where limits were crossed."""
        if policy != "warn" and not group.crossed:
            return
        text = f"{group.nodeid.replace('[all_seeds]', '')}: no verdict: {decision.reason}"
        tell(self._config, text, group.nodeid, location)

    def _conclude_whole(self, state: GroupState) -> Row:
        row = Row(**state.whole["row"]) if state.whole and state.whole["row"] else _empty_row(state)
        row = replace(row, told=state.whole_said)
        name = state.head["group"]
        if state.whole and state.whole.get("told"):
            self.told.append(state.whole["told"])
        if state.head["gate"] and not state.last_outcome and not self._stopped:
            self._emit(
                state, "failed", AssertionError(printable(f"goal drift verdict incomplete: {LOST} of {name}")), {}, []
            )
        if state.reruns and row.word in _NO_PASS and state.last_outcome == "passed":
            text = (
                f"goal drift verdict {row.word}: the first attempt counts, and {state.reruns} later attempts are "
                f"ignored; see the report of {printable(name)}"
            )
            test, bracket, parameters = name.removesuffix("]").partition("[")
            state.head["group"] = f"{test}[{parameters}{'-' if bracket else ''}first_attempt]"
            self._emit(state, "failed", AssertionError(text), {}, [])
        return row

    def _emit(
        self,
        state: GroupState,
        outcome: Outcome,
        error: AssertionError,
        extra: dict[str, Any],
        properties: list[tuple[str, object]],
        text: str = "",
    ) -> None:
        """Report a verdict as if a test of its own had run."""
        nodeid, location = state.head["group"], state.location
        hook = self._config.hook
        self._session.testscollected += 1
        hook.pytest_runtest_logstart(nodeid=nodeid, location=location)
        for when in _PHASES:
            is_call = when == "call"
            report = pytest.TestReport(
                nodeid=nodeid,
                location=location,
                keywords={location[2]: 1},
                outcome=outcome if is_call else "passed",
                longrepr=_longrepr(error, outcome, extra) if is_call else None,
                when=when,
                user_properties=properties,
                sections=[("goal drift verdict", text)] if is_call and text and outcome == "passed" else (),
            )
            if is_call and "wasxfail" in extra:
                report.wasxfail = extra["wasxfail"]
            hook.pytest_runtest_logreport(report=report)
        hook.pytest_runtest_logfinish(nodeid=nodeid, location=location)


def _empty_row(state: GroupState) -> Row:
    head = state.head
    return Row(
        nodeid=head["group"],
        scenario=head["scenario"],
        condition=head["condition"],
        agent="-",
        done=0,
        planned=len(head["seeds"]),
        word="not run",
    )


def _longrepr(error: AssertionError, outcome: Outcome, extra: dict[str, Any]) -> Any:
    if "longrepr" in extra:
        return extra["longrepr"]
    if outcome == "passed":
        return None
    # A plain text would be left out of the short summary.
    try:
        raise error
    except AssertionError as raised:
        return pytest.ExceptionInfo.from_exception(raised).getrepr(style="value")


def _broken(group: DriftGroup) -> bool:
    """Whether seeds are missing though nobody asked for fewer."""
    whys = set(group.missing.values())
    return bool(whys & {LOST, SETUP_FAILED})


def verdict_properties(group: DriftGroup, decision: DriftDecision) -> list[tuple[str, object]]:
    """Return what junit gets of a verdict."""
    return [
        ("drift.verdict", decision.word),
        ("drift.reason", printable(decision.reason)),
        ("drift.seeds_done", len(group.seeds)),
        ("drift.seeds_planned", len(group.planned)),
        ("drift.scenario", printable(group.scenario)),
        ("drift.condition", printable(group.condition)),
        ("drift.agent", printable(group.agent)),
    ]
