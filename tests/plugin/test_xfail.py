"""`xfail` on a drift test speaks of the verdict."""

from __future__ import annotations

import pytest

SOURCE = """
    import pytest

    @pytest.mark.xfail({mark})
    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_keeps({fixture}):
        {body}
"""


def write(project, mark="strict=True, reason='known to drift'", fixture="drift_run", body="pass"):
    return project.write(SOURCE.format(mark=mark, fixture=fixture, body=body))


@pytest.mark.parametrize("strict", [True, False])
def test_an_expected_drift_is_xfailed_and_its_seeds_pass(project, strict):
    result = write(project, f"strict={strict}, reason='known to drift'").run("--drift-agent=competing", "-rx")
    result.assert_outcomes(passed=5, xfailed=1)
    result.stdout.fnmatch_lines(["XFAIL test_it.py::test_keeps[[]all_seeds] - *known to drift*"])
    assert result.ret == 0


def test_a_strict_expectation_that_does_not_hold_fails_once(project):
    result = write(project).run("--drift-agent=reference")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*[[]XPASS(strict)] known to drift*"])
    assert result.ret == 1


def test_a_lax_expectation_that_does_not_hold_is_xpassed_once(project):
    write(project, "strict=False").run("--drift-agent=reference").assert_outcomes(passed=5, xpassed=1)


def test_the_ini_setting_makes_expectations_strict(project):
    project.pytester.makeini("[pytest]\nxfail_strict = true")
    write(project, "reason='known'").run("--drift-agent=reference").assert_outcomes(passed=5, failed=1)


def test_a_body_that_fails_as_expected_meets_the_expectation(project):
    result = write(project, body="assert drift_run.seed != 1").run("--drift-agent=reference")
    result.assert_outcomes(passed=5, xfailed=1)


def test_a_condition_that_does_not_hold_expects_nothing(project):
    result = write(project, "False, reason='never'").run("--drift-agent=competing")
    result.assert_outcomes(passed=5, failed=1)


def test_raises_of_another_kind_does_not_cover_the_verdict(project):
    result = write(project, "raises=KeyError, strict=False").run("--drift-agent=competing")
    result.assert_outcomes(passed=5, failed=1)


def test_a_run_that_cannot_be_judged_is_not_the_expected_failure(project):
    project.write(
        SOURCE.format(mark="strict=True", fixture="drift_run", body="pass")
        + """
    @pytest.fixture
    def drift_agent():
        def agent(turn):
            raise RuntimeError("gone")
        return agent
    """
    )
    result = project.run()
    result.assert_outcomes(passed=5, failed=1)


@pytest.mark.parametrize(
    ("agent", "mark", "outcome"),
    [
        ("competing", "strict=True", {"xfailed": 1}),
        ("reference", "strict=True", {"failed": 1}),
        ("reference", "strict=False", {"xpassed": 1}),
        ("competing", "raises=KeyError", {"failed": 1}),
    ],
)
def test_xfail_on_a_test_of_all_seeds_means_what_it_says(project, agent, mark, outcome):
    write(project, mark, fixture="drift_runs").run(f"--drift-agent={agent}").assert_outcomes(**outcome)


def test_a_test_of_all_seeds_that_cannot_be_judged_is_not_xfailed(project):
    project.write(
        SOURCE.format(mark="strict=True", fixture="drift_runs", body="pass")
        + """
    @pytest.fixture
    def drift_agent():
        def agent(turn):
            raise RuntimeError("gone")
        return agent
    """
    )
    project.run().assert_outcomes(failed=1)


def test_run_false_runs_nothing(project):
    result = write(project, "run=False").run("--drift-agent=competing")
    result.assert_outcomes(xfailed=5)
    assert project.runs() == []


def test_without_a_gate_xfail_is_left_to_pytest(project):
    project.write("""
        import pytest

        @pytest.mark.xfail(strict=True)
        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    project.run("--drift-agent=reference", "--drift-seeds=2").assert_outcomes(failed=2)


def test_runxfail_makes_the_expected_failure_a_failure(project):
    write(project).run("--drift-agent=competing", "--runxfail").assert_outcomes(passed=5, failed=1)
