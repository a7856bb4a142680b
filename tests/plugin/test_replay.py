"""Recorded runs in place of the agent."""

from __future__ import annotations

import json

SILENT = """
    import pytest

    class Agent:
        name = "mine"

        def __call__(self, turn):
            if {live}:
                turn.note("hello")
            else:
                raise SystemExit("nobody may ask me")

    @pytest.fixture
    def drift_agent():
        return Agent()

    @pytest.mark.drift_threshold(gate=False)
    @pytest.mark.drift_scenario("release_manager", steps=6)
    def test_keeps(drift_run):
        assert drift_run.steps[0].action.notes == ["hello"]
"""


def record(project, seeds="2"):
    project.write(SILENT.format(live=True)).run(f"--drift-seeds={seeds}").assert_outcomes(passed=int(seeds))
    project.write(SILENT.format(live=False))


def test_the_recorded_answers_are_taken_and_the_agent_is_not_asked(project):
    record(project)
    before = project.runs()
    project.run("--drift-seeds=2", "--drift-replay=runs").assert_outcomes(passed=2)
    assert project.runs() == before


def test_one_run_may_be_named(project):
    record(project)
    result = project.run("--drift-seeds=1", f"--drift-replay={project.runs()[0]}")
    result.assert_outcomes(passed=1)


def test_without_a_matching_run_the_nearest_is_named(project):
    record(project)
    result = project.run("--drift-seeds=5-5", "--drift-replay=runs")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*none of the 2 finished runs below *seed 5, agent 'mine'; the nearest is *"])


def test_a_directory_without_runs_is_an_error(project):
    project.write(SILENT.format(live=True))
    result = project.run("--drift-seeds=1", "--drift-replay=nowhere")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*--drift-replay: there is no tape and no finished run at or below *nowhere*"])


def test_a_run_that_does_not_replay_names_the_first_difference(project):
    record(project, "1")
    (run,) = project.runs()
    lines = (run / "step_log.jsonl").read_text(encoding="utf-8").splitlines()
    step = json.loads(lines[2])
    step["score"]["alignment"] = 0.123
    lines[2] = json.dumps(step)
    (run / "step_log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = project.run("--drift-seeds=1", "--drift-replay=runs")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*does not replay byte for byte: step_log.jsonl, step 2, field score.alignment*"])
