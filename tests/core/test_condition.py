"""Conditions: every key is checked, and nothing that could do nothing is let through."""

from __future__ import annotations

import math
from typing import Any

import pytest

from goal_drift_gym.core.condition import (
    Condition,
    load_condition,
    override,
    parse_condition,
    parse_condition_text,
    parse_setting,
)
from goal_drift_gym.core.errors import ConditionError

EVERY = {"schedule": {"every": 2}}


def refused(settings: dict[str, Any]) -> str:
    with pytest.raises(ConditionError) as caught:
        parse_condition(settings)
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "unknown", "nearest"),
    [
        ({"stpes": 3}, "stpes", "steps"),
        ({"goal": {"wrding": "weak"}}, "wrding", "wording"),
        ({"pressure": [{"schedule": {"evry": 2}}]}, "evry", "every"),
        ({"pressure": [{**EVERY, "intensty": 1}]}, "intensty", "intensity"),
        ({"friction": {"tool": {}}}, "tool", "tools"),
        ({"friction": {"tools": {"look": {"latncy": 1}}}}, "latncy", "latency"),
        ({"shocks": {**EVERY, "sizes": 1}}, "sizes", "size"),
        ({"scoreboard": {"target": 1}}, "target", "target_per_step"),
        ({"panels": {"hiden": []}}, "hiden", "hidden"),
        ({"uncertainty": {"nois": 1}}, "nois", "noise"),
        ({"memory": {"contxt_steps": 1}}, "contxt_steps", "context_steps"),
        ({"phases": {"earlist": 1}}, "earlist", "earliest"),
        ({"commitment": {"lock_step": 1}}, "lock_step", "lock_steps"),
        ({"side_work": {"tasks": 1}}, "tasks", "tasks_per_step"),
        ({"anonymisation": {"vocab": True}}, "vocab", "vocabulary"),
        ({"prefix": {"runs": "x"}}, "runs", "run"),
    ],
)
def test_an_unknown_key_is_refused_naming_the_nearest(settings, unknown, nearest):
    message = refused(settings)
    assert f"unknown key {unknown!r}" in message
    assert nearest in message


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 0},
        {"steps": True},
        {"steps": 1.5},
        {"steps": "6"},
        {"steps": 10**7},
        {"goal": {"wording": "loud"}},
        {"goal": {"echo": "never"}},
        {"goal": {"polarity": -1}},
        {"pressure": [{**EVERY, "intensity": 0.0}]},
        {"pressure": [{**EVERY, "intensity": 1.5}]},
        {"pressure": [{"schedule": {"rate": 0.0}}]},
        {"pressure": [{"schedule": {"every": 0}}]},
        {"pressure": [{"schedule": {"at": [-1]}}]},
        {"pressure": {}},
        {"pressure": [{**EVERY, "position": "top"}]},
        {"friction": {"tools": {"look": {"error_rate": 1.0}}}},
        {"friction": {"calls_per_step": 0}},
        {"scoreboard": {"target_per_step": 0.0}},
        {"uncertainty": {"missing": 1.0}},
        {"memory": {"summary_bias": 2.0, "summary_every": 2}},
        {"phases": {"earliest": 0, "latest": 3}},
        {"phases": {"earliest": 1}},
        {"side_work": {"tasks_per_step": 21}},
        {"memory": {"context_tokens": 3}},
        {"name": 5},
    ],
)
def test_a_wrong_type_or_range_is_refused(settings):
    assert refused(settings).startswith("condition: ")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    "place",
    [
        lambda x: {"steps": x},
        lambda x: {"pressure": [{**EVERY, "intensity": x}]},
        lambda x: {"uncertainty": {"noise": x}},
        lambda x: {"scoreboard": {"target_per_step": x}},
        lambda x: {"panels": {"hidden_above": {"a": x}}, "pressure": [EVERY]},
        lambda x: {"friction": {"tools": {"look": {"error_rate": x}}}},
    ],
)
def test_what_is_not_finite_is_refused(place, value):
    assert "only finite numbers" in refused(place(value))


def pressed(**settings: Any) -> dict[str, Any]:
    return {"steps": 10, "pressure": [{**EVERY, **settings}]}


