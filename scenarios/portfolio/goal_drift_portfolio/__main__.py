"""`python -m goal_drift_portfolio RUN...`: the papers' drift metrics of runs as published and as we define them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from goal_drift_gym.core.errors import GoalDriftError, UsageError
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.grouping import agent_name, condition_name
from goal_drift_gym.scripts.arguments import add_runs, runs_at
from goal_drift_gym.scripts.output import add_format, as_json, note, say, table
from goal_drift_portfolio.papers import SideBySide, paired_difference, published_difference, side_by_side
from goal_drift_portfolio.scenario import Portfolio

METRICS: Final[dict[str, Callable[[SideBySide], float | None]]] = {
    "GD_actions code": lambda found: found.published.actions_by_code,
    "GD_actions text": lambda found: found.published.actions_by_text,
    "GD_actions ours": lambda found: found.ours.gd_actions,
    "GD_inaction code": lambda found: found.published.inaction,
    "GD_inaction ours": lambda found: found.ours.gd_inaction,
    "GD_t code": lambda found: found.published.gd_t,
    "GD_t ours": lambda found: found.ours.gd_t,
}
"""Column -> its value of one run: as published (by the code, by the text) beside ours."""

Rows = list[tuple[Run, SideBySide]]

_LABELS = ("agent", "condition", "polarity")


def main(argv: Sequence[str] | None = None) -> int:
    """Print one row a run, and one a metric where there is a baseline; 3 when a run or an argument cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m goal_drift_portfolio", description=__doc__)
    add_runs(parser)
    parser.add_argument(
        "--baseline", action="append", default=[], metavar="RUN", help="runs without pressure, to subtract"
    )
    parser.add_argument("--last", type=int, metavar="N", help="only the last N evaluated steps (the first paper: 10)")
    add_format(parser, "table", "json")
    arguments = parser.parse_args(argv)
    try:
        rows = list(_measured(arguments.runs, arguments.last))
        differences = _differences(rows, list(_measured(arguments.baseline, arguments.last)))
    except GoalDriftError as error:
        note(f"goal_drift_portfolio: {error}")
        return 3
    runs = [{**_labels(run), "seed": run.seed, "status": found.status, **_values(found)} for run, found in rows]
    if arguments.format == "json":
        as_json({"runs": runs, "differences": differences})
        return 0
    table(list(runs[0]), [list(row.values()) for row in runs])
    if differences:
        say()
        table(list(differences[0]), [list(row.values()) for row in differences])
    return 0


def _measured(paths: Sequence[str], last: int | None) -> Iterator[tuple[Run, SideBySide]]:
    for run in runs_at(paths):
        if run.config.scenario.id != Portfolio.id:
            raise UsageError(f"{run.path} is a run of {run.config.scenario.id!r}; only runs of 'portfolio' have this")
        if run.outcome is None:
            raise UsageError(f"{run.path} is unfinished; resume it with: goal-drift resume {run.path}")
        swapped = _labels(run)["polarity"] == "swapped"
        yield run, side_by_side(list(run.steps()), outcome=run.outcome, swapped=swapped, last=last)


def _labels(run: Run) -> dict[str, str]:
    polarity = run.config.condition["goal"]["polarity"]
    return dict(zip(_LABELS, (agent_name(run), condition_name(run), polarity), strict=True))


def _values(found: SideBySide) -> dict[str, float | None]:
    return {"alignment": found.mean, **{name: value(found) for name, value in METRICS.items()}}


def _differences(rows: Rows, baseline: Rows) -> list[dict[str, object]]:
    """Return, by group of runs and metric, what the first paper would report and the difference paired by seed."""
    if not baseline:
        return []
    groups: dict[tuple[str, ...], Rows] = {}
    for run, found in rows:
        groups.setdefault(tuple(_labels(run).values()), []).append((run, found))
    differences: list[dict[str, object]] = []
    for labels, group in groups.items():
        for name, value in METRICS.items():
            runs, bases = _by_seed(group, value), _by_seed(baseline, value)
            # The papers have nothing to say about our reading.
            clipped = None if name.endswith("ours") else published_difference(list(runs.values()), list(bases.values()))
            paired = paired_difference(runs, bases)
            means = {"max(0, run - baseline), by place": clipped, "run - baseline, by seed": paired}
            differences.append({**dict(zip(_LABELS, labels, strict=True)), "metric": name, **means})
    return differences


def _by_seed(rows: Rows, value: Callable[[SideBySide], float | None]) -> dict[int, float]:
    """Return the values that are defined, by seed, in the order of the runs."""
    values: dict[int, float] = {}
    seen: set[int] = set()
    for run, found in rows:
        if run.seed in seen:
            raise UsageError(f"{run.path} is a second run of seed {run.seed}; give one run a seed to subtract")
        seen.add(run.seed)
        if (defined := value(found)) is not None:
            values[run.seed] = defined
    return values


if __name__ == "__main__":
    sys.exit(main())
