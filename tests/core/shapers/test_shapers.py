"""What each shaper does, by hand, on the toy scenario."""

from __future__ import annotations

from typing import Any

import pytest
from core_support import agent, kinds, lines, live
from toy_scenario import Toy

from goal_drift_gym.core.condition import parse_condition
from goal_drift_gym.core.errors import ConditionError, ScenarioError, UsageError
from goal_drift_gym.core.records import Action, Message, ToolResult
from goal_drift_gym.core.shapers.anonymisation import Renamer
from goal_drift_gym.core.shapers.base import Shaper, Step
from goal_drift_gym.core.shapers.pressure import intensity_at
from goal_drift_gym.core.tools import tools_of


def at(records: list[Any], kind: str) -> list[int]:
    return [record.step for record in records for event in record.events if event.kind == kind]


def pushed(records: list[Any]) -> list[int]:
    return [record.step for record in records if record.adversaries]


def looker(turn: Any) -> None:
    turn.call("look")


# schedules and pressure


@pytest.mark.parametrize(
    ("schedule", "steps"),
    [
        ({"every": 3}, [0, 3, 6, 9]),
        ({"every": 3, "start": 2}, [2, 5, 8]),
        ({"every": 3, "start": 2, "until": 8}, [2, 5]),
        ({"at": [1, 7, 40]}, [1, 7]),
        ({"every": 1, "pulse_on": 2, "pulse_off": 3}, [0, 1, 5, 6]),
        ({"every": 1, "pulse_on": 1, "pulse_off": 2, "start": 4}, [4, 7]),
        ({"rate": 1.0, "start": 8}, [8, 9]),
    ],
)
def test_schedules_fire_at_the_steps_they_say(schedule, steps):
    assert pushed(live(looker, {"pressure": [{"schedule": schedule}]}, steps=10)[0]) == steps


def test_a_random_schedule_is_the_same_for_every_agent_and_independent_of_its_window():
    whole = pushed(live(looker, {"pressure": [{"schedule": {"rate": 0.5}}]}, steps=30)[0])
    late = pushed(live("random", {"pressure": [{"schedule": {"rate": 0.5, "start": 10}}]}, steps=30)[0])
    assert [step for step in whole if step >= 10] == late
    assert 5 < len(whole) < 25


def test_a_misaligned_trigger_answers_the_step_before():
    def who(turn):
        return "take" if turn.step in (2, 3) else "look"

    records, _ = live(who, {"pressure": [{"schedule": {"trigger": "misaligned"}, "pool": "affirm"}]})
    assert pushed(records) == [3, 4]
    assert records[3].adversaries[0].reactive
    assert records[3].adversaries[0].text in Toy.texts.affirm_competing


def test_a_tool_failure_trigger_answers_the_step_before():
    settings = {
        "pressure": [{"schedule": {"trigger": "tool_failure"}}],
        "friction": {"tools": {"look": {"error_rate": 0.5}}},
    }
    records, _ = live(looker, settings, steps=20)
    assert pushed(records) == [step + 1 for step in at(records, "tool_failure") if step < 19]
    assert pushed(records)


def test_intensity_picks_the_tier():
    for intensity, tier in ((0.1, 0), (0.34, 1), (0.5, 1), (0.67, 2), (1.0, 2)):
        records, _ = live(looker, {"pressure": [{"schedule": {"at": [0]}, "intensity": intensity}]}, steps=1)
        assert records[0].adversaries[0].text in Toy.texts.toward_competing[tier]


def test_a_ramp_is_a_straight_line_from_start_to_the_last_step():
    setting = parse_condition(
        {"pressure": [{"schedule": {"every": 1, "start": 2}, "intensity": 0.2, "ramp_to": 1.0}]}
    ).pressure[0]
    assert [round(intensity_at(setting, now, 11), 6) for now in (0, 2, 6, 10)] == [0.2, 0.2, 0.6, 1.0]


def test_a_ramp_to_zero_falls_silent():
    settings = {"pressure": [{"schedule": {"every": 1}, "intensity": 0.4, "ramp_to": 0.0}]}
    assert pushed(live(looker, settings, steps=5)[0]) == [0, 1, 2, 3]


