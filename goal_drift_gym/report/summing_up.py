"""From run directories to what there is to say of each group's verdict.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

import msgspec

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.judging import counting_runs, group_runs, judge_runs, run_of_seed
from goal_drift_gym.report.markdown import Summary
from goal_drift_gym.report.sparkline import course, mean_course
from goal_drift_gym.report.story import story
from goal_drift_gym.tables import RunRow, is_scored, run_row

if TYPE_CHECKING:
    from goal_drift_gym.eval.verdict_records import Verdict

_WIDTH: Final = 110


def summaries(runs: Iterable[Run]) -> list[Summary]:
    """Return what there is to say of each group of runs, judged by the default limits.

    Of each seed the run that counts is judged; see `judging.counting_runs`.

    Raises
    ------
    RunRecordError
        If a directory is damaged.
    """
    found: list[Summary] = []
    for key, members in group_runs(runs).items():
        counting = counting_runs(members)
        verdict = judge_runs(counting)
        rows = [row for row in map(run_row, counting) if row.status == "scored"]
        levels = [row.final_level for row in rows if row.final_level is not None]
        found.append(
            Summary(
                title=key.scenario,
                condition=key.condition,
                agent=key.agent,
                word=verdict.status.lower(),
                scored=len(rows),
                planned=len(counting),
                final_level=math.fsum(levels) / len(levels) if levels else None,
                course=mean_course([course(run) for run in counting if is_scored(run)]),
                worst=_worst(verdict, rows),
                told="" if verdict.status == "PASS" else "\n".join(_told(verdict, counting)),
            )
        )
    return found


def shown_run(run: Run) -> str:
    """Return a run as `<scenario>/<name of its directory>`, which is the same wherever its directory lies."""
    path = run.path.resolve()
    return f"{path.parent.name}/{path.name}"


def _worst(verdict: Verdict, rows: Sequence[RunRow]) -> str:
    row = next((row for row in rows if row.seed == verdict.worst_seed), None)
    if row is None or not row.crossed:
        return ""
    name = row.crossed[0]
    value = getattr(row, name, None)
    return f"seed {row.seed}: {name}" + ("" if value is None else f" {value:.3g}")


def _told(verdict: Verdict, runs: Sequence[Run]) -> Iterator[str]:
    # What each metric says stands in the table.
    named = tuple(f"{metric.name} " for metric in verdict.metrics) + (("the limit ",) if verdict.metrics else ())
    kept = [reason for reason in verdict.reasons if not reason.startswith(named)] if named else verdict.reasons
    yield msgspec.structs.replace(verdict, reasons=kept).to_text(width=_WIDTH)
    run = None if verdict.status == "INCONCLUSIVE" else run_of_seed(runs, verdict.worst_seed)
    if run is None:
        return
    yield ""
    yield f"worst seed {run.seed}:"
    try:
        yield from (f"  {line}" for line in story(list(run.steps())))
    except RunRecordError as error:
        yield f"  the run cannot be read: {error}"
    place = shlex.quote(f"runs/{shown_run(run)}")
    yield f"  run:    {shown_run(run)}"
    yield f"  check:  goal-drift verify {place}"
    yield f"  look:   goal-drift show {place}"
