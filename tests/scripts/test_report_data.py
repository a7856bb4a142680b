"""`goal-drift report` for other programs: data frames and Markdown."""

from __future__ import annotations

import io
import json
import shutil

import pandas
import pytest

from goal_drift_gym.core.rundir import find_runs

COUNTS = ["seed", "step", "chances", "missed", "messages", "calls", "failed_calls"]


@pytest.fixture
def two_groups(cli):
    """Two groups of five runs."""
    agents = "pressure_prone,reference"
    cli(
        "run", "release_manager", "--condition", "adversarial_jit", "--agent", agents, "--seeds", 5, "--set", "steps=20"
    )


def test_pandas_reads_steps_with_the_right_types(cli, two_groups):
    frame = pandas.read_csv(io.StringIO(cli("report", "runs", "--steps", "--format", "csv").out))

    assert len(frame) == 2 * 5 * 20
    assert {str(frame[name].dtype) for name in COUNTS} == {"int64"}
    assert str(frame["alignment"].dtype) == str(frame["intensity"].dtype) == "float64"
    assert frame.groupby("agent")["alignment"].mean()["reference"] == 1.0
    assert frame[frame["messages"] == 0]["intensity"].isna().all()
    assert frame[frame["messages"] > 0]["intensity"].between(0, 1).all()


def test_steps_as_json_are_the_steps_as_csv(cli, two_groups):
    text = cli("report", "runs", "--steps", "--format", "json").out
    rows = json.loads(text)
    frame = pandas.read_json(io.StringIO(text))
    other = pandas.read_csv(io.StringIO(cli("report", "runs", "--steps", "--format", "csv").out))

    assert list(frame.columns) == list(other.columns)
    assert frame["alignment"].equals(other["alignment"])
    assert all(
        " ".join(row["tools"]) == (tools if isinstance(tools, str) else "")
        for row, tools in zip(rows, other["tools"], strict=True)
    )


def test_pandas_reads_runs_with_the_right_types(cli, two_groups):
    frame = pandas.read_csv(io.StringIO(cli("report", "runs", "--format", "csv").out))

    assert len(frame) == 10
    assert str(frame["seed"].dtype) == str(frame["steps"].dtype) == "int64"
    assert str(frame["final_level"].dtype) == "float64"
    drifted = frame[frame["crossed"].fillna("").str.contains("final_level")]
    assert list(drifted["agent"].unique()) == ["pressure_prone"]


def test_steps_of_a_damaged_run_stay_valid_and_exit_with_3(cli, two_groups):
    first = next(find_runs("runs"))
    lines = (first.path / "step_log.jsonl").read_bytes().splitlines(keepends=True)
    (first.path / "step_log.jsonl").write_bytes(b"".join(lines[:5]) + b"{}\n")
    answer = cli("report", "runs", "--steps", "--format", "json")

    assert answer.code == 3
    assert len(answer.json) == 9 * 20 + 5
    assert "line 6 is damaged" in answer.err


def test_a_torn_last_line_is_said(cli, two_groups):
    first = next(find_runs("runs"))
    with open(first.path / "step_log.jsonl", "ab") as log:
        log.write(b'{"step": 20')
    answer = cli("report", first.path, "--steps", "--format", "csv")

    assert (answer.code, answer.out.count("\n")) == (0, 21)
    assert "torn and left out" in answer.err


def test_hostile_names_are_data_in_csv(cli):
    cli("run", "release_manager", "--agent", "cli_agents:noisy", "--set", "steps=3")
    (run,) = find_runs("runs")
    config = json.loads((run.path / "config.json").read_bytes())
    config["agent"]["name"] = '=HYPERLINK("http://x")\x1b[2J,"\n'
    (run.path / "config.json").write_text(json.dumps(config))
    answer = cli("report", "runs", "--steps", "--format", "csv")
    frame = pandas.read_csv(io.StringIO(answer.out))

    assert "\x1b" not in answer.out
    assert set(frame["agent"]) == {'\'=HYPERLINK("http://x")\\x1b[2J,"\\n'}
    assert set(frame["tools"]) == {"\\x1b[31mtool"}


@pytest.mark.parametrize(
    "arguments", [("--steps",), ("--steps", "--format", "csv", "--by", "seed"), ("--group", "--format", "markdown")]
)
def test_what_does_not_go_together_is_refused(cli, two_groups, arguments):
    assert cli("report", "runs", *arguments).code == 2


def test_markdown_tells_the_verdicts_and_what_happened(cli, two_groups):
    answer = cli("report", "runs", "--format", "markdown")

    assert answer.code == 0
    assert answer.out.startswith("## Goal drift: 1 fail, 1 inconclusive\n\n| verdict | test |")
    assert "first below 0 at step " in answer.out
    assert "check:  goal-drift verify runs/release_manager/2" in answer.out


def test_markdown_is_the_same_from_a_copy_elsewhere(cli, two_groups, tmp_path):
    here = cli("report", "runs", "--format", "markdown").out
    shutil.copytree("runs", tmp_path / "copy")
    there = cli("report", tmp_path / "copy", "--format", "markdown").out

    assert here == there
    assert str(tmp_path) not in there


def test_markdown_says_which_run_could_not_be_read(cli, two_groups):
    first = next(find_runs("runs"))
    (first.path / "step_log.jsonl").write_bytes(b"{}\n")
    answer = cli("report", "runs", "--format", "markdown")

    assert answer.code == 3
    assert (
        f"What could not be read, 1 in all:\n\n```text\nrelease_manager/{first.path.name}/step_log.jsonl, line 1 is"
        in answer.out
    )


def test_a_run_that_is_not_finished_is_told_of_as_unfinished(cli, two_groups):
    for run in find_runs("runs"):
        (run.path / "meta.json").unlink()
        (run.path / "metrics.json").unlink()
    answer = cli("report", "runs", "--format", "markdown")

    assert "**invalid**" in answer.out
    assert "| 0/5 | - | - |" in answer.out
    assert "unfinished" in answer.out
