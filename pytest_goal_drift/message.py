"""The text of a verdict that is no pass.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from goal_drift_gym.core.printable import counted, printable
from goal_drift_gym.report.story import story
from pytest_goal_drift.plan import ALL_SEEDS
from pytest_goal_drift.reports import worst_seeds

if TYPE_CHECKING:
    from pytest_goal_drift.services import Services
    from pytest_goal_drift.verdict import DriftDecision, DriftGroup, DriftSeed

_MOST_SEEDS = 1
_MOST_IN_ONE_LINE = 12
_WIDTH = 110


def verdict_text(
    group: DriftGroup, decision: DriftDecision, services: Services, kind: str, pages: dict[int, Path] | str
) -> str:
    """Return what a reader needs in the first minute: what was crossed, where, after what, and how to look closer.

    `pages` is what `reports.write_run_pages` returned.
    """
    lines = _lines(group, decision, services, kind, {} if isinstance(pages, str) else pages, pages)
    # Line by line: a name or an error that holds a newline must not have a line of its own.
    return "\n".join(map(printable, lines))


def _lines(
    group: DriftGroup, decision: DriftDecision, services: Services, kind: str, pages: Mapping[int, Path], said: object
) -> Iterator[str]:
    yield f"goal drift verdict {decision.word}: {decision.reason or 'no reason given'}"
    yield f"  scenario {group.scenario}, condition {group.condition}, agent {group.agent}"
    if group.without:
        yield f"  judged by the difference to the same seed without {' and '.join(group.without)}"
    if decision.against:
        yield f"  judged by the difference to baseline {decision.against} (A); B are the runs of this session"
    yield from _evidence(group, decision)
    if group.reruns:
        yield f"  {group.reruns} later attempts are ignored: the first attempt of a seed counts"
    worst = worst_seeds(group, decision)
    for seed in worst[:_MOST_SEEDS]:
        yield ""
        yield from _seed(seed, services, group, kind, pages.get(seed.seed))
    rest = worst[_MOST_SEEDS:]
    if rest:
        yield ""
        yield f"{counted(len(rest), 'more seed')}:"
        for seed in rest[:_MOST_IN_ONE_LINE]:
            page = pages.get(seed.seed)
            place = _shown(seed, services) if page is None else services.shown(page)
            yield f"  seed {seed.seed}: {_crossings(seed, limits=False)}; {place}"
        if len(rest) > _MOST_IN_ONE_LINE:
            yield f"  and {len(rest) - _MOST_IN_ONE_LINE} more"
    if group.missing and decision.word in ("fail", "invalid"):
        yield f"{len(group.missing)} of {len(group.planned)} seeds gave no run"
    if isinstance(said, str):
        yield said


def _evidence(group: DriftGroup, decision: DriftDecision) -> Iterator[str]:
    from goal_drift_gym.eval.limits import Limit
    from goal_drift_gym.eval.verdict_text import without_metrics

    if decision.verdict is None or not decision.verdict.metrics:
        yield "  limits: " + ", ".join(Limit(name, value).rule for name, value in group.limits.items())
        return
    for line in without_metrics(decision.verdict).to_text(width=_WIDTH, ascii_only=True).splitlines():
        yield f"  {line}".rstrip()


def _seed(seed: DriftSeed, services: Services, group: DriftGroup, kind: str, page: Path | None) -> Iterator[str]:
    from goal_drift_gym.core.errors import GoalDriftError
    from goal_drift_gym.core.rundir import load_run

    worst = "worst seed" if len(group.crossed) > 1 and seed.crossed else "seed"
    yield f"{worst} {seed.seed}: {_crossings(seed)}"
    path = services.config.rootpath / seed.run
    try:
        run = load_run(path)
        if seed.status == "scored":
            lines = story(list(run.steps()))
        else:
            detail = str((run.meta or {}).get("detail") or "")
            reason = str(run.metrics.get("reason") or "")
            lines = [f"the run ended as {seed.outcome}" + "".join(f": {text}" for text in (detail, reason) if text)]
    except (GoalDriftError, OSError) as error:
        lines = [f"the run cannot be read: {error}"]
    for line in lines:
        yield f"  {line}"
    shown = shlex.quote(_shown(seed, services))
    if page is not None:
        yield f"  report: {services.shown(page)}"
    yield f"  run:    {_shown(seed, services)}"
    if seed.twin is not None:
        yield f"  twin:   {services.shown(services.config.rootpath / seed.twin.run)}"
    yield f"  check:  goal-drift verify {shown}"
    yield f"  look:   goal-drift show {shown}"
    yield f"  again:  {_again(seed, services, kind)}"


def _crossings(seed: DriftSeed, *, limits: bool = True) -> str:
    from goal_drift_gym.eval.limits import Limit

    if seed.status != "scored":
        return f"not scored ({seed.status if seed.status == 'dead' else seed.outcome})"
    parts = []
    for crossing in seed.crossings:
        limit: Limit = crossing.limit
        if crossing.kind == "undefined":
            parts.append(f"{limit.name} is undefined{f' (limit {limit.rule})' if limits else ''}")
        else:
            kind = " difference" if seed.twin is not None else ""
            told = f" (limit {limit.rule})" if limits else ""
            parts.append(f"{limit.name}{kind} {_number(crossing.value)}{told}")
    return ", ".join(parts)


def _number(value: float | int | bool | None) -> str:
    return f"{value:.4g}" if isinstance(value, float) else repr(value)


def _again(seed: DriftSeed, services: Services, kind: str) -> str:
    flags = list(services.settings.rerun_flags)
    if kind == ALL_SEEDS:
        flags = [flag for flag in flags if not flag.startswith("--drift-seeds")]
        flags.append(f"--drift-seeds={seed.seed}-{seed.seed}")
    # Node ids start at the root directory, and the command is written where pytest was started.
    file, colons, rest = seed.nodeid.partition("::")
    return shlex.join(["pytest", services.shown(services.config.rootpath / file) + colons + rest, *flags])


def _shown(seed: DriftSeed, services: Services) -> str:
    """Return the run directory as it can be written where pytest was started."""
    return services.shown(services.config.rootpath / seed.run)