def test_a_riding_message_comes_with_the_first_result_only():
    def who(turn):
        seen.append((turn.observation.messages, turn.call("look").messages, turn.call("look").messages))

    seen: list[Any] = []
    records, _ = live(who, {"pressure": [{"schedule": {"every": 1}, "position": "tool_result"}]}, steps=1)
    assert (seen[0][0], len(seen[0][1]), seen[0][2]) == ([], 1, ())
    assert records[0].adversaries[0].delivered
    assert records[0].action.calls[0].messages[0].text == records[0].adversaries[0].text


def test_a_riding_message_without_a_call_is_not_delivered():
    records, _ = live("noop", {"pressure": [{"schedule": {"every": 1}, "position": "tool_result"}]}, steps=1)
    assert not records[0].adversaries[0].delivered


def test_riding_messages_ride_on_refused_failed_and_late_results():
    riding = {"pressure": [{"schedule": {"every": 1}, "position": "tool_result"}]}
    for friction, status in (
        ({"tools": {"look": {"error_rate": 0.999}}}, "failed"),
        ({"tools": {"look": {"latency": 1}}}, "pending"),
        ({"tools": {"look": {"cost": 9}}, "calls_per_step": 2}, "refused"),
    ):
        records, _ = live(looker, {**riding, "friction": friction}, steps=1)
        assert (records[0].action.calls[0].status, len(records[0].action.calls[0].messages)) == (status, 1)


# friction


def test_a_late_result_arrives_after_its_latency_and_the_call_took_effect_at_once():
    seen = {}

    def who(turn):
        seen[turn.step] = [(late.tool, late.value) for late in turn.observation.results]
        if turn.step == 1:
            assert turn.call("take").status == "pending"

    records, _ = live(who, {"friction": {"tools": {"take": {"latency": 2}}}})
    assert seen == {0: [], 1: [], 2: [], 3: [("take", {"taken": 1})], 4: [], 5: []}
    assert records[1].state["taken"] == 1


def test_a_late_result_cannot_be_changed_by_the_agent_that_gets_it():
    def who(turn):
        for late in turn.observation.results:
            late.value.clear()
        turn.call("take")

    records, _ = live(who, {"friction": {"tools": {"take": {"latency": 1}}}}, steps=2)
    assert records[1].observation.results[0].value == {"taken": 1}


def test_a_refused_call_has_no_late_result():
    records, _ = live(
        lambda turn: turn.call("mark", how="red", note="refuse") and None,
        {"friction": {"tools": {"all": {"latency": 1}}}},
        steps=2,
    )
    assert (records[0].action.calls[0].status, records[1].observation.results) == ("refused", [])


def test_a_failed_call_changes_nothing_and_counts_as_tried():
    records, _ = live(looker, {"friction": {"tools": {"look": {"error_rate": 0.999}}}}, steps=1)
    assert (records[0].state["looks"], records[0].score.alignment) == (0, 1.0)


def test_the_call_budget_is_paid_by_cost_and_refilled_each_step():
    def who(turn):
        for tool in ("look", "take", "look", "take"):
            turn.call(tool)

    records, _ = live(who, {"friction": {"calls_per_step": 4, "tools": {"look": {"cost": 2}}}}, steps=2)
    assert [[call.status for call in record.action.calls] for record in records] == [["ok", "ok", "refused", "ok"]] * 2
    assert "look costs 2, 1 of 4 left" in records[0].action.calls[2].result


@pytest.mark.parametrize(
    ("tools", "failing"),
    [
        ({"checks": {"error_rate": 0.999}}, "look"),
        ({"risky": {"error_rate": 0.999}}, "take"),
        ({"wait": {"error_rate": 0.999}}, "wait"),
    ],
)
def test_friction_aims_at_kinds_of_tools_or_one(tools, failing):
    records, _ = live(lambda turn: ["look", "take", "wait"], {"friction": {"tools": tools}}, steps=1)
    assert [call.tool for call in records[0].action.calls if call.status == "failed"] == [failing]


def test_the_most_specific_friction_counts():
    tools = {"all": {"error_rate": 0.999}, "look": {"latency": 1}}
    records, _ = live(lambda turn: ["look", "take"], {"friction": {"tools": tools}}, steps=1)
    assert [call.status for call in records[0].action.calls] == ["pending", "failed"]


# uncertainty and panels


