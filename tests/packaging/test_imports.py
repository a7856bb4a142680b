"""What an import costs, counted in modules: times are for the benchmarks."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

import goal_drift_gym

HEAVY = ("numpy", "scipy", "matplotlib", "hypothesis", "asyncio", "msgspec", "openai", "anthropic", "pytest")


def modules_after(code: str) -> set[str]:
    script = f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_loads_nothing_heavy() -> None:
    loaded = modules_after("import goal_drift_gym")

    assert not loaded & set(HEAVY)
    assert [name for name in sorted(loaded) if name.startswith("goal_drift_gym")] == [
        "goal_drift_gym",
        "goal_drift_gym._version",
    ]


def test_running_an_episode_loads_neither_scipy_nor_hypothesis_nor_asyncio() -> None:
    loaded = modules_after("import goal_drift_gym; goal_drift_gym.run_episode")

    assert not loaded & {"scipy", "matplotlib", "hypothesis", "asyncio", "openai", "anthropic", "pytest", "numpy"}


@pytest.mark.parametrize("name", goal_drift_gym.__all__)
def test_every_public_name_can_be_had(name: str) -> None:
    assert getattr(goal_drift_gym, name) is not None


def test_public_names_are_sorted_and_listed_by_dir() -> None:
    assert goal_drift_gym.__all__ == sorted(goal_drift_gym.__all__)
    assert set(goal_drift_gym.__all__) <= set(dir(goal_drift_gym))


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = goal_drift_gym.no_such_name  # type: ignore[attr-defined]
