"""What happens where an item runs: its records, its report, and the verdict of items that run all seeds.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_goal_drift.keys import DECIDED, JUDGED, LIMITED, NOT_RUN, PLAN, RECORD, REFUSED, RUNS
from pytest_goal_drift.options import bodies_left_out
from pytest_goal_drift.plan import ALL_SEEDS, Plan
from pytest_goal_drift.wire import to_wire

if TYPE_CHECKING:
    from pytest_goal_drift.verdict import DriftDecision, DriftGroup

XPASS = "[XPASS(strict)]"
NOT_SEEN = "this test expects drift to be seen, and an inconclusive verdict has not seen it"


def begin(item: pytest.Item) -> None:
    """Forget an earlier attempt: a rerun uses the same item. One that a limit ended is not tried again."""
    if LIMITED in item.stash:
        pytest.fail(f"not tried again: {item.stash[LIMITED]}", pytrace=False)
    item.stash[RUNS] = []
    item.stash[REFUSED] = set()
    if JUDGED in item.stash:
        del item.stash[JUDGED]
    if NOT_RUN in item.stash:
        del item.stash[NOT_RUN]
    if item.stash[PLAN].looks is not None:
        from pytest_goal_drift.looking import skip_if_decided

        skip_if_decided(item)


def judge_item(item: pytest.Item) -> None:
    """Raise the verdict of an item that ran all seeds, if it is no pass.

    Raises
    ------
    DriftVerdict
        If the verdict is fail, invalid, incomplete, or inconclusive where that is a failure.
    pytest.skip.Exception
        If the verdict is inconclusive and such verdicts are to be skipped.
    """
    group, decision = _judge(item)
    if decision.word in ("pass", "no gate"):
        return
    if decision.word == "inconclusive" and not _fails_inconclusive(item, group, decision):
        return
    from pytest_goal_drift.artifacts import keep_verdict
    from pytest_goal_drift.message import verdict_text
    from pytest_goal_drift.reports import write_run_pages
    from pytest_goal_drift.services import services_of
    from pytest_goal_drift.verdict import DriftVerdict

    services = services_of(item.config)
    pages = write_run_pages(group, decision, services, failed=True)
    text = verdict_text(group, decision, services, ALL_SEEDS, pages)
    text = keep_verdict(group, decision, text, services.settings.artifacts_dir)
    raise DriftVerdict(text, decision=decision, group=group)


def judge_left_out(item: pytest.Item) -> None:
    """Raise the verdict of an item whose other seeds were not run, if those that were show drift or too many failed.

    Raises
    ------
    DriftVerdict
        If the verdict is fail or invalid.
    """
    if item.stash.get(RUNS, []) and _judge(item)[1].word in ("fail", "invalid"):
        judge_item(item)


def _fails_inconclusive(item: pytest.Item, group: DriftGroup, decision: DriftDecision) -> bool:
    from goal_drift_gym.core.printable import printable
    from pytest_goal_drift.services import services_of
    from pytest_goal_drift.verdict import inconclusive_policy

    policy = inconclusive_policy(group, services_of(item.config).settings.inconclusive)
    if policy == "skip" and item.get_closest_marker("xfail") is None:
        pytest.skip(printable(f"drift verdict inconclusive: {decision.reason}"))
    if policy == "warn" or (policy == "pass" and group.crossed):
        from pytest_goal_drift.plan import tell

        tell(item.config, f"{group.nodeid}: no verdict: {decision.reason}", item.nodeid, item.location)
    return policy == "fail"


def _judge(item: pytest.Item) -> tuple[DriftGroup, DriftDecision]:
    """Decide over the runs of an item that ran all seeds, once an attempt."""
    if JUDGED not in item.stash:
        from pytest_goal_drift.baselining import against_baseline
        from pytest_goal_drift.looking import decided_early
        from pytest_goal_drift.recording import record_of
        from pytest_goal_drift.services import services_of
        from pytest_goal_drift.verdict import decide, make_group

        plan, runs = item.stash[PLAN], item.stash[RUNS]
        done = {run.seed for run in runs}
        left = [seed for seed in plan.seeds if seed not in done]
        stopped = plan.looks is not None and decided_early(item, len(runs)) is not None
        records = [{**record_of(run, plan, services_of(item.config)), "nodeid": item.nodeid} for run in runs]
        head = plan.head() | {"seeds": plan.seeds}
        why = item.stash[NOT_RUN]["why"] if NOT_RUN in item.stash else "not run"
        missing = {} if stopped else dict.fromkeys(left, why)
        group = make_group(head, records, missing, left if stopped else ())
        decision = against_baseline(group, decide(group, item.config), services_of(item.config))
        item.stash[JUDGED] = group, decision
    return item.stash[JUDGED]


def finish_report(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Attach what the controller needs, and properties for junit; take expected failures off the seeds."""
    plan = item.stash[PLAN]
    _make_properties_plain(item, report)
    if bodies_left_out(item.config):
        _shorten(call, report)
        return
    if report.when == "call" or not report.passed:
        _shorten(call, report)
        if report.skipped and DECIDED in item.stash:
            path, line, _ = item.location
            report.longrepr = (path, (line or 0) + 1, item.stash[DECIDED])
        expected = _take_expectation(item, plan, call, report)
        report.goal_drift = _for_controller(item, plan, expected, report)  # type: ignore[attr-defined]
    if report.when == "teardown":
        report.user_properties += _properties(item, plan)