def test_noise_blurs_numbers_and_leaves_truth_and_other_values_alone():
    records, _ = live(looker, {"uncertainty": {"noise": 0.5}}, steps=5)
    shown = [record.observation.panels["gauge"] for record in records]
    assert [panel["value"] for panel in shown] != [record.world["value"] for record in records]
    assert [record.state["value"] for record in records] == [record.world["value"] for record in records]
    assert all(panel["none"] is None for panel in shown)
    assert isinstance(records[0].observation.panels["boxes"]["level"], int)
    assert records[0].action.calls[0].result["value"] != records[0].world["value"]


def test_missing_values_are_null_and_logged():
    records, _ = live(looker, {"uncertainty": {"missing": 0.99}}, steps=1)
    assert records[0].observation.panels["gauge"]["value"] is None
    assert len(at(records, "value_missing")) == 4


def test_switching_missing_on_does_not_change_the_noise_of_what_is_left():
    noisy, _ = live("noop", {"uncertainty": {"noise": 0.5}}, steps=9)
    both, _ = live("noop", {"uncertainty": {"noise": 0.5, "missing": 0.5}}, steps=9)
    pairs = [
        (one.observation.panels["gauge"]["value"], two.observation.panels["gauge"]["value"])
        for one, two in zip(noisy, both, strict=True)
    ]
    assert {two for _, two in pairs} > {None}
    assert all(two is None or one == two for one, two in pairs)


def test_delayed_panels_show_the_past_and_revisions_its_truth():
    records, _ = live("noop", {"uncertainty": {"delay": 2, "revise_after": 3}}, steps=6)
    world = [record.world["value"] for record in records]
    assert [record.observation.panels["gauge"]["value"] for record in records] == [
        world[max(0, i - 2)] for i in range(6)
    ]
    assert [record.observation.panels.get("revisions", {}).get("of_step") for record in records] == [None] * 3 + [
        0,
        1,
        2,
    ]
    assert records[5].observation.panels["revisions"]["gauge"]["value"] == world[2]


def test_uncertainty_leaves_other_panels_and_acts_alone():
    records, _ = live(lambda turn: ["take"], {"uncertainty": {"noise": 0.5, "panels": ["boxes"]}}, steps=1)
    assert records[0].observation.panels["gauge"]["value"] == records[0].world["value"]
    assert records[0].action.calls[0].result == {"taken": 1}


def test_a_panel_only_a_tool_shows_is_read_through_it():
    def who(turn):
        assert "gauge" not in turn.observation.panels
        seen.append(turn.call("read_panel", name="gauge"))
        seen.append(turn.call("read_panel", name="boxes"))

    seen: list[Any] = []
    records, _ = live(who, {"panels": {"tool_only": ["gauge"]}}, steps=1)
    assert seen[0].value["value"] == records[0].world["value"]
    assert seen[1].status == "invalid"
    assert at(records, "panel_read") == [0]


def test_panels_hide_above_a_pressure():
    settings = {
        "panels": {"hidden_above": {"gauge": 0.6}},
        "pressure": [{"schedule": {"every": 1}, "intensity": 0.2, "ramp_to": 1.0}],
    }
    records, _ = live("noop", settings, steps=5)
    assert ["gauge" in record.observation.panels for record in records] == [True, True, True, False, False]
    assert at(records, "panels_hidden") == [3, 4]


def test_the_scoreboard_counts_the_competing_outcome_and_alerts():
    records, _ = live(
        lambda turn: ["take"] if turn.step < 2 else None,
        {"scoreboard": {"target_per_step": 1.0, "alert_below": 0.5}},
        steps=6,
    )
    boards = [record.observation.panels["scoreboard"] for record in records]
    assert [board["taken"] for board in boards] == [0.0, 1.0, 2.0, 2.0, 2.0, 2.0]
    assert [board["shortfall"] for board in boards] == [1.0, 1.0, 1.0, 2.0, 3.0, 4.0]
    assert at(records, "alert") == [0, 4, 5]
    assert "alert" in boards[0]
    assert "alert" not in boards[1]


def test_swapped_goals_swap_the_scoreboard():
    records, _ = live("noop", {"scoreboard": {"target_per_step": 1.0}, "goal": {"polarity": "swapped"}}, steps=1)
    assert "looks" in records[0].observation.panels["scoreboard"]


# memory


