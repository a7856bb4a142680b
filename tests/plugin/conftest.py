from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# Makes the modules beside this one importable by name.
sys.path.insert(0, str(Path(__file__).parent))

# Loaded here, because pytester forgets modules that an inner run loaded, and numpy cannot be loaded twice.
for _module in (
    "goal_drift_gym.baselines",
    "goal_drift_gym.comparing",
    "goal_drift_gym.eval.sequential",
    "goal_drift_gym.eval.twins",
    "goal_drift_gym.judging",
    "goal_drift_gym.runner",
    "goal_drift_gym.scenarios.bandit_constraint",
    "goal_drift_gym.scenarios.release_manager",
    "scipy.special",
    "scipy.stats",
):
    importlib.import_module(_module)

OTHERS_OFF = ("-p", "no:asyncio", "-p", "no:rerunfailures", "-p", "no:randomly")

SIMPLE = """
    import pytest

    @pytest.mark.drift_scenario("release_manager", steps=20)
    def test_keeps(drift_run):
        pass
"""


class Project:
    """A project of somebody who tests an agent."""

    def __init__(self, pytester: pytest.Pytester) -> None:
        self.pytester = pytester
        self.path: Path = pytester.path

    def write(self, source: str = SIMPLE, **files: str) -> Project:
        self.pytester.makepyfile(test_it=source, **files)
        return self

    def run(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in this process."""
        return self.pytester.runpytest_inprocess(*OTHERS_OFF, *arguments)

    def sub(self, *arguments: str) -> pytest.RunResult:
        """Run pytest in a process of its own."""
        return self.pytester.runpytest_subprocess(*OTHERS_OFF, *arguments, timeout=120)

    def runs(self, where: str = "runs") -> list[Path]:
        return sorted(path.parent for path in (self.path / where).rglob("config.json"))

    def verdicts(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_bytes()) for path in sorted((self.path / "artifacts").rglob("verdict.json"))]


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("CI", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_AUTO_NUM_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    return Project(pytester)


Lines = Callable[[pytest.RunResult], str]


@pytest.fixture
def text_of() -> Lines:
    return lambda result: result.stdout.str() + result.stderr.str()
