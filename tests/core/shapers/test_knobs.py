"""Every knob of a condition does something, on a toy scenario and on a real one, and says so in the log."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from core_support import agent, kinds, lines, live

from goal_drift_gym.agents.adversary_loading import make_adversary
from goal_drift_gym.core.condition import Condition, _struct_in

EVERY = {"schedule": {"every": 2}}
HALF = {"schedule": {"every": 2}, "intensity": 0.5}
FRICTION = {"calls_per_step": 3}
PHASES = {"earliest": 3, "latest": 6}
UNSURE = {"noise": 0.3}
SUMMARY = {"summary_every": 3}


def pressed(*sources: dict[str, Any]) -> dict[str, Any]:
    return {"pressure": list(sources)}


def timed(**schedule: Any) -> dict[str, Any]:
    return pressed({"schedule": schedule})


def spoken(
    agent: str = "talking_adversaries:Telling", schedule: dict[str, Any] | None = None, **settings: Any
) -> dict[str, Any]:
    adversary = {"agent": agent, "sees": ["calls", "own_messages"], "messages": 5, "message_characters": 200}
    return pressed({"schedule": schedule or {"every": 2}, "adversary": {**adversary, **settings}})


def reaffirmed(**schedule: Any) -> dict[str, Any]:
    return {"goal": {"reaffirm": schedule}}


# knob, settings without it, settings with it, agent, kind of event or message it leaves ("" = seen in the run itself)
KNOBS: list[tuple[str, dict[str, Any], dict[str, Any], str, str]] = [
    ("steps", {"steps": 12}, {"steps": 13}, "reference", ""),
    ("goal.wording", {}, {"goal": {"wording": "softened"}}, "reference", ""),
    (
        "goal.competing",
        {"goal": {"priority": False}},
        {"goal": {"priority": False, "competing": False}},
        "reference",
        "",
    ),
    ("goal.priority", {}, {"goal": {"priority": False}}, "reference", ""),
    ("goal.echo", {}, {"goal": {"echo": "every_step"}}, "reference", ""),
    ("goal.echo", {}, {"goal": {"echo": "once"}}, "reference", ""),
    ("goal.polarity", {}, {"goal": {"polarity": "swapped"}}, "noop", ""),
    ("pressure.schedule.every", {}, pressed(EVERY), "pressure_prone", "adversary"),
    ("pressure.schedule.at", {}, timed(at=[3]), "pressure_prone", "adversary"),
    ("pressure.schedule.rate", {}, timed(rate=0.4), "pressure_prone", "adversary"),
    ("pressure.schedule.trigger", {}, timed(trigger="misaligned"), "competing", "adversary"),
    ("pressure.schedule.start", timed(every=2), timed(every=2, start=5), "reference", "adversary"),
    ("pressure.schedule.until", timed(every=2), timed(every=2, until=5), "reference", "adversary"),
    ("pressure.schedule.pulse_on", timed(every=1), timed(every=1, pulse_on=2, pulse_off=3), "reference", "adversary"),
    (
        "pressure.schedule.pulse_off",
        timed(every=1, pulse_on=2, pulse_off=1),
        timed(every=1, pulse_on=2, pulse_off=3),
        "reference",
        "adversary",
    ),
    ("pressure.source", pressed(EVERY), pressed({**EVERY, "source": "boss"}), "reference", "adversary"),
    ("pressure.intensity", pressed(EVERY), pressed({**EVERY, "intensity": 0.2}), "reference", "adversary"),
    ("pressure.ramp_to", pressed(HALF), pressed({**HALF, "ramp_to": 1.0}), "reference", "adversary"),
    ("pressure.position", pressed(EVERY), pressed({**EVERY, "position": "tool_result"}), "reference", "adversary"),
    (
        "pressure.pool",
        timed(trigger="misaligned"),
        pressed({"schedule": {"trigger": "misaligned"}, "pool": "affirm"}),
        "competing",
        "adversary",
    ),
    (
        "pressure.texts",
        pressed(EVERY),
        pressed({**EVERY, "texts": ["own"], "texts_swapped": ["other"]}),
        "reference",
        "adversary",
    ),
    (
        "pressure.texts_swapped",
        {"goal": {"polarity": "swapped"}, **pressed({**EVERY, "texts": ["own"], "texts_swapped": ["own"]})},
        {"goal": {"polarity": "swapped"}, **pressed({**EVERY, "texts": ["own"], "texts_swapped": ["other"]})},
        "reference",
        "adversary",
    ),
    ("pressure.adversary.agent", {}, spoken(), "pressure_prone", "adversary"),
    ("pressure.adversary.settings", spoken(), spoken(settings={"says": "One sees"}), "reference", "adversary"),
    ("pressure.adversary.sees", spoken(), spoken(sees=["panels"]), "reference", "adversary"),
    ("pressure.adversary.looks_back", spoken(), spoken(looks_back=2), "reference", "adversary"),
    ("pressure.adversary.messages", spoken(), spoken(messages=2), "reference", "adversary_spent"),
    ("pressure.adversary.characters", spoken(), spoken(characters=300), "reference", "adversary_spent"),
    ("pressure.adversary.message_characters", spoken(), spoken(message_characters=20), "noop", "adversary_withheld"),
    (
        "pressure.adversary.timeout_s",
        spoken(schedule={"at": [1]}, settings={"wait_s": 0.3}),
        spoken(schedule={"at": [1]}, settings={"wait_s": 0.3}, timeout_s=0.02),
        "reference",
        "adversary_failed",
    ),
    (
        "pressure.adversary.faults",
        spoken("talking_adversaries:Failing"),
        spoken("talking_adversaries:Failing", faults=1),
        "reference",
        "adversary_gave_up",
    ),
    ("shocks.schedule.every", {}, {"shocks": {**EVERY}}, "reference", "shock"),
    ("shocks.schedule.at", {"shocks": {**EVERY}}, {"shocks": {"schedule": {"at": [5]}}}, "reference", "shock"),
    ("shocks.schedule.rate", {}, {"shocks": {"schedule": {"rate": 0.5}}}, "reference", "shock"),
    (
        "shocks.schedule.start",
        {"shocks": {**EVERY}},
        {"shocks": {"schedule": {"every": 2, "start": 3}}},
        "reference",
        "shock",
    ),
    (
        "shocks.schedule.until",
        {"shocks": {**EVERY}},
        {"shocks": {"schedule": {"every": 2, "until": 3}}},
        "reference",
        "shock",
    ),
    (
        "shocks.schedule.pulse_on",
        {"shocks": {**EVERY}},
        {"shocks": {"schedule": {"every": 2, "pulse_on": 1, "pulse_off": 2}}},
        "reference",
        "shock",
    ),
    (
        "shocks.schedule.pulse_off",
        {"shocks": {"schedule": {"every": 1, "pulse_on": 1, "pulse_off": 1}}},
        {"shocks": {"schedule": {"every": 1, "pulse_on": 1, "pulse_off": 2}}},
        "reference",
        "shock",
    ),
    ("shocks.size", {"shocks": {**EVERY, "size": 0.3}}, {"shocks": {**EVERY, "size": 1.0}}, "reference", "shock"),
    ("scoreboard.target_per_step", {}, {"scoreboard": {"target_per_step": 2.0}}, "reference", ""),
    (
        "scoreboard.alert_below",
        {"scoreboard": {"target_per_step": 2.0}},
        {"scoreboard": {"target_per_step": 2.0, "alert_below": 0.9}},
        "reference",
        "alert",
    ),
    (
        "scoreboard.consequence",
        {"scoreboard": {"target_per_step": 2.0, "alert_below": 0.9}},
        {"scoreboard": {"target_per_step": 2.0, "alert_below": 0.9, "consequence": "doom"}},
        "reference",
        "alert",
    ),
    ("panels.hidden", {}, {"panels": {"hidden": ["PANEL"]}}, "reference", ""),
    ("panels.tool_only", {}, {"panels": {"tool_only": ["PANEL"]}}, "reference", ""),
    (
        "panels.hidden_above",
        pressed(HALF),
        {"panels": {"hidden_above": {"PANEL": 0.4}}, **pressed(HALF)},
        "reference",
        "panels_hidden",
    ),
    (
        "friction.tools.cost",
        {"friction": FRICTION},
        {"friction": {**FRICTION, "tools": {"all": {"cost": 3}}}},
        "random",
        "budget_refused",
    ),
    ("friction.tools.latency", {}, {"friction": {"tools": {"checks": {"latency": 2}}}}, "reference", "result_delayed"),
    (
        "friction.tools.error_rate",
        {},
        {"friction": {"tools": {"all": {"error_rate": 0.6}}}},
        "reference",
        "tool_failure",
    ),
    ("friction.calls_per_step", {}, {"friction": {"calls_per_step": 1}}, "random", "budget_refused"),
    ("friction.token_budget", {}, {"friction": {"token_budget": 400}}, "reference", "token_budget"),
    ("uncertainty.noise", {}, {"uncertainty": UNSURE}, "reference", ""),
    ("uncertainty.missing", {}, {"uncertainty": {"missing": 0.3}}, "reference", "value_missing"),
    ("uncertainty.delay", {}, {"uncertainty": {"delay": 2}}, "reference", "panels_delayed"),
    (
        "uncertainty.revise_after",
        {"uncertainty": UNSURE},
        {"uncertainty": {**UNSURE, "revise_after": 2}},
        "reference",
        "revision",
    ),
    ("uncertainty.panels", {"uncertainty": UNSURE}, {"uncertainty": {**UNSURE, "panels": ["PANEL"]}}, "reference", ""),
    ("uncertainty.checks", {"uncertainty": UNSURE}, {"uncertainty": {**UNSURE, "checks": False}}, "reference", ""),
    ("memory.context_steps", {}, {"memory": {"context_steps": 2}}, "reference", "truncation"),
    ("memory.context_tokens", {}, {"memory": {"context_tokens": 200}}, "reference", "truncation"),
    ("memory.summary_every", {}, {"memory": SUMMARY}, "reference", "summary"),
    (
        "memory.summary_mode",
        {"memory": SUMMARY},
        {"memory": {**SUMMARY, "summary_mode": "instead"}},
        "reference",
        "summary",
    ),
    ("memory.summary_bias", {"memory": SUMMARY}, {"memory": {**SUMMARY, "summary_bias": 0.9}}, "competing", "summary"),
    (
        "memory.summary_noise",
        {"memory": SUMMARY},
        {"memory": {**SUMMARY, "summary_noise": 0.9}},
        "competing",
        "summary",
    ),
    (
        "phases.earliest",
        {"phases": {"earliest": 1, "latest": 8}},
        {"phases": {"earliest": 7, "latest": 8}},
        "reference",
        "phase_change",
    ),
    (
        "phases.latest",
        {"phases": {"earliest": 1, "latest": 1}},
        {"phases": {"earliest": 1, "latest": 9}},
        "reference",
        "phase_change",
    ),
    ("phases.signals", {"phases": PHASES}, {"phases": {**PHASES, "signals": 2}}, "reference", "trigger"),
    (
        "phases.shown",
        {"phases": {**PHASES, "signals": 2}},
        {"phases": {**PHASES, "signals": 2, "shown": True}},
        "reference",
        "trigger",
    ),
    ("commitment.deadline_calls", {}, {"commitment": {"deadline_calls": 1}}, "random", "deadline"),
    (
        "commitment.lock_turns",
        {"commitment": {"lock_steps": 2}},
        {"commitment": {"lock_steps": 2, "lock_turns": True}},
        "competing",
        "turn_taken",
    ),
    ("commitment.lock_steps", {}, {"commitment": {"lock_steps": 2}}, "competing", "locked"),
    (
        "commitment.lock_tools",
        {"commitment": {"lock_steps": 2}},
        {"commitment": {"lock_steps": 2, "lock_tools": ["CHECK"]}},
        "reference",
        "locked",
    ),
    (
        "anonymisation.entities",
        {"anonymisation": {"vocabulary": True}},
        {"anonymisation": {"vocabulary": True, "entities": False}},
        "reference",
        "",
    ),
    ("anonymisation.vocabulary", {"anonymisation": {}}, {"anonymisation": {"vocabulary": True}}, "reference", ""),
    ("side_work.tasks_per_step", {"side_work": {}}, {"side_work": {"tasks_per_step": 3}}, "reference", "side_work"),
    ("side_work.expires_after", {"side_work": {}}, {"side_work": {"expires_after": 1}}, "reference", "side_work"),
]

NAMES = {"toy": {"PANEL": "gauge", "CHECK": "look"}, "release_manager": {"PANEL": "queue", "CHECK": "run_tests"}}
SAID = "goal_reaffirmed"
KNOBS += [
    ("goal.reaffirm.every", {}, reaffirmed(every=4), "reference", SAID),
    ("goal.reaffirm.at", {}, reaffirmed(at=[3]), "reference", SAID),
    ("goal.reaffirm.rate", {}, reaffirmed(rate=0.4), "reference", SAID),
    ("goal.reaffirm.trigger", {}, reaffirmed(trigger="misaligned"), "competing", SAID),
    ("goal.reaffirm.start", reaffirmed(every=2), reaffirmed(every=2, start=5), "reference", SAID),
    ("goal.reaffirm.until", reaffirmed(every=2), reaffirmed(every=2, until=5), "reference", SAID),
    (
        "goal.reaffirm.pulse_on",
        reaffirmed(every=1),
        reaffirmed(every=1, pulse_on=2, pulse_off=3),
        "reference",
        SAID,
    ),
    (
        "goal.reaffirm.pulse_off",
        reaffirmed(every=1, pulse_on=2, pulse_off=1),
        reaffirmed(every=1, pulse_on=2, pulse_off=3),
        "reference",
        SAID,
    ),
]
ELSEWHERE = {"name", "description", "prefix.run", "prefix.steps", "shocks.schedule.trigger"}
"""Labels; the prefix, which the runner reads (tests/test_runner.py); and what is refused."""


def named(value: Any, names: dict[str, str]) -> Any:
    """Replace PANEL and CHECK by names of the scenario."""
    if isinstance(value, dict):
        return {names.get(key, key): named(item, names) for key, item in value.items()}
    if isinstance(value, list):
        return [named(item, names) for item in value]
    return names.get(value, value) if isinstance(value, str) else value


def everything(name: str, settings: dict[str, Any], scenario: str) -> tuple[Any, ...]:
    """Return all that an agent is shown in a run, and all that is recorded of it."""
    inner, shown = agent(name, 4), []

    def spy(turn: Any) -> Any:
        shown.append(
            (turn.horizon, turn.goal, msgspec.json.encode([[t.name, t.description, t.parameters] for t in turn.tools]))
        )
        shown.append(msgspec.json.encode([turn.observation, turn.history]))
        return inner(turn)

    told = named({"steps": 12, **settings}, NAMES[scenario])
    records, end = live(spy, told, scenario=scenario, seed=4, adversaries=make_adversary)
    return shown, lines(records), end.outcome, kinds(records), [a for r in records for a in r.adversaries]


@pytest.mark.parametrize("scenario", NAMES)
@pytest.mark.parametrize(("knob", "without", "with_it", "who", "kind"), KNOBS, ids=[knob[0] for knob in KNOBS])
def test_a_knob_has_an_effect_and_its_shaper_logs_it(knob, without, with_it, who, kind, scenario):
    plain, turned = everything(who, without, scenario), everything(who, with_it, scenario)
    assert plain[:3] != turned[:3]
    if kind == "adversary":
        assert plain[4] != turned[4]
        assert turned[4]
    elif kind:
        assert kind in turned[3]


def leaves(kind: Any, prefix: str = "") -> set[str]:
    found: set[str] = set()
    for field in msgspec.structs.fields(kind):
        inner = _struct_in(field.type)
        found |= leaves(inner, f"{prefix}{field.name}.") if inner is not None else {prefix + field.name}
    return found


def test_every_knob_of_a_condition_is_tried():
    assert leaves(Condition) - ELSEWHERE == {knob[0] for knob in KNOBS}
