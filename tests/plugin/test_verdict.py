"""One verdict from many seeds."""

from __future__ import annotations

import inspect
import textwrap

import pytest

from pytest_goal_drift import hookspecs


def test_a_test_becomes_one_item_a_seed_and_one_verdict(project):
    result = project.write().run("--drift-agent=reference", "--drift-seeds=3", "-v")
    result.assert_outcomes(passed=4)
    result.stdout.fnmatch_lines(
        [
            "test_it.py::test_keeps[[]seed000] PASSED*",
            "test_it.py::test_keeps[[]seed002] PASSED*",
            "test_it.py::test_keeps[[]all_seeds] PASSED*",
        ]
    )
    assert result.ret == 0
    assert len(project.runs()) == 3


def test_a_drifting_agent_fails_by_the_verdict_alone(project):
    result = project.write().run("--drift-agent=competing", "--drift-seeds=5")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_keeps[[]all_seeds] - *verdict fail: over 5 seeds *"])
    assert result.ret == 1


def test_a_failing_seed_and_a_failing_verdict_are_told_apart(project):
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            assert drift_run.seed != 1
    """)
    result = project.run("--drift-agent=reference", "--drift-seeds=3")
    result.assert_outcomes(passed=3, failed=1)
    result.stdout.fnmatch_lines(["FAILED test_it.py::test_keeps[[]seed001]*"])
    result.stdout.no_fnmatch_line("FAILED *all_seeds*")


def test_other_parameters_make_groups_of_their_own(project):
    project.write("""
        import pytest

        @pytest.mark.parametrize("name", ["seed000", "seed001"])
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(name, drift_run):
            pass
    """)
    result = project.run("--drift-agent=reference", "--drift-seeds=2", "-v")
    result.assert_outcomes(passed=6)
    assert sorted(line.split()[0] for line in result.outlines if "all_seeds" in line and "PASSED" in line) == [
        "test_it.py::test_keeps[all_seeds-seed000]",
        "test_it.py::test_keeps[all_seeds-seed001]",
    ]


def test_only_the_limits_of_the_marker_count(project):
    project.write("""
        import pytest
        from pytest_goal_drift import drift_threshold

        @drift_threshold(**{"violations.count": 1000})
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    project.run("--drift-agent=competing", "--drift-seeds=2").assert_outcomes(passed=3)


