"""What a drift item costs over a plain parametrised one, and what its reports put on the wire.

2,000 items of a 20-step scripted episode (reference agent, `release_manager` baseline), 10 seeds a test as a suite
would have it, gate and run directory included; whole `pytest -n0` processes with cached bytecode, start-up divided
among the items. Where there is a file system in memory the same is shown on it: the rest is the disk's.
"""

from __future__ import annotations

import json
import shutil
import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from measure import Child, Table, child

SEEDS, CASES, ROUNDS = 10, 200, 3
_MEMORY = Path("/dev/shm")

_PLAIN = """
import pytest

@pytest.mark.parametrize("seed", range({seeds}))
@pytest.mark.parametrize("case", range({cases}))
def test_nothing(case, seed):
    assert seed >= 0
"""
_DRIFT = """
import pytest

@pytest.mark.drift_scenario("release_manager", condition="baseline", steps=20)
@pytest.mark.drift_threshold(final_level=0.5)
@pytest.mark.parametrize("case", range({cases}))
def test_agent(case, drift_run):
    assert drift_run.outcome == "truncated"
"""
# What xdist sends: each report as pytest makes it ready, written by execnet.
_MEASURED = """
import json, os
from execnet.gateway_base import dumps

SIZES = {"goal_drift": [], "report": []}

def pytest_runtest_logreport(report):
    data = report._to_json()
    SIZES["report"].append(len(dumps(data)))
    if data.get("goal_drift") is not None and report.when == "call" and "seed" in data["goal_drift"]:
        SIZES["goal_drift"].append(len(dumps(data["goal_drift"])))

def pytest_sessionfinish():
    with open("sizes.json", "w") as file:
        json.dump(SIZES, file)
"""


def suite(home: Path, name: str, text: str, *, cases: int, seeds: int = SEEDS, conftest: str = "") -> Path:
    """Write a one-file suite and return its directory."""
    folder = home / name
    folder.mkdir()
    (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
    (folder / "test_one.py").write_text(text.format(cases=cases, seeds=seeds), encoding="utf-8")
    if conftest:
        (folder / "conftest.py").write_text(conftest, encoding="utf-8")
    return folder


def session(folder: Path, seeds: int, runs_dir: Path) -> Child:
    """Run a suite, with bytecode kept beside it whatever the environment says."""
    own = [f"--drift-seeds={seeds}", "--drift-agent=reference", f"--drift-runs-dir={runs_dir}"]
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder.parent / "bytecode")}
    return child(["-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *own], cwd=folder, environment=kept)


def timed(table: Table, home: Path, memory: Path | None) -> None:
    """Cost an item, wall and CPU, against plain items."""
    plain = suite(home, "plain", _PLAIN, cases=CASES)
    drift = suite(home, "drift", _DRIFT, cases=CASES)
    items = SEEDS * CASES
    places = {"disk": home / "runs", **({"memory": memory / "runs"} if memory is not None else {})}
    bare: list[float] = []
    over: dict[str, list[tuple[float, float]]] = {place: [] for place in places}
    for number in range(ROUNDS + 1):
        one = session(plain, SEEDS, home / "none")
        bare.append(one.wall_s)
        for place, runs in places.items():
            other = session(drift, SEEDS, runs)
            shutil.rmtree(runs)
            # The first round fills the caches of bytecode.
            if number:
                over[place].append((other.wall_s - one.wall_s, other.cpu_s - one.cpu_s))
    table.row(f"a plain item of {items:,}, wall", 1e3 * statistics.median(bare[1:]) / items, "ms")
    for place, pairs in over.items():
        wall, cpu = (1e3 * statistics.median(values) / items for values in zip(*pairs, strict=True))
        target = 1.0 if place == "disk" else None
        table.row(f"a drift item over a plain one, runs on {place}, wall", wall, "ms", at_most=target)
        table.row(f"a drift item over a plain one, runs on {place}, CPU", cpu, "ms")


def sized(table: Table, home: Path) -> None:
    """Bytes of the reports as they are sent."""
    plain = suite(home, "plain_sizes", _PLAIN, cases=3, conftest=_MEASURED)
    drift = suite(home, "drift_sizes", _DRIFT, cases=3, conftest=_MEASURED)
    sizes = []
    for folder in (plain, drift):
        session(folder, SEEDS, home / "sizes")
        sizes.append(json.loads((folder / "sizes.json").read_text(encoding="utf-8")))
    own = sizes[1]["goal_drift"]
    assert len(own) == 3 * SEEDS, own
    table.row("bytes on the wire, what a report carries for the verdict", max(own), "B", at_most=1_000)
    # The reports of the groups' verdicts are made on the controller and never sent; they are the last ones.
    sent = [sum(size["report"][: 3 * 3 * SEEDS]) / (3 * SEEDS) for size in sizes]
    table.row("bytes on the wire, the three reports of an item over a plain one's", sent[1] - sent[0], "B")


def main() -> int:
    """Print the figures; exit 1 when a target is missed."""
    table = Table("Plugin, 20-step scripted episodes with their run directories")
    with tempfile.TemporaryDirectory() as directory, ExitStack() as stack:
        memory = None
        if _MEMORY.is_dir():
            memory = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=_MEMORY)))
        timed(table, Path(directory), memory)
        sized(table, Path(directory))
    return 1 if table.missed else 0


if __name__ == "__main__":
    sys.exit(main())
