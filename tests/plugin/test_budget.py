"""Limits of a session hold over all workers; what was not run is named and is never a verdict on fewer seeds."""

from __future__ import annotations

import json
import re

import pytest

SPENDER = """
    import os
    import time

    import pytest


    class Spender:
        def __call__(self, turn):
            time.sleep(float(os.environ.get("NAP_S", "0")))
            turn.usage(calls=1, input_tokens=90, output_tokens=10)
            for action in turn.policy("reference"):
                turn.perform(action)


    @pytest.fixture
    def drift_agent():
        return Spender()
"""
ONE = """
    import pytest

    @pytest.mark.drift_scenario("release_manager", steps=8)
    def test_keeps(drift_run):
        assert drift_run.is_scored
"""
ALL = """
    import pytest

    @pytest.mark.drift_scenario("release_manager", steps=8)
    def test_all(drift_runs):
        print("the body ran")
"""
FREE = """
    import pytest

    def test_free(drift_episode):
        assert drift_episode(scenario="release_manager", steps=8).is_scored
"""


@pytest.fixture
def spending(project):
    project.pytester.makeconftest(SPENDER)
    return project


def budget_lines(result) -> list[str]:
    lines = result.outlines
    start = next((at for at, line in enumerate(lines) if "goal drift budget ==" in line), None)
    if start is None:
        return []
    found = []
    for line in lines[start + 1 :]:
        if line.startswith("="):
            break
        found.append(line)
    return found


def spent_tokens(result) -> int:
    (line,) = [line for line in budget_lines(result) if line.startswith("spent by agent")]
    return int(re.findall(r"([\d,]+) tokens", line)[0].replace(",", ""))


def named_seeds(result) -> set[int]:
    """Return the seeds that the report says were cut off or not run."""
    named: set[int] = set()
    for line in budget_lines(result):
        if line.startswith(("cut off: ", "not run: ")):
            for low, high in re.findall(r"(\d+)(?:-(\d+))?", line.split()[4].rstrip(":")):
                named |= set(range(int(low), int(high or low) + 1))
    return named


@pytest.mark.slow
def test_eight_workers_exceed_a_session_by_at_most_a_call_each_and_name_what_was_not_run(spending, monkeypatch):
    monkeypatch.setenv("NAP_S", "0.02")
    limit, workers, call = 6000, 8, 100

    result = spending.write(ONE).sub("-n8", "--drift-seeds=24", f"--drift-budget=session.tokens={limit}")

    lines = budget_lines(result)
    spent = spent_tokens(result)
    runs = [json.loads((run / "meta.json").read_bytes()) for run in spending.runs()]
    assert limit <= spent <= limit + workers * call
    assert spent == sum(meta["usage"]["input_tokens"] + meta["usage"]["output_tokens"] for meta in runs)
    whole = {
        int(run.name.rpartition("-")[2])
        for run, meta in zip(spending.runs(), runs, strict=True)
        if meta["status"] == "truncated"
    }
    told = [line for line in lines if line.startswith(("cut off: ", "not run: "))]
    assert all(line.endswith(f"the budget session.tokens={limit} is spent") for line in told)
    assert {line.split()[2] for line in told} == {"test_it.py::test_keeps"}
    assert named_seeds(result) == set(range(24)) - whole
    assert 0 < len(whole) < 24
    assert "incomplete" in result.stdout.str()


@pytest.mark.slow
def test_what_a_worker_spent_before_it_was_killed_counts_for_the_others(spending):
    deadly = SPENDER.replace(
        "def __call__(self, turn):",
        """def __call__(self, turn):
            if turn.step == 5 and not os.path.exists("killed"):
                open("killed", "w").close()
                os.kill(os.getpid(), 9)""",
    )
    spending.pytester.makeconftest(deadly)

    result = spending.write(ONE).sub("-n2", "--drift-seeds=20", "--drift-budget=session.tokens=6000")

    runs = [json.loads(meta.read_bytes()) for meta in (spending.path / "runs").rglob("meta.json")]
    told = sum(meta["usage"]["input_tokens"] + meta["usage"]["output_tokens"] for meta in runs)
    assert (spending.path / "killed").exists()
    assert spent_tokens(result) == told + 5 * 100
    assert 6000 <= spent_tokens(result) <= 6000 + 2 * 100
    assert result.ret == 1


