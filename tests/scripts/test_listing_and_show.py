import csv
import io
import unicodedata

from goal_drift_gym.agents.reference import REFERENCE_AGENTS
from goal_drift_gym.core.printable import printable
from goal_drift_gym.core.rundir import find_runs
from goal_drift_gym.eval.limits import metric_names
from goal_drift_gym.eval.metrics import compute_metrics
from goal_drift_gym.scenarios.discovery import scenario_entries
from goal_drift_gym.scripts.output import cell


def test_scenarios_come_with_version_and_tools(cli):
    rows = {row["id"]: row for row in cli("list", "--format", "json").json}

    assert set(rows) == set(scenario_entries())
    assert rows["release_manager"]["tools"][0] == "run_tests"
    assert rows["release_manager"]["version"]


def test_a_scenario_that_cannot_be_loaded_is_named_and_the_others_are_listed(cli, monkeypatch):
    from goal_drift_gym import catalogue
    from goal_drift_gym.scenarios.discovery import ScenarioEntry

    entries = {**scenario_entries(), "torn": ScenarioEntry("torn", "torn-pack", "no_such_module:Torn", "torn")}
    monkeypatch.setattr(catalogue, "scenario_entries", lambda: entries)

    answer = cli("list")

    assert answer.code == 3
    assert "torn-pack" in answer.err
    assert "release_manager" in answer.out


def test_every_reference_agent_is_listed_with_a_summary(cli):
    rows = cli("list", "agents", "--format", "json").json

    assert [row["name"] for row in rows] == list(REFERENCE_AGENTS)
    assert all(row["summary"] for row in rows)


def test_every_metric_is_listed_with_definition_and_direction(cli):
    rows = {row["name"]: row for row in cli("list", "metrics", "--format", "json").json}
    nested = {"violations", "monitoring", "step_outcomes", "tool_usage", "event_deltas"}
    metrics = {name.partition(".")[0] for name in compute_metrics([], outcome="completed").flat()}

    assert metrics <= {name.partition(".")[0] for name in rows} | nested
    assert all(row["definition"] for row in rows.values())
    assert all(rows[name]["better"] == better for name, better in metric_names().items() if name in rows)


def test_a_scenario_is_shown_where_a_folder_has_its_name(cli, place):
    (place / "release_manager").mkdir()

    assert cli("show", "release_manager", "--format", "json").json["id"] == "release_manager"


def test_a_scenario_is_shown_with_goals_tools_conditions_and_card(cli):
    shown = cli("show", "release_manager", "--format", "json").json

    assert shown["system_goal"]["strong"]
    assert shown["tools"][0]["parameters"]["type"] == "object"
    assert {"baseline", "adversarial_jit"} <= {condition["name"] for condition in shown["conditions"]}
    assert shown["card"].endswith("README.md")


def test_the_card_of_a_new_project_is_shown_where_the_check_finds_it(cli, place, monkeypatch):
    # A name of its own: what is imported stays so, and no project could be made under it any more.
    cli("new", "card_game")
    monkeypatch.syspath_prepend(place / "card_game")

    shown = cli("show", "goal_drift_card_game.scenario:CardGame", "--format", "json").json

    assert shown["card"] == str(place / "card_game" / "README.md")


def test_a_scenario_is_found_by_module_path_with_a_condition(cli):
    reference = "goal_drift_gym.scenarios.release_manager:ReleaseManager"

    assert cli("show", reference, "--format", "json").json["id"] == "release_manager"
    assert cli("show", f"{reference}:baseline", "--format", "json").json["name"] == "baseline"


def test_a_condition_is_shown_resolved(cli):
    shown = cli("show", "release_manager:baseline", "--format", "json").json

    assert shown["memory"]["context_steps"] == 64


def test_a_run_is_shown_with_config_metrics_and_every_step(cli):
    cli("run", "release_manager", "--agent", "competing", "--set", "steps=7")
    (run,) = find_runs("runs")

    text = cli("show", run.path).out
    shown = cli("show", run.path, "--format", "json").json

    assert "final_level: -1.0000" in text
    assert [row["step"] for row in shown["steps"]] == list(range(7))
    assert shown["outcome"] == "truncated"


def test_a_step_is_shown_in_full(cli):
    cli("run", "release_manager", "--agent", "reference", "--condition", "adversarial_jit")
    (run,) = find_runs("runs")
    record = next(record for record in run.steps() if record.adversaries)

    shown = cli("show", run.path, "--step", record.step, "--format", "json").json

    assert shown["adversaries"][0]["text"] == record.adversaries[0].text
    assert shown["action"]["calls"][0]["weight"] is not None
    assert "observation" in shown
    assert "score" in shown


def test_a_step_that_is_not_there_is_wrong_usage(cli):
    cli("run", "release_manager", "--agent", "noop", "--set", "steps=3")
    (run,) = find_runs("runs")

    for step in ("3", "-1"):
        answer = cli("show", run.path, f"--step={step}")

        assert answer.code == 2
        assert "it has 3 steps" in answer.err


def test_nothing_an_agent_wrote_reaches_the_terminal_raw(cli):
    cli("run", "release_manager", "--agent", "cli_agents:noisy", "--set", "steps=3")
    (run,) = find_runs("runs")

    for words in (["show", run.path], ["show", run.path, "--step", "0"], ["report", "runs"], ["metrics", "runs"]):
        answer = cli(*words)

        assert not [c for c in answer.out if c != "\n" and unicodedata.category(c) in ("Cc", "Cf")]
    assert "\\x1b[2J" in cli("show", run.path, "--step", "0").out


def test_a_torn_run_is_shown_and_said_to_be_torn(cli):
    cli("run", "release_manager", "--agent", "noop", "--set", "steps=3")
    (run,) = find_runs("runs")
    with open(run.path / "step_log.jsonl", "ab") as log:
        log.write(b'{"step":3,')

    answer = cli("show", run.path)

    assert answer.code == 0
    assert "torn" in answer.out


def test_safe_escapes_what_moves_cursors_and_keeps_letters():
    assert printable("a\x1b\r\n\u202e\x85\ud800é") == "a\\x1b\\r\\n\\u202e\\x85\\ud800é"


def test_cells_tell_none_zero_and_negative_zero():
    assert [cell(value) for value in (None, 0, -0.0, -0.00001, False, [])] == ["-", "0", "0.0000", "0.0000", "no", "-"]


def test_csv_report_has_full_precision_and_empty_cells_for_undefined(cli):
    cli("run", "release_manager", "--agent", "slow_drifter,crasher")

    rows = list(csv.DictReader(io.StringIO(cli("report", "runs", "--format", "csv").out)))
    exact = cli("report", "runs", "--format", "json").json

    assert float(rows[0]["mean"]) == exact[0]["mean"]
    assert rows[1]["mean"] == ""
