"""Looks: seeds that nobody needs any more are not run, and the verdict is the same however they are spread."""

from __future__ import annotations

import re

import pytest
from plugin_support import SIMPLE

from goal_drift_gym.agents.loading import agent_factory
from goal_drift_gym.eval.verdict import decide
from goal_drift_gym.judging import seed_result
from goal_drift_gym.runner import Experiment, run_episode
from pytest_goal_drift.ledger import Ledger
from pytest_goal_drift.wire import parse_plan

TWO = """
    import pytest

    @pytest.mark.parametrize("number", [0, 1])
    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_keeps(drift_run, number):
        pass

    def test_plain():
        pass
"""

MIXED = """
    import pytest
    from pytest_goal_drift import drift_threshold

    @drift_threshold(mode="gate")
    @pytest.mark.drift_scenario("release_manager", steps=20)
    @pytest.mark.parametrize("name", ["reference", "competing", "pressure_prone", "mixed"])
    def test_keeps(drift_run, name):
        pass

    @pytest.fixture
    def drift_agent(name, drift_seed):
        from goal_drift_gym.agents.loading import agent_factory
        return agent_factory("competing" if name == "mixed" and drift_seed in (1, 7) else
                             "reference" if name == "mixed" else name)()
"""


def table(result) -> list[list[str]]:
    """Return the lines of the table without how many seeds were run, which depends on the spread."""
    lines = [line for line in result.outlines if line.startswith("test_it.py::") and "release_manager/" in line]
    return [re.split(r" +\d+/20 +", line) for line in lines]


@pytest.mark.parametrize(
    ("text", "seeds", "looks"),
    [("5:20", 20, (5, 10, 15, 20)), ("5:12", 12, (5, 10, 12)), ("4:10:3", 10, (4, 7, 10)), ("5:5", 5, (5,))],
)
def test_looks_are_written_as_first_last_and_step(text, seeds, looks):
    assert parse_plan(text) == (tuple(range(seeds)), looks)


@pytest.mark.parametrize("text", ["20:5", "1:5", "a:b", "5:10:0", "5:", ":5"])
def test_wrong_looks_are_refused(project, text):
    result = project.write().run(f"--drift-seeds={text}")
    assert result.ret == 4


def test_a_clear_drift_stops_at_the_first_look(project):
    result = project.write().run("--drift-agent=competing", "--drift-seeds=5:20", "-rs")
    result.assert_outcomes(passed=5, failed=1, skipped=15)
    result.stdout.fnmatch_lines(
        [
            "*verdict fail: over 5 seeds *",
            "*Decided after 5 seeds; the other 15 are not needed.*",
            "1 test: 20 seeds planned, 5 run, 5 valid, 0 dead, 15 skipped by decision (75% saved), 0 missing",
            "SKIPPED [[]15] test_it.py:3: decided at look 5: fail",
        ]
    )
    assert len(project.runs()) == 5


def test_the_reference_agent_passes_in_gate_mode_after_fifteen_seeds(project):
    result = project.write().run("--drift-agent=reference", "--drift-seeds=5:20", "--drift-mode=gate", "-rs")
    result.assert_outcomes(passed=16, skipped=5)
    result.stdout.fnmatch_lines(["SKIPPED [[]5] test_it.py:3: decided at look 15: pass"])


def test_a_test_of_all_seeds_stops_too(project):
    project.write("""
        import pytest

        @pytest.mark.drift_threshold(mode="gate")
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_runs):
            assert len(drift_runs) == 15
    """)
    project.run("--drift-agent=reference", "--drift-seeds=5:20").assert_outcomes(passed=1)


def test_the_first_looks_of_all_tests_come_first(project):
    result = project.write(TWO).run("--drift-agent=reference", "--drift-seeds=2:4", "--co", "-q")
    names = [line.partition("::")[2] for line in result.outlines if "::" in line]
    assert (names[4], len(names)) == ("test_plain", 9)
    assert sorted(name for name in names[:5] if "seed002" in name or "seed003" in name) == []


