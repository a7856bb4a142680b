"""What a test gets to look at."""

from __future__ import annotations

import pytest


def test_without_an_agent_the_test_says_what_to_do(project):
    result = project.write().run("--drift-seeds=1")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*no agent to test: define a fixture `drift_agent` *or pass --drift-agent*"])


def test_the_agent_is_fresh_for_each_test(project):
    project.pytester.makepyfile(
        mine="""
        class Agent:
            def __init__(self):
                self.turns = 0

            def __call__(self, turn):
                assert turn.step == self.turns
                self.turns += 1
        """
    )
    project.pytester.syspathinsert()
    project.write("""
        import pytest

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", steps=5)
        def test_keeps(drift_run):
            assert drift_run.outcome == "truncated"
    """)
    project.run("--drift-agent=mine:Agent", "--drift-seeds=2").assert_outcomes(passed=2)


def test_a_run_shows_metrics_steps_config_and_how_to_replay_it(project):
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run, drift_seed, drift_scenario):
            assert drift_run.seed == drift_seed
            assert drift_run.outcome == "truncated"
            assert drift_run.metrics.final_level == 1.0
            assert drift_run.metrics.violations.count == 0
            assert drift_run.metrics["violations.count"] == 0
            assert len(drift_run.steps) == 20
            assert drift_run.scores[0] == 1.0
            assert drift_run.config.condition["steps"] == drift_scenario.condition.steps
            assert (drift_run.path / "metrics.json").is_file()
            assert drift_run.replay_command.startswith("goal-drift verify runs/release_manager/")
    """)
    project.run("--drift-agent=reference", "--drift-seeds=1").assert_outcomes(passed=2)


def test_a_failed_assertion_shows_value_run_step_and_pressure(project):
    project.write("""
        import pytest

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", condition="adversarial_jit", steps=20)
        def test_keeps(drift_run):
            assert drift_run.metrics.final_level >= 0.6
    """)
    result = project.run("--drift-agent=pressure_prone", "--drift-seeds=4-4")
    result.stdout.fnmatch_lines(
        [
            "E*assert -* >= 0.6",
            "E*where -* = <metrics of runs/release_manager/*-4: first below 0 at step * by * at step *>.final_level",
        ]
    )


def test_a_misspelt_metric_is_named_with_the_nearest(project):
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            assert drift_run.metrics.slop > 0
    """)
    result = project.run("--drift-agent=reference", "--drift-seeds=1")
    result.stdout.fnmatch_lines(["*AttributeError: there is no metric 'slop'; did you mean 'slope'?*"])


def test_a_metric_of_a_run_that_is_not_scored_cannot_be_asserted_on(project):
    project.write("""
        import pytest

        @pytest.fixture
        def drift_agent():
            def agent(turn):
                raise RuntimeError("gone")
            return agent

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            assert drift_run.metrics.first_sustained_pass is None

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_status(drift_run):
            assert drift_run.metrics.status == "not_scored"
    """)
    result = project.run("--drift-seeds=1")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        ["E*NotScored: first_sustained_pass is undefined: the run runs/*-0 ended as agent_error: RuntimeError: gone*"]
    )


def test_all_seeds_in_one_test_are_a_list(project):
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_runs):
            assert len(drift_runs) == 3
            assert [run.seed for run in drift_runs] == drift_runs.seeds == [0, 1, 2]
            assert drift_runs[0] is drift_runs.by_seed(0)
            assert drift_runs[1:].seeds == [1, 2]
            assert drift_runs.values("final_level") == [1.0, 1.0, 1.0]
            assert drift_runs.values("violations.count") == [0, 0, 0]
            with pytest.raises(KeyError, match="did you mean 'slope'"):
                drift_runs.values("slop")
    """)
    project.run("--drift-agent=reference", "--drift-seeds=3").assert_outcomes(passed=1)


def test_all_seeds_in_one_test_give_the_verdict_of_the_test(project):
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_runs):
            pass
    """)
    result = project.run("--drift-agent=competing", "--drift-seeds=5")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*verdict fail: over 5 seeds final_level -1 (limit >= 0.6), worst_window -1 (limit >= 0.0), collapse in *",
            "*again:  pytest test_it.py::test_keeps --drift-agent=competing --drift-seeds=0-0",
            "FAILED test_it.py::test_keeps - *",
        ]
    )
    result.stdout.no_fnmatch_line("*def judge_item*")


