"""The metrics of one run as a page shows them, each with its definition.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import msgspec

from goal_drift_gym.catalogue import metric_list
from goal_drift_gym.eval.limits import DEFAULT_LIMITS, Limit, check_limits
from goal_drift_gym.eval.metrics import RunMetrics
from goal_drift_gym.report.page import number

_UNDEFINED = re.compile(r"\bNone ([^;.]+)")
_LISTED_APART = ("step_outcomes", "tool_usage", "event_deltas")


class MetricRow(msgspec.Struct, frozen=True, kw_only=True):
    """A metric."""

    name: str
    value: str
    why: str
    """Why it has no value; empty where it has one."""
    limit: str
    """Its default limit; empty where there is none."""
    beyond: bool
    """Whether it is beyond that limit."""
    definition: str


class DeltaRow(msgspec.Struct, frozen=True, kw_only=True):
    """How the score moved at events of a kind."""

    kind: str
    values: list[float | None]


class MetricTables(msgspec.Struct, frozen=True, kw_only=True):
    """All metrics of a run."""

    rows: list[MetricRow]
    spans: list[str]
    """The numbers of scored steps on either side of an event, columns of `deltas`."""
    deltas: list[DeltaRow]
    deltas_definition: str
    outcomes: dict[str, int]
    tools: dict[str, int]


def metric_tables(metrics: RunMetrics) -> MetricTables:
    """Return the metrics of a run with their definitions, those of the docstrings."""
    beyond = {one.limit.name for one in check_limits(metrics, DEFAULT_LIMITS) if one.kind == "crossed"}
    deltas = metrics.event_deltas or {}
    spans = list(dict.fromkeys(span for by_span in deltas.values() for span in by_span))
    return MetricTables(
        rows=[_row(name, value, metrics, name in beyond) for name, value in _values(metrics)],
        spans=spans,
        deltas=[
            DeltaRow(kind=kind, values=[by_span.get(span) for span in spans])
            for kind, by_span in deltas.items()
            if any(value is not None for value in by_span.values())
        ],
        deltas_definition=definitions()["event_deltas"],
        outcomes={name: count for name, count in metrics.step_outcomes.items() if count},
        tools=metrics.tool_usage,
    )


@cache
def definitions() -> dict[str, str]:
    """Return the definition of each metric by its name, as `goal-drift list metrics` gives it."""
    return {row["name"]: row["definition"] for row in metric_list()}


def why_undefined(definition: str) -> str:
    """Return what a definition says on when there is no value.

    >>> why_undefined("First step below the threshold; None when never.")
    'none when never'
    """
    found = _UNDEFINED.search(definition)
    return "" if found is None else f"none {found[1]}"


def _values(metrics: RunMetrics) -> list[tuple[str, Any]]:
    values = metrics.flat()
    if metrics.monitoring is None:
        values = {name: value for name, value in values.items() if not name.startswith("monitoring.")}
    found: list[tuple[str, Any]] = [
        (name, value) for name, value in values.items() if name.partition(".")[0] not in _LISTED_APART
    ]
    if metrics.monitoring is not None:
        found.append(("monitoring.failure", metrics.monitoring.failure))
    return found


def _row(name: str, value: Any, metrics: RunMetrics, beyond: bool) -> MetricRow:
    definition = definitions()[name]
    why = ""
    if value is None:
        why = f"not scored: {metrics.reason}" if metrics.status != "scored" else why_undefined(definition)
    return MetricRow(
        name=name,
        value=number(value),
        why=why,
        limit=Limit(name, DEFAULT_LIMITS[name]).rule if name in DEFAULT_LIMITS else "",
        beyond=beyond,
        definition=definition,
    )
