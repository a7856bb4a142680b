"""Hooks that a conftest or another plugin may implement.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_goal_drift.verdict import DriftDecision, DriftGroup


@pytest.hookspec(firstresult=True)
def pytest_drift_verdict(group: DriftGroup, config: pytest.Config) -> DriftDecision | str | None:
    """Decide whether a test passes, given all its seeds; the first answer that is not None counts.

    Called once a test with a verdict: in the controller for `drift_run`, in the process of the test for
    `drift_runs`. Without an own answer the seeds are judged by what they show (docs/verdict.md);
    `every_seed_within_limits(group)` is a rule without statistics. A rule that lets one seed in ten drift::

        from pytest_goal_drift import DriftDecision

        def pytest_drift_verdict(group, config):
            if not group.gate or group.missing or group.undecided or not group.seeds:
                return None
            share = len(group.crossed) / len(group.seeds)
            word = "fail" if share > 0.1 else "pass"
            return DriftDecision(word=word, reason=f"{share:.0%} of the seeds drifted, 10% may")

    `group.seeds` holds the values and crossings of each seed, `group.missing` the seeds that gave no run and why.
    Answer `pass` only after looking at both: a seed that was not measured did not pass.
    """
