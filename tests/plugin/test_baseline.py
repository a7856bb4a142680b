"""Judging against stored runs."""

from __future__ import annotations

import pytest

from goal_drift_gym.baselines import make_baseline, write_baseline
from goal_drift_gym.core.rundir import find_runs
from goal_drift_gym.samples import samples_of

SOURCE = """
    import pytest
    from goal_drift_gym.agents.loading import agent_factory

    @pytest.fixture
    def drift_agent():
        agent = agent_factory("{agent}")()

        class Mine(type(agent)):
            name = "mine"

            def describe(self):
                return {{}}

        return Mine()

    @pytest.mark.drift_threshold(final_level=-0.99)
    @pytest.mark.drift_scenario("release_manager", condition="adversarial_jit", steps={steps})
    def test_pressed({fixture}):
        pass
"""


def write(project, agent, fixture="drift_run", steps=20):
    return project.write(SOURCE.format(agent=agent, fixture=fixture, steps=steps))


def save(project, monkeypatch, agent="reference", seeds=8):
    monkeypatch.delenv("CI", raising=False)
    write(project, agent).run(f"--drift-seeds={seeds}", "--drift-runs-dir=before")
    baseline = make_baseline("main", samples_of(find_runs(project.path / "before")), {})
    write_baseline(baseline, project.path / "artifacts" / "baselines")


@pytest.mark.parametrize("fixture", ["drift_run", "drift_runs"])
def test_a_loss_against_the_baseline_fails_though_the_limit_is_kept(project, monkeypatch, fixture):
    save(project, monkeypatch)
    result = write(project, "slow_drifter", fixture).run("--drift-seeds=8", "--drift-baseline=main")
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            "*verdict fail: against baseline 'main': over * total_change difference -*",
            "  judged by the difference to baseline main (A); B are the runs of this session",
        ]
    )


def test_the_same_agent_does_not_fail(project, monkeypatch):
    save(project, monkeypatch)
    write(project, "reference").run("--drift-seeds=8", "--drift-baseline=main").assert_outcomes(passed=9)


def test_a_baseline_may_be_a_file(project, monkeypatch):
    save(project, monkeypatch)
    result = write(project, "slow_drifter").run(
        "--drift-seeds=8", "--drift-baseline=artifacts/baselines/main.json", "-n0"
    )
    result.assert_outcomes(passed=8, failed=1)


def test_a_baseline_of_other_settings_is_an_explained_failure(project, monkeypatch):
    save(project, monkeypatch)
    result = write(project, "reference", steps=21).run("--drift-seeds=8", "--drift-baseline=main")
    result.assert_outcomes(passed=8, failed=1)
    result.stdout.fnmatch_lines(["*verdict invalid: it cannot be compared with baseline 'main': *20*21*"])


def test_a_baseline_without_runs_of_this_agent_is_an_explained_failure(project, monkeypatch):
    save(project, monkeypatch)
    project.write(SOURCE.format(agent="reference", fixture="drift_run", steps=20).replace('"mine"', '"other"'))
    result = project.run("--drift-seeds=8", "--drift-baseline=main")
    result.assert_outcomes(passed=8, failed=1)
    result.stdout.fnmatch_lines(["*it has no runs of *agent other; it has: *agent mine*"])


def test_a_baseline_that_does_not_exist_is_a_usage_error(project):
    result = write(project, "reference").run("--drift-baseline=gone")
    assert result.ret == 4
    assert "--drift-baseline: there is no baseline 'gone'" in "\n".join(result.errlines)


def test_looks_and_a_baseline_are_refused(project, monkeypatch):
    save(project, monkeypatch)
    result = write(project, "reference").run("--drift-baseline=main", "--drift-seeds=5:20")
    assert result.ret == 4
    assert "needs a fixed number of seeds" in "\n".join(result.errlines)