@pytest.mark.parametrize("source", [ONE, ALL], ids=["drift_run", "drift_runs"])
@pytest.mark.parametrize("workers", ["-n0", "-n2"])
def test_episodes_side_by_side_share_the_session_too(spending, monkeypatch, source, workers):
    monkeypatch.setenv("NAP_S", "0.02")

    result = spending.write(source).sub(
        workers, "--drift-concurrency=4", "--drift-seeds=12", "--drift-budget=session.tokens=4050"
    )

    places = 8 if workers == "-n2" else 4
    assert 4050 < spent_tokens(result) <= 4050 + places * 100
    (done,) = [int(found) for found in re.findall(r" (\d+)/12 ", result.stdout.str())]
    assert named_seeds(result)
    assert len(named_seeds(result)) == 12 - done
    assert "the body ran" not in result.stdout.str()


def test_a_seed_that_was_not_run_makes_the_verdict_incomplete_and_never_a_pass_on_fewer(spending):
    result = spending.write(ONE).run("--drift-seeds=20", "--drift-budget=session.calls=150")

    result.assert_outcomes(passed=18, skipped=3)
    (line,) = [line for line in result.outlines if line.startswith("incomplete: ")]
    assert "18 of 20 seeds were run; the budget session.calls=150 is spent: 18-19" in line
    assert result.ret == 0


def test_in_strict_mode_that_is_a_failure(spending):
    result = spending.write(ONE).run("--drift-seeds=20", "--drift-budget=session.calls=150", "--drift-strict")

    result.assert_outcomes(passed=18, skipped=2, failed=1)
    assert "goal drift verdict incomplete: 18 of 20 seeds were run; the budget session.calls=150" in result.stdout.str()


def test_drift_that_the_run_seeds_show_is_a_failure_whatever_is_missing(spending):
    spending.pytester.makeconftest(SPENDER.replace('"reference"', '"competing"'))

    result = spending.write(ONE).run("--drift-seeds=20", "--drift-budget=session.calls=150")

    assert "goal drift verdict fail: " in result.stdout.str()
    assert result.ret == 1


@pytest.mark.parametrize("strict", [False, True])
def test_a_test_of_which_no_seed_was_run_is_told_and_no_pass(spending, strict):
    spending.write(ONE, test_a_first=FREE.replace("steps=8", "steps=30"))

    options = ["--drift-strict"] if strict else []
    result = spending.run("--drift-seeds=3", "--drift-budget=session.calls=30", *options)

    assert "not run: test_it.py::test_keeps seeds 0-2: the budget session.calls=30 is spent" in budget_lines(result)
    result.assert_outcomes(passed=1, skipped=3 if strict else 4, failed=int(strict))


def test_a_test_over_all_seeds_does_not_run_on_fewer(spending):
    result = spending.write(ALL).run("--drift-seeds=5", "--drift-budget=session.calls=20", "-s")

    result.assert_outcomes(skipped=1)
    assert "the body ran" not in result.stdout.str()
    lines = budget_lines(result)
    assert any(line.startswith("cut off: test_it.py::test_all seed 2 in runs") for line in lines)
    assert "not run: test_it.py::test_all seeds 3-4: the budget session.calls=20 is spent" in lines


def test_a_test_over_all_seeds_fails_in_strict_mode(spending):
    result = spending.write(ALL).run("--drift-seeds=5", "--drift-budget=session.calls=20", "--drift-strict")

    result.assert_outcomes(errors=1)


def test_a_test_over_all_seeds_fails_where_those_that_were_run_show_drift(spending):
    spending.pytester.makeconftest(SPENDER.replace('"reference"', '"competing"'))

    result = spending.write(ALL).run("--drift-seeds=20", "--drift-budget=session.calls=100")

    result.assert_outcomes(errors=1)
    assert "goal drift verdict fail: " in result.stdout.str()


def test_where_no_body_is_run_the_seeds_that_were_run_give_no_verdict_either(spending):
    spending.pytester.makeconftest(SPENDER.replace('"reference"', '"competing"'))

    result = spending.write(ALL).sub("--drift-seeds=20", "--drift-budget=session.calls=100", "--setup-only")

    result.stdout.fnmatch_lines(["*1 skipped*"])
    assert "goal drift verdict" not in result.stdout.str()


@pytest.mark.parametrize(("options", "outcome"), [((), "skipped"), (("--drift-strict",), "failed")])
def test_an_episode_of_a_test_without_a_verdict_is_no_pass_either(spending, options, outcome):
    result = spending.write(FREE).run("--drift-budget=session.calls=5", *options)

    result.assert_outcomes(**{outcome: 1})
    (line,) = [line for line in budget_lines(result) if line.startswith("cut off")]
    assert line.startswith("cut off: test_it.py::test_free seed 0 in runs")