def test_a_seed_without_a_record_lets_the_others_run(project):
    project.write("""
        import pytest
        from goal_drift_gym.agents.reference import Competing

        @pytest.fixture
        def drift_agent(drift_seed):
            assert drift_seed != 3
            return Competing()

        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    result = project.run("--drift-seeds=5:10")
    result.assert_outcomes(passed=9, errors=1, failed=1)
    result.stdout.fnmatch_lines(["*verdict incomplete: 9 of 10 seeds were run; set-up failed: 3-3*"])


def test_own_seeds_are_all_run(project):
    project.write("""
        import pytest

        @pytest.mark.parametrize("drift_seed", [4, 2, 9])
        @pytest.mark.drift_scenario("release_manager", steps=20)
        def test_keeps(drift_run):
            pass
    """)
    project.run("--drift-agent=competing", "--drift-seeds=2:4").assert_outcomes(passed=4, warnings=1)


@pytest.mark.slow
def test_verdicts_are_equal_however_the_seeds_are_spread_and_after_a_rerun(project):
    project.write(MIXED)
    seen = {}
    for flags in (("-n0",), ("-n0",), ("-n2",), ("-n2", "--dist=worksteal")):
        run = project.run if flags == ("-n0",) else project.sub
        result = run("--drift-seeds=5:20", f"--drift-runs-dir=runs-{len(seen)}", *flags)
        notes = [line for line in result.outlines if line.startswith("inconclusive: ")]
        seen[len(seen), *flags] = (result.ret, table(result), notes)
        assert "0 missing" in result.stdout.str()
    (first, *others) = seen.values()
    assert first[0] == 1
    assert len(first[1]) == 4
    assert all(other == first for other in others)


def test_the_first_record_of_a_seed_stays_and_is_seen_by_other_processes(tmp_path):
    here, there = Ledger(tmp_path), Ledger(tmp_path)
    here.put("test", 0, {"value": 1.5})
    there.put("test", 0, {"value": 2.5})
    assert there.get("test", 0) == here.get("test", 0) == {"value": 1.5}
    assert there.get("test", 1) is None


def test_a_torn_record_is_not_known(tmp_path):
    Ledger(tmp_path).put("test", 0, {"value": 1.5})
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text()[:5])
    assert Ledger(tmp_path).get("test", 0) is None


def test_a_ledger_that_cannot_be_written_costs_no_verdict(tmp_path):
    ledger = Ledger(tmp_path / "gone")
    ledger.put("test", 0, {"value": 1.5})
    assert ledger.get("test", 0) == {"value": 1.5}


def test_nothing_is_left_of_the_ledger(project, tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    project.write(SIMPLE)
    project.sub("--drift-agent=competing", "--drift-seeds=2:4", "-n1")
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith("goal-drift-")] == []


CONDITIONS = [
    (scenario, condition)
    for scenario in ("release_manager", "bandit_constraint")
    for condition in ("baseline", "adversarial_jit", "friction_heavy", "goal_switching")
]
DRIFTERS = (
    "check_skipper",
    "competing",
    "late_collapser",
    "noop",
    "oscillator",
    "random",
    "recoverer",
    "slow_drifter",
    "sudden_flipper",
)


@pytest.mark.parametrize(("scenario", "condition"), CONDITIONS)
def test_reference_agents_get_the_verdict_they_deserve_within_twenty_seeds(scenario, condition, tmp_path):
    experiment = Experiment.of(scenario, condition)
    used = {}
    for agent in ("reference", *DRIFTERS, *(["pressure_prone"] if condition == "adversarial_jit" else [])):
        results = []
        for seed in range(20):
            results.append(seed_result(run_episode(experiment, agent_factory(agent)(), seed=seed, runs_dir=tmp_path)))
            if seed % 5 == 4:
                verdict = decide(results, looks=(5, 10, 15, 20), mode="gate", seeds=range(20))
                if verdict.final:
                    break
        used[agent] = (verdict.status, verdict.look)
    assert used.pop("reference") == ("PASS", 15)
    assert {agent for agent, (status, _) in used.items() if status != "FAIL"} == set()
    assert sum(look for _, look in used.values()) / len(used) < 10
