"""Faults planted in a correct scenario, each for the check that is meant to catch it: the proof of the kit.

PYTEST_DONT_REWRITE
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from goal_drift_gym.testing.checking import check_scenario
from goal_drift_gym.testing.planted import contract, late_messages, no_switch, randomness, scoring
from goal_drift_gym.testing.planted.base import FAULTS, Fault, Host
from goal_drift_gym.testing.report import CheckReport

__all__ = [
    "FAULTS",
    "Catch",
    "Fault",
    "Host",
    "catches",
    "contract",
    "late_messages",
    "no_switch",
    "randomness",
    "scoring",
]

SEEDS = 3
"""Seeds with which a fault is looked for: what the fast profile has."""


class Catch(msgspec.Struct, frozen=True):
    """What became of one planted fault."""

    fault: Fault
    report: CheckReport
    """Of the check that is meant to catch it."""

    @property
    def caught(self) -> bool:
        """Whether the check meant for it found something."""
        return not self.report.ok

    @property
    def said(self) -> str:
        """The first finding, in short; empty where there is none."""
        findings = [finding for result in self.report.failed for finding in result.findings]
        return f"{findings[0].got}" if findings else ""


def catches() -> Iterator[Catch]:
    """Look for each planted fault with the check that is meant to catch it."""
    for fault in FAULTS:
        yield Catch(fault, check_scenario(fault.scenario_class, seeds=SEEDS, only=[fault.caught_by]))