def test_a_test_without_a_gate_fails_in_strict_mode_where_a_seed_was_not_run(spending):
    spending.write(
        ONE.replace("@pytest.mark.drift_sc", "@pytest.mark.drift_threshold(gate=False)\n    @pytest.mark.drift_sc")
    )

    result = spending.run("--drift-seeds=3", "--drift-budget=session.calls=20", "--drift-strict")

    result.assert_outcomes(passed=2, errors=1)


def test_a_limit_of_an_episode_ends_that_run_and_is_named(spending):
    spending.write(ONE.replace("assert drift_run.is_scored", "pass"))

    result = spending.run("--drift-seeds=2", "--drift-budget=episode.calls=5")

    lines = budget_lines(result)
    assert [line.split(" (")[0] for line in lines if line.startswith("ended early")] == [
        "ended early: test_it.py::test_keeps seed 0",
        "ended early: test_it.py::test_keeps seed 1",
    ]
    assert all(line.endswith("the budget episode.calls=5 is spent") for line in lines[2:])
    assert "2 of 2 seeds cannot be judged: 2 budget" in result.stdout.str()


def test_a_run_that_a_limit_ended_is_not_tried_again(pytester, spending):
    spending.write(ONE)

    result = pytester.runpytest_inprocess(
        "-p", "no:asyncio", "-p", "no:randomly", "--reruns=3", "--drift-seeds=1", "--drift-budget=episode.calls=5"
    )

    assert result.ret == 1
    assert len(spending.runs()) == 1


def test_a_flag_counts_before_the_setting_of_the_same_limit_only(spending):
    spending.pytester.makeini("[pytest]\ndrift_budget =\n    session.calls=3\n    episode.calls=100")

    result = spending.write(ONE).run("--drift-seeds=1", "--drift-budget=session.calls=50")

    assert "budget: session.calls=50, episode.calls=100" in budget_lines(result)
    assert result.ret == 0


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--drift-budget=session.token=5", "did you mean 'session.tokens'"),
        ("--drift-budget=call.calls=5", "a call is one call"),
        ("--drift-prices=none.toml", "cannot read the price table"),
    ],
)
def test_a_wrong_budget_is_refused_at_once(spending, flag, said):
    result = spending.write(ONE).run(flag)

    assert result.ret == 4
    assert said in result.stdout.str() + result.stderr.str()


def test_without_a_budget_nothing_is_said_of_it(spending):
    result = spending.write(ONE).run("--drift-seeds=1")

    assert budget_lines(result) == []


def test_a_dry_run_runs_nothing_in_any_process_and_says_what_to_expect(spending):
    spending.write(ONE, test_other=FREE)

    result = spending.sub("-n2", "--drift-seeds=7", "--drift-dry-run", "--drift-budget=session.tokens=1000")

    text = result.stdout.str()
    assert result.ret == 0
    assert spending.runs() == []
    assert "workers" not in text
    row = next(line for line in result.outlines if line.startswith("test_it.py::test_keeps")).split()
    assert row[1:5] == ["release_manager/baseline", "(drift_agent)", "7", "56"]
    assert int(row[5]) > 56
    assert row[-1] == "unknown"
    assert "test_other.py::test_free uses drift_episode: its episodes are not known before" in text
    assert re.search(r"budget session\.tokens=1000: all episodes are expected to take [\d,]+; not enough", text)
    assert "the price is not known of the model of (drift_agent)" in text


def test_a_dry_run_prices_an_agent_that_names_its_model_and_knows_that_a_reference_agent_asks_none(project):
    project.pytester.makepyfile(agents='class Model:\n    model = "m"\n\n    def __call__(self, turn):\n        pass\n')
    project.pytester.makefile(".toml", prices="[models.m]\ninput = 1e6\noutput = 0")
    project.write(ONE).pytester.syspathinsert()

    priced = project.run("--drift-agent=agents:Model", "--drift-dry-run", "--drift-prices=prices.toml")
    free = project.run("--drift-agent=reference", "--drift-dry-run")

    row = next(line for line in priced.outlines if line.startswith("test_it.py::test_keeps")).split()
    assert float(row[-1]) == pytest.approx(int(row[6].replace(",", "")), rel=1e-3)
    row = next(line for line in free.outlines if line.startswith("test_it.py::test_keeps")).split()
    assert row[2:6] == ["reference", "5", "40", "0"]
    assert row[-1] == "0"


def test_a_dry_run_counts_the_twins(spending):
    spending.write(ONE.replace("steps=8", 'condition="adversarial_jit", steps=20'))

    result = spending.run("--drift-seeds=3", "--drift-dry-run", "--drift-twin")

    total = next(line for line in result.outlines if line.startswith("in all")).split()
    assert total[2:4] == ["6", "120"]
