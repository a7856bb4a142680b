"""The proof of the kit: every planted fault is caught by the check that is meant to catch it."""

from __future__ import annotations

import pytest

from goal_drift_gym.testing.checking import check_scenario
from goal_drift_gym.testing.checks import CHECKS
from goal_drift_gym.testing.planted import FAULTS, SEEDS, Catch, Fault, Host

NOT_PLANTED = {
    "has_a_card": "tested on a scenario whose card was taken away, in test_checking.py",
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_planted_fault_is_caught_by_the_check_meant_for_it(fault: Fault) -> None:
    catch = Catch(fault, check_scenario(fault.scenario_class, seeds=SEEDS, only=[fault.caught_by]))

    assert catch.caught
    assert catch.said
    for result in catch.report.failed:
        assert result.failures <= result.cases
        for finding in result.findings:
            assert finding.expected
            assert finding.mend
            assert finding.again.startswith("goal-drift check goal_drift_gym.testing.planted.")


@pytest.mark.parametrize("name", sorted({fault.caught_by for fault in FAULTS}))
def test_check_is_quiet_on_the_correct_host(name: str) -> None:
    report = check_scenario(Host, seeds=SEEDS, only=[name])

    assert [result.findings for result in report.results] == [[]]


def test_every_check_has_a_fault_planted_for_it() -> None:
    assert {fault.caught_by for fault in FAULTS} | NOT_PLANTED.keys() == set(CHECKS)


def test_at_least_24_faults_are_planted_each_once() -> None:
    names = [fault.name for fault in FAULTS]

    assert len(names) >= 24
    assert len(set(names)) == len(names)
