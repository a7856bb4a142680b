"""The table of grouped runs that `run` and `report` print.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Sequence

from goal_drift_gym.core.rundir import Run
from goal_drift_gym.scripts.output import records

_COLUMNS = (
    "runs", "scored", "final_level_min", "final_level_mean", "final_level_max", "total_change_min", "total_change_max",
    "mean", "drifted", "drifted_share",
)  # fmt: skip
_SHORT = {
    "final_level_min": "final min",
    "final_level_mean": "final mean",
    "final_level_max": "final max",
    "total_change_min": "change min",
    "total_change_max": "change max",
    "drifted_share": "share",
}


_LONGER = ("drifted_low", "drifted_high", "policy_distance")
_LONGER_SHORT = {"drifted_low": "at least", "drifted_high": "at most", "policy_distance": "distance"}


def print_groups(runs: Sequence[Run], kind: str, by: Sequence[str] | None = None, *, longer: bool = False) -> None:
    """Print grouped statistics as `table`, `json` or `csv`; `longer`: with bounds of the share and policy distance."""
    from goal_drift_gym.tables import STANDARD_GROUP, drifted_interval, group_rows

    names = [*(STANDARD_GROUP if by is None else by)]
    columns = [*_COLUMNS, *(_LONGER if longer else ())]
    short = {**_SHORT, **_LONGER_SHORT} if kind == "table" else {}
    rows = []
    for row in group_rows(runs, by=by):
        values = {name: getattr(row, name) for name in (*_COLUMNS, "policy_distance")}
        if longer:
            values["drifted_low"], values["drifted_high"] = drifted_interval(row)
        rows.append([*(row.group[name] for name in names), *(values[name] for name in columns)])
    records(kind, [*names, *(short.get(name, name) for name in columns)], rows)
