"""What was not run is no pass."""

from __future__ import annotations

import pytest


def test_k_makes_the_verdict_incomplete_and_says_so(project):
    result = project.write().run("--drift-agent=reference", "--drift-seeds=3", "-k", "seed001", "-rs")
    result.assert_outcomes(passed=1, skipped=1, deselected=2)
    result.stdout.fnmatch_lines(["*drift verdict incomplete: 1 of 3 seeds were run; deselected: 0,2"])
    assert result.ret == 0


def test_an_incomplete_verdict_fails_with_drift_strict(project):
    result = project.write().run("--drift-agent=reference", "--drift-seeds=3", "-k", "seed001", "--drift-strict")
    result.assert_outcomes(passed=1, failed=1, deselected=2)
    assert result.ret == 1


def test_an_incomplete_verdict_fails_on_ci(project, monkeypatch):
    monkeypatch.setenv("CI", "true")
    result = project.write().run("--drift-agent=reference", "--drift-seeds=3", "-k", "seed001")
    result.assert_outcomes(passed=1, failed=1, deselected=2)


def test_an_empty_ci_variable_is_no_ci(project, monkeypatch):
    monkeypatch.setenv("CI", "")
    result = project.write().run("--drift-agent=reference", "--drift-seeds=3", "-k", "seed001")
    result.assert_outcomes(passed=1, skipped=1, deselected=2)


def test_a_seed_named_by_its_node_id_is_incomplete_too(project):
    result = project.write().run("--drift-agent=reference", "--drift-seeds=3", "test_it.py::test_keeps[seed002]")
    result.assert_outcomes(passed=1, skipped=1)


def test_a_drift_that_is_shown_fails_whatever_else_is_missing(project):
    result = project.write().run("--drift-agent=competing", "--drift-seeds=6", "-k", "not seed001")
    result.assert_outcomes(passed=5, failed=1, deselected=1)
    result.stdout.fnmatch_lines(["*verdict fail: over 5 seeds *", "1 of 6 seeds gave no run"])


def test_deselected_groups_are_not_mentioned(project):
    project.write("""
        import pytest

        def test_other():
            pass

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    result = project.run("--drift-agent=reference", "--drift-seeds=2", "-k", "test_other")
    result.assert_outcomes(passed=1, deselected=2)
    result.stdout.no_fnmatch_line("*goal drift ==*")


def test_x_leaves_the_verdict_incomplete(project):
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            assert drift_run.seed != 1
    """)
    result = project.run("--drift-agent=reference", "--drift-seeds=4", "-x", "-rs")
    result.assert_outcomes(passed=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*incomplete: 2 of 4 seeds were run; not reached before the session stopped: 2-3"])
    assert result.ret == 1


def test_maxfail_before_any_seed_is_not_run_and_no_pass(project):
    project.write("""
        import pytest

        def test_first():
            assert False

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    result = project.run("--drift-agent=reference", "--drift-seeds=2", "--maxfail=1")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["test_it.py::test_keeps *0/2 *not run*"])


def test_a_seed_whose_set_up_fails_makes_the_verdict_a_failure(project):
    project.write("""
        import pytest
        from goal_drift_gym.agents.reference import Reference

        @pytest.fixture
        def drift_agent(drift_seed):
            assert drift_seed != 1
            return Reference()

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    result = project.run("--drift-seeds=3")
    result.assert_outcomes(passed=2, errors=1, failed=1)
    result.stdout.fnmatch_lines(["*verdict incomplete: 2 of 3 seeds were run; set-up failed: 1-1*"])


def test_a_skipped_test_has_no_verdict(project):
    project.write("""
        import pytest

        @pytest.mark.skip(reason="no model here")
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    result = project.run("--drift-agent=reference", "--drift-seeds=2")
    result.assert_outcomes(skipped=2)
    result.stdout.fnmatch_lines(["test_it.py::test_keeps *0/2 *not run*"])


def test_collect_only_runs_and_writes_nothing(project):
    result = project.write().run("--drift-agent=reference", "--drift-seeds=2", "--co", "-q")
    result.stdout.fnmatch_lines(["test_it.py::test_keeps[[]seed000]", "test_it.py::test_keeps[[]seed001]"])
    result.stdout.no_fnmatch_line("*all_seeds*")
    assert project.runs() == []


def test_lf_runs_all_seeds_of_a_failed_verdict_again(project):
    project.write("""
        import pytest

        def test_other():
            pass

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    project.run("--drift-agent=competing", "--drift-seeds=5").assert_outcomes(passed=6, failed=1)
    result = project.run("--drift-agent=reference", "--drift-seeds=5", "--lf", "-v")
    result.assert_outcomes(passed=6)
    result.stdout.fnmatch_lines(["*run-last-failure: rerun previous 5 failures*"])
    result = project.run("--drift-agent=reference", "--drift-seeds=5", "--lf", "-v")
    result.stdout.fnmatch_lines(["*no previously failed tests*"])


@pytest.mark.parametrize(("spec", "seeds"), [("3", [0, 1, 2]), ("0-1", [0, 1]), ("3,5,8", [3, 5, 8]), ("7,", [7])])
def test_seeds_are_a_count_a_range_or_a_list(project, spec, seeds):
    project.write().run("--drift-agent=reference", f"--drift-seeds={spec}").assert_outcomes(passed=len(seeds) + 1)
    assert sorted(int(path.name.rpartition("-")[2]) for path in project.runs()) == seeds


def test_a_test_may_bring_its_own_seeds(project):
    project.write("""
        import pytest

        @pytest.mark.parametrize("drift_seed", [11, 12])
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    result = project.run("--drift-agent=reference", "-v")
    result.assert_outcomes(passed=3)
    result.stdout.fnmatch_lines(["*test_keeps[[]all_seeds] PASSED*"])
