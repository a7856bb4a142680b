"""The page of a comparison: two sets of runs side by side, with the verdict on their difference.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec

from goal_drift_gym.comparing import Comparison
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.verdict import VALID, SeedResult
from goal_drift_gym.eval.verdict_words import severity
from goal_drift_gym.grouping import GroupKey
from goal_drift_gym.report.figures.group import comparison_chart
from goal_drift_gym.report.page import page
from goal_drift_gym.report.seeds import SeedView, counting, read_seed
from goal_drift_gym.report.verdict_view import INTERVAL, mean_cell, short, verdict_view
from goal_drift_gym.samples import Commit, Sample

_MOST_SETTINGS: Final = 40
_SHOWN: Final = ("mean", "final_level", "total_change", "worst_window")
_SHA = 12


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a comparison."""

    name: str
    """What it is called, such as the name of its directory."""
    samples: Sequence[Sample]
    runs: Mapping[GroupKey, Sequence[Run]] = {}
    """Runs by group; empty for a baseline, which keeps results only."""

    def sample(self, key: GroupKey) -> Sample:
        """Return its seeds of a group."""
        return next(sample for sample in self.samples if sample.key == key)

    def seeds(self, key: GroupKey) -> list[SeedView]:
        """Return the runs of a group that count, as figures take them; empty where they are not at hand."""
        return counting(sorted((read_seed(run, {}) for run in self.runs.get(key, ())), key=lambda seed: seed.seed))


def compare_page(found: Sequence[Comparison], before: Side, after: Side) -> str:
    """Return the page of a comparison.

    Parameters
    ----------
    found
        What `comparing.compare` said of the two sides.
    before, after
        The sides.

    Raises
    ------
    RunRecordError
        If a run directory is damaged.
    MissingExtra
        If Jinja2 is not installed.
    """
    sections = [_section(number, one, before, after) for number, one in enumerate(found, start=1)]
    words = Counter(section["word"] for section in sections)
    return page(
        "compare.html",
        script="table.js",
        sheet="suite.css",
        names=[short(before.name), short(after.name)],
        counts=sorted(words.items(), key=lambda one: severity(one[0])),
        rows=sorted(sections, key=lambda section: (severity(section["word"]), section["number"])),
        sections=sections,
        interval=INTERVAL,
    )


def _section(number: int, one: Comparison, before: Side, after: Side) -> dict[str, Any]:
    samples = [(before, before.sample(one.before)), (after, after.sample(one.after))]
    agents = [one.before.agent, one.after.agent]
    names = ("A", "B") if agents[0] == agents[1] else (f"A: {short(agents[0])}", f"B: {short(agents[1])}")
    return {
        "number": number,
        "word": one.verdict.status.lower(),
        "scenario": short(one.after.scenario),
        "condition": short(one.after.condition),
        "agents": [short(agent) for agent in dict.fromkeys(agents)],
        "sides": [_side(letter, side, sample) for letter, (side, sample) in zip("AB", samples, strict=True)],
        "paired": one.paired,
        "chart": comparison_chart(before.seeds(one.before), after.seeds(one.after), names=names),
        "without": [letter for letter, (side, sample) in zip("AB", samples, strict=True) if not side.runs],
        "means": [(name, *(mean_cell(_values(sample.results, name)) for _, sample in samples)) for name in _SHOWN],
        "told": verdict_view(one.verdict),
        "settings": list(_agent_settings(before.runs.get(one.before, ()), after.runs.get(one.after, ()))),
    }


def _side(letter: str, side: Side, sample: Sample) -> dict[str, Any]:
    return {
        "letter": letter,
        "name": short(side.name),
        "agent": short(sample.key.agent),
        "scored": sum(result.status == VALID for result in sample.results),
        "seeds": len(sample.results),
        "lacking": dict(sorted(Counter(one.status for one in sample.results if one.status != VALID).items())),
        "engine": sample.engine_version,
        "commits": ", ".join(map(_commit, sample.commits)) or "not known",
    }


def _commit(commit: Commit) -> str:
    return f"{commit.sha[:_SHA]}{' with changes' if commit.dirty else ''}"


def _values(results: Sequence[SeedResult], name: str) -> list[float]:
    known = [result.metrics.get(name) for result in results if result.status == VALID]
    return [float(value) for value in known if value is not None]


def _agent_settings(before: Sequence[Run], after: Sequence[Run]) -> Iterator[tuple[str, str, str]]:
    """Yield what the descriptions of the two agents say differently, such as a model or a prompt."""
    if not before or not after:
        return
    old, new = (dict(_flat(Run(runs[0].path).config.agent, "")) for runs in (before, after))
    different = [name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name)]
    for name in different[:_MOST_SETTINGS]:
        yield short(name), *(short(side[name]) if name in side else "-" for side in (old, new))  # type: ignore[misc]


def _flat(value: Mapping[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for key, item in value.items():
        if isinstance(item, dict) and item:
            yield from _flat(item, f"{path}{key}.")
        else:
            yield f"{path}{key}", item if isinstance(item, str) else msgspec.json.encode(item).decode()
