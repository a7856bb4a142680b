"""The page on the kit says what the kit checks."""

from __future__ import annotations

from pathlib import Path

from goal_drift_gym.testing.checks import CHECKS

PAGE = Path(__file__).parents[2] / "docs" / "checking-a-scenario.md"


def test_page_lists_every_check_with_what_it_asks_for() -> None:
    rows = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]

    assert rows == [f"| `{check.name}` | {check.summary} |" for check in CHECKS.values()]