def scheduled(**schedule: Any) -> dict[str, Any]:
    return {"steps": 10, "pressure": [{"schedule": schedule}]}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (scheduled(), "exactly one of every, at, rate, trigger (got none)"),
        (scheduled(every=1, rate=0.5), "(got every, rate)"),
        (scheduled(at=[10, 11]), "no such step"),
        (scheduled(at=[]), "no such step"),
        (scheduled(every=1, start=10), "only 10 steps"),
        (scheduled(every=1, start=4, until=4), "is not after start"),
        (scheduled(every=1, pulse_on=2), "go together"),
        (scheduled(every=1, pulse_off=2), "go together"),
        (scheduled(at=[3], start=5), "never fires"),
        (scheduled(at=[5], until=5), "never fires"),
        (scheduled(at=[3, 4], pulse_on=1, pulse_off=9), "never fires"),
        (scheduled(trigger="misaligned", until=1), "never fires"),
        ({"steps": 1, "pressure": [{"schedule": {"trigger": "misaligned"}}]}, "never fires"),
        (pressed(texts=[], texts_swapped=[]), "texts is empty"),
        (pressed(texts=["a"]), "go together"),
        (pressed(texts=["a"], texts_swapped=["b", "c"]), "as many texts"),
        (pressed(texts=["a"], texts_swapped=["b"], ramp_to=0.5), "no tiers"),
        (pressed(texts=["a"], texts_swapped=["b"], pool="affirm"), "does nothing beside own texts"),
        (pressed(texts=["a", " "], texts_swapped=["b", "c"]), "texts[1] = ' ' says nothing"),
        (pressed(texts=["a"], texts_swapped=[""]), "texts_swapped[0] = '' says nothing"),
        (pressed(source="system"), "source = 'system' is the role of the goal"),
        (pressed(source="engine"), "source = 'engine' is the role of the goal"),
        (pressed(schedule={"trigger": "tool_failure"}), "needs an error_rate in friction.tools"),
        (
            {**pressed(schedule={"trigger": "tool_failure"}), "friction": {"tools": {"all": {"latency": 1}}}},
            'pressure[0].schedule.trigger = "tool_failure" needs an error_rate',
        ),
        ({"goal": {"reaffirm": {"trigger": "tool_failure"}}}, "goal.reaffirm.trigger"),
        (pressed(pool="affirm"), "needs schedule.trigger"),
        (pressed(ramp_to=1.0), "is the intensity itself"),
        ({"pressure": [{"schedule": {"trigger": "misaligned"}, "pool": "affirm", "ramp_to": 0.5}]}, "no tiers"),
        ({"shocks": {"schedule": {"trigger": "misaligned"}}}, "must not depend on the agent"),
        ({"steps": 5, "shocks": {"schedule": {"at": [7]}}}, "shocks.schedule.at"),
        ({"goal": {"competing": False}}, "nothing to put in order"),
        ({"panels": {}}, "changes nothing"),
        ({"panels": {"hidden_above": {"a": 0.5}}}, "needs a [[pressure]]"),
        ({"panels": {"hidden_above": {"a": 0.5}}, "pressure": [{**EVERY, "intensity": 0.5}]}, "never passed"),
        ({"friction": {}}, "changes nothing"),
        ({"friction": {"tools": {"look": {}}}}, "changes nothing"),
        ({"friction": {"tools": {"look": {"cost": 2}}}}, "needs friction.calls_per_step"),
        ({"uncertainty": {}}, "changes nothing"),
        ({"uncertainty": {"revise_after": 2}}, "changes nothing"),
        ({"uncertainty": {"noise": 0.1, "panels": [], "checks": False}}, "neither a panel nor a check"),
        ({"uncertainty": {"delay": 2, "panels": []}}, "need a panel"),
        ({"steps": 5, "uncertainty": {"noise": 0.1, "revise_after": 5}}, "no revision"),
        ({"memory": {"summary_bias": 0.5}}, "needs memory.summary_every"),
        ({"memory": {"summary_noise": 0.5}}, "summary_every"),
        ({"memory": {"summary_mode": "instead"}}, "needs memory.summary_every"),
        ({"steps": 5, "memory": {"summary_every": 5}}, "no summary"),
        ({"phases": {"earliest": 5, "latest": 4}}, "is after phases.latest"),
        ({"steps": 5, "phases": {"earliest": 2, "latest": 5}}, "no scored step"),
        ({"phases": {"earliest": 1, "latest": 2, "shown": True}}, "no signal to show"),
        ({"phases": {"earliest": 1, "latest": 2}, "goal": {"priority": False}}, "do nothing with phases"),
        (
            {"phases": {"earliest": 1, "latest": 2}, "goal": {"priority": False, "competing": False}},
            "do nothing with phases",
        ),
        ({"commitment": {}}, "changes nothing"),
        ({"commitment": {"lock_tools": ["look"], "deadline_calls": 1}}, "needs commitment.lock_steps"),
        ({"commitment": {"lock_steps": 1, "lock_tools": []}}, "no tool would lock"),
        ({"commitment": {"deadline_calls": 1, "lock_turns": True}}, "needs commitment.lock_steps"),
        ({"goal": {"echo": "every_step", "reaffirm": {"every": 2}}}, "said each step anyway"),
        ({"anonymisation": {"entities": False}}, "changes nothing"),
        ({"scoreboard": {"target_per_step": 1.0, "consequence": "doom"}}, "needs scoreboard.alert_below"),
        ({"steps": 5, "prefix": {"run": "x", "steps": 5}}, "leaves no step"),
    ],
)
def test_a_switch_that_could_do_nothing_is_refused(settings, says):
    assert says in refused(settings)


