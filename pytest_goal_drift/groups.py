"""What is known of each group of seeds while a session runs, and the line it gets in the table.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pytest_goal_drift.plan import ALL_SEEDS, HEAD
from pytest_goal_drift.wire import parse_seeds

if TYPE_CHECKING:
    import pytest

    from pytest_goal_drift.verdict import DriftDecision, DriftGroup

SCORED = "scored"
LOST = "no report arrived"
SETUP_FAILED = "set-up failed"
SKIPPED = "skipped"
DESELECTED = "deselected"
STOPPED = "not reached before the session stopped"


@dataclass(slots=True)
class GroupState:
    """What is known of one group so far."""

    head: dict[str, Any]
    """What `plan.Plan.head` says, with `seeds` parsed."""
    location: tuple[str, int | None, str]
    selected: set[int] | None = None
    """Seeds that were not deselected; None while no plan arrived."""
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The first attempt of each seed."""
    without: dict[int, str] = field(default_factory=dict)
    """Seeds that reported and gave no run, and why."""
    refused: set[int] = field(default_factory=set)
    """Seeds that a limit of the session kept from being run to their end."""
    decided: set[int] = field(default_factory=set)
    """Seeds that were not run because an earlier look had decided."""
    nodeids: dict[int, str] = field(default_factory=dict)
    expected: list[dict[str, Any]] = field(default_factory=list)
    """What an `xfail` mark of the test expects."""
    reruns: int = 0
    whole: dict[str, Any] | None = None
    """The first attempt of an item that ran all seeds."""
    whole_said: str = ""
    """What the report of that attempt says, if it failed."""
    last_outcome: str = ""
    order: int = 0
    """Place in the collection."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> GroupState:
        """Return the state of a group of which nothing but a plan or a report is known."""
        head = {key: data[key] for key in HEAD}
        head["seeds"] = parse_seeds(data["seeds"])
        path, _, name = data["group"].partition("::")
        return cls(head, (path, None, name))

    def take_plan(self, plan: Mapping[str, Any], order: int) -> None:
        """Learn what was collected."""
        path, line, domain = plan["location"]
        self.location = (path, line, domain)
        self.order = order
        selected = set(parse_seeds(plan["selected"]))
        self.selected = selected if self.selected is None else self.selected | selected

    def take_report(self, report: pytest.TestReport, data: Mapping[str, Any]) -> None:
        """Keep the first attempt of each seed."""
        self.last_outcome = str(report.outcome)
        if data["kind"] == ALL_SEEDS:
            if report.when != "call" and "not_run" not in data:
                return
            if self.whole is None:
                self.whole = dict(data)
                self.whole_said = str(report.longreprtext) if report.failed else ""
            else:
                self.reruns += 1
            return
        seed, record = data["seed"], data["record"]
        self.nodeids[seed] = report.nodeid
        if "xfail" in data:
            self.expected.append(data["xfail"])
        if "not_run" in data:
            self.refused.add(seed)
        if "decided" in data:
            self.decided.add(seed)
        elif record is None:
            self.without[seed] = data.get("not_run") or (SKIPPED if report.skipped else SETUP_FAILED)
        elif seed not in self.records:
            self.records[seed] = {**record, "nodeid": report.nodeid}
            self.without.pop(seed, None)
        elif report.when == "call":
            self.reruns += 1

    @property
    def is_run(self) -> bool:
        """Whether nothing of the group is left that might still be run."""
        if self.head["kind"] == ALL_SEEDS:
            return self.whole is not None
        return all(why == SKIPPED for why in self.missing(False).values())

    def missing(self, stopped: bool) -> dict[int, str]:
        """Return the seeds without a run, and why."""
        found: dict[int, str] = {}
        for seed in self.head["seeds"]:
            if seed in self.records or seed in self.decided:
                continue
            if seed in self.without:
                found[seed] = self.without[seed]
            elif self.selected is not None and seed not in self.selected:
                found[seed] = DESELECTED
            else:
                found[seed] = STOPPED if stopped else LOST
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table."""

    nodeid: str
    scenario: str
    condition: str
    agent: str
    done: int
    planned: int
    word: str
    note: str = ""
    final_mean: float | None = None
    final_min: float | None = None
    worst: str = ""
    expected: bool = False
    """An `xfail` mark asks for this."""
    valid: int = 0
    dead: int = 0
    not_needed: int = 0
    """Seeds left out because an earlier look had decided."""
    runs: int = 0
    """Episodes: two a seed with twins."""
    course: str = ""
    """How the score went in the mean over the scored seeds, packed."""
    told: str = ""
    """What the report of the verdict says, where it is no pass; known where results are shown."""


def row_of(group: DriftGroup, decision: DriftDecision) -> Row:
    """Return the line of a group."""
    looked_at = group.looked_at(decision)
    found = (seed.values.get("final_level") for seed in looked_at.seeds)
    levels = [float(level) for level in found if level is not None]
    return Row(
        nodeid=group.nodeid,
        scenario=group.scenario,
        condition=group.condition,
        agent=group.agent,
        done=len(group.seeds),
        planned=len(group.planned),
        word=decision.word,
        note=decision.reason,
        final_mean=sum(levels) / len(levels) if levels else None,
        final_min=min(levels) if levels else None,
        worst=_worst(looked_at),
        valid=sum(seed.status == SCORED for seed in group.seeds),
        dead=sum(seed.status == "dead" for seed in group.seeds),
        not_needed=len(group.not_needed),
        runs=sum(1 if seed.twin is None else 2 for seed in group.seeds),
        course=_course(looked_at),
    )


def _course(group: DriftGroup) -> str:
    from goal_drift_gym.report.sparkline import mean_course, pack, unpack

    return pack(mean_course([unpack(seed.course) for seed in group.seeds if seed.course]))


def _worst(group: DriftGroup) -> str:
    """Return the limit that most seeds crossed, with the worst value; a twin's is the difference."""
    found: dict[str, list[Any]] = {}
    for seed in group.seeds:
        for crossing in seed.crossings:
            if crossing.kind == "crossed":
                found.setdefault(crossing.limit.name, []).append((crossing.value, crossing.limit.better))
    if not found:
        return ""
    name = max(found, key=lambda key: len(found[key]))
    values = [value for value, _ in found[name]]
    worst = min(values) if found[name][0][1] == "higher" else max(values)
    return f"{name} {worst:.3g}" if isinstance(worst, float) else f"{name} {worst}"
