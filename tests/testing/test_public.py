"""What `goal_drift_gym.testing` offers."""

from __future__ import annotations

import subprocess
import sys

from goal_drift_gym import testing


def test_every_public_name_can_be_had_and_the_list_is_sorted() -> None:
    assert testing.__all__ == sorted(testing.__all__)
    assert all(getattr(testing, name) is not None for name in testing.__all__)


def test_importing_the_package_imports_neither_pytest_nor_hypothesis() -> None:
    code = "import sys, goal_drift_gym.testing; print({'pytest', 'hypothesis', 'numpy'} & set(sys.modules))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "set()"