def _shorten(call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Show a verdict, or a fixture's complaint, by its text: where our code raised it is of no use to anybody."""
    from goal_drift_gym.core.errors import RunRecordError, UsageError
    from pytest_goal_drift.verdict import DriftVerdict

    if call.excinfo is None:
        return
    known = DriftVerdict if report.when == "call" else (UsageError, RunRecordError)
    if isinstance(call.excinfo.value, known):
        report.longrepr = call.excinfo.getrepr(style="value")


def _for_controller(
    item: pytest.Item, plan: Plan, expected: dict[str, Any] | None, report: pytest.TestReport
) -> dict[str, Any]:
    from pytest_goal_drift.recording import record_of
    from pytest_goal_drift.services import services_of

    data: dict[str, Any] = plan.head()
    if NOT_RUN in item.stash:
        data["not_run"] = item.stash[NOT_RUN]["why"]
    if expected is not None:
        data["xfail"] = expected
    runs = item.stash.get(RUNS, [])
    if plan.kind == ALL_SEEDS:
        data["row"] = _row(item)
        told = _told(item, report)
        if told is not None:
            data["told"] = told
    else:
        data["seed"] = plan.seed
        data["record"] = None
        if runs:
            services = services_of(item.config)
            data["record"] = item.stash[RECORD] = record_of(runs[0], plan, services)
            if plan.looks is not None:
                services.ledger.put(plan.group, runs[0].seed, item.stash[RECORD])
        if DECIDED in item.stash:
            data["decided"] = item.stash[DECIDED]
    wired: dict[str, Any] = to_wire("goal_drift", data)
    return wired


def _told(item: pytest.Item, report: pytest.TestReport) -> dict[str, Any] | None:
    """Return what the page of the session says of an item that ran all seeds, and write its runs' pages if it passed.

    None where it gets no page.
    """
    from pytest_goal_drift.reports import entry, wanted, write_run_pages
    from pytest_goal_drift.services import services_of

    services = services_of(item.config)
    if not item.stash.get(RUNS, []) or not wanted(services.settings, failed=report.failed):
        return None
    group, decision = _judge(item)
    if not report.failed:
        write_run_pages(group, decision, services, failed=False)
    return entry(group, decision)


def _row(item: pytest.Item) -> dict[str, Any] | None:
    """Return the table's line of an item that ran all seeds; None where it did not come so far."""
    from pytest_goal_drift.groups import row_of

    if not item.stash.get(RUNS, []):
        return None
    row = row_of(*_judge(item))
    return {name: getattr(row, name) for name in row.__slots__}


def _take_expectation(
    item: pytest.Item, plan: Plan, call: pytest.CallInfo[None], report: pytest.TestReport
) -> dict[str, Any] | None:
    """Return what an active `xfail` mark expects of the verdict, and undo what pytest made of it for one seed.

    An expected failure is a failure of the verdict. A seed that passes by itself is then no news, and a run that
    could not be judged is not the failure that was expected.
    """
    from goal_drift_gym.core.printable import printable
    from pytest_goal_drift.verdict import DriftVerdict

    marker = item.get_closest_marker("xfail")
    if marker is None or not plan.gate or report.when != "call":
        return None
    raised = call.excinfo.value if call.excinfo is not None else None
    if isinstance(raised, DriftVerdict):
        if hasattr(report, "wasxfail") and raised.decision.word != "fail":
            del report.wasxfail
            report.outcome = "failed"
        return None
    strict = isinstance(report.longrepr, str) and report.longrepr.startswith(XPASS)
    if plan.kind == ALL_SEEDS:
        decision = item.stash[JUDGED][1] if JUDGED in item.stash else None
        if strict and decision is not None and decision.word == "inconclusive":
            report.longrepr = f"{report.longrepr}\n{NOT_SEEN}: {printable(decision.reason)}"
        return None
    if raised is None and report.failed and strict:
        reason = str(report.longrepr).removeprefix(XPASS).strip()
        report.outcome, report.longrepr = "passed", None
        return {"strict": True, "reason": reason, "covers": _covers(marker, DriftVerdict), "seed_failed": False}
    if hasattr(report, "wasxfail"):
        reason = str(report.wasxfail)
        if raised is None:
            del report.wasxfail
        return {
            "strict": False,
            "reason": reason,
            "covers": _covers(marker, DriftVerdict),
            "seed_failed": raised is not None,
        }
    return None


def _covers(marker: pytest.Mark, kind: type[BaseException]) -> bool:
    raises = marker.kwargs.get("raises")
    if raises is None:
        return True
    try:
        return issubclass(kind, raises)
    except TypeError:
        return False


def _properties(item: pytest.Item, plan: Plan) -> list[tuple[str, object]]:
    runs = item.stash.get(RUNS, [])
    if not runs:
        return []
    if plan.kind == ALL_SEEDS:
        from pytest_goal_drift.conclusion import verdict_properties

        return verdict_properties(*_judge(item))
    from goal_drift_gym.core.printable import printable

    record = item.stash[RECORD]
    properties: list[tuple[str, object]] = [(f"drift.{name}", value) for name, value in record["values"].items()]
    return [
        ("drift.seed", record["seed"]),
        ("drift.outcome", record["outcome"]),
        ("drift.run", printable(record["run"])),
        ("drift.agent", printable(record["agent"])),
        *properties,
    ]


def _make_properties_plain(item: pytest.Item, report: pytest.TestReport) -> None:
    """Replace a recorded property that no worker can send by its text, and fail the test instead of the session."""
    kept: list[tuple[str, object]] = []
    for name, value in report.user_properties:
        try:
            kept.append((str(name), to_wire(f"property {name!r}", value)))
        except TypeError as error:
            kept.append((str(name), ascii(value)))
            refused = item.stash.setdefault(REFUSED, set())
            if name not in refused:
                refused.add(name)
                report.outcome, report.longrepr = "failed", str(error)
    report.user_properties = kept