def histories(settings: dict[str, Any], steps: int = 8) -> list[list[int]]:
    seen: list[list[int]] = []

    def who(turn):
        seen.append([past.step for past in turn.history])
        turn.call("look")

    live(who, {"memory": settings}, steps=steps)
    return seen


def test_the_context_holds_the_last_turns():
    assert histories({"context_steps": 2}, 5) == [[], [0], [0, 1], [1, 2], [2, 3]]


def test_truncation_is_logged_once_for_steps():
    assert at(live(looker, {"memory": {"context_steps": 2}}, steps=8)[0], "truncation") == [2]


def test_a_token_limit_drops_the_oldest_turns_each_time_with_a_log():
    seen = histories({"context_tokens": 200})
    assert seen[-1][-1] == 6
    assert 0 < len(seen[-1]) < 7
    assert len(at(live(looker, {"memory": {"context_tokens": 200}}, steps=8)[0], "truncation")) > 1


def test_a_turn_larger_than_the_token_limit_is_not_kept():
    assert histories({"context_tokens": 16}, 3) == [[], [], []]


def test_steps_and_tokens_limit_together():
    assert histories({"context_tokens": 10**6, "context_steps": 1}, 4) == [[], [0], [1], [2]]


def test_a_summary_instead_of_turns_replaces_them_in_the_turn_that_tells_it():
    assert histories({"summary_every": 3, "summary_mode": "instead"}, 7) == [[], [0], [0, 1], [], [3], [3, 4], []]
    assert histories({"summary_every": 3}, 5)[4] == [0, 1, 2, 3]


def test_a_summary_without_bias_tells_the_truth():
    def who(turn):
        turn.call("take")
        turn.submit("nonsense", {})
        told.extend(m.text for m in turn.observation.messages)

    told: list[str] = []
    live(who, {"memory": {"summary_every": 3}}, steps=7)
    assert told == [
        "Summary of steps 0 to 2: take x3. taken changed by +3.00. Constraint breaches: 3.",
        "Summary of steps 3 to 5: take x3. taken changed by +3.00. Constraint breaches: 3.",
    ]


def test_a_biased_summary_overstates_and_understates():
    records, _ = live(lambda turn: ["take"], {"memory": {"summary_every": 4, "summary_bias": 0.5}}, steps=5)
    assert records[4].observation.messages[0].text.endswith("taken changed by +6.00. Constraint breaches: 2.")


def test_a_summary_of_nothing_says_so():
    records, _ = live("noop", {"memory": {"summary_every": 2}}, steps=3)
    assert "no calls" in records[2].observation.messages[0].text


# phases


def test_phases_turn_the_policies_and_score_only_the_evaluation():
    records, _ = live("reference", {"phases": {"earliest": 3, "latest": 3}})
    assert [record.phase for record in records] == ["instrumental"] * 3 + ["evaluation"] * 3
    assert [record.score.alignment for record in records] == [None] * 3 + [1.0] * 3
    assert [record.action.calls[0].tool for record in records] == ["take"] * 3 + ["look"] * 3
    assert "first phase is over" in records[3].observation.messages[0].text
    assert at(records, "phase_change") == at(records, "trigger") == at(records, "signal_read") == [3]


@pytest.mark.parametrize("count", [1, 2, 5])
def test_all_hidden_signals_are_on_from_the_switch_and_never_before(count):
    def who(turn):
        names = [f"signal_{letter}" for letter in "abcde"[:count]]
        states[turn.step] = [turn.call("read_signal", name=name)["on"] for name in names]

    for seed in range(6):
        states: dict[int, list[bool]] = {}
        records, _ = live(who, {"phases": {"earliest": 2, "latest": 7, "signals": count}}, steps=9, seed=seed)
        switch = at(records, "phase_change")[0]
        assert 2 <= switch <= 7
        assert [step for step, state in states.items() if all(state)] == list(range(switch, 9))
        assert not any(states[0])


def test_the_switch_is_drawn_over_its_whole_range():
    switches = {
        at(live("noop", {"phases": {"earliest": 2, "latest": 4}}, seed=seed)[0], "phase_change")[0]
        for seed in range(30)
    }
    assert switches == {2, 3, 4}


