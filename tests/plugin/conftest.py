from __future__ import annotations

import importlib
import sys
from pathlib import Path

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

from plugin_support import Lines, Project  # noqa: E402


@pytest.fixture
def project(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("COLUMNS", "200")
    for name in ("CI", "PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_AUTO_NUM_WORKERS"):
        monkeypatch.delenv(name, raising=False)
    return Project(pytester)


@pytest.fixture
def text_of() -> Lines:
    return lambda result: result.stdout.str() + result.stderr.str()
