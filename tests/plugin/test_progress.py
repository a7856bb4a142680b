"""Lines on how far a long session is."""

from __future__ import annotations

import re

import pytest

SOON = "import pytest_goal_drift.progress as p\np.FIRST_S = {True: 0.0, False: 0.0}\np._SHARE = 1e9\n"
TWO = """
    import pytest

    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_first(drift_run):
        pass

    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_second(drift_runs):
        pass
"""
OPTIONS = ("--drift-agent=competing", "--drift-seeds=5", "-p", "no:cacheprovider")


def said(result: pytest.RunResult) -> list[str]:
    return [line for line in result.outlines if re.match(r"goal drift: \d+ of ", line)]


@pytest.mark.parametrize("workers", ["-n0", "-n2"])
@pytest.mark.parametrize("verbosity", ["-v", "--verbosity=0"])
def test_lines_tell_what_is_done_and_the_verdicts_so_far(project, workers, verbosity):
    result = project.write(TWO, conftest=SOON).sub(*OPTIONS, workers, verbosity)
    lines = said(result)

    assert len(lines) == 5
    assert [line.split(" tests, ")[0] for line in lines] == [f"goal drift: {done} of 6" for done in range(1, 6)]
    assert re.search(r" gone, about \d+ s left; verdicts so far: 1 fail$", lines[-1])
    result.assert_outcomes(failed=2, passed=5)


def test_the_seeds_that_were_run_are_counted(project):
    result = project.write(TWO, conftest=SOON).sub(*OPTIONS)

    assert [re.search(r"(\d+) seeds? run", line)[1] for line in said(result)[:5]] == ["1", "2", "3", "4", "5"]
    assert all("verdicts" not in line for line in said(result)[:4])


def test_a_short_session_and_q_have_no_lines(project):
    assert said(project.write(TWO).sub(*OPTIONS)) == []
    assert said(project.write(TWO, conftest=SOON).sub(*OPTIONS, "-q")) == []


def test_the_rule_of_somebody_else_is_asked_once(project):
    own = "def pytest_drift_verdict(group):\n    print('asked', group.nodeid)\n    return 'pass'\n"
    result = project.write(TWO, conftest=SOON + own).sub(*OPTIONS, "-s")

    assert result.stdout.str().count("asked test_it.py::test_first") == 1
    assert len(said(result)) == 5
    assert "verdicts" not in said(result)[-1]


def test_lines_come_rarer_as_a_session_grows_longer(project):
    slow = SOON.replace("1e9", "0.001")
    result = project.write(TWO, conftest=slow).sub(*OPTIONS)

    assert said(result) == []
