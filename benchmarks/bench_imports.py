"""What importing costs, over a bare interpreter and a bare pytest; with and without cached bytecode."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measure import Table


def main() -> int:
    """Print the figures; exit 1 when a target is missed."""
    table = Table("Imports and plugin load, wall time over a bare process")
    bare, imported = paired(["-c", "pass"], ["-c", "import goal_drift_gym"])
    table.row("import goal_drift_gym", imported - bare, "ms", at_most=60)
    bare, used = paired(["-c", "pass"], ["-c", "import goal_drift_gym; goal_drift_gym.run_episode"])
    table.row("import of what runs an episode", used - bare, "ms")
    for name, environment, most in (
        ("cached bytecode", {}, 10),
        ("no bytecode caches", {"PYTHONDONTWRITEBYTECODE": "1"}, 40),
    ):
        with tempfile.TemporaryDirectory() as project:
            if environment:
                environment = {**environment, "PYTHONPYCACHEPREFIX": str(Path(project) / "nowhere")}
            Path(project, "test_nothing.py").write_text("def test_nothing():\n    pass\n", encoding="utf-8")
            run = ["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", project]
            bare, loaded = paired([*run, "-p", "no:goal_drift"], run, environment, rounds=25)
        table.row(f"plugin load, unused, {name}", loaded - bare, "ms", at_most=most)
    return 1 if table.missed else 0


def paired(
    one: list[str], other: list[str], environment: dict[str, str] | None = None, rounds: int = 21
) -> tuple[float, float]:
    """Return the least milliseconds of two interpreter calls, run in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    # A shell that forbids bytecode caches would have every start compile everything again.
    bare_environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for number in range(rounds + 1):
        for kept, arguments in zip(seconds, (one, other), strict=True):
            begun = time.perf_counter()
            subprocess.run(
                [sys.executable, *arguments],
                check=True,
                capture_output=True,
                env={**bare_environment, **(environment or {})},
            )
            if number:
                kept.append(time.perf_counter() - begun)
    # The least of each: what else the machine does only ever adds, and here it adds more than is to be measured.
    return 1e3 * min(seconds[0]), 1e3 * min(seconds[1])


if __name__ == "__main__":
    sys.exit(main())