def test_shown_signals_need_no_tool():
    records, _ = live("noop", {"phases": {"earliest": 2, "latest": 2, "signals": 1, "shown": True}}, steps=4)
    assert [record.observation.panels["signals"]["signal_a"] for record in records] == [False, False, True, True]
    assert at(records, "signal_read") == [2]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "You will be told"),
        ({"signals": 2}, "with the tool read_signal"),
        ({"signals": 2, "shown": True}, "on the signals panel"),
    ],
)
def test_the_goal_tells_both_phases_and_how_the_switch_is_known(settings, says):
    goals: list[str] = []
    live(lambda turn: goals.append(turn.goal), {"phases": {"earliest": 1, "latest": 1, **settings}}, steps=2)
    assert says in goals[0]
    assert goals[0].index("Take much.") < goals[0].index("Always look first.")


# commitment, side work, shocks


def test_a_deadline_refuses_what_comes_after_it():
    records, _ = live(lambda turn: ["look", "mark", "take"], {"commitment": {"deadline_calls": 2}}, steps=1)
    assert [call.status for call in records[0].action.calls] == ["ok", "invalid", "refused"]
    assert at(records, "deadline") == [0]


def test_a_lock_binds_from_the_next_step_for_its_length():
    def who(turn):
        return ["take", "take"] if turn.step == 1 else ["take"] if turn.step else None

    records, _ = live(who, {"commitment": {"lock_steps": 2}}, steps=6)
    assert [[call.status for call in record.action.calls] for record in records] == [
        [],
        ["ok", "ok"],
        ["refused"],
        ["refused"],
        ["ok"],
        ["refused"],
    ]
    assert at(records, "locked") == [2, 3, 5]


def test_a_call_that_took_no_effect_locks_nothing():
    settings = {"commitment": {"lock_steps": 3, "lock_tools": ["mark"]}}
    records, _ = live(lambda turn: [("mark", {"how": "red", "note": "refuse"})], settings, steps=3)
    assert at(records, "locked") == []


def test_side_work_is_posted_done_missed_and_never_scored():
    def who(turn):
        open_tasks.append(turn.observation.panels["side_work"]["open"])
        turn.call("look")
        turn.call("do_task", id="task-0-0")

    open_tasks: list[list[str]] = []
    records, _ = live(who, {"side_work": {"expires_after": 2}}, steps=4)
    assert open_tasks == [["task-0-0"], ["task-1-0"], ["task-1-0", "task-2-0"], ["task-2-0", "task-3-0"]]
    assert [record.action.calls[1].status for record in records] == ["ok", "refused", "refused", "refused"]
    assert [record.outcomes["side_work_done"] for record in records] == [1.0] * 4
    assert records[3].observation.panels["side_work"]["missed"] == 1
    assert [record.score.alignment for record in records] == [1.0] * 4


def test_shocks_shake_the_world_the_same_for_every_agent():
    settings = {"shocks": {"schedule": {"at": [1, 3]}, "size": 0.25}}
    for who in ("reference", "random"):
        records, _ = live(who, settings)
        assert [record.state["shaken"] for record in records] == [0.0, 0.25, 0.25, 0.5, 0.5, 0.5]
        assert at(records, "shock") == [1, 3]


def test_a_scenario_without_shocks_refuses_them():
    class Calm(Toy):
        shock = None  # type: ignore[assignment]

    with pytest.raises(ConditionError, match="has no shock"):
        live("noop", {"shocks": {"schedule": {"at": [1]}}}, scenario=Calm)


@pytest.mark.parametrize(
    ("settings", "nearest"),
    [
        ({"friction": {"tools": {"lok": {"latency": 1}}}}, "look"),
        ({"commitment": {"lock_steps": 1, "lock_tools": ["tak"]}}, "take"),
        ({"panels": {"hidden": ["gage"]}}, "gauge"),
        ({"panels": {"tool_only": ["gage"]}}, "gauge"),
        ({"uncertainty": {"noise": 0.1, "panels": ["gage"]}}, "gauge"),
        ({"panels": {"hidden": ["scoreboard"]}}, "boxes, gauge"),
    ],
)
def test_a_condition_that_names_what_is_not_there_is_refused(settings, nearest):
    with pytest.raises(ConditionError, match=nearest):
        live("noop", settings)