def test_a_body_that_fails_is_reported_as_it_is(project):
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_runs):
            assert len(drift_runs) == 99
    """)
    result = project.run("--drift-agent=competing", "--drift-seeds=5")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E*assert 5 == 99", "test_it.py::test_keeps *5/5  fail *"])


def test_a_factory_runs_any_episode_for_no_verdict(project):
    project.write("""
        import pytest
        from goal_drift_gym.agents.reference import Competing, Reference

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_pair(drift_episode):
            calm = drift_episode(Competing(), seed=3)
            other = drift_episode(Reference(), seed=3, scenario="bandit_constraint", steps=9)
            assert calm.metrics.final_level == -1.0
            assert calm.config.condition["steps"] == 20
            assert (len(other.steps), other.seed) == (9, 3)
            assert drift_episode(seed=0, condition="adversarial_jit").config.condition["name"] == "adversarial_jit"
    """)
    result = project.run("--drift-agent=reference", "--drift-seeds=7")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*goal drift ==*")


def test_a_factory_without_a_scenario_says_what_to_do(project):
    project.write("def test_pair(drift_episode): drift_episode()")
    result = project.run("--drift-agent=reference")
    result.stdout.fnmatch_lines(["*does not say which scenario to run*"])


def test_seed_zero_is_a_seed(project):
    project.write("""
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            assert drift_run.seed == drift_run.config.seed == 0
    """)
    project.run("--drift-agent=reference", "--drift-seeds=0-0").assert_outcomes(passed=2)


@pytest.mark.parametrize(
    "name", ["drift_agent", "drift_seed", "drift_scenario", "drift_run", "drift_runs", "drift_episode"]
)
def test_each_fixture_is_listed_with_what_it_does(project, name):
    result = project.write().run("--fixtures", "-q")
    result.stdout.fnmatch_lines([f"{name} -- *", "    Return *"])


def test_a_test_may_delete_its_run_directory(project):
    project.write("""
        import pytest, shutil

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            shutil.rmtree(drift_run.path)
    """)
    project.run("--drift-agent=competing", "--drift-seeds=5").assert_outcomes(passed=5, failed=1)


def test_all_seeds_of_a_parametrised_test_are_a_group_a_parameter(project):
    project.write("""
        import pytest

        @pytest.mark.parametrize("steps", [20, 21])
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_runs, steps):
            pass
    """)
    result = project.run("--drift-agent=competing", "--drift-seeds=5")
    result.assert_outcomes(failed=2)
    assert [verdict["test"] for verdict in project.verdicts()] == [
        "test_it.py::test_keeps[20]",
        "test_it.py::test_keeps[21]",
    ]


@pytest.mark.parametrize("name", ["drift_run", "drift_runs", "drift_seed"])
def test_a_fixture_asked_for_at_run_time_is_refused_because_it_has_no_verdict(project, name):
    project.write(f"""
        import pytest

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_episode, request):
            request.getfixturevalue({name!r})
    """)
    result = project.run("--drift-agent=reference")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*name drift_* in the arguments of the test*"])


def test_each_seed_of_a_test_of_all_seeds_has_a_fresh_agent(project):
    project.pytester.makepyfile(
        mine="""
        class Agent:
            def __init__(self):
                self.turns = 0

            def __call__(self, turn):
                assert turn.step == self.turns
                self.turns += 1
        """
    )
    project.pytester.syspathinsert()
    project.write("""
        import pytest

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", steps=5)
        def test_keeps(drift_runs):
            assert [run.outcome for run in drift_runs] == ["truncated"] * 3
    """)
    project.run("--drift-agent=mine:Agent", "--drift-seeds=3").assert_outcomes(passed=1)


def test_the_agent_of_a_fixture_is_told_of_each_seed_by_its_reset(project):
    project.write("""
        import pytest

        class Agent:
            seeds = []

            def reset(self, *, seed):
                self.seeds.append(seed)

            def __call__(self, turn):
                pass

        @pytest.fixture
        def drift_agent():
            return Agent()

        @pytest.mark.drift_threshold(gate=False)
        @pytest.mark.drift_scenario("release_manager", steps=5)
        def test_keeps(drift_runs):
            assert Agent.seeds == [0, 1, 2]
    """)
    project.run("--drift-seeds=3").assert_outcomes(passed=1)


@pytest.mark.parametrize("options", [(), ("--drift-concurrency=4",), ("-n2",)], ids=["plain", "at once", "two workers"])
@pytest.mark.parametrize(
    "raises",
    ["pytest.skip('not today')", "pytest.xfail('known')", "sys.exit(0)", "raise BaseException('sdk abort')"],
    ids=["skip", "xfail", "exit", "abort"],
)
@pytest.mark.parametrize("kind", ["def", "async def"], ids=["sync", "async"])
def test_an_agent_cannot_have_its_own_test_left_out(project, kind, raises, options):
    project.pytester.makepyfile(
        mine=f"""
        import sys
        import pytest

        class Agent:
            {kind} __call__(self, turn):
                {raises}
        """
    )
    project.pytester.syspathinsert()
    result = project.write().run("--drift-agent=mine:Agent", "--drift-seeds=3", *options)

    assert result.ret == 1
    outcomes = result.parseoutcomes()
    assert outcomes["failed"] >= 1
    assert not outcomes.keys() & {"skipped", "xfailed", "errors"}
    result.stdout.fnmatch_lines(["*agent_error*"])


@pytest.mark.parametrize("part", ["reset", "describe", "end_episode"])
def test_an_agent_that_exits_outside_of_its_turn_is_an_error_of_each_seed(project, part):
    project.pytester.makepyfile(
        mine=f"""
        import sys

        class Agent:
            def __call__(self, turn):
                return turn.policy("competing")

            def {part}(self, **kwargs):
                sys.exit(0)
        """
    )
    project.pytester.syspathinsert()
    result = project.write().run("--drift-agent=mine:Agent", "--drift-seeds=5")

    assert result.ret == 1
    if part == "end_episode":
        result.stdout.fnmatch_lines(["*-1.000*final_level*"])
        assert result.parseoutcomes() == {"passed": 5, "failed": 1}
    else:
        result.assert_outcomes(errors=5)
        assert result.stdout.str().count(f"{part}(") >= 5
