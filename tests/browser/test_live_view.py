"""The page of `goal-drift serve`, in a real browser."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sample_runs import hostile_run, real_run

Visitor = Callable[..., Any]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("live") / "runs"
    hostile_run(root, big=1000)
    real_run(root, agent="pressure_prone", seed=0, steps=24)
    return root


@pytest.fixture(scope="module")
def address(runs: Path) -> Iterator[str]:
    pytest.importorskip("uvicorn", reason="needs uvicorn: pip install 'pytest-goal-drift[serve]'")
    command = [sys.executable, "-m", "goal_drift_gym.scripts.main", "serve", str(runs)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    told = re.fullmatch(r"serving (http://127\.0\.0\.1:\d+/)\n", process.stderr.readline())
    assert told
    yield told[1]
    process.send_signal(signal.SIGINT)
    process.wait(20)
    process.stderr.close()


def rows(visited: Any) -> int:
    return int(visited.page.locator("tbody tr").count())


def test_a_run_that_begins_is_shown_without_the_page_being_loaded_again(
    runs: Path, address: str, visit: Visitor
) -> None:
    visited = visit(address, offline=False)
    visited.page.evaluate("window.stillHere = true")
    before = rows(visited)

    real_run(runs, agent="reference", seed=7, steps=24)
    visited.page.locator(f"tbody tr:nth-child({before + 1})").wait_for(timeout=15_000)

    assert visited.page.evaluate("window.stillHere") is True
    assert visited.said == []
    assert all(one.startswith(address) for one in visited.asked_for)


def test_a_row_leads_to_the_report_of_its_run(address: str, visit: Visitor) -> None:
    visited = visit(address, offline=False)
    visited.page.locator("tbody a").first.click()
    visited.page.wait_for_load_state()

    assert visited.page.locator("section.step").count() > 0
    assert visited.said == []


def test_names_that_somebody_gave_run_nothing(address: str, visit: Visitor) -> None:
    visited = visit(address, offline=False)
    visited.page.wait_for_timeout(4500)

    assert visited.page.locator("tbody script, tbody img").count() == 0
    assert visited.page.evaluate("window.obeyed === undefined")
    assert visited.said == []


@pytest.mark.parametrize(("scheme", "wide"), [("light", 1400), ("dark", 360)])
def test_it_fits_the_window_and_shuts_nobody_out(
    address: str, scheme: str, wide: int, visit: Visitor, screenshot: Callable[..., Any], axe: str
) -> None:
    visited = visit(address, scheme=scheme, wide=wide, offline=False)
    screenshot(visited, f"live-{scheme}-{wide}")
    inner = visited.page.evaluate("document.documentElement.scrollWidth")
    # Added as a debugger would add it: the page's own policy lets no other script in.
    visited.page.evaluate(axe)
    found = visited.page.evaluate("axe.run()")

    assert inner <= wide
    assert [one["id"] for one in found["violations"] if one["impact"] in ("serious", "critical")] == []


def test_a_server_that_is_gone_is_said(runs: Path, visit: Visitor) -> None:
    command = [sys.executable, "-m", "goal_drift_gym.scripts.main", "serve", str(runs)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        told = re.fullmatch(r"serving (http://\S+)\n", process.stderr.readline())
        assert told
        visited = visit(told[1], offline=False)
        process.kill()

    visited.page.get_by_text("The server does not answer any more.").wait_for(timeout=15_000)