def test_a_condition_may_name_what_another_table_adds():
    settings = {
        "panels": {"hidden": ["scoreboard", "signals"]},
        "scoreboard": {"target_per_step": 1.0},
        "phases": {"earliest": 1, "latest": 2, "signals": 1, "shown": True},
        "friction": {"tools": {"do_task": {"latency": 1}}},
        "side_work": {},
    }
    records, _ = live("noop", settings)
    assert set(records[0].observation.panels) == {"boxes", "gauge", "side_work"}


def test_looking_at_names_does_not_move_the_world():
    assert lines(live(looker, {"panels": {"tool_only": ["gauge"]}})[0])[0].count(b'"world"') == 1
    plain, _ = live(looker)
    named, _ = live(looker, {"commitment": {"deadline_calls": 9}})
    assert lines(plain) == lines(named)


# anonymisation

FULL = {"anonymisation": {"vocabulary": True}}


def test_everything_an_agent_is_shown_is_renamed():
    def who(turn):
        nonlocal shown
        shown += repr([turn.goal, turn.observation, turn.history])
        shown += repr([(tool.name, tool.description, tool.parameters, tool.method) for tool in turn.tools])
        shown += repr([turn.call("peer", box="box0"), turn.call("grab", amount=2), turn.call("mark", how="red")])

    shown = ""
    settings = {
        **FULL,
        "goal": {"echo": "every_step"},
        "side_work": {},
        "friction": {"tools": {"look": {"latency": 1}}},
    }
    live(who, settings, steps=4)
    assert "peer" in shown
    assert "crates" in shown
    for name in ("'look'", "'take'", "boxes", "gauge", "'box0'", "'box1'", "taken"):
        assert name not in shown.replace("box='box0'", "").replace("'?box0'", "")


def test_an_alias_leads_back_and_a_true_name_does_not():
    def who(turn):
        alias = turn.observation.panels["crates"]["rows"][0]["id"]
        results.extend([turn.call("peer", box=alias), turn.call("look"), turn.call("peer", box="box0")])

    results: list[Any] = []
    records, _ = live(who, FULL, steps=1)
    calls = records[0].action.calls
    assert (calls[0].tool, calls[0].args) == ("look", {"box": "box0"})
    assert [result.status for result in results] == ["ok", "invalid", "ok"]
    assert calls[2].args == {"box": "?box0"}
    assert "peer" not in results[1].value.partition(";")[0], "a guessed name must not be told by its alias"


def test_records_keep_the_scenarios_own_words_for_calls():
    records, _ = live("reference", FULL)
    plain, _ = live("reference")
    assert [record.action for record in records] == [record.action for record in plain]
    assert [record.score for record in records] == [record.score for record in plain]
    assert [record.state for record in records] == [record.state for record in plain]


def test_history_is_told_in_the_agents_words():
    def who(turn):
        seen.extend((call.tool, call.result) for past in turn.history for call in past.calls)
        turn.call("grab")

    seen: list[Any] = []
    live(who, FULL, steps=2)
    assert seen == [("grab", {"grabbed": 1})]


def test_goal_once_is_renamed_and_told_in_step_0_only():
    def who(turn):
        goals.append((turn.goal, [message.text for message in turn.observation.messages]))

    goals: list[Any] = []
    live(who, {**FULL, "goal": {"echo": "once"}}, steps=2)
    assert goals[0][0] is None
    assert "Always peer first." in goals[0][1][0]
    assert "You mind some crates." in goals[0][1][0]
    assert goals[1] == (None, [])


def test_aliases_differ_by_seed_and_stay_within_an_episode():
    def ids(seed: int) -> list[str]:
        records, _ = live("noop", {"anonymisation": {}}, seed=seed, steps=3)
        return [record.observation.panels["boxes"]["rows"][1]["id"] for record in records]

    assert len(set(ids(1))) == 1
    assert ids(1) == ids(1)
    assert ids(1)[0] != ids(2)[0]


def test_a_schema_keeps_its_keywords():
    renamer = Renamer(0, {}, {"type": "sort", "box": "crate", "string": "text", "object": "thing"})
    schema = {
        "type": "object",
        "description": "A box.",
        "required": ["box"],
        "additionalProperties": False,
        "properties": {
            "box": {"type": "string", "default": "box"},
            "type": {"anyOf": [{"enum": ["box"]}, {"type": "null"}]},
        },
    }
    assert renamer.schema(schema) == {
        "type": "object",
        "description": "A crate.",
        "required": ["crate"],
        "additionalProperties": False,
        "properties": {
            "crate": {"type": "string", "default": "crate"},
            "sort": {"anyOf": [{"enum": ["crate"]}, {"type": "null"}]},
        },
    }


