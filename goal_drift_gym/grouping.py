"""Which runs belong together, and how groups are named so that a reader can tell them apart.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import combinations
from typing import Any, Final

import msgspec

from goal_drift_gym.core.canonical import canonical_json, sha256_hex
from goal_drift_gym.core.rundir import Run

IMPORTED: Final = "import"
"""What stands for the scenario's reference in a run that was read from a foreign log."""

_HASH_LENGTH = 8
_LONGEST = 60


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
        condition_hash="" if imported else short_hash(shared_settings(run)),
        agent=agent_name(run),
        agent_hash="" if imported else short_hash(run.config.agent),
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


def agent_name(run: Run) -> str:
    """Return the name of the agent a run's config gives."""
    return str(run.config.agent.get("name", "unnamed"))


def condition_name(run: Run) -> str:
    """Return the name of the condition a run's config gives."""
    return str(run.config.condition.get("name", "custom"))


def is_imported(run: Run) -> bool:
    """Return whether a run was read from a foreign log, so that there is no scenario to drive it again."""
    return run.config.scenario.reference == IMPORTED


def short_hash(value: Any) -> str:
    """Return the start of the SHA-256 of a plain value, which tells it from others."""
    return sha256_hex(canonical_json(value))[:_HASH_LENGTH]


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
