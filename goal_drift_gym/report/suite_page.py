"""The report of a suite: a page of all verdicts, and one of each group.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal
from urllib.parse import quote

import msgspec

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.printable import counted
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.limits import Limit
from goal_drift_gym.eval.twins import difference
from goal_drift_gym.eval.verdict_words import severity
from goal_drift_gym.grouping import GroupKey, told_apart
from goal_drift_gym.report.figures import group as figures
from goal_drift_gym.report.page import page
from goal_drift_gym.report.seeds import SeedView, counting, read_seed, scored, values_of
from goal_drift_gym.report.suite import DoseFamily, Suite, SuiteGroup, dose_families
from goal_drift_gym.report.verdict_view import (
    ALPHA,
    INTERVAL,
    Cell,
    bounds,
    limits_text,
    mean_cell,
    share_cell,
    short,
    verdict_view,
)
from goal_drift_gym.report.writing import write_whole

RunReports = Literal["none", "failing", "all"]

MOST_PAGES: Final = 5
"""Runs of a failing group that get a page of their own, the worst first."""
MOST_PAGES_IN_ALL: Final = 20
"""Runs of all failing groups that do; where they are many, each has fewer."""

_LOOKS: Final[dict[str, Any]] = {"script": "table.js", "sheet": "suite.css"}
_OURS = re.compile(r"[0-9]+\.html")
_TWIN_METRICS = ("mean", "final_level", "total_change")
_NO_PASS = ("fail", "invalid", "incomplete")


class IndexRow(msgspec.Struct, frozen=True, kw_only=True):
    """One group in the table of verdicts."""

    number: int
    page: str
    word: str
    title: str
    scenario: str
    condition: str
    agent: str
    scored: int
    planned: int
    """Seeds, with those that have no run."""
    final_level: Cell
    total_change: Cell
    drifted: Cell
    """Scored seeds that crossed a limit."""
    worst: int | None
    """The worst seed."""


class FamilyView(msgspec.Struct, frozen=True, kw_only=True):
    """A dose-response as pages show it."""

    told: str
    chart: Any
    pages: list[tuple[float, str]]


def write_suite_report(
    suite: Suite,
    folder: Path,
    *,
    run_reports: RunReports = "failing",
    artifacts_dir: Path | None = None,
) -> Path:
    """Write `index.html` of a suite and `groups/<number>.html` of each group.

    Parameters
    ----------
    suite
        What to report.
    folder
        Where the pages go; it is made. Pages of groups that are no longer there are removed.
    run_reports
        Which runs get a page of their own: none; `failing`: the worst of each group that does not pass; all.
    artifacts_dir
        Where pages of runs are, `<scenario>/<directory name>/report.html`; by default the parent of `folder`. Pages
        that are there are linked to, whoever wrote them.

    Returns
    -------
    Path
        `index.html`.

    Raises
    ------
    RunRecordError
        If a run directory is damaged, or a page cannot be written.
    MissingExtra
        If Jinja2 is not installed.
    """
    artifacts = folder.parent if artifacts_dir is None else artifacts_dir
    families = dose_families(suite)
    views = {place: _family_view(family) for family in families for _, place in family.doses}
    shown = told_apart(group.key for group in suite.groups)
    rows: list[IndexRow] = []
    failing = sum(map(_fails, suite.groups))
    written = 0
    for place, group in enumerate(suite.groups):
        seeds = group.read()
        if run_reports != "none":
            share = min(MOST_PAGES, max(1, MOST_PAGES_IN_ALL // max(failing, 1)), MOST_PAGES_IN_ALL - written)
            most = None if run_reports == "all" else share
            written += _write_run_reports(group, seeds, artifacts, most)
        rows.append(_index_row(place, group, shown[group.key], seeds))
        values = _group_values(group, seeds, views.get(place), _Links(artifacts, folder / "groups"))
        text = page("group.html", **_LOOKS, name=suite.name, interval=INTERVAL, **values)
        write_whole(folder / rows[-1].page, text)
    _remove_old(folder / "groups", len(rows))
    return write_whole(folder / "index.html", _index(suite, rows, families))


def _index(suite: Suite, rows: Sequence[IndexRow], families: Sequence[DoseFamily]) -> str:
    found = Counter(row.word for row in rows)
    return page(
        "index.html",
        **_LOOKS,
        name=suite.name,
        runs=sum(len(group.runs) for group in suite.groups),
        damaged=[short(told) for told in suite.damaged],
        rows=sorted(rows, key=lambda row: (severity(row.word), row.number)),
        counts=sorted(found.items(), key=lambda one: severity(one[0])),
        tests=any(group.title != group.key.title for group in suite.groups),
        families=[_family_view(family) for family in families],
        interval=INTERVAL,
    )


def _page_of(place: int) -> str:
    return f"groups/{place + 1}.html"


def _index_row(place: int, group: SuiteGroup, key: GroupKey, seeds: Sequence[SeedView]) -> IndexRow:
    once = counting(seeds)
    shown = scored(once)
    return IndexRow(
        number=place + 1,
        page=_page_of(place),
        word=group.word,
        title=short(group.title),
        scenario=short(key.scenario),
        condition=short(key.condition),
        agent=short(key.agent),
        scored=len(shown),
        planned=len(once) + len(group.missing),
        final_level=mean_cell(values_of(shown, "final_level")),
        total_change=mean_cell(values_of(shown, "total_change")),
        drifted=share_cell(sum(bool(seed.crossed) for seed in shown), len(shown)),
        worst=None if group.verdict is None else group.verdict.worst_seed,
    )


def _family_view(family: DoseFamily) -> FamilyView:
    response = family.response
    slope = response.slope
    untested = "no test, because nothing varies" if response.valid else "no test, because too many runs are missing"
    tested = untested if response.p_falling is None else f"p {response.p_falling:.3g}"
    between = bounds(slope.lower, slope.upper)
    lacking = (
        f" {response.missing} of {counted(response.runs, 'run')} have no value and are left out."
        if response.missing
        else ""
    )
    return FamilyView(
        told=f"{response.metric} changes by {slope.mean:+.3g} a unit of intensity {between} ({tested} that it does "
        f"not fall).{lacking}",
        chart=figures.dose_chart(response),
        pages=[(dose, _page_of(place)) for dose, place in family.doses],
    )


def _group_values(
    group: SuiteGroup, seeds: Sequence[SeedView], family: FamilyView | None, links: _Links
) -> dict[str, Any]:
    once = counting(seeds)
    rows = list(_seed_rows(seeds, once, links))
    linked = sum(row["page"] is not None for row in rows)
    charts = (figures.metric_chart(once, Limit(*limit), links=True) for limit in group.limits.items())
    told = None if group.verdict is None else verdict_view(group.verdict)
    return {
        "word": group.word,
        "title": short(group.title),
        "reason": short(group.reason) if told is None or group.reason not in told.reasons else "",
        "facts": _facts(group.key),
        "limits": limits_text(group.limits),
        "told": told,
        "missing": _missing_rows(group, once),
        "curves": figures.curves_chart(once),
        "rests": _rests_on(scored(once)),
        "metrics": [chart for chart in charts if chart is not None],
        "survival": figures.survival_chart(once),
        "twins": _twins(group, once),
        "family": family,
        "seeds": rows,
        "pages_left_out": f"{linked} of {len(rows)} runs have a page of their own." if linked < len(rows) else None,
    }


def _facts(key: GroupKey) -> list[tuple[str, str, str]]:
    return [
        ("scenario", short(key.scenario), short(key.version)),
        ("condition", short(key.condition), f"#{key.condition_hash}" if key.condition_hash else ""),
        ("agent", short(key.agent), f"#{key.agent_hash}" if key.agent_hash else ""),
    ]


def _rests_on(shown: Sequence[SeedView]) -> str:
    """Return over how few seeds the mean is taken where it is over fewest: seeds that end early leave the others."""
    counts = Counter(step for seed in shown for step in seed.steps)
    several = {step: count for step, count in counts.items() if count > 1}
    if not several:
        return "No step has scores of two seeds, so there is no mean."
    fewest = min(several.values())
    step = min(step for step, count in several.items() if count == fewest)
    told = f"The mean and its {INTERVAL} Student t interval are over {max(several.values())} seeds"
    return f"{told} at every step." if fewest == max(several.values()) else f"{told}, fewest {fewest} at step {step}."


def _missing_rows(group: SuiteGroup, once: Sequence[SeedView]) -> list[dict[str, Any]]:
    rows = [
        {
            "seed": seed.seed,
            "status": seed.result.status.replace("_", " "),
            "why": short(seed.why or ""),
            "place": seed.place,
        }
        for seed in once
        if not seed.is_scored
    ]
    rows += [{"seed": seed, "status": "no run", "why": why, "place": None} for seed, why in group.missing.items()]
    return sorted(rows, key=lambda row: row["seed"])


def _twins(group: SuiteGroup, once: Sequence[SeedView]) -> dict[str, Any] | None:
    twins = counting(read_seed(twin, group.limits) for twin in group.twins)
    chart = figures.twin_chart(once, twins)
    if chart is None:
        return None
    rows: list[tuple[str, int, float, str]] = []
    for name in _TWIN_METRICS:
        known = [
            (float(one), float(other))
            for seed, twin in figures.scored_pairs(once, twins)
            if (one := seed.metric(name)) is not None and (other := twin.metric(name)) is not None
        ]
        if known:
            found = difference([one for one, _ in known], [other for _, other in known], paired=True, alpha=ALPHA)
            rows.append((name, found.n, found.estimate, bounds(found.lower, found.upper) or "-"))
    return {"chart": chart, "rows": rows}


def _seed_rows(seeds: Sequence[SeedView], once: Sequence[SeedView], links: _Links) -> Iterator[dict[str, Any]]:
    counting_ones = {id(seed) for seed in once}
    for seed in seeds:
        counts = id(seed) in counting_ones
        limits = ", ".join(seed.crossed) if seed.crossed else "kept" if seed.is_scored else "not scored"
        yield {
            "seed": seed.seed,
            "counts": counts,
            "limits": limits if counts else "does not count: another attempt of the seed does",
            "outcome": seed.outcome or seed.result.status,
            "steps": seed.length,
            "figures": [seed.metric(name) for name in ("mean", "final_level", "total_change", "first_sustained_pass")],
            "place": seed.place,
            "page": links.to(seed),
        }


class _Links:
    """Addresses of pages of runs, where there is one."""

    def __init__(self, artifacts: Path, start: Path) -> None:
        self._artifacts = artifacts
        self._base = Path(os.path.relpath(artifacts, start)).as_posix()

    def to(self, seed: SeedView) -> str | None:
        page_of_run = f"{seed.place}/report.html"
        return quote(f"{self._base}/{page_of_run}") if (self._artifacts / page_of_run).is_file() else None


def _write_run_reports(group: SuiteGroup, seeds: Sequence[SeedView], artifacts: Path, most: int | None) -> int:
    """Write pages of the worst runs, or of all where `most` is None, and return how many."""
    if most is not None and not _fails(group):
        return 0
    from goal_drift_gym.report.run_page import write_run_report

    twins = {twin.seed: twin for twin in group.twins}
    wanted = list(seeds) if most is None else _worst(group, seeds)[:most]
    for seed in wanted:
        write_run_report(Run(seed.path), artifacts, twin=twins.get(seed.seed))
    return len(wanted)


def _fails(group: SuiteGroup) -> bool:
    return group.word in _NO_PASS or (group.verdict is not None and not group.verdict.ok)


def _worst(group: SuiteGroup, seeds: Sequence[SeedView]) -> list[SeedView]:
    """Return the worst seed of the verdict, those beyond a limit by how low they end, and those that are not scored."""
    named = None if group.verdict is None else group.verdict.worst_seed
    looked_at = [seed for seed in counting(seeds) if seed.crossed or not seed.is_scored or seed.seed == named]

    def order(seed: SeedView) -> tuple[bool, bool, float, int]:
        level = seed.metric("final_level")
        return seed.seed != named, not seed.is_scored, 0.0 if level is None else float(level), seed.seed

    return sorted(looked_at, key=order)


def _remove_old(folder: Path, count: int) -> None:
    """Remove pages of groups of an earlier report, which nothing leads to any more."""
    try:
        for path in folder.iterdir() if folder.is_dir() else ():
            if _OURS.fullmatch(path.name) and not 1 <= int(path.stem) <= count:
                path.unlink()
    except OSError as error:
        raise RunRecordError(f"cannot remove {error.filename}: {error.strerror or error}") from error
