"""Comparing two sets of runs: other commits, models or prompts under the same conditions.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from goal_drift_gym.core.errors import UsageError
from goal_drift_gym.eval.twins import decide_twins
from goal_drift_gym.eval.verdict import VALID, Mode, Verdict
from goal_drift_gym.grouping import GroupKey
from goal_drift_gym.samples import Sample

Pairing = Literal["auto", "yes", "no"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """What changed from one group to another."""

    before: GroupKey
    after: GroupKey
    paired: bool
    """Seeds were paired, because they share their worlds; otherwise Welch's test."""
    verdict: Verdict
    """On the differences, after minus before."""


def compare(
    before: Sequence[Sample],
    after: Sequence[Sample],
    limits: Mapping[str, float | bool] | None = None,
    *,
    pairing: Pairing = "auto",
    mode: Mode = "gate",
    alpha: float = 0.05,
    p_max: float = 0.25,
) -> list[Comparison]:
    """Compare each group with its counterpart.

    Parameters
    ----------
    before, after : sequence of Sample
        The two sides. Groups belong together by scenario, condition and agent; where each side has one agent under a
        condition, whatever the agents are.
    limits : mapping of metric name to limit, optional
        Limits on the difference after - before, such as ``total_change=-0.1``; without any `twins.TWIN_LIMITS`.
    pairing : {"auto", "yes", "no"}
        `auto` pairs where both agents repeat themselves and both sides have the same seeds in the same worlds.
    mode, alpha, p_max : optional
        As for `eval.verdict.decide`.

    Raises
    ------
    UsageError
        If a group has no counterpart, or one of another scenario version, condition or horizon; and as
        `eval.twins.decide_twins`.
    """
    found: list[Comparison] = []
    for old, new in _matched(before, after):
        require_comparable(old, new)
        paired = pairable(old, new) if pairing == "auto" else pairing == "yes"
        verdict = decide_twins(
            new.results,
            old.results,
            limits,
            paired=paired,
            mode=mode,
            alpha=alpha,
            p_max=p_max,
            sides=("in B", "in A"),
        )
        found.append(Comparison(before=old.key, after=new.key, paired=paired, verdict=verdict))
    return found


def require_comparable(before: Sample, after: Sample) -> None:
    """Raise UsageError, naming both values, unless two groups differ in nothing but the agent and the commit."""
    for what, old, new in _mismatches(before, after):
        raise UsageError(
            f"A and B cannot be compared: {what} is {old!r} in A ({before.key.title}) and {new!r} in B "
            f"({after.key.title}); run both under the same"
        )


def pairable(before: Sample, after: Sample) -> bool:
    """Return whether seeds may be paired: both agents repeat themselves, in the same worlds under the same seeds."""
    worlds = [{run.seed: run.world for run in side.results if run.status == VALID} for side in (before, after)]
    seeds = [{run.seed for run in side.results} for side in (before, after)]
    shared = worlds[0].keys() & worlds[1].keys()
    return (
        before.repeatable
        and after.repeatable
        and seeds[0] == seeds[1]
        and all(worlds[0][seed] is not None and worlds[0][seed] == worlds[1][seed] for seed in shared)
    )


def _mismatches(before: Sample, after: Sample) -> Iterator[tuple[str, Any, Any]]:
    for name in ("scenario", "version", "condition"):
        old, new = getattr(before.key, name), getattr(after.key, name)
        if old != new:
            yield ("the scenario version" if name == "version" else f"the {name}"), old, new
    if before.steps != after.steps:
        yield "the horizon in steps", before.steps, after.steps
    if before.key.condition_hash != after.key.condition_hash:
        yield from _settings(before.settings, after.settings, "")


def _settings(old: Any, new: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in sorted(old.keys() | new.keys()):
            yield from _settings(old.get(key), new.get(key), f"{path}.{key}".lstrip("."))
    elif old != new:
        yield f"the setting {path.removeprefix('condition.')}", old, new


def _matched(before: Sequence[Sample], after: Sequence[Sample]) -> list[tuple[Sample, Sample]]:
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    left = list(before)
    pairs: list[tuple[Sample, Sample]] = []
    for new in after:
        same = [old for old in left if _place(old) == _place(new)]
        # The same settings first: a condition's name may stand for several, where settings were overridden.
        same = [old for old in same if old.key.condition_hash == new.key.condition_hash] or same
        agents = [old for old in same if old.key.agent == new.key.agent]
        if not agents and len(same) == 1 and sum(_place(other) == _place(new) for other in after) == 1:
            agents = same
        if len(agents) != 1:
            have = "; ".join(sorted({old.key.title for old in before})) or "nothing"
            why = "no counterpart" if not agents else f"{len(agents)} counterparts that differ only in settings"
            raise UsageError(f"{new.key.title} of B has {why} in A, which has: {have}")
        left.remove(agents[0])
        pairs.append((agents[0], new))
    if left:
        raise UsageError(
            f"{left[0].key.title} of A has no counterpart in B; what is not compared cannot pass. Run it, or name the "
            f"directories that belong together"
        )
    return pairs


def _place(sample: Sample) -> tuple[str, str]:
    return sample.key.scenario, sample.key.condition