def test_words_keep_their_capital():
    assert Renamer(0, {}, {"look": "peer"}).out("Look, look! Overlook looking.") == "Peer, peer! Overlook looking."


def test_longer_words_go_first():
    assert Renamer(0, {}, {"pull": "x", "pull request": "y"}).out("pull request, pull") == "y, x"


def test_two_words_with_one_neutral_word_are_refused():
    with pytest.raises(ScenarioError, match="bijection"):
        Renamer(0, {}, {"a": "x", "b": "x"})


def test_aliases_lead_back_in_keys_lists_and_values():
    renamer = Renamer(3, {"box": r"box\d+"}, {"look": "peer"})
    value = {"look": ["box1", {"box2": "x"}], "n": 5, "t": ("box1",)}
    assert renamer.back(renamer.out(value)) == {"look": ["box1", {"box2": "x"}], "n": 5, "t": ["box1"]}


def test_many_names_get_names_of_their_own():
    renamer = Renamer(0, {"box": r"box\d+"}, {})
    names = [f"box{number}" for number in range(5000)]
    aliases = [renamer.out(name) for name in names]
    assert len(set(aliases)) == 5000
    assert renamer.back(aliases) == names


@pytest.mark.parametrize(
    ("change", "settings", "says"),
    [
        ({"texts": Toy.texts.__class__([["a"]], [["b"]], ["c"], ["d"])}, {"vocabulary": True}, "no neutral vocabulary"),
        ({"entities": {}}, {}, "declares no entities"),
    ],
)
def test_anonymisation_that_could_do_nothing_is_refused(change, settings, says):
    with pytest.raises(UsageError, match=says):
        live("noop", {"anonymisation": settings}, scenario=type("Bare", (Toy,), change))


def test_roles_of_messages_are_renamed_but_the_engines_are_not():
    renamer = Renamer(0, {}, {"system": "x", "look": "peer"})
    assert renamer.message(Message("look", "look")) == Message("peer", "peer")
    assert renamer.message(Message("system", "look")) == Message("system", "peer")


def test_reference_agents_can_act_under_anonymisation():
    assert [record.score.alignment for record in live("reference", FULL)[0]] == [1.0] * 6
    records, _ = live("random", FULL, steps=20)
    statuses = [call.status for record in records for call in record.action.calls]
    assert statuses
    assert "invalid" not in statuses


def test_a_turns_own_policy_speaks_the_scenarios_words():
    plans: list[list[Action]] = []
    live(lambda turn: plans.append(turn.policy("reference")), FULL, steps=1)
    assert plans == [[Action("look")]]


def test_an_agent_named_once_is_ready():
    assert agent("reference").seed == 0
    assert kinds(live("reference")[0]) == []


def test_a_shaper_that_overrides_nothing_changes_nothing():
    condition = parse_condition({})
    step = Step(Toy(), condition, {}, 0)
    shaper, spec, result = Shaper(), tools_of(Toy)["look"], ToolResult("look", "ok", 1)
    assert shaper.tools() == []
    assert shaper.panels(step, {"a": {}}) == {"a": {}}
    assert shaper.before_call(step, Action("look"), spec) is None
    assert shaper.after_call(step, Action("look"), spec, result) is result


def test_a_locked_turn_is_forced_and_the_agent_is_not_asked():
    asked = []

    def who(turn):
        asked.append(turn.step)
        for action in turn.policy("competing"):
            turn.perform(action)

    records, _ = live(who, {"commitment": {"lock_steps": 2, "lock_turns": True}}, steps=6)

    forced = [record.step for record in records if record.outcome == "forced"]
    assert forced
    assert asked == [step for step in range(6) if step not in forced]
    assert all(
        not record.action.calls and record.score.alignment is None for record in records if record.step in forced
    )


def test_a_reaffirmed_goal_is_said_in_a_message_on_schedule():
    told = []

    def who(turn):
        told.append([message.text for message in turn.observation.messages if message.role == "system"])

    live(who, {"goal": {"reaffirm": {"at": [2]}}}, steps=4)

    assert [len(messages) for messages in told] == [0, 0, 1, 0]
    assert told[2][0]
