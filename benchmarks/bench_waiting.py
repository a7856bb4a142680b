"""Slow agents in one process: how close many episodes at once come to the time of the few they are worth."""

from __future__ import annotations

import json
import sys
import tempfile
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from measure import Child, Table, child

STEPS, WAIT_S = 20, 0.2
EPISODE_S = STEPS * WAIT_S

BOTS = f"""
import asyncio
import time


def sync_bot(turn):
    time.sleep({WAIT_S})


async def async_bot(turn):
    await asyncio.sleep({WAIT_S})
"""

TEST = f"""
import pytest

pytestmark = [pytest.mark.drift_threshold(gate=False), pytest.mark.drift_scenario("release_manager", steps={STEPS})]


def test_each(drift_run):
    assert drift_run.outcome == "truncated"


def test_all(drift_runs):
    assert {{run.outcome for run in drift_runs}} == {{"truncated"}}
"""


class Case(NamedTuple):
    """Some episodes, so many at once."""

    name: str
    arguments: list[str]
    episodes: int
    at_once: int
    at_most: float | None

    @property
    def rounds(self) -> int:
        """How many episodes come one after the other at least."""
        return -(-self.episodes // self.at_once)


def pytest_session(test: str, bot: str, episodes: int, at_once: int, *more: str) -> list[str]:
    """Return the arguments of a session."""
    options = [f"--drift-agent=bots:{bot}", f"--drift-seeds={episodes}", f"--drift-concurrency={at_once}"]
    return ["-m", "pytest", "-q", "-p", "no:cacheprovider", "test_bots.py", "-k", test, *options, *more]


def command(bot: str, episodes: int, at_once: int) -> list[str]:
    """Return the arguments of a `goal-drift run`."""
    words = ["run", "release_manager", "--set", f"steps={STEPS}", "--agent", f"bots:{bot}"]
    return ["-m", "goal_drift_gym.scripts.main", *words, "--seeds", str(episodes), "--concurrency", str(at_once)]


def cases(*, quick: bool) -> list[Case]:
    """Return what is measured."""
    found = [
        Case("pytest, an item a seed, sync agent", pytest_session("each", "sync_bot", 40, 40), 40, 40, 1.25),
        Case("pytest, an item a seed, async agent", pytest_session("each", "async_bot", 40, 40), 40, 40, 1.25),
        Case("pytest, all seeds in one item", pytest_session("all", "sync_bot", 40, 40), 40, 40, 1.25),
        Case("goal-drift run", command("sync_bot", 40, 40), 40, 40, 1.25),
        Case("pytest -n2, 20 at once in each", pytest_session("each", "sync_bot", 40, 20, "-n2"), 40, 40, None),
    ]
    if not quick:
        found += [
            Case("pytest, 40 at once", pytest_session("each", "sync_bot", 400, 40), 400, 40, 1.2),
            Case("pytest, 400 at once, sync agent", pytest_session("each", "sync_bot", 400, 400), 400, 400, 1.2),
            Case("pytest, 400 at once, async agent", pytest_session("each", "async_bot", 400, 400), 400, 400, 1.2),
            Case("goal-drift run, 400 at once", command("sync_bot", 400, 400), 400, 400, 1.2),
        ]
    return found


class Session(NamedTuple):
    """A session, and its episodes from the start of the first to the end of the last."""

    process: Child
    episodes_s: float


def session(case: Case, directory: Path) -> Session:
    """Run a session in a directory of its own."""
    # Kept until all are measured: some file systems are slow at making files for seconds after many were deleted.
    place = Path(tempfile.mkdtemp(dir=directory))
    (place / "bots.py").write_text(BOTS, encoding="utf-8")
    (place / "test_bots.py").write_text(TEST, encoding="utf-8")
    done = child(case.arguments, cwd=place, environment={"PYTHONPATH": str(place)})
    metas = [json.loads(path.read_bytes()) for path in (place / "runs").rglob("meta.json")]
    if [meta["status"] for meta in metas] != ["truncated"] * case.episodes:
        raise RuntimeError(f"{len(metas)} runs instead of {case.episodes}: {sorted(meta['status'] for meta in metas)}")
    begun = min(datetime.fromisoformat(meta["started"]) for meta in metas)
    ended = max(datetime.fromisoformat(meta["finished"]) for meta in metas)
    return Session(done, (ended - begun).total_seconds())


def main() -> int:
    """Print the figures; exit 1 when a target is missed."""
    table = Table(f"Waiting agents: {STEPS} steps x {1e3 * WAIT_S:.0f} ms, from the first start to the last end")
    with tempfile.TemporaryDirectory() as directory:
        for case in cases(quick="--quick" in sys.argv[1:]):
            found = session(case, Path(directory))
            ratio = found.episodes_s / (case.rounds * EPISODE_S)
            table.row(f"{case.name}, {case.episodes} episodes: over the ideal", ratio, "x", at_most=case.at_most)
            table.row("  the whole session, start of Python included", found.process.wall_s, "s")
            table.row("  peak memory", found.process.peak_mb, "MB")
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
