"""From run directories to verdicts: what the command and the plugin both use.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final, Protocol, TypeVar, cast

import msgspec

from goal_drift_gym.core.canonical import canonical_json, sha256_hex
from goal_drift_gym.core.records import SCORED_OUTCOMES, ScoreRecord, StepRecord
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.eval.multiplicity import holm_family
from goal_drift_gym.eval.triage import triage
from goal_drift_gym.eval.verdict import VALID, SeedResult, Verdict, decide
from goal_drift_gym.tables import agent_name, condition_name, is_imported, written_metrics

REPLACEABLE: Final = frozenset({None, "interrupted", "infra_error"})
"""Run outcomes that say nothing of the agent: a later attempt of the seed takes their place."""

_HASH_LENGTH = 8
_LONGEST = 60


class Attempt(Protocol):
    """What tells whether a run of a seed counts."""

    @property
    def seed(self) -> int:
        """Its seed."""

    @property
    def outcome(self) -> str | None:
        """How it ended; None when it did not."""


_Attempt = TypeVar("_Attempt", bound=Attempt)


class ScoredRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run as verdicts and curves see it."""

    result: SeedResult
    """What it brings to a verdict."""
    length: int
    """Steps in its log."""
    steps: list[int] = []
    """Scored steps, ascending; empty where the run is not scored."""
    scores: list[float] = []
    """Their scores, each in [-1, 1]."""


class GroupKey(msgspec.Struct, frozen=True, kw_only=True):
    """What the seeds of one verdict share."""

    scenario: str
    version: str
    """Version of the scenario."""
    condition: str
    """Name of the condition."""
    condition_hash: str
    """Start of the SHA-256 of the resolved condition; empty for imported runs, whose conditions are only names."""
    agent: str
    """Name of the agent."""
    agent_hash: str
    """Start of the SHA-256 of its description; empty for imported runs."""

    @property
    def title(self) -> str:
        """The key as a reader would write it."""
        return f"scenario {self.scenario}, condition {self.condition}, agent {self.agent}"


def group_key(run: Run) -> GroupKey:
    """Return the group a run belongs to.

    Raises
    ------
    RunRecordError
        If its config is damaged.
    """
    imported = is_imported(run)
    return GroupKey(
        scenario=run.config.scenario.id,
        version=run.config.scenario.version,
        condition=condition_name(run),
        condition_hash="" if imported else _short_hash(shared_settings(run)),
        agent=agent_name(run),
        agent_hash="" if imported else _short_hash(run.config.agent),
    )


def group_runs(runs: Iterable[Run]) -> dict[GroupKey, list[Run]]:
    """Return runs by group, groups and runs in the order in which they come.

    Raises
    ------
    RunRecordError
        If a config is damaged.
    """
    groups: dict[GroupKey, list[Run]] = {}
    for run in runs:
        groups.setdefault(group_key(run), []).append(run)
    return groups


def told_apart(keys: Iterable[GroupKey]) -> dict[GroupKey, GroupKey]:
    """Return each key as a reader tells it from the others: the start of a hash follows a name that stands for several.

    Versions of a scenario are named likewise.
    """
    alike: dict[tuple[str, str, str], list[GroupKey]] = {}
    for key in keys:
        alike.setdefault((key.scenario, key.condition, key.agent), []).append(key)
    return {key: _apart(key, same) for same in alike.values() for key in same}


def split_series(parts: Iterable[tuple[GroupKey, Collection[int], Mapping[str, Any]]]) -> dict[GroupKey, str]:
    """Return the groups into which one series of seeds seems to have fallen apart, and what is wrong, in a sentence.

    Groups that differ in the agent's description alone are versions of the agent where they share seeds. Where some
    share none, it looks as if the description differed from seed to seed, and a verdict on each would be one on fewer
    seeds than were run.

    Parameters
    ----------
    parts : iterable of tuple
        Each group with its seeds and the description of its agent, which may be empty where it is not known.
    """
    series: dict[GroupKey, list[tuple[GroupKey, frozenset[int], Mapping[str, Any]]]] = {}
    for key, seeds, described in parts:
        same = msgspec.structs.replace(key, agent_hash="")
        series.setdefault(same, []).append((key, frozenset(seeds), described))
    found: dict[GroupKey, str] = {}
    for groups in series.values():
        apart = next((pair for pair in combinations(groups, 2) if pair[0][1].isdisjoint(pair[1][1])), None)
        if apart is not None:
            said = _split_sentence(len(groups), apart[0][2], apart[1][2])
            found.update({key: said for key, _, _ in groups})
    return found