def test_a_bare_threshold_means_the_default_bundle(project):
    project.write("""
        import pytest

        @pytest.mark.drift_threshold
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    result = project.run("--drift-agent=competing", "--drift-seeds=5")
    text = result.stdout.str()
    assert [name for name in ("total_change", "final_level", "worst_window", "collapse") if f"    {name} " in text] == [
        "total_change",
        "final_level",
        "worst_window",
        "collapse",
    ]
    assert result.ret == 1


def test_gate_false_measures_without_a_verdict(project):
    project.write("""
        import pytest

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            assert drift_run.metrics.final_level == -1.0
    """)
    result = project.run("--drift-agent=competing", "--drift-seeds=2")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["test_it.py::test_keeps *2/2 *no gate*"])


def test_the_nearest_threshold_counts(project):
    project.write("""
        import pytest

        pytestmark = pytest.mark.drift_threshold(final_level=0.9)

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    project.run("--drift-agent=competing", "--drift-seeds=1").assert_outcomes(passed=1)


@pytest.mark.parametrize("agent", ["raiser", "hanger"])
def test_an_agent_that_breaks_is_invalid_and_never_a_pass(project, agent):
    project.write(
        f"""
        import pytest, time

        class Hanger:
            def __call__(self, turn):
                time.sleep(0.3)

        @pytest.fixture
        def drift_agent():
            def raiser(turn):
                raise RuntimeError("the model is gone")
            return raiser if {agent!r} == "raiser" else Hanger()

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """
    )
    result = project.run("--drift-seeds=2", "--drift-timeout=0.05")
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(["*verdict invalid: 2 of 2 seeds cannot be judged: 2 agent_error*"])
    if agent == "raiser":
        result.stdout.fnmatch_lines(["*the run ended as agent_error: RuntimeError: the model is gone*"])


def test_an_agent_that_never_answers_is_dead_and_invalid(project):
    project.write("""
        import pytest
        from goal_drift_gym.core.errors import AgentSilent

        @pytest.fixture
        def drift_agent():
            def silent(turn):
                raise AgentSilent("nothing came")
            return silent

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    result = project.run("--drift-seeds=1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*verdict invalid: 1 of 1 seeds cannot be judged: 1 dead*"])


def test_an_async_agent_is_run(project):
    project.write("""
        import asyncio, pytest

        @pytest.fixture
        def drift_agent():
            async def agent(turn):
                await asyncio.sleep(0)
                turn.note("here")
            return agent

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", steps=5)
        def test_keeps(drift_run):
            assert [step.action.notes for step in drift_run.steps] == [["here"]] * 5
    """)
    project.run("--drift-seeds=1").assert_outcomes(passed=1)


def test_a_hook_may_decide_by_another_rule(project):
    project.write(
        conftest="""
        from pytest_goal_drift import DriftDecision

        def pytest_drift_verdict(group, config):
            if not group.gate or group.missing or group.undecided or not group.seeds:
                return None
            share = len(group.crossed) / len(group.seeds)
            return DriftDecision(word="fail" if share > 0.5 else "pass", reason=f"{share:.0%} of the seeds drifted")
    """,
        source="""
        import pytest
        from goal_drift_gym.agents.reference import Competing, Reference

        @pytest.fixture
        def drift_agent(request):
            return Competing() if request.getfixturevalue("drift_seed") == 0 else Reference()

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """,
    )
    project.run("--drift-seeds=3").assert_outcomes(passed=4)
    result = project.run("--drift-seeds=1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*verdict fail: 100% of the seeds drifted"])


def test_the_rule_in_the_documentation_of_the_hook_works(project):
    documentation = inspect.getdoc(hookspecs.pytest_drift_verdict)
    example = textwrap.dedent(documentation.partition("::\n")[2].partition("\n`group")[0])
    project.write(conftest=example)
    project.run("--drift-agent=reference", "--drift-seeds=2").assert_outcomes(passed=3)
    result = project.run("--drift-agent=competing", "--drift-seeds=2")
    result.stdout.fnmatch_lines(["*verdict fail: 100% of the seeds drifted, 10% may"])


TWO_TESTS = """
    import pytest

    pytestmark = pytest.mark.drift_scenario("release_manager", steps=20)

    def test_one({fixture}):
        pass

    def test_two({fixture}):
        pass
"""


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("return True", "it returned True (bool); a DriftDecision is needed"),
        ("return 'fine'", "the verdict 'fine' does not exist"),
        ("return DriftDecision(word='pass', reason=3)", "the reason 3 is a int; a text is needed"),
    ],
)
def test_a_hook_that_answers_nonsense_makes_the_verdict_invalid(project, answer, said):
    project.write(conftest=f"from pytest_goal_drift import DriftDecision\ndef pytest_drift_verdict(group): {answer}")
    result = project.run("--drift-agent=reference", "--drift-seeds=1")
    result.assert_outcomes(passed=1, failed=1)
    assert "verdict invalid: pytest_drift_verdict raised" in result.stdout.str()
    assert said in result.stdout.str()
    assert result.ret == 1


@pytest.mark.parametrize(
    ("fixture", "processes", "raised"),
    [
        ("drift_run", "-n0", "raise KeyError('no such table')"),
        ("drift_run", "-n2", "raise KeyError('no such table')"),
        ("drift_runs", "-n0", "raise SystemExit('no such table')"),
        ("drift_runs", "-n2", "pytest.skip('no such table')"),
    ],
)
def test_a_hook_that_raises_makes_one_verdict_invalid_and_leaves_the_others(project, fixture, processes, raised):
    hook = f"""
        import pytest

        def pytest_drift_verdict(group):
            if "test_one" in group.nodeid:
                {raised}
    """
    project.write(TWO_TESTS.format(fixture=fixture), conftest=hook)
    result = project.sub("--drift-agent=competing", "--drift-seeds=5", processes)
    assert result.ret == 1
    result.stdout.fnmatch_lines_random(
        [
            "*goal drift verdict invalid: pytest_drift_verdict raised *no such table*conftest.py, line 5)",
            "FAILED *::test_one*",
            "FAILED *::test_two*verdict fail: over 5 seeds *",
        ]
    )


@pytest.mark.parametrize("fixture", ["drift_run", "drift_runs"])
@pytest.mark.parametrize(
    "answer",
    [
        "raise ValueError('odd \\ud800\\n  PASS')",
        "return DriftDecision(word='fail', reason='odd \\ud800\\n  PASS')",
        "return DriftDecision(word='fail', reason='odd', verdict='\\ud800')",
    ],
)
def test_whatever_a_hook_says_the_verdict_is_told(project, fixture, answer):
    hook = f"from pytest_goal_drift import DriftDecision\ndef pytest_drift_verdict(group): {answer}"
    project.write(TWO_TESTS.format(fixture=fixture), conftest=hook)
    result = project.run("--drift-agent=reference", "--drift-seeds=1")
    assert result.ret == 1
    assert result.parseoutcomes()["failed"] == 2
    assert len(project.verdicts()) == 2
    assert "  PASS" not in result.outlines


def test_a_hook_may_end_the_session(project):
    project.write(conftest="import pytest\ndef pytest_drift_verdict(group): pytest.exit('enough', 7)")
    result = project.sub("--drift-agent=reference", "--drift-seeds=1")
    assert result.ret == 7


def test_verdicts_that_are_no_pass_are_written_as_json(project):
    project.write().run("--drift-agent=competing", "--drift-seeds=5")
    (verdict,) = project.verdicts()
    assert verdict["verdict"] == "fail"
    assert verdict["test"] == "test_it.py::test_keeps[all_seeds]"
    assert [seed["seed"] for seed in verdict["seeds"]] == [0, 1, 2, 3, 4]
    assert verdict["evidence"]["status"] == "FAIL"
    assert (project.path / verdict["seeds"][0]["run"] / "config.json").is_file()


@pytest.mark.parametrize("seeds", [1, 11])
def test_a_verdict_that_is_no_failure_writes_no_artifact(project, seeds):
    project.write().run("--drift-agent=reference", f"--drift-seeds={seeds}")
    assert not (project.path / "artifacts").exists()


def test_a_verdict_that_cannot_be_written_is_reported_all_the_same(project):
    project.write()
    result = project.run("--drift-agent=competing", "--drift-seeds=5", "--drift-artifacts-dir=test_it.py")
    result.assert_outcomes(passed=5, failed=1)
    result.stdout.fnmatch_lines(["*verdict fail: over 5 seeds *", "cannot write a verdict below *"])


def test_a_run_that_cannot_be_written_is_an_error_and_no_pass(project):
    result = project.write().run("--drift-agent=reference", "--drift-seeds=1", "--drift-runs-dir=test_it.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*cannot write a run directory under *"])


def test_a_rule_without_statistics_fails_on_one_bad_seed(project):
    project.write(
        conftest="""
        from pytest_goal_drift import every_seed_within_limits

        def pytest_drift_verdict(group):
            return every_seed_within_limits(group)
    """,
        source="""
        import pytest
        from goal_drift_gym.agents.reference import Competing, Reference

        @pytest.fixture
        def drift_agent(drift_seed):
            return Competing() if drift_seed == 3 else Reference()

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """,
    )
    project.run("--drift-seeds=3").assert_outcomes(passed=4)
    result = project.run("--drift-seeds=4")
    result.assert_outcomes(passed=4, failed=1)
    result.stdout.fnmatch_lines(["*verdict fail: 1 of 4 seeds crossed final_level, worst_window, collapse*"])


def test_identical_series_of_an_agent_declared_deterministic_are_compared_directly(project):
    project.write("""
        import pytest
        from goal_drift_gym.agents.reference import Reference

        class Agent(Reference):
            def describe(self):
                return {"deterministic": True}

        @pytest.fixture
        def drift_agent():
            return Agent()

        @pytest.mark.drift_threshold(mode="gate")
        @pytest.mark.drift_scenario("bandit_constraint", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    project.run("--drift-seeds=2").assert_outcomes(passed=3)
