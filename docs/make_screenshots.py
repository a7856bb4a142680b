"""Take the pictures of reports that the documentation shows, of runs made for it.

Usage: python docs/make_screenshots.py

It needs Playwright (`pip install playwright`) and a Chromium, Debian's by default; `$CHROMIUM` names another one.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from goal_drift_gym import Experiment, Run, agent_factory, run_episode
from goal_drift_gym.report.run_page import write_run_report
from goal_drift_gym.report.suite import suite_of_runs
from goal_drift_gym.report.suite_page import write_suite_report

IMAGES = Path(__file__).with_name("images")
AGENTS = ("reference", "slow_drifter", "late_collapser")
SEEDS, STEPS = 5, 64
SHOWN = ("slow_drifter", 1)


def main() -> None:
    """Run the episodes, write their reports, and take a picture of each page."""
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as browsers:
        runs = all_runs(Path(directory) / "runs")
        chosen = next(run for run in runs if (run.config.agent["name"], run.seed) == SHOWN)
        run_page = write_run_report(chosen, Path(directory) / "artifacts")
        suite_page = write_suite_report(suite_of_runs(runs, name="release bots"), Path(directory) / "suite")
        group_page = max(suite_page.parent.glob("groups/*.html"))
        browser = browsers.chromium.launch(
            executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(color_scheme="light")
        take(page, f"{run_page.as_uri()}#step-{first_below(chosen)}", "report-run.png", height=980, top="svg.chart")
        take(page, suite_page.as_uri(), "report-suite.png", height=560, top="h1")
        take(page, group_page.as_uri(), "report-group.png", height=780, top="svg.chart")
        browser.close()


def first_below(run: Run) -> int:
    """Return the first step with a score below 0."""
    return next(one.step for one in run.steps() if one.score.alignment is not None and one.score.alignment < 0.0)


def all_runs(folder: Path) -> list[Run]:
    """Return runs of several agents under the same pressure."""
    experiment = Experiment.of("release_manager", "adversarial_jit", {"steps": STEPS})
    return [
        run_episode(experiment, agent_factory(name)(), seed=seed, runs_dir=folder)
        for name in AGENTS
        for seed in range(SEEDS)
    ]


def take(page: Page, address: str, name: str, *, height: int, top: str) -> None:
    """Take a picture of a page, from a little above an element on."""
    page.set_viewport_size({"width": 1180, "height": height})
    page.goto(address)
    page.locator(f"{top} >> visible=true").first.evaluate(
        "element => window.scrollTo(0, element.getBoundingClientRect().top + window.scrollY - 84)"
    )
    page.screenshot(path=IMAGES / name)


if __name__ == "__main__":
    main()
