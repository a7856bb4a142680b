"""Wrong markers are refused when tests are collected, naming the test and the value."""

from __future__ import annotations

import pytest

from goal_drift_gym.eval.limits import metric_names
from pytest_goal_drift import drift_scenario, drift_threshold
from pytest_goal_drift.markers import DriftLimits

SOURCE = """
    import pytest

    {marks}
    def test_keeps({fixtures}):
        pass
"""


def refused(project, *marks: str, fixtures: str = "drift_run", flags: tuple[str, ...] = ("--drift-agent=reference",)):
    project.write(SOURCE.format(marks="\n    ".join(marks), fixtures=fixtures))
    result = project.run("--drift-seeds=1", *flags)
    assert result.ret == 4
    assert project.runs() == []
    return "\n".join(result.errlines)


SCENARIO = "@pytest.mark.drift_scenario('release_manager', steps=20)"


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("@pytest.mark.drift_threshold(slop=-0.1)", "there is no metric 'slop' to limit; did you mean 'slope'?"),
        ("@pytest.mark.drift_threshold(-0.1)", "limits are given by name, not -0.1"),
        ("@pytest.mark.drift_threshold(slope=True)", "limit slope=True (bool)"),
        ("@pytest.mark.drift_threshold(slope='x')", "limit slope='x' (str)"),
        ("@pytest.mark.drift_threshold(slope=float('nan'))", "must be a finite number"),
        ("@pytest.mark.drift_threshold(collapse=True)", "its only limit is False"),
        ("@pytest.mark.drift_threshold(final_level=-1.0)", "no run can cross the limit"),
        ("@pytest.mark.drift_threshold(slope=-1.5)", "over 20 steps"),
        ("@pytest.mark.drift_threshold(gate='no')", "gate='no' (str)"),
    ],
)
def test_a_limit_that_means_nothing_is_refused(project, mark, said):
    error = refused(project, mark, SCENARIO)
    assert "test_it.py::test_keeps[seed000]: @drift_threshold(" in error
    assert said in error


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("@pytest.mark.drift_scenario('releas_manager')", "did you mean 'release_manager'?"),
        ("@pytest.mark.drift_scenario('release_manager', condition='base')", "has no condition 'base'"),
        ("@pytest.mark.drift_scenario('release_manager', step=3)", "unknown key 'step'; did you mean 'steps'?"),
        ("@pytest.mark.drift_scenario('release_manager', steps=0)", "steps"),
        ("@pytest.mark.drift_scenario()", "the scenario is None (NoneType)"),
        ("@pytest.mark.drift_scenario(3)", "the scenario is 3 (int)"),
        ("@pytest.mark.drift_scenario('release_manager', 'baseline', 'x')", "'x' is one argument too many"),
        ("@pytest.mark.drift_scenario('release_manager', condition=3)", "condition=3 (int)"),
    ],
)
def test_a_scenario_that_does_not_exist_is_refused(project, mark, said):
    error = refused(project, mark)
    assert "test_it.py::test_keeps[seed000]: @drift_scenario(" in error
    assert said in error


def test_a_test_without_a_scenario_is_refused(project):
    assert "does not say which scenario it runs" in refused(project)


def test_a_threshold_on_a_test_that_runs_nothing_is_refused(project):
    assert "nothing to judge" in refused(project, "@pytest.mark.drift_threshold(slope=-0.01)", fixtures="tmp_path")


def test_a_scenario_on_a_test_that_uses_no_fixture_is_refused(project):
    assert "would never run" in refused(project, SCENARIO, fixtures="tmp_path")


def test_one_seed_and_all_seeds_in_one_test_are_refused(project):
    assert "use one of the two" in refused(project, SCENARIO, fixtures="drift_run, drift_runs")


def test_two_thresholds_on_one_test_are_refused(project):
    marks = ("@pytest.mark.drift_threshold(slope=-0.01)", "@pytest.mark.drift_threshold(mean=0.5)", SCENARIO)
    assert "two markers drift_threshold on the same level" in refused(project, *marks)


def test_an_unknown_agent_is_refused(project):
    error = refused(project, SCENARIO, flags=("--drift-agent=referenc",))
    assert "--drift-agent: there is no reference agent 'referenc'; did you mean 'reference'?" in error


def test_own_seeds_that_are_no_integers_are_refused(project):
    error = refused(project, "@pytest.mark.parametrize('drift_seed', ['a'])", SCENARIO)
    assert "drift_seed is 'a' (str); an integer is needed" in error


