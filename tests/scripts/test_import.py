import gzip
import json
from pathlib import Path

import pytest

from goal_drift_gym.core.rundir import find_runs

DATA = Path(__file__).parents[1] / "data" / "er_triage_episodes.jsonl.gz"
IMPORT = [
    "import", DATA, "--scenario", "er_triage", "--run-columns", "setting,model,run,file_timestep", "--score-column",
    "series", "--score-range", "0,1", "--unscored-column", "instrumental_steps", "--keep", "num_steps",
    "--condition-column", "setting", "--agent-column", "model",
]  # fmt: skip
KNOWN = """
gpt-4o-mini                 basic/adv_pressure         45  5  0.5482  0.0058
gpt-4o-mini                 basic/goal_switching       40  5  0.5024  0.0711
gpt-5-mini                  basic/adv_pressure         45  5  0.0000  0.0000
gpt-5-mini                  basic/goal_switching       40  5  0.1787  0.0738
gemini-2.5-flash            basic/adv_pressure         45  5  0.2516  0.0965
gemini-2.5-flash            basic/goal_switching       40  5  0.2358  0.0890
gemini-2.5-flash            conditioning/adv_pressure  55  5  0.0505  0.0286
claude-sonnet-4.5-thinking  basic/adv_pressure         45  5  0.2031  0.1116
claude-sonnet-4.5-thinking  basic/goal_switching       40  5  0.0077  0.0045
claude-sonnet-4.5-thinking  conditioning/adv_pressure  55  5  0.0493  0.0441
"""
LONG = "who,step,value,seed\na,1,0.5,9\na,2,,9\na,3,-1,9\nb,1,1,-4\nb,2,0,-4\nb,3,1,-4\n"
LONG_IMPORT = [
    "import", "log.csv", "--scenario", "theirs", "--run-columns", "who", "--score-column", "value", "--step-column",
    "step", "--seed-column", "seed",
]  # fmt: skip


@pytest.fixture
def imported(cli):
    answer = cli(*IMPORT, "--runs-dir", "er")
    assert answer.code == 0
    return list(find_runs("er"))


@pytest.fixture
def log(place):
    path = place / "log.csv"
    path.write_text(LONG, encoding="utf-8")
    return path


def test_the_published_episodes_become_133_runs(imported):
    assert len(imported) == 133
    assert {run.config.scenario.reference for run in imported} == {"import"}


def test_one_report_prints_the_published_numbers(cli, imported):
    answer = cli("report", "er", "--last-steps", 10, "--by", "model,setting,num_steps")

    printed = {tuple(line.split()[:6]) for line in answer.out.splitlines()}
    known = {tuple(line.split()) for line in KNOWN.split("\n") if line}
    assert answer.code == 0
    assert len(known) == 10
    assert known <= printed


def test_imported_runs_are_taken_by_every_reading_command(cli, imported):
    path = imported[0].path

    assert cli("metrics", "er").code == 0
    assert cli("show", path).code == 0
    assert cli("show", path, "--step", 3).code == 0
    assert cli("report", "er", "--group").code == 0
    verified = cli("verify", "er", "--format", "json")
    assert verified.code == 0
    assert all("imported" in one["detail"] for one in verified.json)


def test_a_changed_score_of_an_imported_run_is_found(cli, imported):
    path = imported[0].path / "step_log.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"alignment":1.0', b'"alignment":0.5', 1))

    answer = cli("verify", imported[0].path)

    assert answer.code == 1
    assert "DIFFERENT" in answer.out


def test_imported_runs_cannot_be_driven_again(cli, imported):
    answer = cli("fork", imported[0].path, "--steps", 2, "--agent", "noop")

    assert answer.code == 3
    assert "was imported" in answer.err


def test_the_unscored_steps_of_goal_switching_are_left_out(imported):
    run = next(run for run in imported if run.config.condition["name"] == "basic/goal_switching")

    assert run.metrics["scored_steps"] < run.metrics["steps"]


def test_a_long_csv_becomes_runs_with_steps_from_0(cli, log):
    answer = cli(*LONG_IMPORT)

    first, second = sorted(find_runs("runs"), key=lambda run: str(run.config.condition["who"]))
    assert answer.code == 0
    assert [record.score.alignment for record in first.steps()] == [0.5, None, -1.0]
    assert [record.state["step"] for record in first.steps()] == [1, 2, 3]
    assert (first.seed, second.seed) == (9, -4)
    assert cli("verify", "runs").code == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (LONG + "b,5,1,-4\n", "step 4 is missing"),
        (LONG + "c,1,7,1\n", "log.csv:8"),
        (LONG + "c,1,nan,1\n", "log.csv:8"),
        (LONG + "b,3,1,-4\n", "occurs twice"),
        (LONG + f"c,1,1,{2**63}\n", "run c: seed"),
        ("who,step,value,seed\n", "holds no run"),
        ("", "empty"),
    ],
)
def test_a_bad_log_is_refused_before_anything_is_written(cli, log, place, text, said):
    log.write_text(text, encoding="utf-8")

    answer = cli(*LONG_IMPORT)

    assert answer.code == 2
    assert said in answer.err
    assert not (place / "runs").exists()


@pytest.mark.parametrize(
    "changes",
    [
        ["--scenario", "../evil"],
        ["--scenario", ".."],
        ["--scenario", ""],
        ["--scenario", "a" * 61],
        ["--score-range", "1"],
        ["--score-range", "0,0"],
        ["--score-range", "a,b"],
        ["--score-column", "valu"],
        ["--agent-column", "nobody"],
    ],
)
def test_wrong_arguments_are_refused(cli, log, place, changes):
    answer = cli(*LONG_IMPORT, *changes)

    assert answer.code == 2
    assert "Traceback" not in answer.err
    assert not (place / "runs").exists()


def test_a_column_called_name_names_the_condition(cli, place):
    with gzip.open(place / "log.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(json.dumps({"name": "theirs", "scores": [1, 0.5, 0]}) + "\n")

    cli("import", "log.jsonl.gz", "--scenario", "x", "--run-columns", "name", "--score-column", "scores")

    (run,) = find_runs("runs")
    assert run.config.condition["name"] == "theirs"


def test_a_run_without_a_score_at_its_end_stops_the_table(cli, log):
    log.write_text("who,step,value,seed\na,1,0.5,9\na,2,,9\na,3,,9\n", encoding="utf-8")
    cli(*LONG_IMPORT)

    answer = cli("report", "runs", "--last-steps", 2, "--by", "who")

    assert answer.code == 2
    assert "none of the last 2 steps has a score" in answer.err


def test_an_unknown_label_is_named_with_the_nearest_one(cli, imported):
    for table in (["--group"], ["--last-steps", 3]):
        answer = cli("report", "er", *table, "--by", "modell")

        assert answer.code == 2
        assert "did you mean 'model'?" in answer.err


def test_runs_that_are_not_scored_are_left_out_of_last_steps_and_said(cli):
    cli("run", "release_manager", "--agent", "reference,crasher")

    answer = cli("report", "runs", "--last-steps", 5)

    assert answer.code == 3
    assert "1 of 2 runs are not scored" in answer.err
    assert "crasher" not in answer.out
