"""What there is to say of each group of a suite in a minute's reading.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from typing import Final

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.printable import printable
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.verdict import Verdict
from goal_drift_gym.eval.verdict_text import without_metrics
from goal_drift_gym.grouping import GroupKey, told_apart
from goal_drift_gym.report.markdown import Summary
from goal_drift_gym.report.seeds import SeedView, counting, scored, values_of
from goal_drift_gym.report.sparkline import in_parts, mean_course
from goal_drift_gym.report.story import story
from goal_drift_gym.report.suite import Suite, SuiteGroup

_WIDTH: Final = 110


def summaries(suite: Suite) -> list[Summary]:
    """Return what there is to say of each group of a suite.

    Of each seed the run that counts is told of; see `judging.counting_runs`.

    Raises
    ------
    RunRecordError
        If a directory is damaged.
    """
    # Groups of tests have the names of their tests.
    shown = told_apart({group.key for group in suite.groups if group.title == group.key.title})
    return [_summary(group, shown.get(group.key, group.key)) for group in suite.groups]


def _summary(group: SuiteGroup, shown: GroupKey) -> Summary:
    seeds = counting(group.read())
    levels = values_of(seeds, "final_level")
    horizon = max((seed.length for seed in seeds), default=0)
    courses = [in_parts(zip(seed.steps, seed.scores, strict=True), horizon) for seed in scored(seeds)]
    worst = None if group.verdict is None else group.verdict.worst_seed
    found = next((seed for seed in seeds if seed.seed == worst), None)
    return Summary(
        title=shown.scenario if group.title == group.key.title else group.title,
        condition=shown.condition,
        agent=shown.agent,
        word=group.word,
        scored=len(scored(seeds)),
        planned=len(seeds) + len(group.missing),
        final_level=math.fsum(levels) / len(levels) if levels else None,
        course=mean_course(courses),
        worst="" if found is None else _crossing(found),
        told="" if group.word == "pass" else "\n".join(_told(group, found)),
    )


def _crossing(seed: SeedView) -> str:
    if not seed.crossed:
        return ""
    value = seed.metric(seed.crossed[0])
    return f"seed {seed.seed}: {seed.crossed[0]}" + (f" {value:.3g}" if isinstance(value, float) else "")


def _told(group: SuiteGroup, worst: SeedView | None) -> Iterator[str]:
    yield printable(group.reason) if group.verdict is None else _evidence(group.verdict)
    if worst is None or group.word == "inconclusive":
        return
    yield ""
    yield f"worst seed {worst.seed}:"
    try:
        yield from (f"  {line}" for line in story(list(Run(worst.path).steps())))
    except RunRecordError:
        yield "  its step log cannot be read"
    place = shlex.quote(f"runs/{worst.place}")
    yield printable(f"  run:    {worst.place}")
    yield printable(f"  check:  goal-drift verify {place}")
    yield printable(f"  look:   goal-drift show {place}")


def _evidence(verdict: Verdict) -> str:
    return without_metrics(verdict).to_text(width=_WIDTH)
