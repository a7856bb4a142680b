"""A suite: groups of runs with their verdicts, as pages show them.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from goal_drift_gym.core.errors import RunRecordError
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.dose import DoseResponse, dose_response
from goal_drift_gym.eval.limits import DEFAULT_LIMITS
from goal_drift_gym.eval.verdict import VALID, Verdict, decide
from goal_drift_gym.grouping import GroupKey, group_key, shared_settings, split_series
from goal_drift_gym.judging import verdict_on_part
from goal_drift_gym.report.seeds import SeedView, counting, read_seed, seed_view

DOSE_METRIC = "mean"


class SuiteGroup(msgspec.Struct, frozen=True, kw_only=True):
    """The seeds of one verdict."""

    title: str
    """The node id of a test, or the group's title."""
    key: GroupKey
    runs: list[Run]
    """All of them, in the order of their seeds."""
    twins: list[Run] = []
    """Twins of them, where there are any."""
    limits: dict[str, float | bool]
    word: str
    """`pass`, `fail`, `inconclusive`, `invalid`, `incomplete`, `not run` and the like."""
    reason: str
    verdict: Verdict | None
    missing: dict[int, str] = {}
    """Planned seeds without a run, and why."""
    seeds: list[SeedView] | None = None
    """What was read of `runs`, in their order; None where they are read when they are shown."""

    def read(self) -> list[SeedView]:
        """Return what is shown of its runs, in their order.

        Raises
        ------
        RunRecordError
            If a directory is damaged.
        """
        return [read_seed(run, self.limits) for run in self.runs] if self.seeds is None else self.seeds


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """What one report is about."""

    name: str
    groups: list[SuiteGroup]
    damaged: list[str] = []
    """What is wrong with runs that could not be read, in a sentence each."""


class DoseFamily(msgspec.Struct, frozen=True, kw_only=True):
    """Groups that differ in the intensity of the pressure alone."""

    doses: list[tuple[float, int]]
    """Intensities, ascending, each with the place of its group in the suite."""
    response: DoseResponse


def suite_of_runs(runs: Iterable[Run], *, name: str) -> Suite:
    """Return runs in groups as `judging.group_runs` makes them, each judged by the default limits.

    Of each run only what is shown is kept in memory. A run that cannot be read is left out and named in `damaged`.
    """
    limits = dict(DEFAULT_LIMITS)
    members: dict[GroupKey, list[tuple[SeedView, Run]]] = {}
    damaged: list[str] = []
    for run in runs:
        fresh = Run(run.path)
        try:
            key, seed = group_key(fresh), seed_view(fresh, limits)
        except RunRecordError as error:
            # Not where it lies: a report of a copy elsewhere says the same.
            damaged.append(str(error).replace(str(run.path), f"{run.path.parent.name}/{run.path.name}"))
        else:
            members.setdefault(key, []).append((seed, Run(run.path)))
    split = split_series(
        (key, [seed.seed for seed, _ in found], Run(found[0][1].path).config.agent) for key, found in members.items()
    )
    groups = [_group(key, found, limits, split.get(key)) for key, found in members.items()]
    return Suite(name=name, groups=groups, damaged=damaged)


def dose_families(suite: Suite) -> list[DoseFamily]:
    """Return the groups that differ in nothing but the intensity of their pressure, as `goal-drift dose` makes them.

    Every source of pressure has one constant intensity, the same for all; a condition of the same name and the same
    other settings without pressure is intensity 0. Of two groups with the same intensity the first one counts.

    Raises
    ------
    RunRecordError
        If a config is damaged.
    """
    families: dict[tuple[Any, ...], dict[float, int]] = {}
    without: dict[tuple[Any, ...], int] = {}
    for place, group in enumerate(suite.groups):
        told = _dose(group)
        if told is None:
            continue
        dose, base, sources = told
        if sources is None:
            without.setdefault(base, place)
        else:
            families.setdefault((base, sources), {}).setdefault(dose, place)
    found: list[DoseFamily] = []
    for (base, _), doses in families.items():
        if base in without:
            doses[0.0] = without[base]
        if len(doses) > 1:
            found += _fitted(suite, sorted(doses.items()))
    return found


def _group(
    key: GroupKey, members: Sequence[tuple[SeedView, Run]], limits: dict[str, float | bool], split: str | None
) -> SuiteGroup:
    ordered = sorted(members, key=lambda one: one[0].seed)
    verdict = verdict_on_part(decide([seed.result for seed in counting(seed for seed, _ in ordered)], limits), split)
    return SuiteGroup(
        title=key.title,
        key=key,
        runs=[run for _, run in ordered],
        seeds=[seed for seed, _ in ordered],
        limits=limits,
        word=verdict.status.lower(),
        reason=verdict.reasons[0] if verdict.reasons else "",
        verdict=verdict,
    )


def _dose(group: SuiteGroup) -> tuple[float, tuple[Any, ...], bytes | None] | None:
    """Return the intensity of a group, what it shares with its family, and its sources but for their intensity."""
    if not group.runs:
        return None
    settings = shared_settings(Run(group.runs[0].path))
    condition = dict(settings["condition"])
    pressure = condition.pop("pressure", None)
    if not isinstance(pressure, list):
        return None
    encode = msgspec.json.Encoder(order="sorted").encode
    base = (group.key.scenario, group.key.version, group.key.agent_hash, encode([condition, settings["limits"]]))
    if not pressure:
        return 0.0, base, None
    doses = {source.get("intensity") for source in pressure}
    if len(doses) != 1 or any(source.get("ramp_to") is not None for source in pressure):
        return None
    sources = [{k: v for k, v in source.items() if k not in ("intensity", "ramp_to")} for source in pressure]
    return float(doses.pop()), base, encode(sources)


def _fitted(suite: Suite, doses: list[tuple[float, int]]) -> list[DoseFamily]:
    results = {dose: [seed.result for seed in counting(suite.groups[place].read())] for dose, place in doses}
    values = [
        [one for one in at if one.status == VALID and one.metrics.get(DOSE_METRIC) is not None]
        for at in results.values()
    ]
    # What `dose_response` asks for: a dose without a value has no place on its line.
    if not all(values) or sum(map(len, values)) < 3:
        return []
    return [DoseFamily(doses=doses, response=dose_response(results, DOSE_METRIC))]
