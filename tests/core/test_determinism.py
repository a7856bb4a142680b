"""Same seed, same bytes; and a world that does not know who acts in it."""

from __future__ import annotations

import os
import random
import secrets
import subprocess
import sys
import threading
import time
import uuid
from typing import Any

import numpy as np
import pytest
from core_support import BUILT_IN, CONDITIONS, ENDING, agent, experiment, lines
from hypothesis import given, settings
from hypothesis import strategies as st

from goal_drift_gym.core.records import StepRecord
from goal_drift_gym.core.replay import Recorded


def play(scenario: str, condition: str, who: str, seed: int, **changes: Any) -> list[StepRecord]:
    records: list[StepRecord] = []
    experiment(scenario, condition, **changes).episode(seed).run(agent(who, seed), records.append)
    return records


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("scenario", BUILT_IN)
def test_no_episode_asks_a_clock_or_a_global_generator(scenario, condition, monkeypatch):
    expected = {who: lines(play(scenario, condition, who, 3)) for who in ENDING}
    made = experiment(scenario, condition)

    here = threading.get_ident()

    def forbid(owner: Any, name: str) -> None:
        original = getattr(owner, name)

        def forbidden(*args: Any, **kwargs: Any) -> Any:
            # Another test's event loop may still be running in a thread of its own.
            if threading.get_ident() != here:
                return original(*args, **kwargs)
            raise AssertionError("an episode must not depend on this")

        monkeypatch.setattr(owner, name, forbidden)

    for owner in (random, np.random, secrets):
        for name in vars(owner):
            if callable(getattr(owner, name)) and name[0].islower() and name != "default_rng":
                forbid(owner, name)
    for owner, names in (
        (time, ("time", "time_ns", "monotonic", "perf_counter", "localtime", "gmtime", "strftime")),
        (uuid, ("uuid1", "uuid4")),
        (os, ("urandom", "getrandom", "getpid")),
        (np.random, ("default_rng",)),
    ):
        for name in names:
            forbid(owner, name)
    played = {}
    for who in ENDING:
        played[who] = records = []
        made.episode(3).run(agent(who, 3), records.append)
    monkeypatch.undo()
    assert {who: lines(records) for who, records in played.items()} == expected


@given(seed=st.one_of(st.sampled_from([0, -1, 2**63 - 1, -(2**63)]), st.integers(-(2**63), 2**63 - 1)))
@settings(max_examples=15, deadline=None)
@pytest.mark.parametrize("scenario", BUILT_IN)
def test_same_seed_same_bytes(scenario, seed):
    first, second = (lines(play(scenario, "adversarial_jit", "random", seed, steps=20)) for _ in range(2))
    assert first == second


@pytest.mark.parametrize("scenario", BUILT_IN)
def test_seed_0_is_a_seed_of_its_own(scenario):
    assert len({b"".join(lines(play(scenario, "baseline", "noop", seed))) for seed in (0, 1, -1)}) == 3


def test_same_bytes_in_two_processes_with_different_hash_seeds():
    code = """
import hashlib
from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.canonical import line_json
from goal_drift_gym.runner import Experiment
digest = hashlib.sha256()
for scenario in ("release_manager", "bandit_constraint"):
    for condition in ("adversarial_jit", "friction_heavy", "goal_switching"):
        for name in ("random", "pressure_prone"):
            made = Experiment.of(scenario, condition, {"steps": 40, "anonymisation.vocabulary": True})
            agent = REFERENCE_AGENTS[name]()
            agent.reset(seed=7)
            made.episode(7).run(agent, lambda record: digest.update(line_json(record)))
print(digest.hexdigest())
"""
    printed = {
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "977")
    }
    assert len(printed) == 1


def pushed(record: StepRecord) -> list[tuple[Any, ...]]:
    """Return the messages that do not answer to what the agent did."""
    return [(a.source, a.position, a.intensity, a.text) for a in record.adversaries if not a.reactive]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("scenario", BUILT_IN)
def test_agents_that_act_differently_meet_the_same_world_and_messages(scenario, seed):
    runs = {who: play(scenario, "adversarial_jit", who, seed) for who in ("reference", "competing", "random", "noop")}
    actions = {who: [record.action.calls for record in records] for who, records in runs.items()}
    assert actions["reference"] != actions["competing"] != actions["random"]
    first = runs["reference"]
    for records in runs.values():
        assert [record.world for record in records] == [record.world for record in first]
        assert [pushed(record) for record in records] == [pushed(record) for record in first]
    assert sum(len(pushed(record)) for record in first) >= 19


@pytest.mark.parametrize("scenario", BUILT_IN)
def test_reactive_messages_are_marked_and_do_differ(scenario):
    reactive = {
        who: [a.text for record in play(scenario, "adversarial_jit", who, 0) for a in record.adversaries if a.reactive]
        for who in ("reference", "competing")
    }
    assert reactive["reference"] == []
    assert len(reactive["competing"]) > 20


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("who", ["random", "sudden_flipper"])
@pytest.mark.parametrize("scenario", BUILT_IN)
def test_swapped_goals_negate_every_score_of_the_same_actions(scenario, who, condition):
    plain = play(scenario, condition, who, 2)
    swapped: list[StepRecord] = []
    made = experiment(scenario, condition, goal__polarity="swapped")
    made.episode(2).run(Recorded(plain), swapped.append)
    assert any(record.score.alignment for record in swapped)
    for one, other in zip(plain, swapped, strict=True):
        if one.score.alignment is None:
            assert other.score.alignment is None
            continue
        assert other.score.alignment == -one.score.alignment
        total = other.score.alignment + other.score.commission + other.score.omission
        assert -1e-9 <= total <= 2.0
        assert other.score.commission >= 0.0
        assert other.score.omission >= 0.0


@pytest.mark.parametrize("scenario", BUILT_IN)
def test_swapped_goals_get_an_equal_dose(scenario):
    doses = []
    for polarity in ("system", "swapped"):
        records = [
            r for seed in range(5) for r in play(scenario, "adversarial_jit", "noop", seed, goal__polarity=polarity)
        ]
        doses.append([a for record in records for a in record.adversaries if not a.reactive])
    assert [(a.source, a.position, a.intensity) for a in doses[0]] == [
        (a.source, a.position, a.intensity) for a in doses[1]
    ]
    assert {a.text for a in doses[0]}.isdisjoint({a.text for a in doses[1]})
    lengths = [sum(len(a.text) for a in dose) for dose in doses]
    assert lengths[0] == pytest.approx(lengths[1], rel=0.15)


@pytest.mark.parametrize("scenario", BUILT_IN)
def test_the_twin_without_pressure_lives_in_the_same_world(scenario):
    pressed = play(scenario, "adversarial_jit", "noop", 4, shocks=None)
    calm = play(scenario, "baseline", "noop", 4)
    assert [record.world for record in pressed] == [record.world for record in calm]
    assert [record.state for record in pressed] == [record.state for record in calm]
    assert [record.score for record in pressed] == [record.score for record in calm]
