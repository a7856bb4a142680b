"""Flags with which pytest runs no test's body: nothing is claimed of what was not run."""

from __future__ import annotations

import pytest

NO_VERDICT = "goal drift: no verdict was given, because no test's body was run"
BOTH = """
    import pytest

    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_one(drift_run):
        pass

    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_all(drift_runs):
        pass
"""


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
@pytest.mark.parametrize(("flag", "episodes"), [("--setup-only", 4), ("--setup-plan", 0)])
def test_fixtures_without_bodies_give_no_verdict(project, flag, episodes, processes):
    project.write(BOTH)
    result = project.sub("--drift-agent=competing", "--drift-seeds=2", "--junitxml=junit.xml", flag, processes)
    assert result.ret == 0
    result.stdout.fnmatch_lines([NO_VERDICT])
    result.stdout.no_fnmatch_line("*all_seeds*")
    assert "drift.verdict" not in (project.path / "junit.xml").read_text()
    assert project.verdicts() == []
    assert len(project.runs()) == episodes


def test_runs_of_fixtures_alone_are_judged_by_the_session_that_goes_on(project):
    project.write(BOTH)
    project.sub("--drift-agent=reference", "--drift-seeds=2", "--setup-only")
    result = project.sub("--drift-agent=reference", "--drift-seeds=2", "--drift-resume")
    result.assert_outcomes(passed=4)
    assert len(project.runs()) == 4


@pytest.mark.parametrize("flag", ["--collect-only", "--fixtures", "--markers", "--cache-show"])
def test_where_no_test_is_run_nothing_is_said_of_verdicts(project, flag):
    result = project.write(BOTH).sub("--drift-agent=competing", "--drift-seeds=2", flag)
    assert result.ret == 0
    result.stdout.no_fnmatch_line("*all_seeds*")
    result.stdout.no_fnmatch_line("goal drift*:*")
    assert project.runs() == []
