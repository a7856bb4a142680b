"""Is the state whole in its snapshot, and does only what should change it?

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from functools import partial
from typing import Any

import msgspec

from goal_drift_gym.agents.drawing import random_arguments
from goal_drift_gym.agents.reference import named_things
from goal_drift_gym.core.canonical import canonical_json
from goal_drift_gym.core.protocol import Scenario
from goal_drift_gym.core.records import Action
from goal_drift_gym.core.streams import stream
from goal_drift_gym.testing.checks.base import Case, Idle, check, shown
from goal_drift_gym.testing.lab import Bare, Mind, first_difference
from goal_drift_gym.testing.report import Finding

_TURNS = 32
_CUTS = (0, 1, 5, 16)
"""Steps at which a snapshot is taken and lived on from."""
_LONG = 192
_GROWTH = 1.5
_SLACK = 256
"""Bytes by which a snapshot may vary whatever its size."""


@check(per="seed", mend="Put every attribute that anything later depends on into snapshot(), and read it in restore().")
def snapshot_restores(case: Case) -> Iterator[Finding]:
    """A fresh instance that restores a snapshot, read back from JSON, lives on like the original."""
    for cut in _CUTS:
        original = case.bare()
        for _ in original.turns(cut):
            pass
        saved = json.loads(canonical_json(original.scenario.snapshot()))
        copied = case.bare()
        copied.scenario.restore(copy.deepcopy(saved))
        again = copied.scenario.snapshot()
        if canonical_json(again) != canonical_json(saved):
            yield Finding(expected=f"the snapshot itself: {shown(saved)}", got=shown(again), step=cut)
            return
        rest = range(cut, cut + _TURNS)
        difference = first_difference(list(original.turns(rest)), list(copied.turns(rest)))
        if difference is not None:
            step, part = difference
            yield Finding(
                expected=f"the original's {part}", got=f"another {part} after restore at step {cut}", step=step
            )
            return


@check(per="seed", mend="Return copies of lists and dicts in snapshot(), and take copies of them in restore().")
def snapshot_stands_alone(case: Case) -> Iterator[Finding]:
    """A snapshot does not change when the scenario goes on, and the scenario not when a snapshot is changed."""
    bare = case.bare()
    kept: list[tuple[int, dict[str, Any], bytes]] = []

    def keep(scenario: Scenario, step: int) -> None:
        taken = scenario.snapshot()
        kept.append((step, taken, canonical_json(taken)))

    for step in range(_TURNS):
        # Between the calls of a turn too: what they change may be made anew before the next.
        bare.turn(step, between=partial(keep, step=step))
        keep(bare.scenario, step)
    for step, taken, said in kept:
        if canonical_json(taken) != said:
            yield Finding(expected="a snapshot that stays", got="it changed as the episode went on", step=step)
            return
    given = json.loads(kept[-1][2])
    bare.scenario.restore(given)
    _spoil(given)
    if canonical_json(bare.scenario.snapshot()) != kept[-1][2]:
        yield Finding(expected="a state of its own after restore", got="it changes with the dict it was restored from")


@check(per="seed", mend="Keep counts and totals instead of histories; drop what is over.")
def snapshot_does_not_grow(case: Case) -> Iterator[Finding]:
    """The size of a snapshot is bounded over a long episode."""
    sizes = [len(canonical_json(turn.after)) for turn in case.bare().turns(_LONG)]
    early, late = max(sizes[: _LONG // 3]), max(sizes[-_LONG // 3 :])
    if late > _GROWTH * early + _SLACK:
        yield Finding(
            expected=f"at most {_GROWTH} x the {early} bytes of the first third, and {_SLACK} more",
            got=f"{late} bytes in the last third of {_LONG} steps",
            step=_LONG - 1,
        )


@check(per="seed", mend="Raise ToolRefused before anything is changed.")
def refusals_change_nothing(case: Case) -> Iterator[Finding]:
    """A call that is refused leaves the state as it was."""
    bare = case.bare()
    for step in range(_TURNS):
        bare.advance(step)
        for action in _provoking(bare, step):
            before, panels = bare.scenario.snapshot(), bare.scenario.panels()
            answer = bare.call(action)
            if answer.status == "refused" and (
                canonical_json(bare.scenario.snapshot()) != canonical_json(before) or bare.scenario.panels() != panels
            ):
                said = f"{action.tool}({shown(action.args)}) was refused and changed {_changed(before, bare.scenario)}"
                yield Finding(expected="no change", got=said, step=step)
                return


@check(per="seed", mend="panels, weight, score, outcomes, snapshot, done and the policies only look.")
def looking_changes_nothing(case: Case) -> Iterator[Finding]:
    """Asking for panels, weights, policies, outcomes, a snapshot or a score changes nothing, in whatever order."""

    def look(scenario: Scenario) -> None:
        for action in [*scenario.competing_action(), *scenario.reference_action()]:
            scenario.weight(action.tool, action.args)
            scenario.reference_action([action])
            scenario.competing_action([action])
        scenario.done()
        scenario.outcomes()
        state = scenario.snapshot()
        scenario.score(state, [], state)
        scenario.panels()

    quiet, looked_at = case.bare(), case.bare()
    one = list(quiet.turns(_TURNS))
    other = [looked_at.turn(step, between=look) for step in range(_TURNS)]
    difference = first_difference(one, other)
    if difference is not None:
        step, part = difference
        yield Finding(expected=f"the same {part}", got=f"another {part} where the scenario was looked at", step=step)


@check(per="seed", mend="What invariants() names must hold in every state that calls can reach.")
def invariants_hold(case: Case) -> Iterator[Finding]:
    """Everything that the scenario's own invariants() names holds after every turn."""
    if not hasattr(case.scenario_class, "invariants"):
        raise Idle("the scenario declares no invariants()")
    minds: tuple[Mind, ...] = ("mixed", "competing", "random")
    for mind in minds:
        bare = case.bare()
        scenario: Any = bare.scenario
        for turn in bare.turns(_TURNS, mind):
            broken = [name for name, holds in scenario.invariants().items() if holds is not True]
            if broken:
                yield Finding(expected=f"{broken[0]} holds", got="it does not", step=turn.step)
                return


def _provoking(bare: Bare, step: int) -> Iterator[Action]:
    """Yield calls of which some will be refused: of things that are not there, at random, and each twice."""
    random = stream(bare.seed, "kit:provoke", step)
    names = sorted(named_things(bare.scenario.panels()))
    plans = [*bare.scenario.reference_action(), *bare.scenario.competing_action()]
    for spec in bare.tools.values():
        plans.append(Action(spec.name, random_arguments(spec, random, names)))
        plans.append(Action(spec.name, random_arguments(spec, random, ["nothing-of-that-name"])))
    for action in plans:
        yield action
        yield action


def _changed(before: dict[str, Any], scenario: Scenario) -> str:
    after = scenario.snapshot()
    differing = sorted(key for key in before.keys() | after.keys() if before.get(key) != after.get(key))
    return ", ".join(differing) or "the panels"


def _spoil(value: Any) -> None:
    """Change every list and dict inside a value."""
    if isinstance(value, dict):
        for item in value.values():
            _spoil(item)
        for key, item in value.items():
            if isinstance(item, (int, float)) and not isinstance(item, bool):
                value[key] = item + 1
    elif isinstance(value, list):
        for item in value:
            _spoil(item)
        value.append(msgspec.to_builtins(value[0]) if value else 0)