def test_a_limit_that_means_little_is_warned_of(project):
    project.pytester.makeini("[pytest]\nfilterwarnings = default")
    project.write(
        SOURCE.format(marks=f"@pytest.mark.drift_threshold(slope=-0.1)\n    {SCENARIO}", fixtures="drift_run")
    )
    result = project.run("--drift-agent=reference", "--drift-seeds=3")
    result.assert_outcomes(passed=4, warnings=1)
    result.stdout.fnmatch_lines(["*DriftWarning: *slope=-0.1 lets a loss of 1.90 score points over 20 steps pass*"])


def test_such_a_warning_is_refused_where_warnings_are_errors(project):
    project.pytester.makeini("[pytest]\nfilterwarnings = error")
    assert "lets a loss of" in refused(project, "@pytest.mark.drift_threshold(slope=-0.1)", SCENARIO)


def test_nested_settings_may_be_given_as_tables_or_dotted(project):
    project.write("""
        import pytest
        from pytest_goal_drift import drift_scenario, drift_threshold

        @drift_threshold(gate=False)
        @drift_scenario("release_manager", steps=7, friction={"calls_per_step": 3}, **{"goal.wording": "weak"})
        def test_keeps(drift_run):
            condition = drift_run.config.condition
            assert condition["steps"] == 7
            assert condition["friction"]["calls_per_step"] == 3
            assert condition["goal"]["wording"] == "weak"
    """)
    project.run("--drift-agent=reference", "--drift-seeds=1").assert_outcomes(passed=1)


def test_a_condition_file_is_looked_for_beside_the_test(project):
    project.pytester.makefile(".toml", mine='steps = 6\ndescription = "short"')
    project.write("""
        import pytest

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", condition="mine.toml")
        def test_keeps(drift_run):
            assert len(drift_run.steps) == 6
    """)
    project.run("--drift-agent=reference", "--drift-seeds=1").assert_outcomes(passed=1)


def test_a_broken_scenario_loses_no_other_test(project):
    project.pytester.makepyfile(broken_scenario="raise RuntimeError('half written')")
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("broken_scenario:Broken")
        def test_broken(drift_run):
            pass

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    project.pytester.syspathinsert()
    result = project.run("--drift-agent=reference", "--drift-seeds=1")
    result.assert_outcomes(errors=1, passed=2)
    result.stdout.fnmatch_lines(["*cannot load 'broken_scenario:Broken': RuntimeError: half written*"])


def test_the_markers_are_known_to_strict_markers(project):
    project.write().run("--strict-markers", "--drift-agent=reference", "--drift-seeds=1").assert_outcomes(passed=2)


def test_the_typed_marker_knows_every_metric():
    assert sorted(DriftLimits.__annotations__) == sorted(metric_names())


def test_the_typed_markers_are_the_plain_markers():
    assert drift_threshold(slope=-0.01).mark == pytest.mark.drift_threshold(slope=-0.01).mark
    assert drift_threshold(gate=False).mark == pytest.mark.drift_threshold(gate=False).mark
    assert drift_scenario("a", steps=3).mark == pytest.mark.drift_scenario("a", condition="baseline", steps=3).mark


def test_names_and_limits_of_other_kinds_are_made_plain(project):
    project.write("""
        import enum, numpy, pytest

        class Names(str, enum.Enum):
            SCENARIO = "release_manager"

        @pytest.mark.drift_threshold(final_level=numpy.float64(0.6))
        @pytest.mark.drift_scenario(Names.SCENARIO, steps=20)
        def test_keeps(drift_run):
            pass
    """)
    project.run("--drift-agent=reference", "--drift-seeds=1").assert_outcomes(passed=2)


UNITTEST = """
    import unittest

    import pytest

    @pytest.mark.drift_scenario("release_manager", steps=20)
    @pytest.mark.usefixtures("{fixture}")
    class TestAgent(unittest.TestCase):
        {mark}
        def test_keeps(self):
            pass
"""


@pytest.mark.parametrize("processes", ["-n0", "-n2"])
@pytest.mark.parametrize(
    ("fixture", "mark"),
    [("drift_run", ""), ("drift_seed", ""), ("drift_run", "@pytest.mark.parametrize('drift_seed', [3])")],
)
def test_a_unittest_class_cannot_be_given_seeds(project, text_of, fixture, mark, processes):
    project.write(UNITTEST.format(fixture=fixture, mark=mark))
    result = project.sub("--drift-agent=reference", "--drift-seeds=2", processes)
    assert result.ret == 4
    assert f"TestAgent::test_keeps uses {fixture} in a unittest.TestCase" in text_of(result)
    assert "write a plain function or class" in text_of(result)


def test_a_unittest_class_may_run_all_seeds_in_one_test(project):
    project.write(UNITTEST.format(fixture="drift_runs", mark=""))
    assert project.run("--drift-agent=reference", "--drift-seeds=2").ret == 0
    project.run("--drift-agent=competing", "--drift-seeds=5").assert_outcomes(failed=1)