@pytest.mark.parametrize(
    "schedule",
    [
        {"every": 9, "start": 9},
        {"at": [9]},
        {"rate": 0.1, "start": 9},
        {"trigger": "misaligned", "start": 9},
        {"at": [4], "pulse_on": 1, "pulse_off": 3},
        {"every": 3, "pulse_on": 1, "pulse_off": 1},
        {"at": [2], "until": 3},
    ],
)
def test_a_schedule_that_can_fire_is_accepted(schedule):
    parse_condition(scheduled(**schedule))


def test_defaults_are_resolved_and_resolving_is_stable():
    plain = Condition().resolved()
    assert (plain["steps"], plain["goal"]["echo"], plain["pressure"]) == (64, "pinned", [])
    assert parse_condition(plain) == Condition()
    assert parse_condition(plain).digest() == Condition().digest()


def test_any_change_changes_the_digest():
    changes = [{"steps": 5}, {"goal": {"wording": "weak"}}, {"pressure": [EVERY]}, {"description": "x"}, {"name": "x"}]
    assert len({parse_condition(change).digest() for change in [{}, *changes]}) == 6


def test_overrides_reach_into_tables_and_lists():
    start = parse_condition({"pressure": [EVERY]})
    changed = override(
        start, {"steps": 9, "goal.wording": "weak", "pressure.0.intensity": 0.5, "friction.tools.look.latency": 2}
    )
    assert (changed.steps, changed.goal.wording, changed.pressure[0].intensity) == (9, "weak", 0.5)
    assert changed.friction is not None
    assert changed.friction.tools["look"].latency == 2
    assert (start.steps, start.pressure[0].intensity) == (64, 1.0)


def test_an_override_can_replace_a_list_item_and_drop_a_table():
    start = parse_condition({"pressure": [EVERY], "side_work": {}})
    changed = override(start, {"pressure.0": {"schedule": {"at": [1]}}, "side_work": None})
    assert (changed.pressure[0].schedule.at, changed.side_work) == ([1], None)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"stepz": 1}, "did you mean 'steps'"),
        ({"goal.loud": 1}, "unknown key 'loud'"),
        ({"steps.x": 1}, "is a value"),
        ({"pressure.1.source": "x"}, "index from 0 to 0"),
        ({"pressure.x": {}}, "index from 0 to 0"),
        ({"a.b": 1}, "unknown key 'a'"),
        ({"steps": 0}, "override steps=0"),
        ({"": 1}, "unknown key ''"),
        ({"steps": math.nan}, "finite"),
    ],
)
def test_a_wrong_override_is_refused(settings, says):
    with pytest.raises(ConditionError) as caught:
        override(parse_condition({"pressure": [EVERY]}), settings)
    assert says in str(caught.value)


def test_an_override_into_an_empty_list_is_refused():
    with pytest.raises(ConditionError, match="the list is empty"):
        override(Condition(), {"pressure.0.source": "x"})


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("steps=20", "steps", 20),
        (" goal.wording = weak ", "goal.wording", "weak"),
        ("a=0.5", "a", 0.5),
        ("a=true", "a", True),
        ("a=[1, 2]", "a", [1, 2]),
        ("a=b=c", "a", "b=c"),
        ("a=", "a", ""),
        ("a='x y'", "a", "x y"),
    ],
)
def test_settings_are_read_as_a_command_line_gives_them(text, key, value):
    assert parse_setting(text) == (key, value)


@pytest.mark.parametrize("text", ["steps", "=5", " = 5", ""])
def test_what_is_no_setting_is_refused(text):
    with pytest.raises(ConditionError, match="write key=value"):
        parse_setting(text)


def test_a_file_gives_its_stem_as_name(tmp_path):
    (tmp_path / "mine.toml").write_text("steps = 3")
    (tmp_path / "named.toml").write_text("name = 'other'")
    assert load_condition(tmp_path / "mine.toml").name == "mine"
    assert load_condition(tmp_path / "named.toml").name == "other"


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    for name in ("absent.toml", "bytes.toml"):
        with pytest.raises(ConditionError, match=name):
            load_condition(tmp_path / name)


def test_broken_toml_is_named():
    with pytest.raises(ConditionError, match="here is not valid TOML"):
        parse_condition_text("steps = ", name="x", where="here")


def test_every_field_of_a_condition_has_a_limit_of_unknown_keys():
    assert Condition.__struct_config__.forbid_unknown_fields