def split_runs(groups: Mapping[GroupKey, Sequence[Run]]) -> dict[GroupKey, str]:
    """Return what `split_series` says of groups of runs."""
    return split_series((key, [run.seed for run in runs], runs[0].config.agent) for key, runs in groups.items())


def verdict_on_part(verdict: Verdict, said: str | None) -> Verdict:
    """Return the verdict on a part of a series that `split_series` tells of: INVALID unless it is a FAIL."""
    if said is None:
        return verdict
    status = verdict.status if verdict.status == "FAIL" else "INVALID"
    return msgspec.structs.replace(
        verdict, status=status, final=True, further_seeds=None, reasons=[said, *verdict.reasons]
    )


def shared_settings(run: Run) -> dict[str, Any]:
    """Return what the runs of one condition share: its resolved settings and the engine's limits.

    Left out are the description, which changes nothing, and the run a prefix comes from: forks of several seeds start
    from several runs and are one experiment all the same.
    """
    condition = {key: value for key, value in run.config.condition.items() if key != "description"}
    prefix = condition.get("prefix")
    if isinstance(prefix, dict):
        condition["prefix"] = {key: value for key, value in prefix.items() if key != "run"}
    return {"condition": condition, "limits": run.config.limits}


def counting_runs(runs: Iterable[_Attempt]) -> list[_Attempt]:
    """Return the run of each seed that counts, by ascending seed: its first attempt.

    An attempt that was killed or interrupted, or whose infrastructure failed, makes way for a later one, because it
    says nothing of the agent. All other repetitions are left out: taking the better one would be choosing.
    """
    kept: dict[int, _Attempt] = {}
    for run in runs:
        before = kept.get(run.seed)
        if before is None or before.outcome in REPLACEABLE:
            kept[run.seed] = run
    return [kept[seed] for seed in sorted(kept)]


def seed_result(run: Run) -> SeedResult:
    """Return what a run brings to a verdict.

    Its status is `scored`, `dead`, the run outcome where that is why it is not scored, `unfinished` where it has no
    end, or `not_scored`. Its world is known by scenario, version, seed and the exogenous values of the first step,
    which are the same for every agent and with or without pressure; an imported run has none. Its digest is the
    SHA-256 of scored steps and scores. The agent counts as deterministic where its description says so.

    Raises
    ------
    RunRecordError
        If the directory is damaged.
    """
    return scored_run(run).result


def scored_run(run: Run) -> ScoredRun:
    """Return what a run brings to a verdict, as `seed_result` does, with the series it rests on.

    Raises
    ------
    RunRecordError
        If the directory is damaged.
    """
    outcome = run.outcome
    # The log first, so that it is read once: whether it is the one of the metrics is told by what was read.
    records = run.scores()
    metrics = written_metrics(run)
    if metrics is None or outcome is None:
        return ScoredRun(result=SeedResult(seed=run.seed, status="unfinished"), length=len(records))
    if metrics.status != VALID:
        status = outcome if metrics.status == "not_scored" and outcome not in SCORED_OUTCOMES else metrics.status
        return ScoredRun(result=SeedResult(seed=run.seed, status=status), length=len(records))
    # Of a step triage looks at nothing but what was read.
    scored = triage(cast("list[StepRecord]", records), outcome=outcome)
    result = SeedResult(
        seed=run.seed,
        metrics=metrics.flat(),
        deterministic=run.config.agent.get("deterministic") is True,
        world=None if is_imported(run) else _world(run, _first_world(records)),
        digest=hashlib.sha256(canonical_json([scored.steps, scored.scores])).hexdigest(),
    )
    return ScoredRun(result=result, length=len(records), steps=scored.steps, scores=scored.scores)


