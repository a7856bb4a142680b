"""One verdict a test at the end of a session, reported as if a test of its own had run.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import Any, Literal

import pytest

from pytest_goal_drift.artifacts import keep_verdict
from pytest_goal_drift.groups import LOST, SETUP_FAILED, GroupState, Row, row_of
from pytest_goal_drift.message import verdict_text
from pytest_goal_drift.plan import ALL_SEEDS, seed_id
from pytest_goal_drift.services import services_of
from pytest_goal_drift.verdict import DriftDecision, DriftGroup, DriftVerdict, decide, make_group

Outcome = Literal["passed", "failed", "skipped"]
_PHASES: tuple[Literal["setup", "call", "teardown"], ...] = ("setup", "call", "teardown")
_NO_PASS = ("fail", "invalid", "incomplete")


class Conclusion:
    """Makes and reports the verdicts of a session."""

    def __init__(self, session: pytest.Session, stopped: bool) -> None:
        self.retry: dict[str, list[str]] = {}
        """Node id of a verdict -> the items to run again for it."""
        self._session = session
        self._stopped = stopped
        self._config = session.config
        self._services = services_of(session.config)

    def conclude(self, state: GroupState) -> list[Row]:
        """Make the verdict of a group, report it, and return its line of the table."""
        if state.head["kind"] == ALL_SEEDS:
            return [self._conclude_whole(state)]
        missing = state.missing(self._stopped)
        if state.selected is not None and not state.selected and not state.records:
            return []
        head = {**state.head, "reruns": state.reruns}
        group = make_group(head, list(state.records.values()), missing)
        decision = decide(group, self._config)
        row = row_of(group, decision)
        if decision.word in ("no gate", "not run") and not (group.gate and LOST in missing.values()):
            return [row]
        text = verdict_text(group, decision, self._services, state.head["kind"])
        if decision.word != "pass":
            text = keep_verdict(group, decision, text, self._services.settings.artifacts_dir)
        error = DriftVerdict(text, decision=decision, group=group)
        outcome, extra = self._outcome(group, decision, state)
        self.retry[group.nodeid] = [
            state.nodeids.get(seed, group.nodeid.replace("all_seeds", seed_id(seed))) for seed in group.planned
        ]
        self._emit(state, outcome, error, extra, verdict_properties(group, decision))
        return [row]

    def _outcome(self, group: DriftGroup, decision: DriftDecision, state: GroupState) -> tuple[Outcome, dict[str, Any]]:
        """Return how the verdict is reported, in the light of an `xfail` mark and of `--drift-strict`."""
        expected = next((entry for entry in state.expected if entry["covers"]), None)
        seed_failed = any(entry["seed_failed"] for entry in state.expected)
        if decision.word == "pass":
            if expected is None or seed_failed:
                return "passed", {}
            if any(entry["strict"] for entry in state.expected):
                return "failed", {"longrepr": f"[XPASS(strict)] {expected['reason']}".strip()}
            return "passed", {"wasxfail": expected["reason"]}
        if decision.word == "fail" and expected is not None:
            return "skipped", {"wasxfail": expected["reason"]}
        if decision.word == "incomplete" and not self._services.settings.strict and not _broken(group):
            path, line, _ = state.location
            return "skipped", {"longrepr": (path, (line or 0) + 1, f"drift verdict incomplete: {decision.reason}")}
        return "failed", {}

    def _conclude_whole(self, state: GroupState) -> Row:
        row = Row(**state.whole["row"]) if state.whole and state.whole["row"] else _empty_row(state)
        name = state.head["group"]
        if state.head["gate"] and not state.last_outcome and not self._stopped:
            self._emit(state, "failed", AssertionError(f"goal drift verdict incomplete: {LOST} of {name}"), {}, [])
        if state.reruns and row.word in _NO_PASS and state.last_outcome == "passed":
            text = (
                f"goal drift verdict {row.word}: the first attempt counts, and {state.reruns} later attempts are "
                f"ignored; see the report of {name}"
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
        ("drift.reason", decision.reason),
        ("drift.seeds_done", len(group.seeds)),
        ("drift.seeds_planned", len(group.planned)),
        ("drift.scenario", group.scenario),
        ("drift.condition", group.condition),
        ("drift.agent", group.agent),
    ]
