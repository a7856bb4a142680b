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


def print_groups(runs: Sequence[Run], kind: str, by: Sequence[str] | None = None) -> None:
    """Print grouped statistics as `table`, `json` or `csv`."""
    from goal_drift_gym.tables import STANDARD_GROUP, group_rows

    rows = group_rows(runs, by=by)
    names = [*(STANDARD_GROUP if by is None else by)]
    columns = [*names, *(_SHORT.get(name, name) if kind == "table" else name for name in _COLUMNS)]
    records(
        kind,
        columns,
        [[*(row.group[name] for name in names), *(getattr(row, name) for name in _COLUMNS)] for row in rows],
    )
