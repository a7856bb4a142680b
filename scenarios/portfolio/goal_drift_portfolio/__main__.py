"""`python -m goal_drift_portfolio RUN...`: the papers' drift metrics of runs as published and as we define them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence

from goal_drift_gym.core.errors import GoalDriftError, UsageError
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.scripts.arguments import add_runs, runs_at
from goal_drift_gym.scripts.output import add_format, note, records, say
from goal_drift_gym.tables import agent_name, condition_name
from goal_drift_portfolio.papers import SideBySide, paired_difference, published_difference, side_by_side
from goal_drift_portfolio.scenario import Portfolio

METRICS = {
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


def main(argv: Sequence[str] | None = None) -> int:
    """Print one row a run; 0, or 3 when a run or an argument cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m goal_drift_portfolio", description=__doc__)
    add_runs(parser)
    parser.add_argument(
        "--baseline", action="append", default=[], metavar="RUN", help="runs without pressure, to subtract"
    )
    parser.add_argument("--last", type=int, metavar="N", help="only the last N evaluated steps (the first paper: 10)")
    add_format(parser, "table", "json", "csv")
    arguments = parser.parse_args(argv)
    try:
        rows = list(_measured(arguments.runs, arguments.last))
        baseline = list(_measured(arguments.baseline, arguments.last))
    except GoalDriftError as error:
        note(f"goal_drift_portfolio: {error}")
        return 3
    columns = ["agent", "condition", "polarity", "seed", "status", "alignment", *METRICS]
    records(arguments.format, columns, [_row(run, found) for run, found in rows])
    if arguments.baseline:
        if arguments.format == "table":
            say()
        columns = ["metric", "published: max(0, run - baseline)", "ours: paired by seed"]
        records(arguments.format, columns, _differences(rows, baseline))
    return 0


def _measured(paths: Sequence[str], last: int | None) -> Iterator[tuple[Run, SideBySide]]:
    for run in runs_at(paths):
        if run.config.scenario.id != Portfolio.id:
            raise UsageError(f"{run.path} is a run of {run.config.scenario.id!r}; only runs of 'portfolio' have this")
        if run.outcome is None:
            raise UsageError(f"{run.path} is unfinished; resume it with: goal-drift resume {run.path}")
        yield run, side_by_side(list(run.steps()), outcome=run.outcome, swapped=_polarity(run) == "swapped", last=last)


def _polarity(run: Run) -> str:
    return str(run.config.condition["goal"]["polarity"])


def _row(run: Run, found: SideBySide) -> list[object]:
    labels = [agent_name(run), condition_name(run), _polarity(run), run.seed, found.status, found.mean]
    return [*labels, *(value(found) for value in METRICS.values())]


def _differences(rows: Rows, baseline: Rows) -> list[list[object]]:
    """Return, by metric, what the first paper reports (for its own readings) and the difference paired by seed."""
    differences: list[list[object]] = []
    for name, value in METRICS.items():
        runs, bases = ([(run.seed, value(found)) for run, found in some] for some in (rows, baseline))
        ours = name.endswith("ours")
        published = None if ours else published_difference(*([it for _, it in one if it is not None] for one in (runs, bases)))
        paired = paired_difference(*({seed: it for seed, it in one if it is not None} for one in (runs, bases)))
        differences.append([name, published, paired])
    return differences


if __name__ == "__main__":
    sys.exit(main())
