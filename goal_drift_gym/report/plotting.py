"""Which charts are made of which runs, for files.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal, NamedTuple, get_args

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.core.printable import printable
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.limits import DEFAULT_LIMITS, Limit
from goal_drift_gym.grouping import GroupKey, group_runs, told_apart
from goal_drift_gym.report.chart import Chart
from goal_drift_gym.report.figures.episode import episode_chart
from goal_drift_gym.report.figures.group import (
    comparison_chart,
    curves_chart,
    dose_chart,
    metric_chart,
    survival_chart,
    twin_chart,
)
from goal_drift_gym.report.seeds import SeedView, counting, read_seed
from goal_drift_gym.report.suite import dose_families, suite_of_runs

Figure = Literal["episode", "curves", "metric", "survival", "dose", "comparison", "twins"]
FIGURES: Final[tuple[Figure, ...]] = get_args(Figure)
OF_TWO_SIDES: Final = ("comparison", "twins")
"""Figures that need runs to compare with."""


class Plot(NamedTuple):
    """A chart, and what it is of."""

    of: str
    chart: Chart
    left_out: int
    """Runs that are not in it, because they are not scored or have no value."""


def plots(
    runs: Iterable[Run],
    figure: Figure,
    *,
    against: Iterable[Run] = (),
    limits: Mapping[str, float | bool] = DEFAULT_LIMITS,
) -> list[Plot]:
    """Return the charts of runs: one a run, a group, a group's limit, or a family of doses.

    Parameters
    ----------
    runs
        The runs; of each seed of a group the one that counts.
    figure
        `episode`: a run's score over its steps. `curves`: the seeds of a group with their mean. `metric`: the values of
        each limited metric of a group. `survival`: when the seeds of a group pass. `dose`: a metric over the intensity
        of the pressure. `comparison`: the mean of a group beside that of its counterpart in `against`. `twins`: the
        difference to the same seeds in `against`.
    against
        The other side of `comparison` and `twins`.
    limits
        The metrics of `metric`, and what counts as beyond a limit.

    Raises
    ------
    UsageError
        If nothing of these runs can be drawn so.
    RunRecordError
        If a directory is damaged.
    """
    if figure == "episode":
        found = [Plot(f"{run.path.parent.name}/{run.path.name}", episode_chart(run), 0) for run in runs]
    elif figure == "dose":
        suite = suite_of_runs(runs, name="runs")
        families = dose_families(suite)
        shown = told_apart(group.key for group in suite.groups)
        found = [
            Plot(shown[suite.groups[one.doses[-1][1]].key].title, dose_chart(one.response), one.response.missing)
            for one in families
        ]
    else:
        groups, others = _groups(runs, limits), _groups(against, limits)
        shown = told_apart(groups)
        drawn = ((key, _charts(figure, key, seeds, others, limits)) for key, seeds in groups.items())
        found = [
            Plot(shown[key].title, chart, sum(not seed.is_scored for seed in seeds))
            for key, charts in drawn
            for chart, seeds in charts
            if chart is not None
        ]
    if not found:
        raise UsageError(f"no figure {figure} can be drawn of these runs: {_NEEDS[figure]}")
    return [one._replace(chart=_titled(one)) for one in found]


_NEEDS: Final[Mapping[Figure, str]] = {
    "episode": "there is no run",
    "curves": "no group has a scored run",
    "metric": "no group has a scored run with a value of these metrics",
    "survival": "no group has a scored run",
    "dose": "no two groups differ in the intensity of their pressure alone, with a scored run at each intensity",
    "comparison": "no scenario and condition has scored runs on both sides",
    "twins": "no scenario, agent and seed has a scored run on both sides",
}


def _groups(runs: Iterable[Run], limits: Mapping[str, float | bool]) -> dict[GroupKey, list[SeedView]]:
    return {key: counting(read_seed(run, limits) for run in members) for key, members in group_runs(runs).items()}


def _charts(
    figure: Figure,
    key: GroupKey,
    seeds: Sequence[SeedView],
    others: Mapping[GroupKey, Sequence[SeedView]],
    limits: Mapping[str, float | bool],
) -> list[tuple[Chart | None, Sequence[SeedView]]]:
    """Return the charts of a group, each with the seeds that it is of."""
    if figure == "curves":
        return [(curves_chart(seeds), seeds)]
    if figure == "survival":
        return [(survival_chart(seeds), seeds)]
    if figure == "metric":
        return [(metric_chart(seeds, Limit(name, value)), seeds) for name, value in limits.items()]
    if figure == "twins":
        return [(twin_chart(seeds, one), [*seeds, *one]) for other, one in others.items() if _is_twin(key, other)]
    return [
        (comparison_chart(one, seeds, names=_names(key, other)), [*seeds, *one])
        for other, one in others.items()
        if (key.scenario, key.condition) == (other.scenario, other.condition)
    ]


def _is_twin(key: GroupKey, other: GroupKey) -> bool:
    return (key.scenario, key.version, key.agent_hash) == (other.scenario, other.version, other.agent_hash)


def _names(key: GroupKey, other: GroupKey) -> tuple[str, str]:
    return ("before", "after") if key.agent == other.agent else (other.agent, key.agent)


def _titled(plot: Plot) -> Chart:
    return msgspec.structs.replace(plot.chart, title=f"{printable(plot.of)}\n{printable(plot.chart.title)}")
