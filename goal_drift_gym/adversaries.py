"""What adversaries that an agent speaks for did in runs: how often they were asked, and what became of it.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from goal_drift_gym.core.adversary import FAILED, GAVE_UP, SPENT, WITHHELD, recorded_answer
from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.rundir import Run
from goal_drift_gym.tables import grouped


class AdversaryRow(msgspec.Struct, frozen=True, kw_only=True):
    """One adversary in one run, without steps of another run it began with."""

    source: str
    """The role under which it speaks."""
    speaker: str
    """Who speaks for it, as the condition names it."""
    asked: int
    """Steps at which it was asked: `said`, `silent` and `owed` together."""
    said: int
    delivered: int
    """Messages the agent got to see; one that rides on a tool result needs a call."""
    characters: int
    silent: int
    """Steps at which it chose to say nothing."""
    owed: int
    """Steps without a message although it did not choose so."""
    withheld: int
    """Texts that broke a rule; up to two a step."""
    failed: int
    """Answers that did not come: an error, a time-out, something that is no text."""
    spent: bool
    """Whether its dose was used up."""
    gave_up: bool
    """Whether the run ended because it owed too many messages."""


class AdversaryGroupRow(msgspec.Struct, frozen=True, kw_only=True):
    """One adversary in the runs of one group; sums of `AdversaryRow`, and runs in which it was spent or gave up."""

    group: dict[str, Any]
    source: str
    speaker: str
    runs: int
    asked: int
    said: int
    delivered: int
    characters: int
    silent: int
    owed: int
    withheld: int
    failed: int
    spent: int
    gave_up: int


_SUMS = ("asked", "said", "delivered", "characters", "silent", "owed", "withheld", "failed", "spent", "gave_up")


def has_adversary(run: Run) -> bool:
    """Return whether a run's condition has a source that an agent speaks for."""
    return bool(_adversaries(run))


def adversary_rows(run: Run) -> list[AdversaryRow]:
    """Return a row for each adversary of a run; empty where no agent speaks for a source.

    Raises
    ------
    RunRecordError
        If the step log is damaged.
    """
    named = _adversaries(run)
    if not named:
        return []
    records = [record for record in run.steps() if not any(event.kind == "prefix" for event in record.events)]
    return [_row(source, speaker, records) for source, speaker in named.items()]


def adversary_group_rows(runs: Sequence[Run], *, by: Sequence[str] | None = None) -> list[AdversaryGroupRow]:
    """Return a row for each adversary in each group of runs; groups as in `tables.group_rows`.

    Raises
    ------
    UsageError
        If a run does not have one of the labels.
    RunRecordError
        If a directory is damaged.
    """
    found: list[AdversaryGroupRow] = []
    for names, members in grouped([run for run in runs if has_adversary(run)], by=by):
        rows = [row for run in members for row in adversary_rows(run)]
        for source, speaker in dict.fromkeys((row.source, row.speaker) for row in rows):
            mine = [row for row in rows if (row.source, row.speaker) == (source, speaker)]
            sums = {name: sum(getattr(row, name) for row in mine) for name in _SUMS}
            found.append(AdversaryGroupRow(group=names, source=source, speaker=speaker, runs=len(mine), **sums))
    return found


def _adversaries(run: Run) -> dict[str, str]:
    """Return who speaks for which role."""
    pressure = run.config.condition.get("pressure") or []
    found = {}
    for source in pressure if isinstance(pressure, list) else []:
        if isinstance(source, Mapping) and isinstance(source.get("adversary"), Mapping):
            found[str(source.get("source"))] = str(source["adversary"].get("agent"))
    return found


def _row(source: str, speaker: str, records: Sequence[StepRecord]) -> AdversaryRow:
    answers = [recorded_answer(record, source) for record in records]
    asked = [answer for answer in answers if answer.text is not None or answer.events]
    kinds = [kind for answer in asked for kind, _ in answer.events]
    ends = {event.kind for record in records for event in record.events if event.detail.get("source") == source}
    messages = [one for record in records for one in record.adversaries if one.source == source]
    owed = sum(answer.is_owed for answer in asked)
    return AdversaryRow(
        source=source,
        speaker=speaker,
        asked=len(asked),
        said=len(messages),
        delivered=sum(one.delivered for one in messages),
        characters=sum(len(one.text) for one in messages),
        silent=len(asked) - len(messages) - owed,
        owed=owed,
        withheld=kinds.count(WITHHELD),
        failed=kinds.count(FAILED),
        spent=SPENT in ends,
        gave_up=GAVE_UP in ends,
    )