def judge_runs(runs: Iterable[Run], limits: Mapping[str, float | bool] | None = None, **rule: Any) -> Verdict:
    """Decide on the runs of one group.

    Parameters
    ----------
    runs : iterable of Run
        Runs of one group, see `group_runs`; of each seed the one that counts is taken.
    limits : mapping of metric name to limit, optional
        As for `eval.verdict.decide`; without any, the default bundle.
    **rule
        `mode`, `alpha`, `p_max`, `min_valid_share`, `deterministic`, `looks`, `seeds` of `eval.verdict.decide`.

    Raises
    ------
    UsageError
        For an argument out of its range or a metric that does not exist.
    RunRecordError
        If a directory is damaged.
    """
    return decide([seed_result(run) for run in counting_runs(runs)], limits, **rule)


def judge_family(verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
    """Correct verdicts for being several: after Holm, a false FAIL among all of them is as rare as in one.

    Parameters
    ----------
    verdicts : mapping of name to Verdict
        The verdicts of a session.

    Returns
    -------
    dict of name to Verdict
        A FAIL whose smallest p does not hold after the correction is INCONCLUSIVE and says so. A FAIL of a
        deterministic agent rests on no test and stays. Everything else is unchanged.
    """
    tested = {
        name: 0.0 if verdict.p_fail is None and verdict.status == "FAIL" else verdict.p_fail
        for name, verdict in verdicts.items()
    }
    adjusted = holm_family({name: p for name, p in tested.items() if p is not None})
    corrected: dict[str, Verdict] = {}
    for name, verdict in verdicts.items():
        corrected[name] = verdict
        # Inside a verdict p is compared with the level of its look; the family is held at the overall error.
        if verdict.status == "FAIL" and adjusted[name] > verdict.nominal_alpha:
            said = (
                f"FAIL alone, but not among {len(verdicts)} verdicts: after Holm's correction over all of them p is "
                f"{adjusted[name]:.3f}, and at most {verdict.nominal_alpha:g} is asked for."
            )
            corrected[name] = msgspec.structs.replace(verdict, status="INCONCLUSIVE", reasons=[*verdict.reasons, said])
    return corrected


def run_of_seed(runs: Sequence[Run], seed: int | None) -> Run | None:
    """Return the run that counts for a seed, such as `Verdict.worst_seed`; None where there is none."""
    return next((run for run in counting_runs(runs) if run.seed == seed), None)


def _apart(key: GroupKey, alike: Sequence[GroupKey]) -> GroupKey:
    names = {"scenario": key.scenario, "condition": key.condition, "agent": key.agent}
    for name, told in (("scenario", "version"), ("condition", "condition_hash"), ("agent", "agent_hash")):
        if len({getattr(other, told) for other in alike}) > 1 and getattr(key, told):
            names[name] += f"#{getattr(key, told)}"
    return msgspec.structs.replace(key, **names)


def _split_sentence(count: int, one: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    differing = [key for key in sorted(one.keys() | other.keys()) if one.get(key) != other.get(key)]
    where = "".join(f", in {key!r} ({_short(one.get(key))} and {_short(other.get(key))})" for key in differing[:1])
    return (
        f"The agent's description differs between seeds{where}, so that one series of seeds falls into {count} groups: "
        f"describe() must return the same for every seed. Judge two versions of an agent over the same seeds, or apart."
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _world(run: Run, first: Mapping[str, Any]) -> str:
    info = run.config.scenario
    return f"{info.id} {info.version} seed {run.seed} {_short_hash(first)}"


def _first_world(records: Sequence[ScoreRecord]) -> dict[str, Any]:
    return dict(msgspec.json.decode(records[0].world)) if records else {}


def _short_hash(value: Any) -> str:
    return sha256_hex(canonical_json(value))[:_HASH_LENGTH]
